"""Find faces, and align them to an encoder's chip."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise

import cv2
import numpy as np

from engine.detector import PATCH, Detection, detect, landmarks_on
from engine.errors import PhotographsError

# Part of every fingerprint: change it whenever the same photograph would give another chip.
MTCNN_ALIGNMENT = "mtcnn 128/320/1024 refined, 5-point similarity, v1"
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
    """The largest face of each picture, or an empty list; what lies off the middle counts for less (see `_prominence`).

    A small copy can show large faces only, so the first copy that shows a face shows the largest one.
    """
    best: list[Detection | None] = [None] * len(pictures)
    for smaller, side in pairwise((0, *LADDER)):
        unsure = [i for i, found in enumerate(best) if found is None or found.quality < SURE]
        worth = [i for i in unsure if max(pictures[i].shape) > smaller]
        for i, found in zip(worth, detect([pictures[i] for i in worth], side), strict=True):
            known = best[i]
            best[i] = max([*found, known] if known else found, key=partial(_prominence, pictures[i]), default=None)
    return _chips(pictures, [[found] if found else [] for found in best], chip)


def all_faces(pictures: Sequence[np.ndarray], chip: Chip) -> list[list[Face]]:
    """Every face of each picture, the largest first."""
    found = detect(pictures, LADDER[-1])
    return _chips(pictures, [sorted(faces, key=lambda face: -face.area) for faces in found], chip)


def align(picture: np.ndarray, landmarks: np.ndarray, chip: Chip) -> np.ndarray:
    """Cut a chip out of a picture by the similarity that brings its `landmarks` nearest to the chip's points (least squares).

    Landmarks are complex (5,): x + iy in pixels. So written, the best map z -> a z + b to the points w has
    a = sum conj(z) w / sum |z|^2, both centred (Umeyama 1991, the two-dimensional case without reflection). Outside the
    picture is black.

    Returns:
        uint8, shape (size, size, 3).
    """
    z = landmarks
    w = np.asarray(chip.points, np.float64) @ (1, 1j)
    spread = z - z.mean()
    a = np.vdot(spread, w - w.mean()) / np.vdot(spread, spread).real
    return _cut(picture, a, w.mean() - a * z.mean(), chip.size)


def _cut(picture: np.ndarray, a: complex, b: complex, size: int) -> np.ndarray:
    """The square (size, size, 3) that the map z -> a z + b makes of a picture, pixel centres at whole numbers."""
    # Far larger than the chip: shrink first, averaging, since the warp samples between four pixels only.
    shrink = min(1.0, 2.0 ** np.ceil(np.log2(abs(a))))
    if shrink < 1:
        small = [max(1, round(side * shrink)) for side in picture.shape[1::-1]]
        picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        a = a / shrink
        b = b + a * (0.5 + 0.5j) * (1 - shrink)
    matrix = np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])
    return cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR)


def _chips(pictures: Sequence[np.ndarray], found: Sequence[Sequence[Detection]], chip: Chip) -> list[list[Face]]:
    """Look at each face again on the whole picture, where its landmarks are finer than on the copy, and align it."""
    faces = [(picture, face) for picture, those in zip(pictures, found, strict=True) for face in those]
    squares = [_square(face) for _, face in faces]
    patches = [_cut(picture, scale, shift, PATCH) for (picture, _), (scale, shift) in zip(faces, squares, strict=True)]
    landmarks = landmarks_on(np.stack(patches)) if patches else np.empty((0, 5, 2), np.float32)
    aligned = iter(
        Face(_box(face), face.quality, align(picture, (points @ (1, 1j) - shift) / scale, chip))
        for (picture, face), (scale, shift), points in zip(faces, squares, landmarks, strict=True)
    )
    return [list(islice(aligned, len(those))) for those in found]


def _box(face: Detection) -> tuple[float, float, float, float]:
    x, y, width, height = map(float, face.box)
    return x, y, width, height


def _square(face: Detection) -> tuple[float, complex]:
    """The map z -> a z + b that brings the square round a face's box to a patch."""
    x, y, width, height = face.box
    scale = PATCH / max(width, height)
    middle = (PATCH - 1) / 2 * (1 + 1j)
    return scale, middle - scale * complex(x + width / 2, y + height / 2)


def _prominence(picture: np.ndarray, found: Detection) -> tuple[bool, float]:
    """Sure before unsure, then area less twice the squared distance from the middle (as facenet's script weighs it)."""
    middle = np.array(picture.shape[1::-1]) / 2
    offset = found.box[:2] + found.box[2:] / 2 - middle
    return found.quality >= SURE, found.area - 2 * float(offset @ offset)
