"""Several indexes searched as one: the rows of the first, then those of the second, and so on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from indexes.base import Index, Neighbours, Progress, Traits, nearest_of
from indexes.errors import IndexUnsupported, VectorsError


class Joined(Index):
    """At least one index, all of the same dimension. It is never written to disk: its parts are."""

    kind = "joined"

    def __init__(self, parts: Sequence[Index]) -> None:
        dims = {part.dim for part in parts}
        if len(dims) != 1:
            raise VectorsError(f"indexes of {sorted(dims)} dimensions were to be joined; expected at least one, all alike")
        self.parts = tuple(parts)
        self._starts = np.cumsum([0, *(part.count for part in parts)])
        traits = [part.traits for part in parts]
        self.traits = Traits(  # type: ignore[misc]
            exact=all(each.exact for each in traits), adds=False, removes=False, touches=traits[0].touches
        )

    @classmethod
    def build(cls, vectors: np.ndarray, progress: Progress | None = None) -> Self:  # noqa: ARG003
        raise IndexUnsupported("a joined index is made of indexes, not of vectors")

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

    @classmethod
    def bytes_at_most(cls, dim: int) -> float:
        raise IndexUnsupported(f"what a joined index of {dim} dimensions takes depends on its parts")

    def _search(self, probes: np.ndarray, k: int) -> Neighbours:
        found = [part.search(probes, k) for part in self.parts]
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

    def save(self, path: Path) -> None:
        raise IndexUnsupported(f"{path}: a joined index is not written; its parts are")

    @classmethod
    def restored(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray], vectors: np.ndarray) -> Self:  # noqa: ARG003
        raise IndexUnsupported("a joined index was never written")
