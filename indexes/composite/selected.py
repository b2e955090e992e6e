"""Some rows of an index, searched exactly, whatever the index; they are numbered without gaps."""

import numpy as np

from indexes.base import Neighbours, SearchableIndex, nearest_of
from indexes.exact.flat import Flat

# Vectors that are read and compared at a time.
_PART = 1 << 14


class SelectedIndex(SearchableIndex):
    """The `rows` of `index`, int64 (m,), ascending, so that equally near ones keep their order. Each search reads their vectors
    anew: it pays where other rows are so near that the index would find hardly any but those.
    """

    exact = True

    def __init__(self, index: SearchableIndex, rows: np.ndarray) -> None:
        self._index, self._rows = index, rows

    @property
    def dim(self) -> int:
        return self._index.dim

    @property
    def count(self) -> int:
        return len(self._rows)

    @property
    def bytes_per_vector(self) -> float:
        """That of the index: vectors are held for a moment only."""
        return self._index.bytes_per_vector

    def _search(self, probes: np.ndarray, k: int, stop_near: bool) -> Neighbours:  # noqa: ARG002
        rows, distances = np.empty((len(probes), 0), np.int64), np.empty((len(probes), 0), np.float32)
        for start in range(0, self.count, _PART):
            found = Flat(self._index.vectors(self._rows[start : start + _PART])).search(probes, k)
            rows, distances = np.hstack([rows, found.rows + start]), np.hstack([distances, found.distances])
            best = nearest_of(rows, distances, min(k, rows.shape[1]))
            rows, distances = best.rows, best.distances
        return Neighbours(rows, distances)

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        return self._index.vectors(self._rows[self._existing(rows)])
