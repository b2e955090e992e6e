"""What an index is."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

import indexes.threads  # noqa: F401 - what a child process that was forked must be told
from indexes.errors import IndexUnsupported, VectorsError
from indexes.late import faiss

# FAISS's own types do not list all that it has.
_FAISS: Any = faiss

# How far a build has come: what it does, how much of it is done, and of how much.
Progress = Callable[[str, int, int], None]

# Vectors that are handled at a time where they come from disk.
BATCH = 1 << 16


@dataclass(frozen=True)
class Neighbours:
    """The nearest rows of each probe, nearest first; equally near ones in the order of their rows.

    `rows` (n, k) int64, numbers of indexed vectors. `distances` (n, k) float32, Euclidean and not squared. k is what was asked
    for, or all the index holds if that is less: there is no padding.
    """

    rows: np.ndarray
    distances: np.ndarray


@dataclass(frozen=True)
class Traits:
    """What a kind of index can do.

    `exact`: it returns the nearest, always. `adds`, `removes`: vectors can join and leave after it was built. `touches`: which of
    the full vectors a search reads, all of them or a few a probe; where few, they may lie on disk.
    """

    exact: bool
    adds: bool
    removes: bool
    touches: str


class Index(ABC):
    """Vectors that can be searched. Row i is the i-th vector.

    The vectors themselves stay where the caller has them, in memory or memory-mapped; distances are always measured on them.
    """

    kind: ClassVar[str]
    traits: ClassVar[Traits]

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors

    @classmethod
    @abstractmethod
    def build(cls, vectors: np.ndarray, progress: Progress | None = None) -> Self:
        """An index of `vectors` (n, d), float32 of unit length; a memory-mapped array is read in batches.

        Raises:
            VectorsError: another type or shape, no vectors or too few, or values that are not finite.
        """

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""
        return int(self._vectors.shape[1])

    @property
    def count(self) -> int:
        """How many vectors it holds."""
        return len(self._vectors)

    @property
    @abstractmethod
    def bytes_per_vector(self) -> float:
        """Memory that a search needs for each vector, in bytes; full vectors count only where it reads all of them."""

    @classmethod
    @abstractmethod
    def bytes_at_most(cls, dim: int) -> float:
        """What `bytes_per_vector` will be for vectors of `dim` dimensions, from above, before there is an index."""

    def search(self, probes: np.ndarray, k: int) -> Neighbours:
        """The k nearest of each probe, as far as this kind finds them.

        Args:
            probes: float32, shape (n, d), of unit length.
            k: at least 1.

        Raises:
            VectorsError: probes of another dimension (names both), type or shape, or not finite; k below 1.
        """
        probes = checked(probes, self.dim, "probes")
        if k < 1:
            raise VectorsError(f"{k} neighbours were asked for; expected at least 1")
        k = min(k, self.count)
        if not k or not len(probes):
            return Neighbours(np.empty((len(probes), k), np.int64), np.empty((len(probes), k), np.float32))
        return self._search(probes, k)

    @abstractmethod
    def _search(self, probes: np.ndarray, k: int) -> Neighbours:
        """As `search`, of checked probes, for k from 1 to `count`."""

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """The indexed vectors of some rows, int64 (n,), as float32 (n, d). Raises `VectorsError` where one does not exist."""
        return np.asarray(self._vectors[self._existing(rows)])

    def add(self, vectors: np.ndarray) -> None:
        """Append vectors (n, d).

        Raises:
            VectorsError: as `build`.
            IndexUnsupported: this kind cannot.
        """
        raise IndexUnsupported(
            f"an index of kind {self.kind} takes no further vectors ({len(vectors)} were given); build it anew"
        )

    def remove(self, rows: np.ndarray) -> None:
        """Take rows out, int64 (n,); later rows move up.

        Raises:
            VectorsError: one does not exist.
            IndexUnsupported: this kind cannot.
        """
        raise IndexUnsupported(f"an index of kind {self.kind} gives no vectors away ({len(rows)} were named); build it anew")

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write all but the vectors to one file, which `indexes.registry.load_index` reads."""

    @classmethod
    @abstractmethod
    def restored(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray], vectors: np.ndarray) -> Self:
        """The index out of what `save` wrote, or somebody who means harm: nothing of it is trusted.

        Args:
            settings: what the file's header holds beside its kind.
            arrays: those behind the header, by name.
            vectors: (n, d), those that it was built of.

        Raises:
            IndexFileError: they are not of an index of this kind and of these vectors.
        """

    def _existing(self, rows: np.ndarray) -> np.ndarray:
        rows = np.asarray(rows, np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < self.count:
            raise VectorsError(f"rows {rows.min()} to {rows.max()} were named; the index holds rows 0 to {self.count - 1}")
        return rows


def checked(vectors: np.ndarray, dim: int | None, name: str, first_row: int = 0) -> np.ndarray:
    """Vectors as every index wants them: float32 (n, d), C-contiguous, finite.

    Raises:
        VectorsError: says what was found and what was expected; rows are counted from `first_row`.
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
    """Vectors to index: as `checked`, but a memory-mapped array stays where it is and is read in batches.

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

    From differences, and so right near zero, and the same whatever else is searched: |a|^2 + |b|^2 - 2ab is off by 1e-3 there.
    """
    probes, rows = np.ascontiguousarray(probes, np.float32), np.ascontiguousarray(rows, np.int64)
    squares = np.empty(rows.shape, np.float32)
    if rows.size:
        _FAISS.fvec_L2sqr_by_idx(
            *map(faiss.swig_ptr, (squares, probes, vectors, rows)), vectors.shape[1], rows.shape[0], rows.shape[1]
        )
    return np.sqrt(squares, out=squares)


def nearest_of(rows: np.ndarray, distances: np.ndarray, k: int) -> Neighbours:
    """The k nearest of candidate rows (n, m), m at least k and rows below 2^32, equally near ones in the order of their rows."""
    # The bits of floats that are not negative are in the floats' order: one integer sorts by distance, then by row.
    keys = (np.ascontiguousarray(distances, np.float32).view(np.int32).astype(np.int64) << 32) | (rows & 0xFFFFFFFF)
    if keys.shape[1] > k:
        keys = np.partition(keys, k - 1, axis=1)[:, :k]
    keys.sort(axis=1)
    return Neighbours(keys & 0xFFFFFFFF, (keys >> 32).astype(np.int32).view(np.float32))
