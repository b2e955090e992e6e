"""What an encoder is: chips in, unit vectors out."""

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from engine.faces import Chip
from engine.provenance import Provenance


@dataclass(frozen=True)
class Card:
    """What is said of an encoder before it is loaded.

    `threshold` is the Euclidean distance of unit vectors at which 1:1 verification on LFW is right most often, or None
    where nobody measured it; `measured` says on what.
    """

    name: str
    dim: int
    chip: Chip
    threshold: float | None
    measured: str
    source: str
    licence: str


class Encoder(ABC):
    """A network and its preprocessing. Subclasses give `card`, `weights_hash`, `preprocessing` and `forward`."""

    def __init__(self, card: Card, *, flip: bool, weights: str | None, weights_hash: str, preprocessing: str) -> None:
        self.card = card
        self.flip = flip
        self.weights = weights
        self._identity = {"weights": weights_hash, "preprocessing": preprocessing, "points": card.chip.points, "flip": flip}

    @abstractmethod
    def forward(self, chips: np.ndarray) -> np.ndarray:
        """From RGB chips, uint8 (n, size, size, 3), to raw descriptors, float32 (n, dim), of any length."""

    def encode(self, chips: np.ndarray) -> np.ndarray:
        """Make templates.

        With `flip`, a template is the normalised sum of the unit vectors of the chip and of its mirror image.

        Args:
            chips: uint8, shape (n, size, size, 3), RGB.

        Returns:
            float32, shape (n, dim), L2-normalised, C-contiguous.
        """
        if not len(chips):
            return np.empty((0, self.card.dim), np.float32)
        if not self.flip:
            return _unit(self.forward(chips))
        both = _unit(self.forward(np.concatenate([chips, chips[:, :, ::-1]])))
        return _unit(both[: len(chips)] + both[len(chips) :])

    def provenance(self, alignment: str) -> Provenance:
        """How this encoder's templates are made from faces that `alignment` brought to the chip."""
        made_by = json.dumps({**self._identity, "alignment": alignment}, sort_keys=True)
        return Provenance(
            encoder=self.card.name,
            fingerprint=hashlib.sha256(made_by.encode()).hexdigest(),
            dim=self.card.dim,
            flip=self.flip,
            alignment=alignment,
            weights=self.weights,
            threshold=self.card.threshold,
        )


def _unit(vectors: np.ndarray) -> np.ndarray:
    # The smallest norm keeps a blank chip's zero descriptor from becoming NaN; templates.py refuses it by name.
    norms = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.ascontiguousarray(vectors / norms, dtype=np.float32)
