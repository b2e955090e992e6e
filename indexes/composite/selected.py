"""Some rows of an index, searched exactly, whatever the index; they are numbered without gaps."""

import numpy as np

from indexes.base import Neighbours, SearchableIndex, distances_to, in_parts, nearest_of
from indexes.exact.flat import Flat

# Vectors that are read and compared at a time.
_PART = 1 << 14
# Rows that are searched for beyond k, and how much farther the last one must be, squared: what FAISS compares is rounded by less.
_SPARE, _ROUNDING = 16, np.float32(1e-5)


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
            found = _nearest(self._index.vectors(self._rows[start : start + _PART]), probes, k)
            rows, distances = np.hstack([rows, found.rows + start]), np.hstack([distances, found.distances])
            best = nearest_of(rows, distances, min(k, rows.shape[1]))
            rows, distances = best.rows, best.distances
        return Neighbours(rows, distances)

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        return self._index.vectors(self._rows[self._existing(rows)])


def _nearest(vectors: np.ndarray, probes: np.ndarray, k: int) -> Neighbours:
    """The k nearest of some vectors. Rows of one identity may be as good as equal, and FAISS then confuses those that are behind
    k with those before, in one batch other ones than in the next: where it may have, every distance is measured.
    """
    found = Flat(vectors).search(probes, k + _SPARE)
    rows, distances = found.rows[:, :k], found.distances[:, :k]
    if found.rows.shape[1] < len(vectors):
        near = found.distances[:, -1] ** 2 - distances[:, -1] ** 2 <= _ROUNDING
        for part in in_parts(np.flatnonzero(near), len(vectors)):
            every = np.broadcast_to(np.arange(len(vectors)), (len(part), len(vectors)))
            best = nearest_of(every, distances_to(probes[part], vectors, every), k)
            rows[part], distances[part] = best.rows, best.distances
    return Neighbours(rows, distances)
