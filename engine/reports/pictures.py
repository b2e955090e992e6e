"""Faces out of photographs, for pages: cut around their boxes, small, inside the page."""

import base64
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from engine.errors import ImageProblem
from engine.faces.alignment import Face, aligner
from engine.faces.chip import Chip
from engine.faces.images import decode
from engine.reports.markup import Markup, tag

# Pixels of a face's side on a page; how much around its box is shown.
_SIDE, _AROUND = 180, 0.35
# What the alignment is for is not used here: the boxes are.
_CHIP = Chip(112, ((38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (41.5, 92.4), (70.7, 92.2)))


def faces_in(picture: np.ndarray, faces: str) -> list[Face]:
    """The faces of a picture, numbered as `onek identify --faces` numbers them."""
    return [found.face for found in aligner(faces)(picture, _CHIP)]


def face_image(path: Path, face: int | None, faces: str, alt: str) -> Markup:
    """One face of a photograph as an image inside the page, or the reason why there is none."""
    try:
        picture = decode(path)
    except ImageProblem as problem:
        return tag("div", f"not shown: {problem}", class_="none")
    found = faces_in(picture, faces)
    if face is not None and face >= len(found):
        return tag("div", f"face {face} was not found again", class_="none")
    return image(cut_out(picture, found[face or 0].box), alt)


def cut_out(picture: np.ndarray, box: Sequence[float]) -> np.ndarray:
    """A square around a box, with the box drawn, uint8 (180, 180, 3); what lies outside of the picture is grey."""
    x, y, width, height = box
    side = max(width, height) * (1 + 2 * _AROUND)
    scale = _SIDE / max(side, 1.0)
    left, top = x + width / 2 - side / 2, y + height / 2 - side / 2
    moved = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]], np.float64)
    cut = cv2.warpAffine(picture, moved, (_SIDE, _SIDE), flags=cv2.INTER_AREA, borderValue=(128, 128, 128))
    corners = [(round((a - left) * scale), round((b - top) * scale)) for a, b in ((x, y), (x + width, y + height))]
    return cv2.rectangle(cut, corners[0], corners[1], (255, 255, 255), 1)


def image(pixels: np.ndarray, alt: str) -> Markup:
    """An RGB picture, uint8 (h, w, 3), as an image inside the page."""
    done, coded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not done:
        return tag("div", "not shown", class_="none")
    source = f"data:image/jpeg;base64,{base64.b64encode(coded.tobytes()).decode('ascii')}"
    return Markup(tag("img", src=source, alt=alt, width=str(pixels.shape[1]), height=str(pixels.shape[0])).replace("</img>", ""))
