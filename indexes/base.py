"""What an index offers: `SearchableIndex` can be searched, `StoredIndex` is also built from vectors and kept in a file."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from indexes.errors import VectorsError
from indexes.late import faiss
from indexes.threads import faiss_threads

# FAISS's type hints lack some of its functions.
_FAISS: Any = faiss

# Is called with what is being done, how much of it is done, and out of how much.
Progress = Callable[[str, int, int], None]

# Vectors that are read from disk at a time.
BATCH = 1 << 16
# A search of fewer pairs of a probe and a vector takes one thread: on two it would save a millisecond at most, and on a busy
# machine they wait tens of milliseconds for each other.
_LITTLE = 1 << 17
# Rows that are found at a time, for all probes together.
_ENTRIES = 1 << 22


@dataclass(frozen=True)
class Neighbours:
    """The nearest rows of each probe, nearest first; equally near ones by row number.

    `rows` (n, k) int64, row numbers of the index. `distances` (n, k) float32, Euclidean and not squared. k is what was asked for,
    or the number of vectors in the index if that is less: there is no padding.
    """

    rows: np.ndarray
    distances: np.ndarray


class SearchableIndex(ABC):
    """Vectors that can be searched: row i is the i-th vector.

    `exact` says whether a search always returns the nearest vectors; if not, it may miss some. Distances are exact either way.
    """

    exact: bool

    @property
    @abstractmethod
    def dim(self) -> int:
        """Dimensions of a vector."""

    @property
    @abstractmethod
    def count(self) -> int:
        """How many vectors it holds."""

    @property
    @abstractmethod
    def bytes_per_vector(self) -> float:
        """Memory that a search needs for each vector, in bytes; full vectors count only where it reads all of them."""

    @abstractmethod
    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """The vectors of some rows, int64 (n,), as float32 (n, d). Raises `VectorsError` where a row does not exist."""

    def search(self, probes: np.ndarray, k: int, *, stop_near: bool = False) -> Neighbours:
        """The k nearest vectors of each probe, as far as this kind of index finds them.

        Args:
            probes: float32, shape (n, d), of unit length.
            k: at least 1.
            stop_near: look no further for a probe that is as near to a vector as hardly any is to one that it does not belong
                to: its other neighbours may then be others than the nearest. Exact kinds take no notice.

        Raises:
            VectorsError: probes of another dimension (names both), type or shape, or not finite; k below 1; or the stored vectors
                were damaged since the index was built of them.
        """
        probes = checked(probes, self.dim, "probes")
        if k < 1:
            raise VectorsError(f"{k} neighbours were asked for; expected at least 1")
        k = min(k, self.count)
        if not k or not len(probes):
            return Neighbours(np.empty((len(probes), k), np.int64), np.empty((len(probes), k), np.float32))
        with faiss_threads(1) if len(probes) * self.count < _LITTLE else nullcontext():
            found = self._search(probes, k, stop_near)
        if not 0 <= found.rows.min() <= found.rows.max() < self.count:
            raise VectorsError("a search found rows that do not exist: the stored vectors are damaged, and no finite numbers")
        return found

    @abstractmethod
    def _search(self, probes: np.ndarray, k: int, stop_near: bool) -> Neighbours:
        """As `search`, of checked probes, for k from 1 to `count`."""

    def _existing(self, rows: np.ndarray) -> np.ndarray:
        """The row numbers as int64. Raises `VectorsError` where one does not exist."""
        rows = np.asarray(rows, np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < self.count:
            raise VectorsError(f"rows {rows.min()} to {rows.max()} were named; the index holds rows 0 to {self.count - 1}")
        return rows


class StoredIndex(SearchableIndex):
    """An index that is built from vectors and kept in a file; `kind` is its name there and on the command line.

    The vectors stay where the caller has them, in memory or memory-mapped, and distances are always measured on them. `least` is
    the smallest number of vectors that this kind is built from.
    """

    kind: ClassVar[str]
    least: ClassVar[int] = 1

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors

    @classmethod
    @abstractmethod
    def build(cls, vectors: np.ndarray, progress: Progress | None = None) -> Self:
        """An index of `vectors` (n, d), float32 of unit length; a memory-mapped array is read in batches.

        Raises:
            VectorsError: another type or shape, no vectors or fewer than `least`, or values that are not finite.
        """

    @property
    def dim(self) -> int:
        return int(self._vectors.shape[1])

    @property
    def count(self) -> int:
        return len(self._vectors)

    @classmethod
    @abstractmethod
    def bytes_at_most(cls, dim: int) -> float:
        """An upper bound of `bytes_per_vector` for vectors of `dim` dimensions, before there is an index."""

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self._vectors[self._existing(rows)])

    @abstractmethod
    def extend(self, vectors: np.ndarray) -> None:
        """Hold `vectors` (n + m, d) from now on: the first n are those that it held, and the last m are added. What was learnt
        from the first ones stays. Nobody may search meanwhile.

        Raises:
            VectorsError: another dimension or type, fewer vectors than it held, or added values that are not finite.
        """

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write all but the vectors to one file, which `indexes.registry.load_index` reads."""

    @classmethod
    @abstractmethod
    def restored(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray], vectors: np.ndarray) -> Self:
        """The index in a file that `save` wrote. The file may have been forged: all that it says is checked.

        Args:
            settings: what the file's header holds beside the kind.
            arrays: the arrays behind the header, by name.
            vectors: (n, d), those that the index was built of.

        Raises:
            IndexFileError: the file holds no index of this kind and of these vectors.
        """

    def _extension(self, vectors: np.ndarray) -> np.ndarray:
        """The vectors (m, d) that `extend` adds, checked."""
        if vectors.ndim != 2 or vectors.dtype != np.float32 or vectors.shape[1] != self.dim or len(vectors) < self.count:
            raise VectorsError(
                f"vectors of the shape {vectors.shape} and the type {vectors.dtype} were given; "
                f"expected float32 ({self.count} or more, {self.dim})"
            )
        return checked(vectors[self.count :], self.dim, "vectors", self.count)


def checked(vectors: np.ndarray, dim: int | None, name: str, first_row: int = 0) -> np.ndarray:
    """Vectors in the form that every index needs: float32 (n, d), C-contiguous, finite.

    Raises:
        VectorsError: says what was found and what was expected. The row in the message is counted from `first_row`.
    """
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating) or not vectors.shape[1]:
        raise VectorsError(f"the {name} have the shape {vectors.shape} and the type {vectors.dtype}; expected floats (n, d)")
    if dim is not None and vectors.shape[1] != dim:
        raise VectorsError(f"the index holds {dim} dimensions, the {name} {vectors.shape[1]}")
    vectors = np.ascontiguousarray(vectors, np.float32)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise VectorsError(f"row {first_row + bad[0]} of the {name} holds NaN or infinity; expected finite numbers")
    return vectors


def checked_store(vectors: np.ndarray, least: int, kind: str) -> np.ndarray:
    """Vectors to build an index from: as `checked`, but a memory-mapped array stays on disk and is read in batches.

    Raises:
        VectorsError: as `checked`, or fewer than `least`.
    """
    if not isinstance(vectors, np.memmap) or vectors.dtype != np.float32:
        vectors = checked(vectors, None, "vectors")
    for start in range(0, len(vectors), BATCH):
        checked(vectors[start : start + BATCH], None, "vectors", start)
    if not len(vectors):
        raise VectorsError("there are no vectors to index; expected at least one")
    if len(vectors) < least:
        raise VectorsError(f"there are {len(vectors)} vectors to index; a {kind} index needs at least {least}, so take flat")
    return vectors


def distances_to(probes: np.ndarray, vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Euclidean distances (n, k) of probes (n, d) to the rows (n, k) of `vectors`; infinite where a row is negative.

    Computed from differences: accurate near zero, and the same in whatever batch. |a|^2 + |b|^2 - 2ab is off by 1e-3 near zero.
    """
    probes, rows = np.ascontiguousarray(probes, np.float32), np.ascontiguousarray(rows, np.int64)
    squares = np.empty(rows.shape, np.float32)
    if rows.size:
        _FAISS.fvec_L2sqr_by_idx(
            *map(faiss.swig_ptr, (squares, probes, vectors, rows)), vectors.shape[1], rows.shape[0], rows.shape[1]
        )
    return np.sqrt(squares, out=squares)


def in_parts(probes: np.ndarray, k: int) -> Iterator[np.ndarray]:
    """Numbers of probes (n,), as many at a time as are searched for k rows each in bounded memory; one at least."""
    size = max(1, _ENTRIES // k)
    for start in range(0, len(probes), size):
        yield probes[start : start + size]


def nearest_of(rows: np.ndarray, distances: np.ndarray, k: int) -> Neighbours:
    """The k nearest of candidate rows (n, m), equally near ones by row number. m is at least k, and rows are below 2^32."""
    # Non-negative floats sort as their bit patterns do, so one 64-bit integer sorts by distance, then by row.
    keys = (np.ascontiguousarray(distances, np.float32).view(np.int32).astype(np.int64) << 32) | (rows & 0xFFFFFFFF)
    if keys.shape[1] > k:
        keys = np.partition(keys, k - 1, axis=1)[:, :k]
    keys.sort(axis=1)
    return Neighbours(keys & 0xFFFFFFFF, (keys >> 32).astype(np.int32).view(np.float32))
