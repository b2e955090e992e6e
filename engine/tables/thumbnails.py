"""Faces out of photographs, small and inside the page, for the tables that a notebook shows.

A table may have come from anybody. So only photographs below the folder that the program runs in are looked for, on this machine,
and none that is long to decode.
"""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from engine.errors import ImageProblem
from engine.faces.images import ImageBytes, decode

AROUND = 0.35
"""The share of a box's side that is shown beyond it."""
# Pixels of a thumbnail's side, and what of a photograph is read and decoded at most: what telephones make.
SIDE = 56
_BYTES, MEGAPIXELS = 32 << 20, 30.0


def thumbnail(source: str | None, box: Sequence[float] | None) -> str | None:
    """A face as HTML, the whole photograph where no `box` says where it is; None where the photograph is not at hand."""
    if not source or (path := _at_hand(source)) is None:
        return None
    try:
        picture = decode(ImageBytes(path.read_bytes(), MEGAPIXELS))
    except (OSError, ImageProblem):
        return None
    around = 0.0 if box is None else AROUND
    box = (0, 0, *picture.shape[1::-1]) if box is None else box
    uri = jpeg_uri(cut_out(picture, box, SIDE, around)) if is_inside(box, picture) else None
    return uri and f'<img src="{html.escape(uri)}" alt="" width="{SIDE}" height="{SIDE}">'


def is_inside(box: Sequence[float], picture: np.ndarray) -> bool:
    """Whether a box shows something of a picture."""
    x, y, width, height = box
    high, wide = picture.shape[:2]
    return bool(np.isfinite(box).all()) and width > 0 < height and -width < x < wide and -height < y < high


def cut_out(picture: np.ndarray, box: Sequence[float], pixels: int, around: float = AROUND) -> np.ndarray:
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


def jpeg_uri(pixels: np.ndarray) -> str | None:
    """An RGB picture, uint8 (h, w, 3), as a `data:` address; None where it cannot be written."""
    done, coded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    return f"data:image/jpeg;base64,{base64.b64encode(coded.tobytes()).decode('ascii')}" if done else None


def _at_hand(source: str) -> Path | None:
    """The photograph, if it is a file below the present folder that is not too large."""
    here = Path.cwd()
    try:
        path = (here / source).resolve()
        if path.is_relative_to(here) and path.is_file() and path.stat().st_size <= _BYTES:
            return path
    except (OSError, ValueError, RuntimeError):  # no path at all, or links in a circle
        return None
    return None
