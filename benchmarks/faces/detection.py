"""How well faces are found: small, turned, covered, huge and crowded ones; and what is taken for a face where there is none."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np
from scipy.stats import binomtest

from benchmarks.faces.textures import PATTERNS, Pattern, clouds, gradient, grey, resized
from engine.errors import PhotographsError
from engine.faces.alignment import Face, aligner
from engine.faces.chip import Chip
from engine.faces.detector import detect
from engine.faces.images import decode

SMALL = (8, 10, 12, 16, 20, 30, 40, 80)  # widths of a face in pixels
CANVASES = ((640, 480), (1600, 1200), (1200, 1600), (3000, 800), (4000, 3000))  # width and height of what it is looked for in
ANGLES = (0, 15, 30, 45, 60, 90, 180)
# What covers a face: left, top, right and bottom as shares of its box, and the colour.
COVERS = {
    "lower half": ((0.0, 0.5, 1.0, 1.05), (128, 128, 128)),
    "upper half": ((0.0, -0.05, 1.0, 0.5), (128, 128, 128)),
    "left half": ((0.0, -0.05, 0.5, 1.05), (128, 128, 128)),
    "mask": ((0.0, 0.55, 1.0, 1.0), (170, 200, 220)),
    "sunglasses": ((0.0, 0.27, 1.0, 0.47), (15, 15, 15)),
}
FILLING = (500, 1000, 2000, 4000)  # longer sides of what a face fills
GRIDS = ((2, 2), (5, 5), (20, 25))  # rows and columns
CELL = 160
ENLARGED = (250, 1000, 2000)  # sides of pictures without people
_SIDE = 640  # of photographs, at most: the scenes need no more, and all are kept in memory
_ANY = Chip(32, ((11, 15), (21, 15), (16, 20), (12, 26), (20, 26)))  # finders align too; nobody looks at the chips

Finder = Callable[[np.ndarray], Sequence[Face]]
"""From an RGB picture, uint8 (height, width, 3), to faces."""


@dataclass(frozen=True)
class Scene:
    """A picture made for a task, and the boxes (n, 4) of all faces in it: x, y, width, height in pixels."""

    task: str
    case: str
    picture: np.ndarray
    faces: np.ndarray


@dataclass(frozen=True)
class Row:
    """What one finder made of all scenes of a case."""

    task: str
    case: str
    finder: str
    pictures: int = 0
    faces: int = 0
    found: tuple[float, ...] = ()
    """The confidence of each face that was found."""
    twice: int = 0
    """Detections of faces that were found already."""
    false: tuple[float, ...] = ()
    """The confidence of each detection that is no face, or of another size."""


@dataclass(frozen=True)
class Sample:
    """A photograph with one face, its box (4,), and the photograph with its face blurred until nobody is there."""

    picture: np.ndarray
    box: np.ndarray
    blank: np.ndarray


def measure_detection(
    photographs: Sequence[Path],
    *,
    count: int = 200,
    seed: int = 0,
    finders: Mapping[str, Finder] | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Row]:
    """Put the faces of `count` photographs, taken at random, into scenes, and look for them.

    Args:
        photographs: files. Those in which the detector sees no face or several are passed over.
        count: at most so many.
        seed: the same gives the same scenes.
        finders: by name; default `largest` and `all` of the engine.
        progress: is told of each scene that is done.

    Raises:
        PhotographsError: no photograph shows one face.
    """
    random = np.random.default_rng(seed)
    samples = list(islice(_samples(photographs, random), count))
    if not samples:
        raise PhotographsError(f"of {len(photographs):,} photographs none shows one face alone")
    looking = finders or {name: _finder(name) for name in ("largest", "all")}
    rows: dict[tuple[str, str, str], Row] = {}
    for scene in scenes(samples, random):
        for name, find in looking.items():
            key = (scene.task, scene.case, name)
            rows[key] = judged(rows.get(key, Row(*key)), scene.faces, find(scene.picture))
        if progress:
            progress(1)
    return list(rows.values())


def scenes(samples: Sequence[Sample], random: np.random.Generator) -> Iterator[Scene]:
    """All scenes, task by task. Large pictures take long, so that those tasks see a part of the photographs."""
    for number, sample in enumerate(samples[::4]):
        yield from small(sample, CANVASES[number % len(CANVASES)], random)
    for sample in samples:
        yield from turned(sample, random)
    for sample in samples:
        yield from covered(sample)
    for sample in samples[::8]:
        yield from filling(sample)
    for rows, columns in GRIDS:
        yield from groups(samples, rows, columns)
    for sample in samples[::8]:
        yield from nobody(sample, random)
    for _ in samples[::40]:
        yield from textures(random)


def interval(hits: int, total: int) -> tuple[float, float]:
    """Wilson's interval of a share, 95 %; all that is possible where nothing was counted."""
    if not total:
        return 0.0, 1.0
    found = binomtest(hits, total).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def judged(row: Row, faces: np.ndarray, found: Sequence[Face]) -> Row:
    """Count what was found in one more picture.

    A face is found if the middle of what was found lies within its box, and the size, the root of the area, is between half and
    twice its own.
    """
    own: dict[int, float] = {}
    false = []
    for each in found:
        x, y, width, height = each.box
        inside = (np.abs(faces[:, :2] + faces[:, 2:] / 2 - (x + width / 2, y + height / 2)) <= faces[:, 2:] / 2).all(axis=1)
        larger = np.sqrt(width * height / np.prod(faces[:, 2:], axis=1))
        hits = np.flatnonzero(inside & (larger >= 0.5) & (larger <= 2))
        if len(hits):
            own[int(hits[0])] = max(each.detection, own.get(int(hits[0]), 0.0))
        else:
            false.append(each.detection)
    return replace(
        row,
        pictures=row.pictures + 1,
        faces=row.faces + len(faces),
        found=(*row.found, *own.values()),
        twice=row.twice + len(found) - len(false) - len(own),
        false=(*row.false, *false),
    )


def small(sample: Sample, canvas: tuple[int, int], random: np.random.Generator) -> Iterator[Scene]:
    """The face with what is round it, shrunk to each width, somewhere on a large background."""
    x, y, width, height = sample.box
    left, top, right, bottom = _within(sample.picture, widened(sample.box, 0.5))
    region = sample.picture[top:bottom, left:right]
    for target in SMALL:
        scale = target / width
        size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
        picture = _background(sample, canvas, random)
        across, down = (int(random.integers(0, whole - part + 1)) for whole, part in zip(canvas, size, strict=True))
        picture[down : down + size[1], across : across + size[0]] = resized(region, size)
        box = np.array([across + (x - left) * scale, down + (y - top) * scale, target, height * scale])
        yield Scene("small faces (width in pixels)", f"{target} in {canvas[0]}x{canvas[1]}", picture, box[None])


def turned(sample: Sample, random: np.random.Generator) -> Iterator[Scene]:
    """The photograph turned round the middle of the face, to either side."""
    middle = sample.box[:2] + sample.box[2:] / 2
    for angle in ANGLES:
        matrix = cv2.getRotationMatrix2D(middle.tolist(), float(angle * random.choice((-1, 1))), 1)
        picture = cv2.warpAffine(sample.picture, matrix, sample.picture.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
        yield Scene("turned faces (degrees)", f"{angle}", picture, sample.box[None])


def covered(sample: Sample) -> Iterator[Scene]:
    """The photograph with a part of the face under one colour."""
    corner, size = np.tile(sample.box[:2], 2), np.tile(sample.box[2:], 2)
    for cover, (shares, colour) in COVERS.items():
        left, top, right, bottom = np.maximum(np.rint(corner + size * shares), 0).astype(int)
        picture = sample.picture.copy()
        picture[top:bottom, left:right] = colour
        yield Scene("covered faces", cover, picture, sample.box[None])


def filling(sample: Sample) -> Iterator[Scene]:
    """The face's box alone, enlarged."""
    left, top, right, bottom = _within(sample.picture, sample.box)
    crop = sample.picture[top:bottom, left:right]
    for side in FILLING:
        picture = _enlarged(crop, side)
        box = np.array([0, 0, *picture.shape[1::-1]], np.float64)
        yield Scene("faces that fill the picture (longer side in pixels)", f"{side}", picture, box[None])


def groups(samples: Sequence[Sample], rows: int, columns: int) -> Iterator[Scene]:
    """Photographs side by side, each once as far as they go; over again where they are too few for one picture."""
    order = cycle(samples)
    for _ in range(max(1, len(samples) // (rows * columns))):
        picture = np.full((rows * CELL, columns * CELL, 3), 128, np.uint8)
        boxes = []
        for place, sample in enumerate(islice(order, rows * columns)):
            down, across = (CELL * part for part in divmod(place, columns))
            cell = _shrunk(sample.picture, CELL)
            picture[down : down + cell.shape[0], across : across + cell.shape[1]] = cell
            scale = cell.shape[1] / sample.picture.shape[1]
            boxes.append(sample.box * scale + (across, down, 0, 0))
        yield Scene("groups", f"{rows} x {columns}", picture, np.array(boxes))


def nobody(sample: Sample, random: np.random.Generator) -> Iterator[Scene]:
    """The photograph without its face, and one of its corners, in several sizes."""
    height, width = sample.blank.shape[:2]
    down, across = height // 3, width // 3
    top, left = int(random.choice((0, height - down))), int(random.choice((0, width - across)))
    corner = sample.blank[top : top + down, left : left + across]
    for case, picture in (("face blurred away", sample.blank), ("corner of a photograph", corner)):
        for side in ENLARGED:
            yield Scene("nobody there", case, _enlarged(picture, side), np.empty((0, 4)))


def textures(random: np.random.Generator) -> Iterator[Scene]:
    """One picture of each pattern in each size."""
    for case, pattern in PATTERNS.items():
        for width, height in CANVASES:
            yield Scene("nobody there", case, pattern(width, height, random), np.empty((0, 4)))


def widened(box: np.ndarray, share: float) -> np.ndarray:
    """A box with `share` of its size more at each side."""
    return np.concatenate([box[:2] - share * box[2:], box[2:] * (1 + 2 * share)])


def blanked(picture: np.ndarray, box: np.ndarray) -> np.ndarray:
    """A copy in which the head round a face's box is blurred beyond recognition."""
    left, top, right, bottom = _within(picture, widened(box, 0.5))
    copy = picture.copy()
    copy[top:bottom, left:right] = cv2.GaussianBlur(picture, (0, 0), float(box[2]))[top:bottom, left:right]
    return copy


def _samples(photographs: Sequence[Path], random: np.random.Generator) -> Iterator[Sample]:
    """The photographs that show one face, in random order."""
    for number in random.permutation(len(photographs)):
        picture = _shrunk(decode(photographs[number]), _SIDE)
        # Enlarged as well: small faces behind the one that is wanted would count as false.
        close = _enlarged(picture, _SIDE)
        seen = detect(close, _SIDE)
        if len(seen) == 1 == len(detect(picture, _SIDE)):
            box = seen[0].box * (picture.shape[1] / close.shape[1])
            yield Sample(picture, box, blanked(picture, box))


def _finder(name: str) -> Finder:
    align = aligner(name)
    return lambda picture: [one.face for one in align(picture, _ANY)]


def _background(sample: Sample, canvas: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Something without people that a face is put on."""
    kinds: tuple[Pattern | None, ...] = (grey, clouds, gradient, None)
    pattern = kinds[random.integers(len(kinds))]
    return resized(sample.blank, canvas) if pattern is None else pattern(*canvas, random)


def _shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    """The picture with a longer side of at most `side` pixels."""
    return picture if max(picture.shape) <= side else _enlarged(picture, side)


def _enlarged(picture: np.ndarray, side: int) -> np.ndarray:
    """The picture with a longer side of `side` pixels."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    return resized(picture, (max(1, round(width * scale)), max(1, round(height * scale))))


def _within(picture: np.ndarray, box: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what of a box lies in the picture."""
    height, width = picture.shape[:2]
    left, top = np.maximum(np.rint(box[:2]), 0).astype(int)
    right, bottom = np.minimum(np.rint(box[:2] + box[2:]), (width, height)).astype(int)
    return int(left), int(top), int(right), int(bottom)
