"""Inverted lists of fast-scan codes, whose shortlist is sorted by finer codes before full vectors are read: for little memory.

Tried and not kept: FAISS's inverted lists of 8-bit codes alone (`IVF,SQ8`: 100 queries a second where this does thousands), and
RaBitQ's one bit an axis (`RaBitQfs`: a third of the fast-scan's speed, and shortlists of hundreds where these need tens).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from indexes.approximate.ivf import LISTS, InvertedLists, lists_of_codes
from indexes.approximate.pq_codes import code_parts, pretransformed
from indexes.base import Neighbours, nearest_of
from indexes.late import faiss
from indexes.principal_axes import principal_axes
from indexes.stored.parts import Part


@dataclass(frozen=True)
class _Codes:
    """`parts` of `width` axes each: half a byte a part in the fast-scan code, and `bits` an axis in the finer one."""

    parts: int
    width: int
    bits: int

    @property
    def axes(self) -> int:
        """Axes that have a place."""
        return self.parts * self.width

    def bytes_at_most(self, dim: int) -> float:
        """Both codes, and 8 bytes for the row number."""
        parts = min(self.parts, -(-dim // (2 * self.width)) * 2)
        return parts / 2 + parts * self.width * self.bits / 8 + 8


# With 128 dimensions and more a vector takes 93 or 96 bytes. Where few axes hold nearly all of the variance, each of these has
# fine steps. Where they do not (68 hold 67 % of that of `sface`'s templates), more axes with coarse steps lose less.
_FEW, _MANY = _Codes(34, 2, 8), _Codes(44, 3, 4)
# The share of the variance that is lost in 16 steps between the least and the largest value, about four deviations either side.
_COARSE = 0.024
# Vectors sorted by the finer codes for each one whose exact distance is measured. They are what a longer shortlist is for: of ten
# million, 256 lose one identification in 1,300 more than 512 do. But 512 of 200,000 take twice the time that 128 do.
_ORDERED = 8


class IvfSq8(InvertedLists):
    """For full vectors that stay on disk: a search reads a few of them for each probe."""

    kind = "ivf-sq8"
    # The finer codes confuse few, and each vector of a shortlist may be read from disk. In ten million drawn people the nearest
    # of 86.6 % of strangers was found with 6, that of 91.6 % with 16, and that of 91.9 % with 64.
    shortest = 16
    layout: ClassVar = ["IndexPreTransform", ["IndexRefine", LISTS, ["IndexScalarQuantizer"]]]

    @property
    def _refined(self) -> Any:
        return faiss.downcast_index(self._index.index)

    @classmethod
    def bytes_at_most(cls, dim: int) -> float:
        return max(codes.bytes_at_most(dim) for codes in (_FEW, _MANY))

    @classmethod
    def _untrained(cls, sample: np.ndarray, count: int) -> Any:
        chosen = _FEW if principal_axes(sample).needed(1 - _COARSE) <= _FEW.axes else _MANY
        transform, parts = code_parts(sample, chosen.parts, chosen.width)
        codes = lists_of_codes(transform.d_out, parts, count)
        steps = faiss.ScalarQuantizer.QT_8bit if chosen.bits == 8 else faiss.ScalarQuantizer.QT_4bit
        order: Any = faiss.IndexScalarQuantizer(transform.d_out, steps)
        index = faiss.IndexRefine(codes, order)
        codes.this.disown()
        order.this.disown()
        index.own_fields = index.own_refine_index = True
        return pretransformed(transform, index)

    @property
    def bytes_per_vector(self) -> float:
        """Codes, row numbers and finer codes."""
        return super().bytes_per_vector + self._refined.refine_index.sa_code_size()

    def shortlist(self, probes: np.ndarray, size: int) -> np.ndarray:
        return self._behind(self._in_lists(probes, size, self._effort.visits), probes, size)

    def _in_lists(self, probes: np.ndarray, size: int, visits: int) -> np.ndarray:
        """Rows (n, size) that both codes choose in the nearest lists; -1 where there are no more."""
        lists = faiss.IVFSearchParameters(nprobe=visits)
        ordered = faiss.IndexRefineSearchParameters(k_factor=_ORDERED, base_index_params=lists)
        rows: np.ndarray = self._index.search(probes, size, params=faiss.SearchParametersPreTransform(index_params=ordered))[1]
        return rows

    def _search(self, probes: np.ndarray, k: int, stop_near: bool) -> Neighbours:
        effort = self._effort
        if not stop_near or not effort.stops:
            return super()._search(probes, k, stop_near)
        size = self._size(k)
        rows = self._behind(self._in_lists(probes, size, effort.first), probes, size)
        found = nearest_of(rows, self._distances(probes, rows), k)
        on = self._going_on(found)
        if len(on):
            # FAISS puts a shortlist in order only where it has searched itself, so that the first lists are searched once more.
            whole = super()._search(probes[on], k, False)
            found.rows[on], found.distances[on] = whole.rows, whole.distances
        return found

    def _encoded(self, placed: np.ndarray) -> dict[str, np.ndarray]:
        return super()._encoded(placed) | {"finer": self._refined.refine_index.sa_encode(placed)}

    def _append(self, part: Part, count: int) -> None:
        order = faiss.downcast_index(self._refined.refine_index)
        finer = part.array("finer", "|u1", count, order.sa_code_size())
        super()._append(part, count)
        order.add_sa_codes(finer)
        self._refined.ntotal = self._lists.ntotal
