"""Exact search through every vector: one probe, or a few, by FAISS's exhaustive search, batches by `lower_bounds`."""

from pathlib import Path
from typing import Any, Self

import numpy as np

from indexes.base import Index, Neighbours, Progress, Traits, checked, checked_store, distances_to, nearest_of
from indexes.exact.lower_bounds import Bounds
from indexes.files import write_index
from indexes.late import faiss

# Fewer probes than this do not fill a matrix product; fewer vectors are searched at once anyway; more neighbours than this
# leave too much to measure.
_FEW_PROBES, _FEW_VECTORS, _MANY_NEIGHBOURS = 64, 20_000, 256


class Flat(Index):
    """Nothing approximate. Adds and removes, where the vectors are in memory."""

    kind = "flat"
    traits = Traits(exact=True, adds=True, removes=True, touches="all")

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
        """Of full vectors and, for batches, their bounds."""
        return self.bytes_at_most(self.dim)

    @classmethod
    def bytes_at_most(cls, dim: int) -> float:
        return 4 * dim + Bounds.bytes_per_vector(dim)

    def _search(self, probes: np.ndarray, k: int) -> Neighbours:
        if len(probes) >= _FEW_PROBES and self.count >= _FEW_VECTORS and k <= _MANY_NEIGHBOURS:
            bounds = self._bounds = self._bounds or Bounds(self._vectors)
            if bounds.exclude:
                return bounds.search(probes, k)
        _, rows = faiss.knn(probes, self._vectors, k)
        return nearest_of(rows, distances_to(probes, self._vectors, rows), k)

    def add(self, vectors: np.ndarray) -> None:
        self._replace(np.concatenate([self._vectors, checked(vectors, self.dim, "vectors")]))

    def remove(self, rows: np.ndarray) -> None:
        self._replace(np.delete(self._vectors, self._existing(rows), axis=0))

    def _replace(self, vectors: np.ndarray) -> None:
        self._vectors, self._bounds = vectors, None

    def save(self, path: Path) -> None:
        write_index(path, self.kind, {}, {})

    @classmethod
    def restored(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray], vectors: np.ndarray) -> Self:  # noqa: ARG003
        return cls(vectors)
