"""Faces out of photographs, for pages: cut around their boxes, small, inside the page."""

from pathlib import Path

import numpy as np

from engine.errors import ImageProblem
from engine.faces.alignment import Face, aligner
from engine.faces.chip import Chip
from engine.faces.images import decode
from engine.files.object_storage import is_remote
from engine.reports.markup import Markup, tag
from engine.tables.thumbnails import cut_out, jpeg_uri

# Pixels of a face's side on a page.
_SIDE = 180
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
    return image(cut_out(picture, found[face or 0].box, _SIDE), alt)


def image(pixels: np.ndarray, alt: str) -> Markup:
    """An RGB picture, uint8 (h, w, 3), as an image inside the page."""
    if (source := jpeg_uri(pixels)) is None:
        return tag("div", "not shown", class_="none")
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
