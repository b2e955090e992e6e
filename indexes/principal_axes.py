"""Mean and principal axes of vectors, and a rotation that suits product quantisers.

Face templates lie in a narrow cone, with most of their variance in few directions. Subtracting the mean and rotating the axes
leaves distances as they are, and makes quantisers and bounds much more accurate.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from indexes.late import faiss

# Variances below this share of the largest one are rounding errors.
_NEGLIGIBLE = 1e-6


@dataclass(frozen=True)
class Axes:
    """`mean` (d,), `axes` (d, d) with one direction a column, and their `variances` (d,), largest first; all float32."""

    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray

    def needed(self, share: float) -> int:
        """How many of the first axes hold this share of the variance: at least 1."""
        whole = np.maximum(self.variances, 0)
        whole = np.where(whole >= _NEGLIGIBLE * whole[0], whole, 0)
        return 1 if not whole[0] else int(np.searchsorted(np.cumsum(whole) / whole.sum(), share - 1e-9) + 1)

    def transform(self, columns: np.ndarray) -> Any:
        """`x -> (x - mean) @ columns` for columns (d, p), as a FAISS transform."""
        return linear(columns.T, -self.mean @ columns)


def linear(matrix: np.ndarray, offset: np.ndarray) -> Any:
    """`x -> matrix @ x + offset` for a matrix (p, d) and an offset (p,), or none at all (0,), as a FAISS transform."""
    transform = faiss.LinearTransform(matrix.shape[1], matrix.shape[0], bool(len(offset)))
    faiss.copy_array_to_vector(np.ascontiguousarray(matrix, np.float32).ravel(), transform.A)
    faiss.copy_array_to_vector(np.ascontiguousarray(offset, np.float32), transform.b)
    transform.is_trained = True
    return transform


def principal_axes(sample: np.ndarray) -> Axes:
    """Mean and principal axes of a sample (n, d)."""
    mean = sample.mean(axis=0, dtype=np.float64)
    centred = sample - mean
    variances, axes = np.linalg.eigh(centred.T @ centred / max(len(sample) - 1, 1))
    return Axes(*(np.ascontiguousarray(values, np.float32) for values in (mean, axes[:, ::-1], variances[::-1])))


def balanced(axes: Axes, parts: int, width: int) -> np.ndarray:
    """The first `parts * width` axes as columns (d, parts * width), assigned to the parts of a product quantiser.

    Every part has the same number of bits, so every part should have the same product of variances. Axes are assigned in order of
    their variance, each to the part whose product is smallest (eigenvalue allocation: Ge et al., Optimized Product Quantization,
    2013). If there are fewer axes than columns, the other columns are zero.
    """
    logs = np.log(np.maximum(axes.variances, _NEGLIGIBLE * max(float(axes.variances[0]), 1e-30)))
    held = np.zeros(parts)
    members: list[list[int]] = [[] for _ in range(parts)]
    lowest = logs.min()
    for axis in range(min(parts * width, len(logs), axes.needed(1.0))):
        part = min((p for p in range(parts) if len(members[p]) < width), key=lambda p: held[p])
        members[part].append(axis)
        held[part] += logs[axis] - lowest + 1e-3
    columns = np.zeros((len(axes.mean), parts * width), np.float32)
    for part, chosen in enumerate(members):
        columns[:, part * width : part * width + len(chosen)] = axes.axes[:, chosen]
    return columns


def sample_rows(count: int, most: int) -> np.ndarray:
    """Up to `most` row numbers out of `count`, without repetition, in order; the same every time."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, most, replace=False))
