"""Every vector's short code is looked at, and a shortlist is measured exactly."""

from typing import Any, ClassVar

import numpy as np

from indexes.approximate.pq_codes import code_bytes, code_parts, pretransformed, trainable
from indexes.approximate.two_stage import Learnt
from indexes.base import Traits
from indexes.late import faiss


class FlatCodes(Learnt):
    """FAISS's exhaustive fast-scan over 4-bit codes: no lists, so nothing is left out but what the codes blur."""

    kind = "flat-codes"
    traits = Traits(exact=False, adds=True, removes=False, touches="the shortlist")
    layout: ClassVar = ["IndexPreTransform", ["IndexPQFastScan"]]

    @classmethod
    def bytes_at_most(cls, dim: int) -> float:
        return code_bytes(dim)

    @classmethod
    def _untrained(cls, sample: np.ndarray, count: int) -> Any:  # noqa: ARG003
        transform, parts = code_parts(sample)
        index = faiss.IndexPQFastScan(transform.d_out, parts, 4)
        trainable(index.pq)
        return pretransformed(transform, index)
