"""The baseline that the field starts from: the picture itself as the descriptor."""

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np

from engine.encoders.base import Card, Encoder, Weights
from engine.encoders.dlib.resnet import CARD as DLIB
from engine.encoders.dlib.resnet import POINTS_BEFORE

_SIDE = 32
_SEED = 20_170_131

CARD = Card(
    name="pixels",
    dim=128,
    chip=DLIB.chip,
    threshold=None,
    measured="a baseline, not for use",
    source="no weights: 32x32 grey values, projected to 128 dimensions by a fixed orthogonal matrix",
    licence="Apache-2.0",
)


def load(card: Card, *, flip: bool, weights: Weights | None, runtimes: Sequence[str]) -> Encoder:  # noqa: ARG001 - every encoder is loaded alike
    """There is nothing to load; the registry refuses `weights`."""
    return Pixels(
        card, flip=flip, weights=None, weights_hash=f"seed {_SEED}", preprocessing=f"grey {_SIDE}x{_SIDE}, mean-free, unit"
    )


class Pixels(Encoder):
    """A normalised, mean-free 32x32 grey chip, reduced by a fixed orthogonal projection."""

    points_of_crops = POINTS_BEFORE

    def forward(self, chips: np.ndarray) -> np.ndarray:
        grey = [
            cv2.resize(cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for chip in chips
        ]
        pixels = np.stack(grey).reshape(len(chips), -1).astype(np.float32)
        pixels -= pixels.mean(axis=1, keepdims=True)
        pixels /= np.maximum(np.linalg.norm(pixels, axis=1, keepdims=True), 1e-6)
        return pixels @ _projection(self.card.dim)


@cache
def _projection(dim: int) -> np.ndarray:
    """The first `dim` columns of a random orthogonal matrix, shape (1024, dim)."""
    random = np.random.Generator(np.random.PCG64(_SEED)).standard_normal((_SIDE * _SIDE, dim))
    q, r = np.linalg.qr(random)
    return (q * np.sign(np.diag(r))).astype(np.float32)
