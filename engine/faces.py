"""Find faces, and align them to an encoder's chip. One picture at a time: nothing that lies beside it can touch what it gives."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import cv2
import numpy as np

from engine.chip import ALIGNMENT, CROP_ALIGNMENT, Chip
from engine.detector import Detection, detect
from engine.errors import PhotographsError

# Small copies are quick and show the large faces; what shows none goes on to the next.
LADDER = (160, 320, 640, 1280)
SURE = 0.8
# All faces of a picture are looked for on copies of these sides; boxes that overlap more than SAME are of one face.
WIDE = (320, 1280)
SAME = 0.3
# Second looks: the side of the square in pixels, and the shares of it that the face takes.
PATCH, SHARES = 160, (0.5,)
# Where each landmark is found in a mirror image: the eyes change places, and so do the corners of the mouth.
MIRROR = [1, 0, 2, 4, 3]


@dataclass(frozen=True)
class Face:
    """One face. `box` is x, y, width, height in pixels of the whole picture; `quality` the detector's confidence, 0 to 1."""

    box: tuple[float, float, float, float]
    quality: float


@dataclass(frozen=True)
class AlignedFace:
    """A face, and its `chip`: uint8, shape (size, size, 3), RGB."""

    face: Face
    chip: np.ndarray


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
        raise PhotographsError(f"--faces {faces}: expected largest, all or none") from None


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
    """The largest face of a picture, or an empty list; what lies off the middle counts for less (see `_prominence`)."""
    found = _largest(picture)
    return [_aligned(picture, found, chip)] if found else []


def largest_landmarks(picture: np.ndarray) -> np.ndarray | None:
    """The landmarks by which `largest_face` aligns, complex (5,), as `Detection` has them; None without a face."""
    found = _largest(picture)
    return _landmarks(picture, found) if found else None


def all_faces(picture: np.ndarray, chip: Chip) -> list[AlignedFace]:
    """Every face of a picture, the largest first. A small copy shows those that fill it, a large one the small ones."""
    found: list[Detection] = []
    for side in WIDE:
        found += [face for face in detect(picture, side) if all(_overlap(face, known) < SAME for known in found)]
        if max(picture.shape) <= side:
            break
    return [_aligned(picture, face, chip) for face in sorted(found, key=lambda face: -face.area)]


def _largest(picture: np.ndarray) -> Detection | None:
    """A small copy can show large faces only, so the first copy that shows a face shows the largest one."""
    best: Detection | None = None
    for smaller, side in pairwise((0, *LADDER)):
        if max(picture.shape) <= smaller or (best is not None and best.quality >= SURE):
            break
        found = detect(picture, side)
        best = max([*found, best] if best else found, key=partial(_prominence, picture), default=None)
    return best


def _prominence(picture: np.ndarray, found: Detection) -> tuple[bool, float]:
    """Sure before unsure, then area less twice the squared distance from the middle (as facenet's script weighs it)."""
    middle = np.array(picture.shape[1::-1]) / 2
    offset = found.box[:2] + found.box[2:] / 2 - middle
    return found.quality >= SURE, found.area - 2 * float(offset @ offset)


def _overlap(one: Detection, two: Detection) -> float:
    """Intersection over union of two boxes."""
    shared = np.minimum(one.box[:2] + one.box[2:], two.box[:2] + two.box[2:]) - np.maximum(one.box[:2], two.box[:2])
    both = float(np.prod(np.maximum(shared, 0)))
    return both / (one.area + two.area - both)


def _aligned(picture: np.ndarray, found: Detection, chip: Chip) -> AlignedFace:
    x, y, width, height = map(float, found.box)
    return AlignedFace(Face((x, y, width, height), found.quality), align(picture, _landmarks(picture, found), chip))


def _landmarks(picture: np.ndarray, found: Detection) -> np.ndarray:
    """A face's landmarks, complex (5,): the mean of second looks at it, each on a square in which the face has the size that
    the detector sees best, and on that square's mirror image.

    The detector places landmarks on a grid, off by a twentieth of the distance of the eyes; looks from several sides are not off
    the same way.
    """
    x, y, width, height = found.box
    middle = (PATCH - 1) / 2 * (1 + 1j)
    looks = []
    for share in SHARES:
        scale = PATCH * share / max(width, height)
        shift = middle - scale * complex(x + width / 2, y + height / 2)
        patch = _cut(picture, scale, shift, PATCH)
        for mirrored in (False, True):
            seen = detect(np.ascontiguousarray(patch[:, ::-1]) if mirrored else patch, PATCH)
            if not seen:
                continue
            nearest = min(seen, key=_off_middle)
            points = PATCH - 1 - np.conj(nearest.landmarks[MIRROR]) if mirrored else nearest.landmarks
            looks.append((points - shift) / scale)
    return np.mean(looks, axis=0) if looks else found.landmarks


def _off_middle(seen: Detection) -> float:
    """How far a face on a patch is from its middle, in pixels."""
    return float(np.linalg.norm(seen.box[:2] + seen.box[2:] / 2 - PATCH / 2))


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
    # Far larger than the square: shrink first, averaging, since the warp samples between four pixels only.
    block = 2 ** max(0, int(np.floor(-np.log2(abs(a)))))
    if block > 1:
        corners = (np.array([0, size, size * 1j, size * (1 + 1j)]) - b) / a
        (left, right), (top, bottom) = (
            _span(side.min(), side.max(), block, length)
            for side, length in ((corners.real, picture.shape[1]), (corners.imag, picture.shape[0]))
        )
        if right <= left or bottom <= top:
            return np.zeros((size, size, 3), np.uint8)
        part = picture[top:bottom, left:right]
        picture = cv2.resize(part, ((right - left) // block, (bottom - top) // block), interpolation=cv2.INTER_AREA)
        # Pixel k of the small picture is the mean of those at block * k ... block * k + block - 1.
        b = b + a * (complex(left, top) + (block - 1) / 2 * (1 + 1j))
        a = a * block
    matrix = np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])
    return cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR)


def _span(first: float, last: float, block: int, length: int) -> tuple[int, int]:
    """The whole blocks of a side of `length` pixels that a stretch of it needs, with one more at each end."""
    start = max(0, int(np.floor(first / block)) - 1) * block
    end = min(length // block, int(np.ceil(last / block)) + 1) * block
    return start, end
