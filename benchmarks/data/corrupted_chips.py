"""Chips made worse, in eleven ways and five strengths: what an encoder sees is changed, what a detector sees is not."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np

STRENGTHS = (1, 2, 3, 4, 5)
Corrupt = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def _blur(chip: np.ndarray, strength: int, _: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(chip, (0, 0), 0.006 * chip.shape[0] * strength)


def _jpeg(chip: np.ndarray, strength: int, _: np.random.Generator) -> np.ndarray:
    coded = cv2.imencode(".jpg", chip, [cv2.IMWRITE_JPEG_QUALITY, (50, 30, 20, 10, 5)[strength - 1]])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))


def _noise(chip: np.ndarray, strength: int, random: np.random.Generator) -> np.ndarray:
    return np.clip(chip + random.normal(0, 10 * strength, chip.shape), 0, 255).astype(np.uint8)


def _darkness(chip: np.ndarray, strength: int, random: np.random.Generator) -> np.ndarray:
    """Less light, as a camera turns it into whole numbers, with the noise that it has."""
    dim = chip * (0.5, 0.25, 0.12, 0.06, 0.03)[strength - 1] + random.normal(0, 1, chip.shape)
    return np.clip(dim, 0, 255).astype(np.uint8)


def _resolution(chip: np.ndarray, strength: int, _: np.random.Generator) -> np.ndarray:
    side = (64, 48, 40, 32, 24)[strength - 1]
    small = cv2.resize(chip, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, chip.shape[1::-1], interpolation=cv2.INTER_CUBIC)


def _rotation(chip: np.ndarray, strength: int, random: np.random.Generator) -> np.ndarray:
    middle, angle = (chip.shape[0] - 1) / 2, 8.0 * strength * random.choice([-1, 1])
    turn = cv2.getRotationMatrix2D((middle, middle), angle, 1)
    return cv2.warpAffine(chip, turn, chip.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)


def _grey(chip: np.ndarray, strength: int, _: np.random.Generator) -> np.ndarray:
    grey = cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY)[..., None]
    return (chip + (grey.astype(float) - chip) * strength / 5).astype(np.uint8)


def _mask(chip: np.ndarray, strength: int, _: np.random.Generator) -> np.ndarray:
    """From below upwards: the chin first, at 5 all below the eyes."""
    return _covered(chip, slice(round(chip.shape[0] * (0.86 - 0.09 * strength)), None), slice(None), (150, 180, 200))


def _glasses(chip: np.ndarray, strength: int, _: np.random.Generator) -> np.ndarray:
    """A dark bar over the eyes, which lie at two fifths of a chip's height."""
    half = 0.025 * strength
    rows = slice(round(chip.shape[0] * (0.4 - half)), round(chip.shape[0] * (0.4 + half)))
    return _covered(chip, rows, slice(None), (20, 20, 20))


def _half_face(chip: np.ndarray, strength: int, random: np.random.Generator) -> np.ndarray:
    """From one side: at 5 half of the face."""
    width = round(chip.shape[1] * 0.1 * strength)
    return _covered(chip, slice(None), slice(width) if random.random() < 0.5 else slice(-width, None), (110, 110, 110))


def _patches(chip: np.ndarray, strength: int, random: np.random.Generator) -> np.ndarray:
    side = round(0.2 * chip.shape[0])
    for _ in range(strength):
        top, left = random.integers(0, chip.shape[0] - side, 2)
        chip = _covered(chip, slice(top, top + side), slice(left, left + side), (110, 110, 110))
    return chip


def _covered(chip: np.ndarray, rows: slice, columns: slice, colour: tuple[int, int, int]) -> np.ndarray:
    changed = chip.copy()
    changed[rows, columns] = colour
    return changed


CORRUPTIONS: Mapping[str, Corrupt] = {
    "blur": _blur,
    "jpeg": _jpeg,
    "noise": _noise,
    "darkness": _darkness,
    "resolution": _resolution,
    "rotation": _rotation,
    "grey": _grey,
    "mask": _mask,
    "glasses": _glasses,
    "half face": _half_face,
    "patches": _patches,
}


def corrupted(chips: np.ndarray, kind: str, strength: int) -> np.ndarray:
    """Chips uint8 (n, s, s, 3), each made worse; the same for the same chips."""
    random = np.random.default_rng(strength)
    return np.stack([CORRUPTIONS[kind](np.asarray(chip), strength, random) for chip in chips])
