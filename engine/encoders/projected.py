"""An encoder with a projection behind it."""

from pathlib import Path

import numpy as np

from engine.encoders.base import Encoder
from engine.encoders.projection import read_projection
from engine.errors import EncoderMismatch
from engine.templates.provenance import Provenance


class Projected(Encoder):
    """Chips go through `encoder`, its templates through the projection in the file `path`, which was learnt from such."""

    def __init__(self, encoder: Encoder, path: Path) -> None:
        self.encoder, self.path, self.projection = encoder, path, read_projection(path)
        self.card, self.flip, self.weights = encoder.card, encoder.flip, encoder.weights
        self.runtime = encoder.runtime

    def forward(self, chips: np.ndarray) -> np.ndarray:
        return self.encoder.forward(chips)

    def encode(self, chips: np.ndarray) -> np.ndarray:
        vectors = self.encoder.encode(chips)
        return self.projection(vectors) if len(vectors) else np.empty((0, self.projection.matrix.shape[1]), np.float32)

    def provenance(self, alignment: str) -> Provenance:
        """Raises `EncoderMismatch` where the projection was learnt from another encoder's templates; names both."""
        theirs = self.encoder.provenance(alignment)
        if theirs.fingerprint != self.projection.made.fingerprint:
            raise EncoderMismatch(f"{self.path} was learnt from templates of {self.projection.made}; these would be of {theirs}")
        return self.projection.provenance_at(self.path)
