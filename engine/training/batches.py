"""Batches of P identities with k pictures each: those that mining finds triplets in."""

from dataclasses import dataclass

import cv2
import numpy as np

from engine.errors import TrainingError

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


def require_several(labels: np.ndarray) -> None:
    """Refuse labels (n,), names or numbers, of one identity, or of which none comes twice.

    Raises:
        TrainingError: says how many there are.
    """
    counts = np.unique(labels, return_counts=True)[1]
    if len(counts) < 2:
        raise TrainingError(f"{len(counts)} identity to train on; expected two or more, or nobody is a negative")
    if counts.max() < 2:
        raise TrainingError(f"{len(counts)} identities with one picture each: no pair shows the same person; add pictures")


@dataclass(frozen=True)
class Batches:
    """Rows of labelled chips for any step, without memory of earlier ones: the same for the same seed.

    `labels` (n,) of the chips. `identities` P and `each` k of a batch. Only identities with two pictures or more take part; one
    with fewer than k shows some twice.
    """

    labels: np.ndarray
    identities: int
    each: int
    seed: int

    def __post_init__(self) -> None:
        require_several(self.labels)
        if self.identities < 2 or self.each < 2:
            raise TrainingError(f"{self.identities} identities with {self.each} pictures a batch; expected at least 2 of either")

    def rows(self, step: int) -> np.ndarray:
        """The rows of a step's batch, int64 (P * k,): an identity's pictures beside each other."""
        random = np.random.default_rng((self.seed, step))
        several = np.flatnonzero(np.bincount(self.labels) > 1)
        chosen = random.choice(several, min(self.identities, len(several)), replace=False)
        parts = []
        for identity in chosen:
            own = np.flatnonzero(self.labels == identity)
            parts.append(random.choice(own, self.each, replace=len(own) < self.each))
        return np.concatenate(parts)


@dataclass(frozen=True)
class Shuffled:
    """As `Batches`, of pictures drawn without regard to whose they are: for losses that compare with classes."""

    labels: np.ndarray
    size: int
    seed: int

    def __post_init__(self) -> None:
        if len(np.unique(self.labels)) < 2:
            raise TrainingError(f"{len(np.unique(self.labels))} identity to train on; expected two or more")

    def rows(self, step: int) -> np.ndarray:
        """The rows of a step's batch, int64: an epoch shows every picture once."""
        size = min(self.size, len(self.labels))
        steps = len(self.labels) // size
        order = np.random.default_rng((self.seed, step // steps)).permutation(len(self.labels))
        return order[(step % steps) * size :][:size]
