"""What all approximate kinds share: a FAISS index finds a shortlist, and the full vectors give its exact distances and order."""

import copy
from abc import abstractmethod
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from indexes.approximate.stepwise import train
from indexes.base import BATCH, Neighbours, Progress, StoredIndex, checked, checked_store, nearest_of
from indexes.errors import IndexFileError, IndexUnsupported
from indexes.files import write_index
from indexes.joined_vectors import JoinedVectors
from indexes.late import faiss
from indexes.principal_axes import sample_rows
from indexes.stored.parts import Layout
from indexes.stored.plain import rebuilt, taken

# Vectors on a shortlist beyond those that are asked for, at most: of hundreds, the farthest count for little.
_MOST_SPARE = 128


@dataclass(frozen=True)
class Effort:
    """How much a search examines for each probe. `visits`: inverted lists or nodes of a graph, 1 for a kind that has neither.
    `shortlist`: vectors whose exact distances are measured.

    A search that may stop where a vector is near enough looks into the `first` lists before, and stops where one is nearer than
    `near`; 0 and 0 where it never does.
    """

    visits: int
    shortlist: int
    first: int = 0
    near: float = 0.0

    @property
    def stops(self) -> bool:
        """Whether a search may stop before all visits."""
        return 0 < self.first < self.visits


class TwoStageIndex(StoredIndex):
    """An index that searches in two stages; `effort` says how much each examines.

    Distances are exact at any effort. What the effort decides is the recall: whether the nearest vectors are in the shortlist.
    """

    exact = False
    # Whether a search of this kind may stop early, as `Effort` says.
    may_stop: ClassVar[bool] = False
    # Vectors on a shortlist, at least, for each that is asked for: codes confuse strangers that are about as near, and scores go
    # by the distances of these.
    spare: ClassVar[int] = 1
    # The shortest shortlist that tuning gives. Mated probes need hardly any, but in a million drawn people the nearest of every
    # fourth stranger was missed with 16, that of every tenth with 48; and that takes 3 % more time.
    shortest: ClassVar[int] = 48

    def __init__(self, index: Any, vectors: np.ndarray, effort: Effort) -> None:
        super().__init__(vectors)
        # The vectors whose codes the index has, and behind them those that `with_more` added, whose codes are in a FAISS index
        # with the same centres and codebooks.
        self._kept: tuple[np.ndarray, ...] = (vectors,)
        self._added = np.empty((0, self.dim), np.float32)
        self._recent: Any = None
        self._index = index
        self.effort = effort

    @classmethod
    def _filled(cls, index: Any, vectors: np.ndarray, progress: Progress | None, **more: Any) -> Self:
        """An index that is trained, with all of the vectors."""
        for start in range(0, len(vectors), BATCH):
            index.add(np.ascontiguousarray(vectors[start : start + BATCH]))
            if progress:
                progress("adding", min(start + BATCH, len(vectors)), len(vectors))
        return cls(index, vectors, Effort(1, 64), **more)

    @property
    def effort(self) -> Effort:
        """How much a search examines. It may be set; `visits` is then limited to `most_visits`."""
        return self._effort

    @effort.setter
    def effort(self, effort: Effort) -> None:
        self._effort = replace(effort, visits=min(effort.visits, self.most_visits))
        self._visit(self._effort.visits)

    @property
    def most_visits(self) -> int:
        """The `visits` at which a search examines everything."""
        return 1

    def _visit(self, visits: int) -> None:
        """Tell FAISS how much to visit."""

    @property
    def bytes_per_vector(self) -> float:
        """Codes and row numbers."""
        return float(faiss.downcast_index(self._index.index).sa_code_size())

    def shortlist(self, probes: np.ndarray, size: int) -> np.ndarray:
        """Rows (n, size or more) that the first stage finds for checked probes, in no order; -1 where there are no more."""
        return self._behind(self._index.search(probes, size)[1], probes, size)

    def _behind(self, rows: np.ndarray, probes: np.ndarray, size: int) -> np.ndarray:
        """The same rows (n, m), and up to `size` of those that `with_more` added."""
        if self._recent is None:
            return rows
        added = self._recent.search(probes, min(size, self._recent.ntotal))[1]
        return np.hstack([rows, np.where(added < 0, -1, added + self._index.ntotal)])

    @property
    def _held(self) -> JoinedVectors:
        return JoinedVectors((*self._kept, self._added))

    @property
    def count(self) -> int:
        return sum(map(len, self._kept)) + len(self._added)

    def with_more(self, vectors: np.ndarray) -> Self:
        """A copy of this index with vectors (n, d) added behind its own, encoded with the centres and codebooks that it has. This
        index does not change, so others may search it meanwhile. The two share the vectors and codes that they have in common.

        Raises:
            VectorsError: another dimension, type or shape, or not finite.
        """
        vectors = checked(vectors, self.dim, "vectors")
        more = copy.copy(self)
        more._added = np.concatenate([self._added, vectors])
        more._recent = faiss.clone_index(self._index if self._recent is None else self._recent)
        if self._recent is None:
            more._recent.reset()
        more._recent.add(vectors)
        return more

    def extend(self, vectors: np.ndarray) -> None:
        """As for every kind. An index that shares codes with another one in use, by `with_more`, must not be extended."""
        self._extension(vectors)
        self._index.add(np.ascontiguousarray(vectors[self._index.ntotal :]))
        self._vectors, self._kept, self._added, self._recent = vectors, (vectors,), self._added[:0], None

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        return self._held.of(self._existing(rows))

    def _distances(self, probes: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """As `indexes.base.distances_to`, of whatever it holds."""
        return self._held.distances(probes, rows)

    def list_ranks(self, probes: np.ndarray, rows: np.ndarray) -> np.ndarray | None:  # noqa: ARG002
        """How many lists a search visits for each probe (n, d) until it comes to that with its row, (n,), as int (n,); None for a
        kind without lists of its own.
        """
        return None

    def _search(self, probes: np.ndarray, k: int, stop_near: bool) -> Neighbours:  # noqa: ARG002
        rows = self.shortlist(probes, self._size(k))
        return self._completed(nearest_of(rows, self._distances(probes, rows), k), probes, k)

    def _size(self, k: int) -> int:
        """The length of a shortlist for k neighbours."""
        return min(max(k + min((self.spare - 1) * k, _MOST_SPARE), self._effort.shortlist), self.count)

    def _completed(self, found: Neighbours, probes: np.ndarray, k: int) -> Neighbours:
        """The same, with k rows for the probes that have fewer."""
        short = np.flatnonzero(np.isinf(found.distances[:, -1]))
        if len(short):
            # The lists that were visited hold fewer than k vectors: these probes are compared with all.
            rows = self._held.nearest(probes[short], k)
            whole = nearest_of(rows, self._distances(probes[short], rows), k)
            found.rows[short], found.distances[short] = whole.rows, whole.distances
        return found

    def save(self, path: Path) -> None:
        if len(self._added):
            raise IndexUnsupported(f"{path}: {len(self._added)} vectors were added since; extend it to all of them first")
        layout, arrays = taken(self._index)
        write_index(path, self.kind, {"effort": asdict(self._effort), "layout": layout, **self._settings()}, arrays)

    def _settings(self) -> dict[str, Any]:
        """Further keyword arguments that `restored` passes on, from the file's header."""
        return {}

    @classmethod
    def restored(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray], vectors: np.ndarray) -> Self:
        layout, effort = settings.pop("layout", None), Effort(**settings.pop("effort", {}))
        if not cls._has(layout):
            raise IndexFileError(f"it is no {cls.kind} index: it is made of {str(layout)[:100]}")
        if not all(type(spent) is int and spent > 0 for spent in (effort.visits, effort.shortlist)):
            raise IndexFileError(f"it spends {str(effort.visits)[:20]} visits and a shortlist of {str(effort.shortlist)[:20]}")
        if type(effort.first) is not int or effort.first < 0 or type(effort.near) is not float or not 0 <= effort.near <= 2:
            raise IndexFileError(f"it stops after {str(effort.first)[:20]} visits, nearer than {str(effort.near)[:20]}")
        return cls(rebuilt(layout, arrays, *vectors.shape), vectors, effort, **settings)

    @classmethod
    @abstractmethod
    def _has(cls, layout: Any) -> bool:
        """Whether an index of this kind has this layout, which may be any JSON value."""


class TrainedIndex(TwoStageIndex):
    """A kind that trains its quantisers on a sample of the vectors. `layout`: the FAISS parts that it is made of."""

    # With fewer vectors, training quantisers is not worth it.
    least = 256
    layout: ClassVar[Layout]

    @classmethod
    def _has(cls, layout: Any) -> bool:
        return bool(layout == cls.layout)

    @classmethod
    @abstractmethod
    def _untrained(cls, sample: np.ndarray, count: int) -> Any:
        """A FAISS index for `count` vectors of which `sample` (m, d) is a sample; only its transform is trained already."""

    @classmethod
    def _sample(cls, count: int) -> int:
        """How many vectors to train on."""
        return min(count, 1 << 16)

    @classmethod
    def build(cls, vectors: np.ndarray, progress: Progress | None = None) -> Self:
        vectors = checked_store(vectors, cls.least, cls.kind)
        sample = np.asarray(vectors[sample_rows(len(vectors), cls._sample(len(vectors)))])
        if progress:
            progress("training", 0, 1)
        index = cls._untrained(sample, len(vectors))
        train(index, sample, progress)
        return cls._filled(index, vectors, progress)
