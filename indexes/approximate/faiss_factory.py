"""An index that a FAISS factory string describes, over centred vectors, with a shortlist by exact distance.

Only those FAISS types are accepted that `indexes.stored.plain` can keep as arrays, because FAISS's own files are never read.

There is no kind of index for `HNSW32`: on templates it takes twenty times as long to build as inverted lists and has a lower
recall (`onek benchmark search` shows both).
"""

import re
from typing import Any, Self

import numpy as np

from indexes.approximate.pq_codes import centred, pretransformed
from indexes.approximate.two_stage import Effort, TwoStageIndex
from indexes.base import Progress, checked_store
from indexes.errors import IndexUnsupported, VectorsError
from indexes.late import faiss
from indexes.principal_axes import sample_rows
from indexes.stored.plain import require_kept, taken

_SAMPLE = 1 << 18
# Parts of a factory string that have a number, and the largest one accepted: lists, links of a graph, dimensions, bits.
_PARTS = re.compile(r"([A-Za-z]*)(\d+)")
_MOST = {"IVF": 1 << 20, "HNSW": 512, "PCA": 1 << 16, "PCAR": 1 << 16, "PCAW": 1 << 16, "PCAWR": 1 << 16, "OPQ": 1 << 16}
_MOST |= {"RR": 1 << 16, "PQ": 1 << 16, "": 1 << 16, "_": 1 << 16, "x": 16}
_MOST_OF_OTHERS, _MOST_CHARACTERS = 64, 200


class Factory(TwoStageIndex):
    """`visits` is FAISS's `nprobe` for inverted lists and `efSearch` for graphs."""

    kind = "factory"

    @classmethod
    def bytes_at_most(cls, dim: int) -> float:
        return 8 * dim  # not known before it is built: as much as a graph over full vectors takes

    def __init__(self, index: Any, vectors: np.ndarray, effort: Effort, factory: str) -> None:
        self.factory = factory
        self._visits_parameter = _visits_parameter(index)
        super().__init__(index, vectors, effort)

    @classmethod
    def build(cls, vectors: np.ndarray, progress: Progress | None = None, factory: str = "HNSW32") -> Self:
        """As for every kind; `factory` is the FAISS factory string.

        Raises:
            IndexUnsupported: FAISS cannot make or train such an index, or it uses another distance.
            VectorsError: as for every kind, or fewer vectors than lists.
        """
        vectors = checked_store(vectors, cls.least, cls.kind)
        sample = np.asarray(vectors[sample_rows(len(vectors), _SAMPLE)])
        index = empty_index(factory, vectors.shape[1])
        ivf = faiss.try_extract_index_ivf(index)
        if ivf is not None and ivf.nlist > len(vectors):
            raise VectorsError(
                f"{factory} has {ivf.nlist} lists, but there are {len(vectors)} vectors; expected at least as many"
            )
        if progress:
            progress("training", 0, 1)
        try:
            whole = pretransformed(centred(sample), index)
            whole.train(sample)
            if progress:
                progress("training", 1, 1)
            return cls._filled(whole, vectors, progress, factory=factory)
        except RuntimeError as error:
            raise IndexUnsupported(f"FAISS cannot build {factory} of {len(vectors)} vectors: {_reason(error)}") from error

    @property
    def most_visits(self) -> int:
        if self._visits_parameter == "nprobe":
            return int(faiss.extract_index_ivf(self._index).nlist)
        return self.count if self._visits_parameter else 1

    def _visit(self, visits: int) -> None:
        if self._visits_parameter:
            faiss.ParameterSpace().set_index_parameter(self._index, self._visits_parameter, visits)

    @property
    def bytes_per_vector(self) -> float:
        """All arrays of the index."""
        return sum(array.nbytes for array in taken(self._index)[1].values()) / max(self.count, 1)

    def _settings(self) -> dict[str, Any]:
        return {"factory": self.factory}

    @classmethod
    def _has(cls, layout: Any) -> bool:
        return isinstance(layout, list) and layout[:1] == ["IndexPreTransform"]


def empty_index(factory: str, dim: int) -> Any:
    """The empty index that a FAISS factory string describes.

    Raises:
        IndexUnsupported: FAISS knows no such index, it does not use L2 distance, or it cannot be kept as arrays.
    """
    _refuse_huge(factory)
    try:
        index = faiss.index_factory(dim, factory)
    except RuntimeError as error:
        raise IndexUnsupported(f"{factory!r} is no FAISS string for {dim} dimensions: {_reason(error)}") from error
    if index.metric_type != faiss.METRIC_L2:
        raise IndexUnsupported(f"{factory!r} searches by FAISS's metric {index.metric_type}; expected L2 ({faiss.METRIC_L2})")
    require_kept(index)
    return index


def _refuse_huge(factory: str) -> None:
    """Refuse a string for which FAISS would reserve huge memory at once: it may come with somebody else's gallery.

    Raises:
        IndexUnsupported: it is too long, or has a number larger than any gallery needs; names it and the largest accepted.
    """
    if len(factory) > _MOST_CHARACTERS:
        raise IndexUnsupported(f"a FAISS string of {len(factory)} characters; at most {_MOST_CHARACTERS} are read")
    if "IMI" in factory:
        raise IndexUnsupported(f"{factory!r}: FAISS's MultiIndexQuantizer cannot be kept in a gallery; take IVF")
    for name, number in _PARTS.findall(factory):
        if int(number) > (most := _MOST.get(name, _MOST_OF_OTHERS)):
            raise IndexUnsupported(f"{factory!r} asks for {name}{number[:20]}; the most that is made is {name}{most}")


def _visits_parameter(index: Any) -> str | None:
    """What FAISS calls the number of visits of such an index; None if it has none."""
    if faiss.try_extract_index_ivf(index) is not None:
        return "nprobe"
    inner = faiss.downcast_index(index.index)
    while isinstance(inner, faiss.IndexRefine | faiss.IndexPreTransform):
        inner = faiss.downcast_index(inner.base_index if isinstance(inner, faiss.IndexRefine) else inner.index)
    return "efSearch" if isinstance(inner, faiss.IndexHNSW) else None


def _reason(error: RuntimeError) -> str:
    """FAISS's message without the place in its source."""
    return str(error).splitlines()[0].rsplit(": ", 1)[-1][:200]
