"""Who is drawn: a person is about forty numbers and a few colours, all from one seed."""

from types import SimpleNamespace
from typing import Any

import numpy as np

# name: (mean, spread, lowest, highest). Lengths are millimetres on a face whose eyes lie about 63 mm apart; others are shares.
SHAPE = {
    "head_w": (72, 5, 60, 84),
    "head_top": (103, 5, 92, 116),
    "chin_y": (112, 7, 95, 128),
    "jaw_taper": (0.30, 0.10, 0.08, 0.46),
    "jaw_power": (2.4, 0.35, 1.9, 3.3),
    "chin_bump": (5, 3, 0, 12),
    "cheek": (5, 2.5, 0, 11),
    "ear": (8, 2.5, 3, 14),
    "eye_x": (31.5, 2.2, 26, 37),
    "eye_w": (14.5, 1.5, 11, 18),
    "eye_h": (5.6, 1.1, 3.2, 8.5),
    "eye_tilt": (0.06, 0.07, -0.1, 0.24),
    "iris": (5.9, 0.35, 5.1, 6.8),
    "lid": (4.5, 1.5, 1.5, 8),
    "bag": (0.4, 0.3, 0, 1),
    "socket": (7, 2.5, 2, 13),
    "brow_y": (-20, 2.8, -28, -13),
    "brow_x": (31, 2, 26, 36),
    "brow_len": (20, 2.5, 14, 26),
    "brow_t": (3.4, 1.1, 1.2, 6.5),
    "brow_arch": (4, 2.2, -1, 9),
    "brow_slope": (0, 2.2, -5, 6),
    "nose_y": (37, 3.5, 28, 46),
    "nose_w": (15, 2.6, 9.5, 23),
    "nose_h": (19, 4, 10, 30),
    "bridge_w": (6, 1.3, 3.5, 10),
    "mouth_y": (67, 3.5, 58, 77),
    "mouth_w": (25, 3, 18, 33),
    "lip_up": (6, 1.8, 2, 11),
    "lip_lo": (8.5, 2.2, 3.5, 15),
    "cupid": (2, 1.2, 0, 5),
    "lip_red": (0.45, 0.2, 0.05, 1),
    "fold": (0.4, 0.3, 0, 1),
    "blush": (0.4, 0.25, 0, 1),
    "hairline": (66, 9, 45, 90),
    "hair_vol": (11, 6, 3, 30),
    "hair_part": (0, 14, -30, 30),
    "hair_wave": (0.4, 0.35, 0, 1.2),
    "hair_temple": (0.93, 0.06, 0.78, 1.05),
    "asym": (0, 0.02, -0.05, 0.05),
}
_SPREAD = 1.25

_SKINS = [[247, 218, 200], [236, 196, 168], [219, 172, 138], [190, 138, 102], [150, 102, 72], [108, 70, 50], [76, 50, 38]]
_HAIRS = [
    [26, 21, 20],
    [48, 32, 25],
    [84, 54, 36],
    [130, 88, 54],
    [196, 152, 96],
    [224, 194, 142],
    [140, 62, 30],
    [150, 146, 142],
]
_IRISES = [[58, 36, 24], [92, 60, 36], [112, 98, 52], [84, 118, 92], [84, 122, 156], [120, 138, 150]]
_GLASSES = [[20, 20, 22], [70, 40, 25], [120, 30, 30], [90, 90, 96]]
_GREY_HAIR = 7

Person = SimpleNamespace
"""The numbers of `SHAPE` under their names, and what `person` adds to them."""


def linear(colour: Any) -> np.ndarray:
    """Linear light, 0 to 1, of display values 0 to 255."""
    return (np.asarray(colour, "f4") / 255) ** 2.2


def person(seed: int) -> Person:
    """The identity that belongs to a seed: the same one every time."""
    random = np.random.default_rng([seed, 77])
    manly = bool(random.random() < 0.5)
    p = Person(
        **{
            name: float(np.clip(mean + _SPREAD * spread * random.normal(), low, high))
            for name, (mean, spread, low, high) in SHAPE.items()
        }
    )
    tone = _colours(p, random)
    _hair(p, random, manly)
    _beard(p, random, manly)
    p.glasses = random.uniform(0.6, 1) if random.random() < 0.2 else 0.0
    p.glass_r, p.glass_sq = random.uniform(17, 23), random.uniform(2, 5)
    p.glass_c = linear(random.choice(_GLASSES))
    p.moles = np.c_[random.uniform(-55, 55, 9), random.uniform(-50, 95, 9), random.uniform(0.7, 1.7, 9)][: random.integers(0, 9)]
    p.freckles = random.choice([0, 0, 0.5, 1]) if tone < 2.5 else 0.0
    p.brow_y += -2 + 3 * manly
    p.brow_t += 1.0 * manly - 0.6
    p.lip_red += 0.25 * (not manly)
    p.lash = random.uniform(0.5, 0.9) + 0.5 * (not manly)
    p.skin_noise = random.normal(size=(48, 48)).astype("f4")
    p.strands = random.uniform(0, 6.3, 8)
    return p


def _colours(p: Person, random: np.random.Generator) -> float:
    tone = 6 * random.beta(1, 1.4)
    p.skin = linear(np.clip(_between(_SKINS, tone) + random.normal(0, 4, 3), 20, 255))
    if tone < 3.2:
        hair = random.choice(8, p=[0.22, 0.2, 0.18, 0.12, 0.09, 0.05, 0.07, 0.07])
    else:
        hair = random.choice([0, 1, _GREY_HAIR], p=[0.6, 0.3, 0.1])
    p.hair = linear(np.clip(np.array(_HAIRS[hair], "f4") * random.uniform(0.8, 1.2), 8, 245))
    p.grey = bool(hair == _GREY_HAIR)
    p.eye = linear(_between(_IRISES, random.uniform(0, 5) if tone < 2.5 else random.uniform(0, 1.2)))
    return float(tone)


def _hair(p: Person, random: np.random.Generator, manly: bool) -> None:
    p.hair_len = random.uniform(-25, 25) if manly or random.random() < 0.2 else random.uniform(60, 150)
    p.bald = bool(manly and random.random() < 0.15)
    p.fringe = 0.0 if manly and random.random() < 0.7 else random.choice([0, 0, 1]) * random.uniform(0.3, 1)


def _beard(p: Person, random: np.random.Generator, manly: bool) -> None:
    p.beard = random.choice([0, 0, 0, 0.35, 0.8]) * random.uniform(0.7, 1) if manly else 0.0
    p.moustache = random.choice([0, 0, 0.8]) if manly and not p.beard else p.beard * random.choice([0, 1, 1])
    p.goatee = bool(random.random() < 0.35)


def _between(table: list[list[int]], at: float) -> np.ndarray:
    """A colour between two neighbours of a table, `at` in 0 .. len - 1."""
    colours = np.array(table, "f4")
    low = min(int(at), len(table) - 2)
    return colours[low] + (at - low) * (colours[low + 1] - colours[low])
