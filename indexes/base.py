"""What an index is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from indexes.errors import VectorsError


@dataclass(frozen=True)
class Neighbours:
    """The nearest rows of each probe, nearest first; equally near ones in the order of their rows.

    `rows` (n, k) int64, numbers of indexed vectors. `distances` (n, k) float32, Euclidean and not squared. k is what was asked
    for, or all the index holds if that is less: there is no padding.
    """

    rows: np.ndarray
    distances: np.ndarray


class Index(ABC):
    """Vectors that can be searched. Row i is the i-th vector that was added; removing rows moves the later ones up."""

    kind: ClassVar[str]
    exact: ClassVar[bool]

    @classmethod
    @abstractmethod
    def build(cls, vectors: np.ndarray) -> Self:
        """An index of `vectors` (n, d), float32 of unit length.

        Raises:
            VectorsError: another type or shape, no vectors, or values that are not finite.
        """

    @property
    @abstractmethod
    def dim(self) -> int:
        """Dimensions of a vector."""

    @property
    @abstractmethod
    def count(self) -> int:
        """How many vectors it holds."""

    @abstractmethod
    def search(self, probes: np.ndarray, k: int) -> Neighbours:
        """The k nearest of each probe.

        Args:
            probes: float32, shape (n, d), of unit length.
            k: at least 1.

        Raises:
            VectorsError: probes of another dimension (names both), type or shape, or not finite; k below 1.
        """

    @abstractmethod
    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """The indexed vectors of some rows, int64 (n,), as float32 (n, d). Raises `VectorsError` where one does not exist."""

    @abstractmethod
    def add(self, vectors: np.ndarray) -> None:
        """Append vectors (n, d). Raises `VectorsError` as `build` does."""

    @abstractmethod
    def remove(self, rows: np.ndarray) -> None:
        """Take rows out, int64 (n,). Raises `VectorsError` where one does not exist."""

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write the index to one file."""

    @classmethod
    @abstractmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote. A FAISS reader is no safe parser: see that the bytes are the recorded ones first.

        Raises:
            IndexFileError: the file cannot be read, or holds an index of another kind.
        """


def checked(vectors: np.ndarray, dim: int | None, name: str) -> np.ndarray:
    """Vectors as every index wants them: float32 (n, d), C-contiguous, finite.

    Raises:
        VectorsError: says what was found and what was expected.
    """
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating) or not vectors.shape[1]:
        raise VectorsError(f"the {name} have the shape {vectors.shape} and the type {vectors.dtype}; expected floats (n, d)")
    if dim is not None and vectors.shape[1] != dim:
        raise VectorsError(f"the index holds {dim} dimensions, the {name} {vectors.shape[1]}")
    vectors = np.ascontiguousarray(vectors, np.float32)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise VectorsError(f"row {bad[0]} of the {name} holds NaN or infinity; expected finite numbers")
    return vectors


def exact_distances(probes: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Euclidean distances of probes (n, d) to neighbours (n, k, d), as (n, k), from differences and so right near zero too."""
    difference = neighbours - probes[:, None, :]
    return np.sqrt(np.einsum("nkd,nkd->nk", difference, difference))
