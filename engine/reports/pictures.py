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
from engine.files.object_storage import is_remote
from engine.reports.markup import Markup, tag

# Pixels of a face's side on a page; how much around its box is shown.
_SIDE, _AROUND = 180, 0.35
# Finding faces takes a chip to align them to; of what comes back only the boxes are used here.
_CHIP = Chip(112, ((38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (41.5, 92.4), (70.7, 92.2)))


NOT_AT_HAND = tag("div", "the photograph is not at hand", class_="none")
"""What stands in the place of a photograph that is not on this machine."""


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


def is_inside(box: Sequence[float], picture: np.ndarray) -> bool:
    """Whether a box shows something of a picture."""
    x, y, width, height = box
    high, wide = picture.shape[:2]
    return bool(np.isfinite(box).all()) and width > 0 < height and -width < x < wide and -height < y < high


def cut_out(picture: np.ndarray, box: Sequence[float], pixels: int = _SIDE, around: float = _AROUND) -> np.ndarray:
    """A square around a box, with the box drawn, uint8 (pixels, pixels, 3); what lies outside of the picture is grey.

    `around`: the share of the box's side that is shown beyond it, on each of the four sides.
    """
    x, y, width, height = box
    side = max(width, height) * (1 + 2 * around)
    scale = pixels / max(side, 1.0)
    left, top = x + width / 2 - side / 2, y + height / 2 - side / 2
    moved = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]], np.float64)
    cut = cv2.warpAffine(picture, moved, (pixels, pixels), flags=cv2.INTER_AREA, borderValue=(128, 128, 128))
    corners = [(round((a - left) * scale), round((b - top) * scale)) for a, b in ((x, y), (x + width, y + height))]
    return cv2.rectangle(cut, corners[0], corners[1], (255, 255, 255), 1)


def image(pixels: np.ndarray, alt: str) -> Markup:
    """An RGB picture, uint8 (h, w, 3), as an image inside the page."""
    done, coded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not done:
        return tag("div", "not shown", class_="none")
    source = f"data:image/jpeg;base64,{base64.b64encode(coded.tobytes()).decode('ascii')}"
    return Markup(tag("img", src=source, alt=alt, width=str(pixels.shape[1]), height=str(pixels.shape[0])).replace("</img>", ""))


def photograph_of(probe: str, photos: Path | None) -> Path | None:
    """The photograph of a probe, on this machine only: where its path says, or below the folder `photos`, never outside it."""
    if photos is None:
        return path if not is_remote(path := Path(probe)) and path.is_file() else None
    base = photos.resolve()
    parts = Path(probe).parts
    for at in range(len(parts)):
        found = (base / Path(*parts[at:])).resolve()
        if found.is_relative_to(base) and found.is_file():
            return found
    return None
