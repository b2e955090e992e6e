"""An index with some rows masked: no search returns them, and the rows that are left are numbered without gaps."""

from math import inf

import numpy as np

from indexes.base import Neighbours, SearchableIndex, in_parts
from indexes.composite.selected import SelectedIndex
from indexes.errors import VectorsError

# Rows that are searched for beyond k, since some may be masked. Few usually are, so a second search is seldom needed.
_SPARE = 16
# Up to so many times as many are searched for. Where that is not enough, masked rows crowd around a probe: in an exact index it
# is compared with the others instead, which takes no longer however many are masked.
_MOST = 16


class MaskedIndex(SearchableIndex):
    """The rows of `index` for which `gone`, bool (n,), is False, in their order."""

    def __init__(self, index: SearchableIndex, gone: np.ndarray) -> None:
        if gone.shape != (index.count,) or gone.dtype != bool:
            raise VectorsError(f"gone has the shape {gone.shape} and the type {gone.dtype}; expected bool ({index.count},)")
        self._index, self._gone = index, gone
        self._kept = np.flatnonzero(~gone)
        self._place = np.cumsum(~gone) - 1
        self.exact = index.exact

    @property
    def dim(self) -> int:
        return self._index.dim

    @property
    def count(self) -> int:
        return len(self._kept)

    @property
    def bytes_per_vector(self) -> float:
        """For each vector that is left."""
        return self._index.bytes_per_vector * self._index.count / max(self.count, 1)

    def _search(self, probes: np.ndarray, k: int, stop_near: bool) -> Neighbours:
        rows, distances = np.empty((len(probes), k), np.int64), np.empty((len(probes), k), np.float32)
        pending, wanted = np.arange(len(probes)), k + _SPARE
        most = _MOST * wanted if self.exact else inf
        while len(pending) and wanted <= most:
            left = []
            for part in in_parts(pending, wanted):
                found = self._index.search(probes[part], wanted, stop_near=stop_near)
                kept = ~self._gone[found.rows]
                enough = kept.sum(axis=1) >= k
                if stop_near:
                    enough &= kept[:, 0]  # the others may have stopped at a row that is masked
                first = kept[enough] & (np.cumsum(kept[enough], axis=1) <= k)
                rows[part[enough]] = self._place[found.rows[enough][first]].reshape(-1, k)
                distances[part[enough]] = found.distances[enough][first].reshape(-1, k)
                left.append(part[~enough])
            pending, wanted, stop_near = np.concatenate(left), 4 * wanted, False
        if len(pending):
            found = SelectedIndex(self._index, self._kept).search(probes[pending], k)
            rows[pending], distances[pending] = found.rows, found.distances
        return Neighbours(rows, distances)

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        return self._index.vectors(self._kept[self._existing(rows)])
