"""Find faces, and align them to an encoder's chip. One picture at a time: nothing that lies beside it can touch what it gives."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np

from engine.errors import PhotographsError
from engine.faces.chip import ALIGNMENT, CROP_ALIGNMENT, Chip
from engine.faces.detector import Detection, detect
from engine.faces.landmarks import cut, landmarks

# Faces are looked for on copies whose longer sides have so many pixels, one after the other until one shows a sure face: small
# copies are quick, and show large faces. How many times larger than the picture a copy may be.
LADDER = ((160, 1), (320, 1), (640, 1), (1920, 2))
SURE = 0.8
# The same where all faces are wanted; two boxes are of one face if they share more than this of the smaller one.
WIDE = ((320, 1), (1920, 2))
SAME = 0.5
# Where nothing is found, the picture may lie on its side or head, so that turned copies are tried: their longer side in pixels.
TURNED = 320


@dataclass(frozen=True)
class Face:
    """One face. `box` is x, y, width, height in pixels of the whole picture; `detection` the detector's confidence, 0 to 1."""

    box: tuple[float, float, float, float]
    detection: float

    @property
    def area(self) -> float:
        """In square pixels."""
        return self.box[2] * self.box[3]


@dataclass(frozen=True)
class AlignedFace:
    """A face, and its `chip`: uint8, shape (size, size, 3), RGB. `beside`: other faces that were seen and not taken. `points`:
    its landmarks in the picture, as `Detection` has them; None of a crop.
    """

    face: Face
    chip: np.ndarray
    beside: tuple[Face, ...] = ()
    points: np.ndarray | None = None


Aligner = Callable[[np.ndarray, Chip], list[AlignedFace]]
"""From an RGB picture, uint8 (height, width, 3), to its faces."""


def aligner(faces: str) -> Aligner:
    """The aligner for `largest` (one face a picture), `all` (every face, largest first) or `none` (the picture is the face).

    Raises:
        PhotographsError: another name.
    """
    try:
        return {"largest": largest_face, "all": all_faces, "none": whole_picture}[faces]
    except KeyError:
        raise PhotographsError(f"faces={faces!r}: expected largest, all or none") from None


def alignment(faces: str) -> str:
    """What an aligner does to a picture, as it enters the fingerprint."""
    return CROP_ALIGNMENT if faces == "none" else ALIGNMENT


def whole_picture(picture: np.ndarray, chip: Chip) -> list[AlignedFace]:
    """Take a picture for a face crop already, and only bring it to the chip's size."""
    height, width = picture.shape[:2]
    shrinks = min(height, width) > chip.size
    crop = cv2.resize(picture, (chip.size, chip.size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return [AlignedFace(Face((0.0, 0.0, float(width), float(height)), 1.0), crop)]


def largest_face(picture: np.ndarray, chip: Chip) -> list[AlignedFace]:
    """The largest face of a picture, or an empty list; what lies off the middle counts for less (see `_prominence`).

    Other faces are those that the copies show on which it was found: all but the smallest of them, and at no cost.
    """
    found = _seen(picture)
    if not found:
        return []
    largest, *others = found
    beside = tuple(_face(other) for other in others)
    return [replace(_aligned(picture, largest, chip), beside=beside)]


def largest_landmarks(picture: np.ndarray) -> np.ndarray | None:
    """The landmarks by which `largest_face` aligns, complex (5,), as `Detection` has them; None without a face."""
    found = _seen(picture)
    return landmarks(picture, found[0]) if found else None


def all_faces(picture: np.ndarray, chip: Chip) -> list[AlignedFace]:
    """Every face of a picture, the largest first. A small copy shows those that fill it, a large one the small ones."""
    found: list[Detection] = []
    for side in _sides(picture, WIDE):
        found += [face for face in detect(picture, side) if all(_shared(face, known) < SAME for known in found)]
    return [_aligned(picture, face, chip) for face in sorted(found or _turned(picture), key=lambda face: -face.area)]


def align(picture: np.ndarray, points: np.ndarray, chip: Chip) -> np.ndarray:
    """Cut a chip out of a picture by the similarity that brings its landmarks, `points`, nearest to the chip's (least squares).

    Landmarks are complex (5,): x + iy in pixels. So written, the best map z -> a z + b to the points w has
    a = sum conj(z) w / sum |z|^2, both centred (Umeyama 1991, the two-dimensional case without reflection). Outside the
    picture is black.

    Returns:
        uint8, shape (size, size, 3).
    """
    w = np.asarray(chip.points, np.float64) @ (1, 1j)
    spread = points - points.mean()
    a = np.vdot(spread, w - w.mean()) / np.vdot(spread, spread).real
    return cut(picture, a, w.mean() - a * points.mean(), chip.size)


def _seen(picture: np.ndarray) -> list[Detection]:
    """The faces on the first copy that shows one that is sure, each once, the largest first: a small copy shows large faces only,
    so the first copy that shows a face shows the largest one.
    """
    found: list[Detection] = []
    for side in _sides(picture, LADDER):
        found += detect(picture, side)
        if any(face.confidence >= SURE for face in found):
            break
    seen: list[Detection] = []
    for face in sorted(found or _turned(picture), key=partial(_prominence, picture), reverse=True):
        if all(_shared(face, known) < SAME for known in seen):
            seen.append(face)
    return seen


def _sides(picture: np.ndarray, ladder: tuple[tuple[int, int], ...]) -> Iterator[int]:
    """Of the sides of copies, those that show more of this picture than the one before."""
    before = 0
    for side, enlarged in ladder:
        own = min(side, enlarged * max(picture.shape[:2]))
        if own > before:
            yield own
        before = own


def _turned(picture: np.ndarray) -> list[Detection]:
    """Faces of a picture that lies on its side or head; only sure ones, since this is asked where none is upright."""
    height, width = picture.shape[:2]
    side = min(TURNED, max(height, width))
    found = []
    for quarters in (1, 2, 3):
        for face in detect(np.ascontiguousarray(np.rot90(picture, quarters)), side):
            if face.confidence >= SURE:
                x, y, w, h = face.box
                box = {1: (width - y - h, x, h, w), 2: (width - x - w, height - y - h, w, h), 3: (y, height - x - w, h, w)}
                back = {1: complex(width - 1), 2: complex(width - 1, height - 1), 3: complex(0, height - 1)}
                found.append(Detection(np.array(box[quarters]), face.confidence, face.landmarks * 1j**quarters + back[quarters]))
    return found


def _prominence(picture: np.ndarray, found: Detection) -> tuple[bool, float]:
    """Orders faces: sure ones first, then by area less twice the squared distance from the middle (as in a script of facenet)."""
    middle = np.array(picture.shape[1::-1]) / 2
    offset = found.box[:2] + found.box[2:] / 2 - middle
    return found.confidence >= SURE, found.area - 2 * float(offset @ offset)


def _shared(one: Detection, two: Detection) -> float:
    """The share of the smaller box that both have in common: of a large face another copy may show only a part."""
    sides = np.minimum(one.box[:2] + one.box[2:], two.box[:2] + two.box[2:]) - np.maximum(one.box[:2], two.box[:2])
    return float(np.prod(np.maximum(sides, 0))) / max(min(one.area, two.area), 1e-9)


def _aligned(picture: np.ndarray, found: Detection, chip: Chip) -> AlignedFace:
    points = landmarks(picture, found)
    return AlignedFace(_face(found), align(picture, points, chip), points=points)


def _face(found: Detection) -> Face:
    x, y, width, height = map(float, found.box)
    return Face((x, y, width, height), found.confidence)
