"""Chips in the style of other pictures: paintings, sketches, infra-red, another camera."""

from collections.abc import Mapping

import cv2
import numpy as np

from benchmarks.data.corrupted_chips import STRENGTHS
from engine.common.concurrency import batched
from engine.style.features import SIDE
from engine.style.transfer import Styling, stylised

_BATCH = 16


def styled(chips: np.ndarray, style: np.ndarray, how: Styling) -> np.ndarray:
    """Chips uint8 (n, s, s, 3) wholly in a style. They are enlarged or shrunk to what the network takes, and back."""
    parts = []
    for some in batched(list(chips), _BATCH):
        made = stylised(np.stack([_sized(chip, SIDE) for chip in some]), style, how)
        parts += [_sized(chip, chips.shape[1]) for chip in made]
    return np.stack(parts)


def blends(chips: np.ndarray, whole: np.ndarray) -> Mapping[int, np.ndarray]:
    """Chips in the style by strength: of strength s, s fifths of the `whole` style, the rest the chip as it is."""
    change = whole.astype(np.float32) - chips
    return {strength: np.round(chips + change * strength / STRENGTHS[-1]).astype(np.uint8) for strength in STRENGTHS}


def _sized(chip: np.ndarray, side: int) -> np.ndarray:
    shrinks = chip.shape[0] > side
    return cv2.resize(chip, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
