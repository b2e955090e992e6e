"""Chips made worse in six ways at once, as cameras, networks and people make them; and what shows no face."""

import cv2
import numpy as np

from benchmarks.data.corrupted_chips import Corrupt
from indexes.base import Progress


def _blur(chip: np.ndarray, _: int, random: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(chip, (0, 0), random.uniform(2, 5))


def _small(chip: np.ndarray, _: int, random: np.random.Generator) -> np.ndarray:
    side = int(random.integers(16, 33))
    reduced = cv2.resize(chip, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(reduced, chip.shape[1::-1], interpolation=cv2.INTER_CUBIC)


def _jpeg(chip: np.ndarray, _: int, random: np.random.Generator) -> np.ndarray:
    coded = cv2.imencode(".jpg", chip, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(5, 16))])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))


def _dark(chip: np.ndarray, _: int, random: np.random.Generator) -> np.ndarray:
    dim = chip * random.uniform(0.03, 0.12) + random.normal(0, 1, chip.shape)
    return np.clip(dim, 0, 255).astype(np.uint8)


def _turned(chip: np.ndarray, _: int, random: np.random.Generator) -> np.ndarray:
    middle, angle = (chip.shape[0] - 1) / 2, random.uniform(20, 45) * random.choice([-1, 1])
    turn = cv2.getRotationMatrix2D((middle, middle), angle, 1)
    return cv2.warpAffine(chip, turn, chip.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)


def _half(chip: np.ndarray, _: int, random: np.random.Generator) -> np.ndarray:
    width = round(chip.shape[1] * random.uniform(0.35, 0.5))
    changed = chip.copy()
    changed[:, slice(width) if random.random() < 0.5 else slice(-width, None)] = 110
    return changed


_WAYS: tuple[Corrupt, ...] = (_blur, _small, _jpeg, _dark, _turned, _half)


def degraded(chips: np.ndarray, progress: Progress | None = None) -> np.ndarray:
    """Chips uint8 (n, s, s, 3), each made worse in one of six ways: blurred (2 to 5 pixels), of 16 to 32 pixels, JPEG of quality
    5 to 15, in a tenth of the light or less, turned by 20 to 45 degrees, half covered. The same for the same chips.
    """
    random = np.random.default_rng(7)
    ways = random.integers(0, len(_WAYS), len(chips))
    made = []
    for chip, way in zip(chips, ways.tolist(), strict=True):
        made.append(_WAYS[way](np.asarray(chip), 0, random))
        if progress and len(made) % 1000 == 0:
            progress("degrading", len(made), len(chips))
    return np.stack(made)


def garbage(chips: np.ndarray, count: int = 600) -> np.ndarray:
    """What shows no face, in the place of chips, uint8 (count, s, s, 3): noise of every grain, and faces blurred past knowing."""
    random = np.random.default_rng(8)
    side = chips.shape[1]
    made = []
    for number in range(count):
        grain = int(random.integers(3, side))
        if number % 3 == 0:
            made.append(random.integers(0, 256, (side, side, 3)).astype(np.uint8))
        elif number % 3 == 1:
            noise = random.integers(0, 256, (grain, grain, 3)).astype(np.uint8)
            made.append(cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC))
        else:
            made.append(cv2.GaussianBlur(np.asarray(chips[random.integers(len(chips))]), (0, 0), random.uniform(10, 20)))
    return np.stack(made)
