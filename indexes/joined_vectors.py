"""Vectors in several arrays, in memory or memory-mapped, whose rows number on from one array to the next."""

from collections.abc import Sequence

import numpy as np

from indexes.base import distances_to
from indexes.late import faiss


class JoinedVectors:
    """`arrays`: at least one, each float32 (n, d); empty ones have no rows and cost nothing."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self._arrays = [each for each in arrays if len(each)] or list(arrays[:1])
        self._starts = np.cumsum([0, *map(len, self._arrays)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def of(self, rows: np.ndarray) -> np.ndarray:
        """The vectors of rows that exist, int64 (n,), as float32 (n, d)."""
        first = self._arrays[0]
        if not len(rows) or rows.max() < len(first):
            return np.asarray(first[rows])
        found = np.empty((len(rows), first.shape[1]), np.float32)
        where = np.searchsorted(self._starts, rows, side="right") - 1
        for number, each in enumerate(self._arrays):
            own = where == number
            found[own] = each[rows[own] - self._starts[number]]
        return found

    def distances(self, probes: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """As `indexes.base.distances_to`."""
        if len(self._arrays) == 1:
            return distances_to(probes, self._arrays[0], rows)
        found = np.full(rows.shape, np.inf, np.float32)
        for start, each in zip(self._starts.tolist(), self._arrays, strict=False):
            own = (rows >= start) & (rows < start + len(each))
            np.minimum(found, distances_to(probes, each, np.where(own, rows - start, -1)), out=found)
        return found

    def nearest(self, probes: np.ndarray, k: int) -> np.ndarray:
        """Rows (n, m), in no order, among which are the k nearest of each probe."""
        parts = zip(self._starts.tolist(), self._arrays, strict=False)
        return np.hstack([start + faiss.knn(probes, each, min(k, len(each)))[1] for start, each in parts])
