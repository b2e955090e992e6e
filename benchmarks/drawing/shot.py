"""How one picture is taken: pose, expression and light, all random, and the coordinates that follow from the pose."""

from dataclasses import dataclass

import numpy as np

from benchmarks.drawing.person import Person


class Chance:
    """Random nuisance of a given strength. With strength 0 everything is at its mean."""

    def __init__(self, random: np.random.Generator, strength: float) -> None:
        self.random = random
        self.strength = strength

    def around(self, spread: float) -> float:
        """Normal around 0, cut at two spreads, times the strength."""
        return float(self.strength * spread * np.clip(self.random.normal(), -2, 2))

    def within(self, low: float, high: float) -> float:
        """Uniform, whatever the strength."""
        return float(self.random.uniform(low, high))


@dataclass(frozen=True)
class Expression:
    """`smile` -0.2 to 1, `gap` between the lips, `brow` raised by, `eyes` wide by a factor, `gaze` sideways; lengths in mm."""

    smile: float
    gap: float
    brow: float
    eyes: float
    gaze: float


@dataclass(frozen=True)
class Face:
    """Coordinates of every pixel, in millimetres on the face: `u` to the right, `v` down, from between the eyes.

    `u0` and `v0` are those before the head is turned. `au` is |u|, `side` its sign. `outline` is 0 in the middle of the head and
    1 on its edge; `depth` the distance inside that edge. `scale` is pixels per millimetre.
    """

    size: int
    scale: float
    x: np.ndarray
    y: np.ndarray
    u0: np.ndarray
    v0: np.ndarray
    u: np.ndarray
    v: np.ndarray
    au: np.ndarray
    side: np.ndarray
    outline: np.ndarray
    depth: np.ndarray
    nose: np.ndarray

    def edge(self, distance: np.ndarray, soft: float = 0.5) -> np.ndarray:
        """0 outside to 1 inside of a distance in mm, over `soft` pixels either side of the edge."""
        return np.clip(distance * self.scale / (2 * soft) + 0.5, 0, 1)


def bump(du: np.ndarray, dv: np.ndarray, su: float, sv: float) -> np.ndarray:
    """A Gaussian hill of height 1."""
    return np.exp(-0.5 * ((du / su) ** 2 + (dv / sv) ** 2))


def pose(p: Person, chance: Chance, size: int, still: bool) -> tuple[Face, Expression]:
    """Choose the pose and the expression, and lay the coordinates for them."""
    around = chance.around
    scale = size / 250 * 0.72 * (1 + around(0.05))
    roll, yaw, pitch = around(0.08), around(0.13), around(0.05)
    centre_x, centre_y = size / 2 + around(6), size * 0.49 + around(5)
    expression = Expression(0.15, 0.0, 0.0, 1.0, 0.0) if still else _expression(chance)
    x, y = np.meshgrid(np.arange(size, dtype="f4"), np.arange(size, dtype="f4"))
    right, down = (x - centre_x) / scale, (y - centre_y) / scale
    cos, sin = float(np.cos(roll)), float(np.sin(roll))
    u0, v0 = right * cos + down * sin, down * cos - right * sin
    # Turning the head shifts a point by its depth, which depends on where it ends up: three rounds settle it.
    u = u0
    for _ in range(3):
        depth = 70 * np.clip(1 - _outline(p, u, v0), -0.5, 1) + _nose(p, u, v0)
        u = (u0 - depth * float(np.sin(yaw))) / float(np.cos(yaw))
    v = v0 - pitch * (depth - 35)
    v = v + p.asym * u
    outline = _outline(p, u, v)
    face = Face(
        size, scale, x, y, u0, v0, u, v, np.abs(u), np.sign(u), outline, (1 - np.sqrt(outline)) * p.head_w, _nose(p, u, v)
    )
    return face, expression


def _expression(chance: Chance) -> Expression:
    smile = chance.within(-0.2, 1) * chance.strength
    gap = max(0, chance.within(-6, 6)) * chance.strength
    return Expression(smile, gap, chance.around(1.5), 1 + chance.around(0.1), chance.around(1.2))


def _outline(p: Person, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """An ellipse above the eyes; below, one that narrows to the jaw."""
    below = v - 5
    toward_chin = np.clip(below / (p.chin_y - 5), 0, 1)
    width = p.head_w * (1 - p.jaw_taper * toward_chin**1.6)
    across = np.minimum(np.abs(u / width), 3)
    squared = across * across
    blend = np.clip(below / 45, 0, 1)
    blend = blend * blend * (3 - 2 * blend)
    jaw = squared + blend * (across**p.jaw_power - squared) + np.square(below / (p.chin_y - 5))
    return np.where(below < 0, np.square(u / p.head_w) + np.square(below / (p.head_top + 5)) ** 1.2, jaw)


def _nose(p: Person, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """How far the nose stands out, in mm."""
    down = np.clip((v + 12) / (p.nose_y + 12), 0, 1)
    width = p.bridge_w + (p.nose_w * 0.62 - p.bridge_w) * down**2
    return p.nose_h * down**1.4 * np.exp(-0.5 * (u / width) ** 2) * np.exp(-0.5 * (np.maximum(v - p.nose_y, 0) / 5.5) ** 2)
