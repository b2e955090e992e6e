"""FAISS's indexes of one code a vector as plain arrays: the vector itself, one number an axis, or a product quantiser's code."""

from functools import cache
from typing import Any

import numpy as np

from indexes.errors import IndexFileError
from indexes.late import faiss
from indexes.stored.form import Form, Inside
from indexes.stored.parts import Part, number

# Vectors in a block of fast-scan codes.
BLOCK = 32
_MOST_BITS = 16


@cache
def _learnt() -> dict[int, int]:
    """How many numbers each type of scalar quantiser is trained to for a dimension."""
    kinds = faiss.ScalarQuantizer
    return {kinds.QT_8bit: 2, kinds.QT_6bit: 2, kinds.QT_4bit: 2, kinds.QT_fp16: 0}


def flat_taken(index: Any) -> dict[str, np.ndarray]:
    """The vectors of a flat index."""
    return {"vectors": faiss.vector_to_array(index.codes).view("<f4").reshape(index.ntotal, index.d)}


def _flat_made(part: Part, count: int, dim: int, _: Inside) -> Any:
    index = faiss.IndexFlatL2(dim)
    index.add(part.floats("vectors", count, dim))
    return index


def _codes_taken(index: Any) -> dict[str, np.ndarray]:
    return {"codes": faiss.vector_to_array(index.codes).reshape(index.ntotal, index.code_size)}


def _coded(index: Any, part: Part, count: int) -> Any:
    index.is_trained = True
    index.add_sa_codes(part.array("codes", "|u1", count, index.code_size))
    return index


def scalars_taken(index: Any) -> dict[str, np.ndarray]:
    """The type and the trained numbers of an index's scalar quantiser."""
    return {"type": number(index.sq.qtype), "learnt": faiss.vector_to_array(index.sq.trained)}


def scalars_fit(index: Any) -> bool:
    """Whether an index has a scalar quantiser of a type that can be kept."""
    return index.sq.qtype in _learnt()


def scalar_type(part: Part) -> int:
    """The type of a scalar quantiser. Raises `IndexFileError` where it is not one that can be kept."""
    kind = part.number("type", 0, 99)
    if kind not in _learnt():
        raise IndexFileError(f"{part.name} is of type {kind}, expected one of {sorted(_learnt())}")
    return kind


def learn_scalars(index: Any, part: Part, dim: int) -> None:
    """Give the scalar quantiser of an index its trained numbers."""
    faiss.copy_array_to_vector(part.floats("learnt", _learnt()[index.sq.qtype] * dim), index.sq.trained)


def products_taken(index: Any) -> dict[str, np.ndarray]:
    """The centroids of the product quantiser of an index, (parts, centroids, width)."""
    return {"centroids": faiss.vector_to_array(index.pq.centroids).reshape(index.pq.M, index.pq.ksub, index.pq.dsub)}


def centroids(part: Part, dim: int, each: int | None = None) -> np.ndarray:
    """The centroids of a product quantiser (parts, centroids, width), `each` of them in a part; if None, any power of two.

    Raises:
        IndexFileError: their parts do not add up to `dim` dimensions, or there are other numbers of them.
    """
    found = part.floats("centroids", None, each, None)
    parts, each, width = found.shape
    if parts * width != dim or each != 1 << bits_of(found) or not 0 < bits_of(found) <= _MOST_BITS:
        raise IndexFileError(f"{part.name} has {parts} parts of {each} centroids, {width} wide, for {dim} dimensions")
    return found


def bits_of(found: np.ndarray) -> int:
    """The bits of a part's code, for `centroids`."""
    return found.shape[1].bit_length() - 1


def learn_products(index: Any, found: np.ndarray) -> None:
    """Give the product quantiser of an index its `centroids`."""
    faiss.copy_array_to_vector(found.ravel(), index.pq.centroids)


def _scalar_made(part: Part, count: int, dim: int, _: Inside) -> Any:
    index = faiss.IndexScalarQuantizer(dim, scalar_type(part))
    learn_scalars(index, part, dim)
    return _coded(index, part, count)


def _product_made(part: Part, count: int, dim: int, _: Inside) -> Any:
    learnt = centroids(part, dim)
    index = faiss.IndexPQ(dim, len(learnt), bits_of(learnt))
    learn_products(index, learnt)
    return _coded(index, part, count)


def _blocks_made(part: Part, count: int, dim: int, _: Inside) -> Any:
    learnt = centroids(part, dim, 16)
    index: Any = faiss.IndexPQFastScan(dim, len(learnt), 4)
    learn_products(index, learnt)
    # Half a byte a part, padded to whole bytes and whole blocks of vectors. Any bits are a valid code.
    whole = -(-count // BLOCK) * BLOCK
    faiss.copy_array_to_AlignedTable(part.array("blocks", "|u1", whole * index.M2 // 2), index.codes)
    index.ntotal, index.ntotal2 = count, whole
    return index


FORMS = {
    "IndexFlat": Form(flat_taken, _flat_made),
    "IndexScalarQuantizer": Form(lambda index: scalars_taken(index) | _codes_taken(index), _scalar_made, fits=scalars_fit),
    "IndexPQ": Form(lambda index: products_taken(index) | _codes_taken(index), _product_made),
    "IndexPQFastScan": Form(
        lambda index: products_taken(index) | {"blocks": faiss.vector_to_array(index.codes)},
        _blocks_made,
        fits=lambda index: index.bbs == BLOCK,
    ),
}

# Types that can compute the distance to any one of their vectors, as refining a shortlist needs.
MEASURED = frozenset({"IndexFlat", "IndexScalarQuantizer", "IndexPQ"})
