"""What passes the challenge that is no living person: one photograph, however it is held, and several of the same person."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np

from benchmarks.service.running import untold
from engine.embedding.in_memory import embed_images
from engine.encoders import load_encoder
from engine.faces.alignment import largest_landmarks
from engine.faces.images import decode
from engine.service.liveness.turn import LEFT, RIGHT, TURNED, failed, turn_of

# Sides of a photograph in pixels, and the share of the picture's that is printed: its middle, so that the face fills it.
_SIDE, _MIDDLE = 320, 0.6
# Degrees by which a photograph is turned before the camera, to either side.
ANGLES = (25, 45, 60)
BENDS = (0, 60, 90, 120, 180)
"""Degrees of a circle that the width of a photograph goes round; 0 is flat."""


@dataclass(frozen=True)
class Held:
    """Of `pictures` that are bent so far, each turned by all `ANGLES`: how many look `turned` both ways as asked, and how many
    `passed`, since their templates are one person's too.
    """

    bend: int
    pictures: int
    turned: int
    passed: int


@dataclass(frozen=True)
class Photographs:
    """Of so many `people` with three photographs or more, how many have three that pass in some order, one after another."""

    people: int
    passed: int


def turned(picture: np.ndarray, bend: float, angle: float, distance: float = 3.0) -> np.ndarray:
    """What a camera sees of a photograph, uint8 (n, n, 3), that is bent about an upright axis and turned, `distance` widths away.

    Bent by `bend` degrees, it lies round a part of a cylinder whose middle is nearest. What lies beside it is grey.
    """
    side = picture.shape[0]
    across = np.linspace(-0.5, 0.5, 4 * side)
    arc, turn = np.radians(bend), np.radians(angle)
    x, z = (np.sin(across * arc) / arc, (1 - np.cos(across * arc)) / arc) if bend else (across, np.zeros_like(across))
    x, z = x * np.cos(turn) + z * np.sin(turn), z * np.cos(turn) - x * np.sin(turn)
    scale = distance / (distance + z)
    seen = x * scale
    # The far side of a bent photograph is hidden: what is seen goes from left to right.
    middle = len(seen) // 2
    rising = np.diff(seen) > 0
    first = middle - int(np.argmin(np.append(rising[:middle][::-1], False)))
    last = middle + int(np.argmin(np.append(rising[middle:], False)))
    shown = slice(first, last + 1)
    place = (np.arange(side) + 0.5) / side - 0.5
    source = np.interp(place, seen[shown], across[shown], left=-2, right=-2)
    zoom = np.interp(place, seen[shown], scale[shown])
    columns = np.broadcast_to((source + 0.5) * side - 0.5, (side, side))
    rows = (place[:, None] / zoom[None] + 0.5) * side - 0.5
    grey = (110, 110, 110)
    maps = columns.astype(np.float32), rows.astype(np.float32)
    return cv2.remap(picture, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=grey)


def held(files: Sequence[Path], progress: Callable[[int], None] = untold) -> list[Held]:
    """What becomes of each photograph when it is bent and turned."""
    counts = {bend: [0, 0, 0] for bend in BENDS}
    limit = load_encoder("sface").card.threshold
    for file in files:
        progress(1)
        picture = cv2.resize(_middle(decode(file)), (_SIDE, _SIDE))
        straight = _turn(picture)
        if straight is None or abs(straight) > TURNED:
            continue
        for bend, count in counts.items():
            count[0] += 1
            frames = [turned(picture, bend, side * angle) for angle in ANGLES for side in (-1, 1)]
            turns = [(turn - straight, frame) for frame in frames if (turn := _turn(frame)) is not None]
            if not turns:
                continue
            (least, one), (most, other) = min(turns, key=_first), max(turns, key=_first)
            if failed([straight, straight + most, straight + least], [LEFT, RIGHT]) is None:
                count[1] += 1
                count[2] += _one_person([picture, one, other], limit)
    return [Held(bend, *count) for bend, count in counts.items()]


def photographs(files: Sequence[Path], progress: Callable[[int], None] = untold) -> Photographs:
    """Whether somebody's own photographs, one folder a person, pass when they are held up one after another."""
    by_person: dict[str, list[Path]] = {}
    for file in files:
        by_person.setdefault(file.parent.name, []).append(file)
    limit = load_encoder("sface").card.threshold
    people = passed = 0
    for theirs in by_person.values():
        progress(len(theirs))
        if len(theirs) < 3:
            continue
        people += 1
        pictures = [decode(file) for file in theirs]
        turns = [_turn(picture) for picture in pictures]
        good = (
            three
            for three in permutations([at for at, turn in enumerate(turns) if turn is not None], 3)
            if failed([turns[at] or 0.0 for at in three], [LEFT, RIGHT]) is None
        )
        passed += any(_one_person([pictures[at] for at in three], limit) for three in good)
    return Photographs(people, passed)


def _middle(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    side = round(_MIDDLE * min(height, width))
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top : top + side, left : left + side]


def _first(pair: tuple[float, np.ndarray]) -> float:
    return pair[0]


def _turn(picture: np.ndarray) -> float | None:
    points = largest_landmarks(picture)
    return None if points is None else turn_of(points)


def _one_person(pictures: list[np.ndarray], limit: float | None) -> bool:
    """Whether the templates are of one person, as the service asks."""
    made = embed_images(pictures)
    if made.problems or limit is None:
        return False
    vectors = made.templates.vectors
    return bool((np.linalg.norm(vectors - vectors[0], axis=1) <= limit).all())
