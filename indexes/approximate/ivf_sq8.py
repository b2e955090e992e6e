"""Inverted lists of fast-scan codes, whose shortlist is sorted by 8-bit codes before full vectors are read: for little memory.

Tried and not kept: FAISS's inverted lists of 8-bit codes alone (`IVF,SQ8`: 100 queries a second where this does thousands), and
RaBitQ's one bit an axis (`RaBitQfs`: a third of the fast-scan's speed, and shortlists of hundreds where these need tens).
"""

from typing import Any, ClassVar

import numpy as np

from indexes.approximate.ivf import LISTS, InvertedLists, lists_of_codes
from indexes.approximate.pq_codes import code_parts, pretransformed
from indexes.approximate.two_stage import Effort
from indexes.late import faiss

# A part has two axes: half a byte in the fast-scan code, two bytes in the 8-bit code. With 8 bytes for the row number, a
# vector takes 93 bytes at most.
_MOST_PARTS = 34
# Vectors sorted by 8-bit codes for each one whose exact distance is measured.
_ORDERED = 8


class IvfSq8(InvertedLists):
    """For full vectors that stay on disk: a search reads a few of them for each probe."""

    kind = "ivf-sq8"
    layout: ClassVar = ["IndexPreTransform", ["IndexRefine", LISTS, ["IndexScalarQuantizer"]]]

    def __init__(self, index: Any, vectors: np.ndarray, effort: Effort) -> None:
        super().__init__(index, vectors, effort)
        self._refined.k_factor = _ORDERED

    @property
    def _refined(self) -> Any:
        return faiss.downcast_index(self._index.index)

    @classmethod
    def bytes_at_most(cls, dim: int) -> float:
        return min(dim / 2, _MOST_PARTS) * 2.5 + 8

    @classmethod
    def _untrained(cls, sample: np.ndarray, count: int) -> Any:
        transform, parts = code_parts(sample, most=_MOST_PARTS)
        codes = lists_of_codes(transform.d_out, parts, count)
        order: Any = faiss.IndexScalarQuantizer(transform.d_out, faiss.ScalarQuantizer.QT_8bit)
        index = faiss.IndexRefine(codes, order)
        codes.this.disown()
        order.this.disown()
        index.own_fields = index.own_refine_index = True
        return pretransformed(transform, index)

    @property
    def bytes_per_vector(self) -> float:
        """Codes, row numbers and 8-bit codes."""
        return super().bytes_per_vector + self._refined.refine_index.sa_code_size()
