"""Batches of P identities with k pictures each: those that mining finds triplets in."""

from dataclasses import dataclass

import numpy as np

from engine.errors import TrainingError


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
