"""Inverted lists: only the lists whose centres are nearest to a probe are searched."""

from math import isqrt
from typing import Any, ClassVar

import numpy as np

from indexes.approximate.pq_codes import code_bytes, code_parts, pretransformed, trainable
from indexes.approximate.stepwise import turned
from indexes.approximate.two_stage import Effort, TrainedIndex
from indexes.base import Neighbours, nearest_of
from indexes.late import faiss
from indexes.stored.parts import Layout

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
    """What kinds with inverted lists share. Each code is kept with its row number, 8 bytes."""

    least = 1024

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

    @property
    def bytes_per_vector(self) -> float:
        """Codes and row numbers."""
        return self._lists.code_size + 8.0


class Ivf(InvertedLists):
    """Inverted lists of fast-scan codes, and a shortlist by exact distance."""

    kind = "ivf"
    may_stop, spare = True, 3
    layout: ClassVar = ["IndexPreTransform", LISTS]

    @classmethod
    def bytes_at_most(cls, dim: int) -> float:
        return code_bytes(dim) + 8

    def _search(self, probes: np.ndarray, k: int, stop_near: bool) -> Neighbours:
        effort = self._effort
        if not stop_near or not effort.stops:
            return super()._search(probes, k, stop_near)
        size = self._size(k)
        placed = turned(self._index, probes)
        lists = self._lists.quantizer.search(placed, effort.visits)[1]
        rows = self._behind(self._in_lists(placed, lists[:, : effort.first], size), probes, size)
        found = nearest_of(rows, self._distances(probes, rows), k)
        on = np.flatnonzero(~(found.distances[:, 0] < effort.near) | np.isinf(found.distances[:, -1]))
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
