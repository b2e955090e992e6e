"""FAISS's indexes as plain arrays, and made from such arrays again: only of the types listed here, by their constructors.

The arrays may come from anybody. Before FAISS gets them, every size is compared with the number of vectors and dimensions, and
every number that FAISS would use as an address (rows in lists, links in a graph) is checked to be in range.
"""

from typing import Any

import numpy as np

from indexes.approximate.pq_codes import pretransformed
from indexes.errors import IndexFileError, IndexUnsupported
from indexes.late import faiss
from indexes.principal_axes import linear
from indexes.stored import codes as plain_codes
from indexes.stored import graph as plain_graph
from indexes.stored import lists as plain_lists
from indexes.stored.form import Form, Inside, owning
from indexes.stored.parts import DEEPEST, Layout, Part, assembled, flattened

# FAISS's other names for types listed here.
_ALSO = {"IndexFlatL2": "IndexFlat", "IndexHNSWFlat": "IndexHNSW", "IndexHNSWSQ": "IndexHNSW"}
_KEPT = "PCA, OPQ, RR, IVF, HNSW, Flat, SQ8, SQ6, SQ4, SQfp16, PQ, PQ...fs, RFlat and Refine"


def require_kept(index: Any) -> None:
    """Refuse a FAISS index that cannot be kept as arrays, trained or not.

    Raises:
        IndexUnsupported: names the part that cannot be kept.
    """
    if other := _misplaced(_layout(index)):
        raise IndexUnsupported(f"FAISS's {other} cannot be kept in a gallery there; take a string of {_KEPT}")


def taken(index: Any) -> tuple[Layout, dict[str, np.ndarray]]:
    """The layout of a FAISS index, and its arrays by name. Raises as `require_kept`."""
    require_kept(index)
    part = _part(index)
    return part.layout, flattened(part)


def rebuilt(layout: Any, arrays: dict[str, np.ndarray], count: int, dim: int) -> Any:
    """The FAISS index of `count` vectors with `dim` dimensions for which `taken` returned this layout and these arrays. Neither
    is trusted.

    Raises:
        IndexFileError: they are not of such an index; says what was found and what was expected.
    """
    if other := _misplaced(layout):
        raise IndexFileError(f"it has a part {other}, where only {', '.join(_FORMS)} are read, and not each in each")
    if not count or not dim:
        raise IndexFileError(f"there are {count} vectors of {dim} dimensions to go with it, expected some")
    return _index(assembled(layout, arrays), count, dim)


def _name(index: Any) -> str:
    return _ALSO.get(type(index).__name__, type(index).__name__)


def _layout(index: Any) -> Layout:
    index = faiss.downcast_index(index)
    found, name = type(index).__name__, _name(index)
    if name not in _FORMS:
        return [found]
    if not _FORMS[name].fits(index):
        return [f"{found} of this make"]
    return [name, *(_layout(getattr(index, member)) for member in _FORMS[name].holds)]


def _misplaced(layout: Any, depth: int = 0) -> str | None:
    """The first part in a layout that is of no listed type, or is inside one that cannot hold it; None if there is none."""
    name = layout[0] if isinstance(layout, list) and layout else layout
    if not isinstance(name, str) or name not in _FORMS or depth > DEEPEST:
        return str(name)[:60]
    holds = _FORMS[name].holds.values()
    if len(holds) != len(layout) - 1:
        return f"{name} of {len(layout) - 1} parts"
    for inner, known in zip(layout[1:], holds, strict=True):
        if other := _misplaced(inner, depth + 1):
            return other
        if inner[0] not in known:
            return f"{inner[0]} in {name}"
    return None


def _part(index: Any) -> Part:
    index = faiss.downcast_index(index)
    form = _FORMS[_name(index)]
    return Part(_name(index), form.take(index), tuple(_part(getattr(index, member)) for member in form.holds))


def _index(part: Part, count: int, dim: int) -> Any:
    index = _FORMS[part.name].make(part, count, dim, lambda place, held, wide: _index(part.inside[place], held, wide))
    index.is_trained = True
    return index


def _transforms_of(index: Any) -> list[Any]:
    return [faiss.downcast_VectorTransform(index.chain.at(place)) for place in range(index.chain.size())]


def _transforms_taken(index: Any) -> dict[str, np.ndarray]:
    arrays = {}
    for place, transform in enumerate(_transforms_of(index)):
        arrays[f"matrix{place}"] = faiss.vector_to_array(transform.A).reshape(transform.d_out, transform.d_in)
        arrays[f"offset{place}"] = faiss.vector_to_array(transform.b)
    return arrays


def _transformed(part: Part, count: int, dim: int, inside: Inside) -> Any:
    transforms: list[Any] = []
    while not transforms or f"matrix{len(transforms)}" in part.arrays:
        matrix = part.floats(f"matrix{len(transforms)}", None, dim)
        dim, offset = len(matrix), f"offset{len(transforms)}"
        transforms.append(linear(matrix, part.floats(offset, dim if len(part.arrays.get(offset, ())) else 0)))
    index = pretransformed(transforms.pop(), inside(0, count, dim))
    while transforms:
        transform = transforms.pop()
        index.prepend_transform(transform)
        transform.this.disown()
    return index


def _refined(_: Part, count: int, dim: int, inside: Inside) -> Any:
    first, order = inside(0, count, dim), inside(1, count, dim)
    index = owning(faiss.IndexRefine(first, order), first, order)
    index.own_refine_index = True
    return index


def _measured(part: Part, count: int, dim: int, inside: Inside) -> Any:
    first, vectors = inside(0, count, dim), part.floats("vectors", count, dim)
    return owning(faiss.IndexRefineFlat(first, faiss.swig_ptr(vectors)), first)


_SEARCHED = frozenset(
    {*plain_codes.FORMS, *plain_lists.FORMS, *plain_graph.FORMS, "IndexPreTransform", "IndexRefine", "IndexRefineFlat"}
)
_FORMS: dict[str, Form] = {
    **plain_codes.FORMS,
    **plain_lists.FORMS,
    **plain_graph.FORMS,
    "IndexPreTransform": Form(
        _transforms_taken,
        _transformed,
        {"index": _SEARCHED},
        fits=lambda index: all(isinstance(transform, faiss.LinearTransform) for transform in _transforms_of(index)),
    ),
    "IndexRefine": Form(lambda _: {}, _refined, {"base_index": _SEARCHED, "refine_index": plain_codes.MEASURED}),
    "IndexRefineFlat": Form(
        lambda index: plain_codes.flat_taken(faiss.downcast_index(index.refine_index)), _measured, {"base_index": _SEARCHED}
    ),
}
