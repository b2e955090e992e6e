"""Chips in the styles of pictures, cheaply: how strong each frequency is comes from the style, where things are from the chip.

Style transfer proper (`engine.style`) takes seconds a chip, this less than a millisecond. The Gram matrix of shifted copies of a
picture is its autocorrelation, which its amplitude spectrum is the transform of; so that is what there is of style without a
network. Mixing amplitudes as an augmentation is Xu et al. (2021), "A Fourier-based framework for domain generalization".
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from engine.errors import TrainingError

# Parts that are cut of each picture, and their sides in parts of its shorter one.
_PARTS, _SIDES = 8, (0.5, 1.0)
_OFTEN = 0.5
_AXES = (1, 2)


@dataclass(frozen=True)
class StyledChips:
    """Gives half of the chips a share, drawn for each, of the amplitudes of a style: `amplitudes` float32 (m, s, s // 2 + 1, 3).
    `digest`: of the pictures that they are of.
    """

    amplitudes: np.ndarray
    digest: str

    def __call__(self, chips: np.ndarray, seed: tuple[int, ...]) -> np.ndarray:
        """From chips uint8 (n, s, s, 3) to such, each in a style of its own or as it is; the same for the same seed."""
        random = np.random.default_rng((*seed, 3))
        chosen = np.flatnonzero(random.random(len(chips)) < _OFTEN)
        shares = random.random((len(chosen), 1, 1, 1), np.float32)
        amplitudes = self.amplitudes[random.integers(0, len(self.amplitudes), len(chosen))]
        changed = chips.copy()
        changed[chosen] = with_amplitudes(chips[chosen], amplitudes, shares)
        return changed


def styled_chips(pictures: Mapping[str, np.ndarray], side: int) -> StyledChips:
    """What gives chips of so many pixels a side the styles of pictures, uint8 RGB (height, width, 3) by their names.

    Raises:
        TrainingError: there are none.
    """
    if not pictures:
        raise TrainingError("no picture whose style to take")
    random, digest, cut = np.random.default_rng(0), hashlib.sha256(), []
    for name in sorted(pictures):
        picture = pictures[name]
        digest.update(f"{picture.shape}".encode() + picture.tobytes())
        for _ in range(_PARTS):
            size = max(1, round(random.uniform(*_SIDES) * min(picture.shape[:2])))
            top, left = (random.integers(0, each - size + 1) for each in picture.shape[:2])
            part = picture[top : top + size, left : left + size]
            cut.append(cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA if size > side else cv2.INTER_LINEAR))
    return StyledChips(np.abs(_spectra(np.stack(cut))), digest.hexdigest())


def with_amplitudes(chips: np.ndarray, amplitudes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Chips uint8 (n, s, s, 3) whose amplitudes, frequency by frequency and colour by colour, are by these shares (n, 1, 1, 1)
    others, float32 (n, s, s // 2 + 1, 3); their phases are their own.
    """
    spectra = _spectra(chips)
    own = np.abs(spectra)
    mixed = own + shares * (amplitudes - own)
    turned = np.where(own > 0, spectra / np.maximum(own, np.finfo(np.float32).tiny), 1)
    made = np.fft.irfft2(mixed * turned, chips.shape[1:3], axes=_AXES)
    return np.round(np.clip(made, 0, 255)).astype(np.uint8)


def _spectra(chips: np.ndarray) -> np.ndarray:
    return np.asarray(np.fft.rfft2(chips.astype(np.float32), axes=_AXES), np.complex64)
