"""Find faces, and align them to an encoder's chip."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from engine.detector import Detection, detect
from engine.errors import PhotographsError

# Part of every fingerprint: change it whenever the same photograph would give another chip.
MTCNN_ALIGNMENT = "mtcnn-1.0.0 largest of 128/320/1024, 5-point similarity, v1"
CROP_ALIGNMENT = "whole picture, v1"

# MTCNN sees faces of 20 pixels and more. Small copies are quick and show the large faces; what shows none goes on to the next.
LADDER = (128, 320, 1024)
SURE = 0.95

@dataclass(frozen=True)
class Chip:
    """What an encoder wants to see: a square of `size` pixels, with the five landmarks at `points` (5, 2), x and y in pixels."""

    size: int
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Face:
    """One face. `box` is x, y, width, height in pixels of the whole picture; `quality` the detector's confidence, 0 to 1."""

    box: tuple[float, float, float, float]
    quality: float
    chip: np.ndarray
    """uint8, shape (size, size, 3), RGB."""


Aligner = Callable[[Sequence[np.ndarray], Chip], list[list[Face]]]
"""From RGB pictures, uint8 (height, width, 3), to the faces of each."""


def aligner(faces: str) -> Aligner:
    """The aligner for `largest` (one face a picture), `all` (every face, largest first) or `none` (the picture is the face).

    Raises:
        PhotographsError: another name.
    """
    try:
        return {"largest": largest_face, "all": all_faces, "none": whole_picture}[faces]
    except KeyError:
        raise PhotographsError(f"--faces {faces}: expected largest, all or none") from None


def alignment(faces: str) -> str:
    """What an aligner does to a picture, as it enters the fingerprint."""
    return CROP_ALIGNMENT if faces == "none" else MTCNN_ALIGNMENT


def whole_picture(pictures: Sequence[np.ndarray], chip: Chip) -> list[list[Face]]:
    """Take each picture for a face crop already, and only bring it to the chip's size."""

    def face(picture: np.ndarray) -> Face:
        height, width = picture.shape[:2]
        shrinks = min(height, width) > chip.size
        crop = cv2.resize(picture, (chip.size, chip.size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return Face((0.0, 0.0, float(width), float(height)), 1.0, crop)

    return [[face(picture)] for picture in pictures]


def largest_face(pictures: Sequence[np.ndarray], chip: Chip) -> list[list[Face]]:
    """The largest face of each picture, or an empty list.

    A small copy can show large faces only, so the first copy that shows a face shows the largest one.
    """
    best: list[Detection | None] = [None] * len(pictures)
    for smaller, side in pairwise((0, *LADDER)):
        unsure = [i for i, found in enumerate(best) if found is None or found.quality < SURE]
        worth = [i for i in unsure if max(pictures[i].shape) > smaller]
        for i, found in zip(worth, detect([pictures[i] for i in worth], side), strict=True):
            known = best[i]
            best[i] = max([*found, known] if known else found, key=_sure_and_large, default=None)
    return [[_face(picture, found, chip)] if found else [] for picture, found in zip(pictures, best, strict=True)]


def all_faces(pictures: Sequence[np.ndarray], chip: Chip) -> list[list[Face]]:
    """Every face of each picture, the largest first."""
    found = detect(pictures, LADDER[-1])
    return [
        [_face(picture, face, chip) for face in sorted(faces, key=lambda face: -face.area)]
        for picture, faces in zip(pictures, found, strict=True)
    ]


def align(picture: np.ndarray, landmarks: np.ndarray, chip: Chip) -> np.ndarray:
    """Cut a chip out of a picture by the similarity that brings `landmarks` (5, 2) nearest to the chip's points (least squares).

    With points as complex numbers the best map z -> a z + b has a = sum conj(z)w / sum |z|^2 over centred points
    (Umeyama 1991, the two-dimensional case without reflection). Outside the picture is black.

    Returns:
        uint8, shape (size, size, 3).
    """
    z = landmarks.astype(np.float64) @ (1, 1j)
    w = np.asarray(chip.points, np.float64) @ (1, 1j)
    spread = z - z.mean()
    a = np.vdot(spread, w - w.mean()) / np.vdot(spread, spread).real
    # Far larger than the chip: shrink first, averaging, since the warp samples between four pixels only.
    shrink = min(1.0, 2.0 ** np.ceil(np.log2(abs(a))))
    if shrink < 1:
        size = np.maximum(1, np.round(np.array(picture.shape[1::-1]) * shrink)).astype(int)
        picture = cv2.resize(picture, tuple(map(int, size)), interpolation=cv2.INTER_AREA)
        z, a = (z + (0.5 + 0.5j)) * shrink - (0.5 + 0.5j), a / shrink
    b = w.mean() - a * z.mean()
    matrix = np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])
    return cv2.warpAffine(picture, matrix, (chip.size, chip.size), flags=cv2.INTER_LINEAR)


def _face(picture: np.ndarray, found: Detection, chip: Chip) -> Face:
    x, y, width, height = (float(value) for value in found.box)
    return Face((x, y, width, height), found.quality, align(picture, found.landmarks, chip))


def _sure_and_large(found: Detection) -> tuple[bool, float]:
    return found.quality >= SURE, found.area
