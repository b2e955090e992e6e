"""The short codes that shortlists are found with: product quantisation to 4 bits a part, which FAISS's fast-scan reads."""

from typing import Any

import numpy as np

from indexes.late import faiss
from indexes.principal_axes import balanced, principal_axes

# Each part has two axes and takes half a byte. There are as many parts as the axes with this share of the variance need, up to
# 64 bytes.
_WIDTH, _MOST_PARTS = 2, 128
_VARIANCE = 0.999


def code_parts(sample: np.ndarray, most: int = _MOST_PARTS, width: int = _WIDTH) -> tuple[Any, int]:
    """For a `sample` (m, d), the transform that centres, rotates and assigns axes to parts, and the number of parts.

    Args:
        sample: of the vectors.
        most: parts, at most. Axes that find no place in them are left out, but for the default.
        width: axes of a part.
    """
    axes = principal_axes(sample)
    parts = min(most, -(-axes.needed(_VARIANCE) // (2 * width)) * 2)
    if most == _MOST_PARTS:
        width = max(width, -(-axes.needed(_VARIANCE) // parts))
    return axes.transform(balanced(axes, parts, width)), parts


def code_bytes(dim: int) -> float:
    """The most bytes that a code takes."""
    return min(_MOST_PARTS, -(-dim // (2 * _WIDTH)) * 2) / 2


def trainable(quantizer: Any) -> None:
    """Let a product quantiser train on few vectors without FAISS's warning on standard error."""
    quantizer.cp.min_points_per_centroid = 1


def centred(vectors: np.ndarray) -> Any:
    """A transform that only subtracts the mean of `vectors` (m, d)."""
    return principal_axes(vectors).transform(np.eye(vectors.shape[1], dtype=np.float32))


def pretransformed(transform: Any, index: Any) -> Any:
    """A FAISS index behind a transform; it owns both."""
    whole = faiss.IndexPreTransform(transform, index)
    transform.this.disown()
    index.this.disown()
    whole.own_fields = True
    return whole
