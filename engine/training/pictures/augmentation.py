"""How chips are changed in training, so that what does not make an identity is not learnt."""

import cv2
import numpy as np

# Shift in parts of the side; gain and offset of the light in parts of the range; standard deviation of the blur in pixels, on a
# chip of 96; JPEG quality.
_SHIFT, _GAIN, _OFFSET, _BLUR, _QUALITY = 0.04, 0.25, 0.1, 1.2, (40, 95)
# How often blur and JPEG are applied.
_OFTEN = 0.3


def augmented(chips: np.ndarray, seed: tuple[int, ...]) -> np.ndarray:
    """Chips uint8 (n, s, s, 3), each changed in its own way; the same for the same seed."""
    random = np.random.default_rng(seed)
    side = chips.shape[1]
    mirrored = random.random(len(chips)) < 0.5
    shifts = random.uniform(-_SHIFT, _SHIFT, (len(chips), 2)) * side
    gains = np.exp(random.uniform(-_GAIN, _GAIN, len(chips)))
    offsets = random.uniform(-_OFFSET, _OFFSET, len(chips)) * 255
    blurs = np.where(random.random(len(chips)) < _OFTEN, random.uniform(0.3, _BLUR, len(chips)) * side / 96, 0)
    qualities = np.where(random.random(len(chips)) < _OFTEN, random.integers(*_QUALITY, len(chips)), 0)
    changed = np.empty_like(chips)
    for row, chip in enumerate(chips):
        chip = chip[:, ::-1] if mirrored[row] else chip
        matrix = np.array([[1, 0, shifts[row, 0]], [0, 1, shifts[row, 1]]])
        chip = cv2.warpAffine(np.ascontiguousarray(chip), matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
        chip = cv2.addWeighted(chip, float(gains[row]), chip, 0, float(offsets[row]))
        if blurs[row]:
            chip = cv2.GaussianBlur(chip, (0, 0), float(blurs[row]))
        if qualities[row]:
            _, coded = cv2.imencode(".jpg", chip, [cv2.IMWRITE_JPEG_QUALITY, int(qualities[row])])
            chip = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        changed[row] = chip
    return changed
