"""Exact search through every vector, with FAISS's flat index."""

from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np

from indexes.base import Index, Neighbours, checked, exact_distances
from indexes.errors import IndexFileError, VectorsError

# Neighbours whose vectors are gathered at a time for the exact distances.
_GATHER = 1 << 18


class Flat(Index):
    """4 bytes a dimension and template, nothing approximate. Adds and removes."""

    kind = "flat"
    exact = True

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(cls, vectors: np.ndarray) -> Self:
        vectors = checked(vectors, None, "vectors")
        if not len(vectors):
            raise VectorsError("there are no vectors to index; expected at least one")
        index = faiss.IndexFlatL2(vectors.shape[1])
        index.add(vectors)
        return cls(index)

    @property
    def dim(self) -> int:
        return int(self._index.d)

    @property
    def count(self) -> int:
        return int(self._index.ntotal)

    def search(self, probes: np.ndarray, k: int) -> Neighbours:
        probes = checked(probes, self.dim, "probes")
        if k < 1:
            raise VectorsError(f"{k} neighbours were asked for; expected at least 1")
        k = min(k, self.count)
        if not k or not len(probes):
            return Neighbours(np.empty((len(probes), k), np.int64), np.empty((len(probes), k), np.float32))
        _, rows = self._index.search(probes, k)
        return self._ordered(probes, rows)

    def _ordered(self, probes: np.ndarray, rows: np.ndarray) -> Neighbours:
        """Measure anew: FAISS takes |a|^2 + |b|^2 - 2ab over batches, off by 1e-3 near zero and another with each batch size."""
        vectors = self._all()
        distances = np.empty(rows.shape, np.float32)
        step = max(1, _GATHER // rows.shape[1])
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            distances[part] = exact_distances(probes[part], vectors[rows[part]])
        order = np.lexsort((rows, distances), axis=1)
        return Neighbours(np.take_along_axis(rows, order, 1), np.take_along_axis(distances, order, 1))

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        return self._all()[self._existing(rows)]

    def add(self, vectors: np.ndarray) -> None:
        self._index.add(checked(vectors, self.dim, "vectors"))

    def remove(self, rows: np.ndarray) -> None:
        self._index.remove_ids(self._existing(rows))

    def save(self, path: Path) -> None:
        path.write_bytes(faiss.serialize_index(self._index).tobytes())

    @classmethod
    def load(cls, path: Path) -> Self:
        try:
            index = faiss.deserialize_index(np.fromfile(path, np.uint8))
        except (OSError, RuntimeError) as error:
            raise IndexFileError(f"{path}: not a FAISS index: {str(error).splitlines()[0]}") from error
        if not isinstance(index, faiss.IndexFlatL2):
            raise IndexFileError(f"{path}: found a {type(index).__name__}, expected an IndexFlatL2")
        return cls(index)

    def _existing(self, rows: np.ndarray) -> np.ndarray:
        rows = np.asarray(rows, np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < self.count:
            raise VectorsError(f"rows {rows.min()} to {rows.max()} were named; the index holds rows 0 to {self.count - 1}")
        return rows

    def _all(self) -> np.ndarray:
        """A view, shape (count, dim)."""
        codes = faiss.rev_swig_ptr(self._index.get_xb(), self.count * self.dim)
        return np.asarray(codes).reshape(self.count, self.dim)
