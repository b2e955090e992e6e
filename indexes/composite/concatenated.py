"""Several indexes searched as one: the rows of the first, then those of the second, and so on."""

from collections.abc import Sequence

import numpy as np

from indexes.base import Neighbours, SearchableIndex, nearest_of
from indexes.errors import VectorsError


class ConcatenatedIndex(SearchableIndex):
    """`parts`: at least one index, all of the same dimension."""

    def __init__(self, parts: Sequence[SearchableIndex]) -> None:
        dims = {part.dim for part in parts}
        if len(dims) != 1:
            raise VectorsError(f"indexes of {sorted(dims)} dimensions were to be joined; expected at least one, all alike")
        self.parts = tuple(parts)
        self._starts = np.cumsum([0, *(part.count for part in parts)])
        self.exact = all(part.exact for part in parts)

    @property
    def dim(self) -> int:
        return self.parts[0].dim

    @property
    def count(self) -> int:
        return int(self._starts[-1])

    @property
    def bytes_per_vector(self) -> float:
        """The mean over all vectors."""
        return sum(part.bytes_per_vector * part.count for part in self.parts) / max(self.count, 1)

    def _search(self, probes: np.ndarray, k: int, stop_near: bool) -> Neighbours:
        found = [part.search(probes, k, stop_near=stop_near) for part in self.parts]
        rows = np.concatenate([each.rows + start for each, start in zip(found, self._starts[:-1], strict=True)], axis=1)
        return nearest_of(rows, np.concatenate([each.distances for each in found], axis=1), k)

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        rows = self._existing(rows)
        result = np.empty((len(rows), self.dim), np.float32)
        where = np.searchsorted(self._starts, rows, side="right") - 1
        for number, part in enumerate(self.parts):
            own = where == number
            if own.any():
                result[own] = part.vectors(rows[own] - self._starts[number])
        return result
