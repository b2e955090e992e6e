"""Inverted lists: only the lists whose centres are nearest to a probe are searched."""

from math import isqrt
from typing import Any, ClassVar

import numpy as np

from indexes.approximate.pq_codes import code_bytes, code_parts, pretransformed, trainable
from indexes.approximate.two_stage import Effort, TrainedIndex
from indexes.late import faiss
from indexes.stored.parts import Layout

# Vectors that the lists' centres are trained on, at most: for each list, and in all.
_EACH, _IN_ALL = 128, 1 << 18
LISTS: Layout = ["IndexIVFPQFastScan", ["IndexFlat"]]
"""The layout of `lists_of_codes`."""


class InvertedLists(TrainedIndex):
    """What kinds with inverted lists share. Each code is kept with its row number, 8 bytes."""

    least = 1024

    def __init__(self, index: Any, vectors: np.ndarray, effort: Effort) -> None:
        self._lists: Any = faiss.downcast_index(faiss.extract_index_ivf(index))
        super().__init__(index, vectors, effort)

    @classmethod
    def _sample(cls, count: int) -> int:
        return min(count, _IN_ALL, max(1 << 16, _EACH * lists_for(count)))

    @property
    def most_visits(self) -> int:
        """All lists."""
        return int(self._lists.nlist)

    def _visit(self, visits: int) -> None:
        self._lists.nprobe = visits

    @property
    def bytes_per_vector(self) -> float:
        """Codes and row numbers."""
        return self._lists.code_size + 8.0


class Ivf(InvertedLists):
    """Inverted lists of fast-scan codes, and a shortlist by exact distance."""

    kind = "ivf"
    layout: ClassVar = ["IndexPreTransform", LISTS]

    @classmethod
    def bytes_at_most(cls, dim: int) -> float:
        return code_bytes(dim) + 8

    @classmethod
    def _untrained(cls, sample: np.ndarray, count: int) -> Any:
        transform, parts = code_parts(sample)
        return pretransformed(transform, lists_of_codes(transform.d_out, parts, count))


def lists_for(count: int) -> int:
    """The number of lists for so many vectors: their square root, which balances choosing lists and searching them."""
    return max(4, isqrt(count) // 4 * 4)


def lists_of_codes(dim: int, parts: int, count: int) -> Any:
    """Untrained lists for `count` vectors (n, dim). Ten iterations train the centres: more had no measurable gain."""
    centres: Any = faiss.IndexFlatL2(dim)
    index = faiss.IndexIVFPQFastScan(centres, dim, lists_for(count), parts, 4)
    centres.this.disown()
    index.own_fields = True
    index.by_residual = False
    index.cp.niter = 10
    index.cp.min_points_per_centroid = 1
    index.cp.max_points_per_centroid = _EACH
    trainable(index.pq)
    return index
