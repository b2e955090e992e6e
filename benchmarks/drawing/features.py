"""The curves of eyes, brows and mouth, which relief and paint share. Distances are in mm, positive inside."""

from dataclasses import dataclass

import numpy as np

from benchmarks.drawing.person import Person
from benchmarks.drawing.shot import Expression, Face, bump


@dataclass(frozen=True)
class Eyes:
    """`x`, `y` from its middle; `lens` 1 there to 0 at the corners; `upper`, `lower` from the lids."""

    x: np.ndarray
    y: np.ndarray
    lens: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Brows:
    """`x` -1 to 1 along a brow, `y` below its middle line, `mask` 0 to 1."""

    x: np.ndarray
    y: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Mouth:
    """`middle` 1 to 0 at the corners; `y` below the line of the lips; `open` is where they part, `line` how far from there."""

    width: float
    middle: np.ndarray
    y: np.ndarray
    top: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    open: np.ndarray
    line: np.ndarray


@dataclass(frozen=True)
class Features:
    """All of them."""

    eyes: Eyes
    brows: Brows
    mouth: Mouth


def features(p: Person, face: Face, expression: Expression) -> Features:
    """Place a person's features for one picture."""
    return Features(_eyes(p, face, expression), _brows(p, face, expression), _mouth(p, face, expression))


def _eyes(p: Person, face: Face, expression: Expression) -> Eyes:
    height = p.eye_h * expression.eyes * (1 - 0.2 * max(expression.smile, 0))
    x = face.au - p.eye_x
    y = face.v + p.eye_tilt * x
    lens = 1 - (x / p.eye_w) ** 2
    upper = y + height * lens - 0.12 * x * lens
    lower = 0.75 * height * lens - y
    mask = face.edge(np.minimum(upper, lower), 0.6) * (lens > 0)
    return Eyes(x, y, lens, upper, lower, mask)


def _brows(p: Person, face: Face, expression: Expression) -> Brows:
    x = (face.au - p.brow_x) / p.brow_len
    y = face.v - (p.brow_y - expression.brow - p.brow_arch * (1 - (x - 0.25) ** 2) + p.brow_slope * x)
    thickness = p.brow_t * np.clip(1.05 - 0.45 * x, 0.2, 2) * np.sqrt(np.clip(1 - x**2, 0, 1))
    return Brows(x, y, face.edge(thickness - np.abs(y), 1.2) * (np.abs(x) < 1))


def _mouth(p: Person, face: Face, expression: Expression) -> Mouth:
    smile = max(expression.smile, 0)
    width = p.mouth_w * (1 + 0.16 * smile)
    middle = np.clip(1 - (face.u / width) ** 2, 0, 1)
    y = face.v - p.mouth_y + 6 * expression.smile * ((face.u / width) ** 2 - 0.4)
    top = p.lip_up * middle**0.8 * (1 - 0.15 * smile) - p.cupid * bump(face.u, np.zeros_like(face.u), 3.5, 1)
    rise, drop = 0.45 * expression.gap * middle, expression.gap * middle
    corner = 1.5 * (width - face.au) - 0.5
    upper = np.minimum(np.minimum(y + rise + top, -y - rise), corner)
    lower = np.minimum(np.minimum(y - drop, p.lip_lo * np.sqrt(middle) + drop - y), corner)
    parted = np.minimum(y + rise, drop - y)
    inside = middle > 0.02
    return Mouth(width, middle, y, y + rise, upper, lower, np.where(inside, parted, -9), np.where(inside, parted, 9))
