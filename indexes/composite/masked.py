"""An index some of whose rows are gone: no search returns them, and later rows move up."""

from pathlib import Path
from typing import Any, Self

import numpy as np

from indexes.base import Index, Neighbours, Progress
from indexes.errors import IndexUnsupported, VectorsError

# Rows that are looked for beyond those asked for, since some found may be gone; few are, so that it seldom takes a second search.
_SPARE = 16


class Without(Index):
    """`gone` bool (n,) says of each row of `index` whether it is. It is never written to disk."""

    kind = "without"

    def __init__(self, index: Index, gone: np.ndarray) -> None:
        if gone.shape != (index.count,) or gone.dtype != bool:
            raise VectorsError(f"gone has the shape {gone.shape} and the type {gone.dtype}; expected bool ({index.count},)")
        self.index, self._gone = index, gone
        self._kept = np.flatnonzero(~gone)
        self._place = np.cumsum(~gone) - 1
        self.traits = index.traits  # type: ignore[misc]

    @classmethod
    def build(cls, vectors: np.ndarray, progress: Progress | None = None) -> Self:  # noqa: ARG003
        raise IndexUnsupported("an index without some rows is made of an index, not of vectors")

    @property
    def dim(self) -> int:
        return self.index.dim

    @property
    def count(self) -> int:
        return len(self._kept)

    @property
    def bytes_per_vector(self) -> float:
        """For each vector that is left."""
        return self.index.bytes_per_vector * self.index.count / max(self.count, 1)

    @classmethod
    def bytes_at_most(cls, dim: int) -> float:
        raise IndexUnsupported(f"what it takes at {dim} dimensions depends on the index that rows are gone from")

    def _search(self, probes: np.ndarray, k: int) -> Neighbours:
        rows, distances = np.empty((len(probes), k), np.int64), np.empty((len(probes), k), np.float32)
        pending, wanted = np.arange(len(probes)), k + _SPARE
        while len(pending):
            found = self.index.search(probes[pending], wanted)
            kept = ~self._gone[found.rows]
            enough = kept.sum(axis=1) >= k
            first = kept[enough] & (np.cumsum(kept[enough], axis=1) <= k)
            rows[pending[enough]] = self._place[found.rows[enough][first]].reshape(-1, k)
            distances[pending[enough]] = found.distances[enough][first].reshape(-1, k)
            pending, wanted = pending[~enough], 4 * wanted
        return Neighbours(rows, distances)

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        return self.index.vectors(self._kept[self._existing(rows)])

    def save(self, path: Path) -> None:
        raise IndexUnsupported(f"{path}: an index without some rows is not written; build one of the rows that are left")

    @classmethod
    def restored(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray], vectors: np.ndarray) -> Self:  # noqa: ARG003
        raise IndexUnsupported("an index without some rows was never written")
