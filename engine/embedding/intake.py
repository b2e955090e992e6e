"""How files come to an encoder: opened, and brought to what it wants to see. Nothing else knows of modalities."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.arrays.files import SIGNALS, VOLUMES, read_named
from engine.arrays.sampled import Sampled
from engine.arrays.shapes import Cube, Window
from engine.arrays.signals import windows_of
from engine.arrays.volumes import cube_of
from engine.embedding.photographs import Photograph
from engine.errors import ImageProblem, PhotographsError
from engine.faces.alignment import AlignedFace, Face, aligner, alignment
from engine.faces.chip import Chip
from engine.faces.images import IMAGES, FileKind, decode_named
from engine.files.content_ids import of_picture
from engine.templates.provenance import PICTURE, SIGNAL, VOLUME

KINDS: dict[str, FileKind] = {PICTURE: IMAGES, SIGNAL: SIGNALS, VOLUME: VOLUMES}
"""The files that an encoder of a modality takes."""
Shown = Chip | Window | Cube


@dataclass(frozen=True)
class Intake:
    """`opened`: what a file holds, and what it is called by its content. `shown`: what an encoder sees of that, a part for each
    template. Both raise `ImageProblem`. `alignment` says how, as it enters the fingerprint.
    """

    alignment: str
    opened: Callable[[Photograph], tuple[Any, str]]
    shown: Callable[[Any], list[AlignedFace]]


def intake(chip: Shown, faces: str) -> Intake:
    """Of files to what an encoder wants to see of them.

    Raises:
        PhotographsError: there is no such way to look at `faces`, or these files have none.
    """
    if isinstance(chip, Chip):
        align = aligner(faces)
        return Intake(alignment(faces), open_picture, lambda picture: align(picture, chip))
    if faces != "largest":
        raise PhotographsError(f"--faces {faces} goes with photographs; of a {chip.modality} all is seen")
    return Intake(chip.alignment, open_array, lambda held: [AlignedFace(_whole(held), _cut(held, chip))])


def _cut(held: Sampled, chip: Window | Cube) -> np.ndarray:
    try:
        return windows_of(held, chip) if isinstance(chip, Window) else cube_of(held, chip)
    except MemoryError as error:
        raise ImageProblem("not enough memory to look at it") from error


def open_picture(photograph: Photograph) -> tuple[np.ndarray, str]:
    """The RGB picture, uint8 (height, width, 3), and what it is called by its content. Raises `ImageProblem`."""
    if isinstance(photograph.image, np.ndarray):
        return photograph.image, of_picture(photograph.image)
    return decode_named(photograph.image)


def open_array(recording: Photograph) -> tuple[Sampled, str]:
    """The numbers of a recording or a volume, and what it is called by its content. Raises `ImageProblem`."""
    if isinstance(recording.image, np.ndarray):
        return Sampled(recording.image), of_picture(recording.image)
    return read_named(recording.image)


def _whole(held: Sampled) -> Face:
    """All of an array, as the box that its template is of: its first two sides."""
    height, width = (*held.values.shape, 1)[:2]
    return Face((0.0, 0.0, float(width), float(height)), 1.0)
