"""Exact search. One probe, or a few, are compared with every vector by FAISS; larger batches go through `lower_bounds`."""

from pathlib import Path
from typing import Any, Self

import numpy as np

from indexes.base import Neighbours, Progress, StoredIndex, checked_store, distances_to, nearest_of
from indexes.exact.lower_bounds import Bounds
from indexes.files import write_index
from indexes.late import faiss

# Lower bounds are used for at least so many probes (fewer do not fill a matrix product) and vectors (fewer are searched quickly
# anyway), and for at most so many neighbours (more leave too many distances to measure).
_FEW_PROBES, _FEW_VECTORS, _MANY_NEIGHBOURS = 64, 20_000, 256


class Flat(StoredIndex):
    """Every search returns the nearest vectors."""

    kind = "flat"
    exact = True

    def __init__(self, vectors: np.ndarray) -> None:
        super().__init__(vectors)
        self._bounds: Bounds | None = None

    @classmethod
    def build(cls, vectors: np.ndarray, progress: Progress | None = None) -> Self:
        vectors = checked_store(vectors, 1, cls.kind)
        if progress:
            progress("checking", len(vectors), len(vectors))
        return cls(vectors)

    @property
    def bytes_per_vector(self) -> float:
        """Full vectors and, for batches, their bounds."""
        return self.bytes_at_most(self.dim)

    @classmethod
    def bytes_at_most(cls, dim: int) -> float:
        return 4 * dim + Bounds.bytes_per_vector(dim)

    def _search(self, probes: np.ndarray, k: int, stop_near: bool) -> Neighbours:  # noqa: ARG002
        if len(probes) >= _FEW_PROBES and self.count >= _FEW_VECTORS and k <= _MANY_NEIGHBOURS:
            bounds = self._bounds = self._bounds or Bounds(self._vectors)
            if bounds.exclude:
                return bounds.search(probes, k)
        _, rows = faiss.knn(probes, self._vectors, k)
        return nearest_of(rows, distances_to(probes, self._vectors, rows), k)

    def extend(self, vectors: np.ndarray) -> None:
        self._extension(vectors)
        self._vectors, self._bounds = checked_store(vectors, self.count, self.kind), None

    def save(self, path: Path) -> None:
        write_index(path, self.kind, {}, {})

    @classmethod
    def restored(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray], vectors: np.ndarray) -> Self:  # noqa: ARG003
        return cls(vectors)
