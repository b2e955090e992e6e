"""Faces out of photographs, for pages: cut around their boxes, small, inside the page; and photographs with boxes drawn."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engine.errors import ImageProblem
from engine.faces.alignment import Face, aligner
from engine.faces.chip import Chip
from engine.faces.images import decode
from engine.files.escaping import shown
from engine.reports.markup import Markup, tag

# Pixels of a face's side on a page; how much around its box is shown; of an annotated photograph's longer side, at most.
_SIDE, _AROUND, _LONGEST = 180, 0.35, 1600
# What the alignment is for is not used here: the boxes are.
_CHIP = Chip(112, ((38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (41.5, 92.4), (70.7, 92.2)))
_KNOWN, _UNKNOWN = (46, 139, 87), (200, 80, 40)


@dataclass(frozen=True)
class Label:
    """What is written beside a face's box."""

    box: tuple[float, float, float, float]
    text: str
    identified: bool


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


def annotated(picture: np.ndarray, labels: Sequence[Label]) -> np.ndarray:
    """A copy of a picture, uint8 (h, w, 3), no larger than 1,600 pixels, with boxes and what is written beside them."""
    scale = min(1.0, _LONGEST / max(picture.shape[:2]))
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    copy = cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if scale < 1 else picture.copy()
    for label in labels:
        x, y, width, height = (value * scale for value in label.box)
        colour = _KNOWN if label.identified else _UNKNOWN
        line = max(1, round(max(size) / 400))
        cv2.rectangle(copy, (round(x), round(y)), (round(x + width), round(y + height)), colour, line)
        _write(copy, shown(label.text), round(x), round(y), round(y + height), colour)
    return copy


def _write(picture: np.ndarray, text: str, x: int, top: int, bottom: int, colour: tuple[int, int, int]) -> None:
    """Write a text on its colour, above a box or, where there is no room, below; names in any script."""
    from PIL import Image, ImageDraw, ImageFont

    size = max(11, round(max(picture.shape[:2]) / 45))
    font = ImageFont.truetype(_font(), size)
    left, upper, right, lower = font.getbbox(text)
    width, height = int(right - left) + 6, int(lower - upper) + 6
    y = top - height if top >= height else min(bottom, picture.shape[0] - height)
    x = max(0, min(x, picture.shape[1] - width))
    drawn = Image.fromarray(picture)
    draw = ImageDraw.Draw(drawn)
    draw.rectangle((x, y, x + width, y + height), fill=colour)
    draw.text((x + 3 - left, y + 3 - upper), text, font=font, fill=(255, 255, 255))
    picture[:] = np.asarray(drawn)


def _font() -> str:
    """DejaVu Sans, which comes with matplotlib: Latin, Greek, Cyrillic, Arabic letters and more."""
    import matplotlib as mpl

    return str(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
