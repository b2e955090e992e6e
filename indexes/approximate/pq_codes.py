"""The short codes that shortlists come from: product quantisation to 4 bits a part, as FAISS's fast-scan reads it."""

from typing import Any

import numpy as np

from indexes.late import faiss
from indexes.principal_axes import balanced, principal_axes

# Parts of two axes each, half a byte a part: at least as many as the axes that matter need, at most 64 bytes.
_WIDTH, _MOST_PARTS = 2, 128
_VARIANCE = 0.999


def code_parts(sample: np.ndarray, most: int = _MOST_PARTS) -> tuple[Any, int]:
    """The transform that centres, turns and deals out the axes of a `sample` (m, d), and the number of parts, at most `most`."""
    axes = principal_axes(sample)
    parts = min(most, -(-axes.needed(_VARIANCE) // (2 * _WIDTH)) * 2)
    width = _WIDTH if most < _MOST_PARTS else max(_WIDTH, -(-axes.needed(_VARIANCE) // parts))
    return axes.turn(balanced(axes, parts, width)), parts


def code_bytes(dim: int) -> float:
    """The most bytes that a code takes."""
    return min(_MOST_PARTS, -(-dim // (2 * _WIDTH)) * 2) / 2


def trainable(quantizer: Any) -> None:
    """Let a product quantiser learn from few vectors without a warning on standard error."""
    quantizer.cp.min_points_per_centroid = 1


def centred(vectors: np.ndarray) -> Any:
    """A transform that only takes the mean of `vectors` (m, d) away."""
    return principal_axes(vectors).turn(np.eye(vectors.shape[1], dtype=np.float32))


def pretransformed(transform: Any, index: Any) -> Any:
    """A FAISS index behind a transform; it owns both."""
    whole = faiss.IndexPreTransform(transform, index)
    transform.this.disown()
    index.this.disown()
    whole.own_fields = True
    return whole
