"""Search through the short codes of all vectors, then through a shortlist by exact distance."""

from typing import Any, ClassVar

import numpy as np

from indexes.approximate.pq_codes import code_bytes, code_parts, pretransformed, trainable
from indexes.approximate.two_stage import TrainedIndex
from indexes.late import faiss


class FlatCodes(TrainedIndex):
    """FAISS's exhaustive fast-scan over 4-bit codes. Without inverted lists, recall is lost only to the codes' precision."""

    kind = "flat-codes"
    spare = 3
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
