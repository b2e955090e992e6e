"""Inverted lists as plain arrays: how many vectors each list has, their row numbers, and their codes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from indexes.errors import IndexFileError
from indexes.late import faiss
from indexes.stored.codes import (
    BLOCK,
    bits_of,
    centroids,
    learn_products,
    learn_scalars,
    products_taken,
    scalar_type,
    scalars_fit,
    scalars_taken,
)
from indexes.stored.form import Form, Inside, owning
from indexes.stored.parts import Part, number

# Bytes that the precomputed tables of product quantisers may take: so many, and so many more for each byte of the lists.
_TABLE, _TABLE_TIMES = 1 << 26, 16

_CENTRES = {"quantizer": frozenset({"IndexFlat", "IndexHNSW"})}


def _lists_taken(index: Any) -> dict[str, np.ndarray]:
    lists = faiss.downcast_InvertedLists(index.invlists)
    sizes = np.array([lists.list_size(which) for which in range(index.nlist)], np.int64)
    widths = _widths(lists, sizes)
    full = np.flatnonzero(sizes).tolist()
    rows = [faiss.rev_swig_ptr(lists.get_ids(which), int(sizes[which])) for which in full]
    codes = [faiss.rev_swig_ptr(lists.get_codes(which), int(widths[which])) for which in full]
    return {
        "sizes": sizes,
        "rows": np.concatenate([np.empty(0, np.int64), *rows]),
        "codes": np.concatenate([np.empty(0, np.uint8), *codes]),
        "residual": number(index.by_residual),
    }


def _widths(lists: Any, sizes: np.ndarray) -> np.ndarray:
    """The bytes of the codes of lists that have so many vectors, in whole blocks where the lists are made of blocks."""
    if hasattr(lists, "n_per_block"):
        return -(-sizes // lists.n_per_block) * lists.block_size
    return sizes * lists.code_size


def _sizes(part: Part, count: int) -> np.ndarray:
    sizes = part.array("sizes", "<i8", None)
    if sizes.min() < 0 or sizes.max() > count or sizes.sum() != count:
        raise IndexFileError(f"{part.name} has lists of {sizes.min()} to {sizes.max()} vectors, for {count} in all")
    return sizes


def _filled(index: Any, part: Part, count: int) -> Any:
    """Fill an empty index with the lists of a part."""
    index.is_trained = True
    sizes, rows = _sizes(part, count), part.array("rows", "<i8", count)
    there = np.zeros(count, bool)
    if rows.min() >= 0 and rows.max() < count:
        there[rows] = True
    if not there.all():
        raise IndexFileError(f"the lists of {part.name} do not hold each of {count} rows once")
    lists = faiss.downcast_InvertedLists(index.invlists)
    widths = _widths(lists, sizes)
    codes = part.array("codes", "|u1", int(widths.sum()))
    first, start = np.cumsum(sizes) - sizes, np.cumsum(widths) - widths
    for which in np.flatnonzero(sizes).tolist():
        lists.add_entries(which, int(sizes[which]), faiss.swig_ptr(rows[first[which] :]), faiss.swig_ptr(codes[start[which] :]))
    index.ntotal = count
    return index


def _residual(part: Part) -> bool:
    return bool(part.number("residual", 0, 1))


def _flat_made(part: Part, count: int, dim: int, centres: Any) -> Any:
    part.reasonable("codes", part.array("codes", "|u1", 4 * dim * count).view("<f4"))
    return faiss.IndexIVFFlat(centres, dim, centres.ntotal)


def _scalar_made(part: Part, _: int, dim: int, centres: Any) -> Any:
    kind, residual = scalar_type(part), _residual(part)
    index = faiss.IndexIVFScalarQuantizer(centres, dim, centres.ntotal, kind, faiss.METRIC_L2, residual)
    learn_scalars(index, part, dim)
    return index


def _product_made(part: Part, _: int, dim: int, centres: Any) -> Any:
    learnt = centroids(part, dim)
    return _learnt(faiss.IndexIVFPQ(centres, dim, centres.ntotal, len(learnt), bits_of(learnt)), part, learnt)


def _blocks_made(part: Part, _: int, dim: int, centres: Any) -> Any:
    learnt = centroids(part, dim, 16)
    return _learnt(faiss.IndexIVFPQFastScan(centres, dim, centres.ntotal, len(learnt), 4), part, learnt)


def _learnt(index: Any, part: Part, learnt: np.ndarray) -> Any:
    learn_products(index, learnt)
    index.by_residual = _residual(part)
    index.is_trained = True
    # A table for each list saves time. But a small forged file must not make it far larger than the codes.
    table = 4 * index.nlist * learnt.shape[0] * learnt.shape[1]
    if index.by_residual and table <= _TABLE + _TABLE_TIMES * sum(array.nbytes for array in part.arrays.values()):
        index.precompute_table()
    return index


def _form(
    made: Callable[[Part, int, int, Any], Any],
    learnt: Callable[[Any], dict[str, np.ndarray]],
    fits: Callable[[Any], bool] = lambda _: True,
) -> Form:
    """The form of a type of inverted lists. `learnt` takes its quantiser's arrays, `made` makes it empty from its centres."""

    def make(part: Part, count: int, dim: int, inside: Inside) -> Any:
        centres = inside(0, len(_sizes(part, count)), dim)
        return _filled(owning(made(part, count, dim, centres), centres), part, count)

    return Form(lambda index: learnt(index) | _lists_taken(index), make, _CENTRES, fits)


FORMS = {
    "IndexIVFFlat": _form(_flat_made, lambda _: {}),
    "IndexIVFScalarQuantizer": _form(_scalar_made, scalars_taken, scalars_fit),
    "IndexIVFPQ": _form(_product_made, products_taken),
    "IndexIVFPQFastScan": _form(_blocks_made, products_taken, lambda index: index.bbs == BLOCK),
}
