"""Inverted lists: only the lists whose centres are nearest to a probe are searched."""

from math import isqrt
from typing import Any, ClassVar

import numpy as np

from indexes.approximate.pq_codes import code_bytes, code_parts, pretransformed, trainable
from indexes.approximate.stepwise import turned
from indexes.approximate.two_stage import Effort, TrainedIndex
from indexes.base import BATCH, Neighbours, checked, nearest_of
from indexes.errors import IndexFileError
from indexes.late import faiss
from indexes.stored.behind import entered
from indexes.stored.parts import Layout, Part

# Vectors that the lists' centres are trained on, at most: for each list, and in all.
_EACH, _IN_ALL = 128, 1 << 18
# Probes that a list's codes are compared with at a time. FAISS takes 11: that many finds the same, a fifth more slowly where half
# of all lists are visited.
_TOGETHER = 16
# Probes whose distances to all centres are held at a time.
_PART = 4096
LISTS: Layout = ["IndexIVFPQFastScan", ["IndexFlat"]]
"""The layout of `lists_of_codes`."""


class InvertedLists(TrainedIndex):
    """What kinds with inverted lists share. Each code is kept with its row number, 8 bytes.

    Tried and not kept. Only those lists whose centre is hardly farther than the nearest one, as many as that are for each probe:
    of templates in groups a third fewer, but hardly fewer for the probes that the effort is found with, which have no groups.
    Lists in a space where photographs of one person differ alike in all directions: half as many for the people whose photographs
    told those differences, and hardly fewer for others. Codes of three axes a part: a quarter faster, and neighbours so much less
    exact that shortlists three times as long do not make up for it.
    """

    least = 1024
    may_stop = True

    def __init__(self, index: Any, vectors: np.ndarray, effort: Effort) -> None:
        self._lists: Any = faiss.downcast_index(faiss.extract_index_ivf(index))
        self._lists.qbs2 = _TOGETHER
        super().__init__(index, vectors, effort)

    @classmethod
    def _sample(cls, count: int) -> int:
        return min(count, _IN_ALL, max(1 << 16, _EACH * lists_for(count)))

    @property
    def most_visits(self) -> int:
        """All lists."""
        return int(self._lists.nlist)

    def _visit(self, visits: int) -> None:
        self._lists.nprobe = visits

    def list_ranks(self, probes: np.ndarray, rows: np.ndarray) -> np.ndarray:
        home = self._lists.quantizer.search(turned(self._index, self.vectors(rows)), 1)[1]
        ranks = np.empty(len(probes), np.int64)
        for start in range(0, len(probes), _PART):
            part = slice(start, start + _PART)
            order = self._lists.quantizer.search(turned(self._index, probes[part]), self.most_visits)[1]
            ranks[part] = np.argmax(order == home[part], axis=1) + 1
        return ranks

    def _going_on(self, found: Neighbours) -> np.ndarray:
        """Which probes (m,) do not stop after the first lists: nobody in them is near, or they hold too few."""
        return np.flatnonzero(~(found.distances[:, 0] < self._effort.near) | np.isinf(found.distances[:, -1]))

    @property
    def bytes_per_vector(self) -> float:
        """Codes and row numbers."""
        return self._lists.code_size + 8.0

    def encoded(self, vectors: np.ndarray) -> dict[str, np.ndarray]:
        """What the index keeps of vectors (n, d) that join it: the list of each, `lists` int32 (n,), and its `codes`, uint8
        (n, bytes); `append` takes them.

        Raises:
            VectorsError: another dimension, type or shape, or not finite.
        """
        vectors = checked(vectors, self.dim, "vectors")
        parts = [self._encoded(turned(self._index, vectors[start : start + BATCH])) for start in range(0, len(vectors), BATCH)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _encoded(self, placed: np.ndarray) -> dict[str, np.ndarray]:
        """As `encoded`, of vectors as the lists have them."""
        lists = self._lists.quantizer.search(placed, 1)[1][:, 0]
        return {"lists": lists.astype(np.int32), "codes": self._lists.pq.compute_codes(placed)}

    def append(self, vectors: np.ndarray, arrays: dict[str, np.ndarray]) -> None:
        """Hold vectors (n, d) behind its own from now on, by what `encoded` made of them. Nobody may search meanwhile.

        Args:
            vectors: memory-mapped or not; they stay where they are.
            arrays: may have been forged: all of them are checked.

        Raises:
            IndexFileError: they are not those of such an index and of so many vectors.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dim or len(self._added):
            raise IndexFileError(f"vectors of the shape {vectors.shape} to go behind {self.count} of {self.dim} dimensions")
        self._append(Part(f"a tail of {self.kind}", arrays), len(vectors))
        self._index.ntotal = self._lists.ntotal
        self._kept = (*self._kept, vectors)

    def _append(self, part: Part, count: int) -> None:
        """As `append`, to the lists."""
        lists, codes = part.array("lists", "<i4", count), part.array("codes", "|u1", count, self._lists.code_size)
        if lists.min() < 0 or lists.max() >= self._lists.nlist:
            raise IndexFileError(f"{part.name} has rows in lists {lists.min()} to {lists.max()}, of {self._lists.nlist}")
        entered(self._lists, lists, codes)


class Ivf(InvertedLists):
    """Inverted lists of fast-scan codes, and a shortlist by exact distance."""

    kind = "ivf"
    spare = 3
    layout: ClassVar = ["IndexPreTransform", LISTS]

    @classmethod
    def bytes_at_most(cls, dim: int) -> float:
        return code_bytes(dim) + 8

    def _search(self, probes: np.ndarray, k: int, stop_near: bool) -> Neighbours:
        effort = self._effort
        if not effort.stops:
            return super()._search(probes, k, stop_near)
        size = self._size(k)
        placed = turned(self._index, probes)
        lists = self._lists.quantizer.search(placed, effort.visits)[1]
        rows = self._behind(self._in_lists(placed, lists[:, : effort.first], size), probes, size)
        found = nearest_of(rows, self._distances(probes, rows), k)
        # Two shortlists find more than one of all lists: who may not stop gets both as well, so that those whom a gallery is
        # calibrated with are found like strangers.
        on = self._going_on(found) if stop_near else np.arange(len(probes))
        if len(on):
            rows = self._in_lists(placed[on], lists[on, effort.first :], size)
            more = np.hstack([found.distances[on], self._distances(probes[on], rows)])
            whole = nearest_of(np.hstack([found.rows[on], rows]), more, k)
            found.rows[on], found.distances[on] = whole.rows, whole.distances
        return self._completed(found, probes, k)

    def _in_lists(self, placed: np.ndarray, lists: np.ndarray, size: int) -> np.ndarray:
        """Rows (n, size) that codes choose in the given lists (n, m) for each of `placed` (n, d), probes as the lists have them;
        -1 where there are no more.
        """
        lists = np.ascontiguousarray(lists)
        centres, distances = np.zeros(lists.shape, np.float32), np.empty((len(placed), size), np.float32)
        rows = np.empty((len(placed), size), np.int64)
        spent = faiss.IVFSearchParameters()
        spent.nprobe = lists.shape[1]
        at = faiss.swig_ptr
        # FAISS's wrapper would take the number of lists from the index, which other threads search with all of them. Distances
        # of centres are not needed: codes are not those of differences from them.
        self._lists.search_preassigned_c(
            len(placed), at(placed), size, at(lists), at(centres), at(distances), at(rows), False, spent
        )
        return rows

    @classmethod
    def _untrained(cls, sample: np.ndarray, count: int) -> Any:
        transform, parts = code_parts(sample)
        return pretransformed(transform, lists_of_codes(transform.d_out, parts, count))


def lists_for(count: int) -> int:
    """The number of lists for so many vectors: their square root, which balances choosing lists and searching them."""
    return max(4, isqrt(count) // 4 * 4)


def lists_of_codes(dim: int, parts: int, count: int) -> Any:
    """Untrained lists for `count` vectors (n, dim). Ten iterations train the centres: more had no measurable gain."""
    centres: Any = faiss.IndexFlatL2(dim)
    index = faiss.IndexIVFPQFastScan(centres, dim, lists_for(count), parts, 4)
    centres.this.disown()
    index.own_fields = True
    index.by_residual = False
    index.cp.niter = 10
    index.cp.min_points_per_centroid = 1
    index.cp.max_points_per_centroid = _EACH
    trainable(index.pq)
    return index
