"""Where our detector's landmarks lie on the chips of dlib's own alignment: the points of the encoder `dlib-resnet`."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.peers.environment import KINDS, peer_python, running
from engine.common.concurrency import batched
from engine.faces.alignment import largest_landmarks
from engine.faces.images import decode

_AT_ONCE = 32


@dataclass(frozen=True)
class LandmarkFit:
    """`points` (5, 2): the medians in pixels of dlib's chip of 150; `spread` (5,): the median distance from them; `files` that
    gave them, of `of`.
    """

    points: np.ndarray
    spread: np.ndarray
    files: int
    of: int


def fit_landmarks(
    files: Sequence[Path], python: Path | None = None, progress: Callable[[int], None] | None = None
) -> LandmarkFit:
    """Find the largest face's landmarks in photographs, and ask dlib where on its own chips they lie.

    Args:
        files: photographs.
        python: the Python of an environment that holds dlib already.
        progress: told how many more are done.
    """
    placed: list[list[list[float]]] = []
    with running(python or peer_python(KINDS["dlib-wheel"]), "dlib_alignment.py") as peer:
        for part in batched(files, _AT_ONCE):
            found = [(path, largest_landmarks(decode(path))) for path in part]
            asked = [[str(path), np.stack([z.real, z.imag], axis=1).tolist()] for path, z in found if z is not None]
            placed += [points for points in peer.ask(json.dumps(asked)) if points is not None]
            if progress:
                progress(len(part))
    points = np.asarray(placed)
    middle = np.median(points, axis=0)
    return LandmarkFit(middle, np.median(np.linalg.norm(points - middle, axis=2), axis=0), len(points), len(files))
