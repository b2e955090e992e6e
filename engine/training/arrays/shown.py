"""What a fresh network of signals or volumes is to see, by what the user asks for and the first file that can be read."""

from collections.abc import Sequence

from engine.arrays.shapes import Cube, Window
from engine.embedding.intake import open_array
from engine.embedding.photographs import Photograph
from engine.errors import ImageProblem, TrainingError
from engine.templates.provenance import SIGNAL

WINDOW, SIDE = 512, 32
"""Samples of a window and voxels of a cube's side, where nobody says otherwise."""


def shown_by(files: Sequence[Photograph], modality: str, size: int | None, sampling: float | None) -> Window | Cube:
    """What a network of the `modality` sees: windows of `size` samples at `sampling` hertz, or a cube of `size` voxels a side at
    `sampling` millimetres.

    The first file that can be read says how many channels there are, and a signal's rate where nobody names one.

    Raises:
        TrainingError: a number that is too small, or no file can be read; says why not the first.
    """
    if size is not None and size < 16:
        raise TrainingError(f"--window {size}: expected 16 or more")
    if sampling is not None and not 0 < sampling < float("inf"):
        raise TrainingError(f"--sampling {sampling:g}: expected a number above 0, hertz or millimetres")
    why = "there are none"
    for file in files:
        try:
            held = open_array(file)[0]
        except ImageProblem as problem:
            why = f"{file.source}: {problem}"
            continue
        axes = 1 if modality == SIGNAL else 3
        channels = held.values.shape[axes] if held.values.ndim == axes + 1 else 1
        if modality == SIGNAL:
            return Window(size or WINDOW, channels, held.rate if sampling is None else sampling)
        return Cube(size or SIDE, channels, sampling)
    raise TrainingError(f"none of {len(files):,} files can be read; the last: {why}")
