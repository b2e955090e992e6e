"""HNSW graphs as plain arrays: how many levels each vector is on, and its links at each."""

from typing import Any

import numpy as np

from indexes.errors import IndexFileError
from indexes.late import faiss
from indexes.stored.form import Form, Inside, owning
from indexes.stored.parts import Part, number

# Types that the graph's vectors may be stored as: those that compare two of their vectors without a table of quadratic size.
_COMPARED = frozenset({"IndexFlat", "IndexScalarQuantizer"})
# Links of a vector at each level but the lowest, which has twice as many.
_FEWEST, _MOST = 2, 1 << 12


def _links_before(graph: Any) -> np.ndarray:
    """How many links a vector has on all levels below each one, int32 (levels + 1,)."""
    return faiss.vector_to_array(graph.cum_nneighbor_per_level)


def _degree(graph: Any) -> int:
    return int(_links_before(graph)[1]) // 2 if graph.cum_nneighbor_per_level.size() > 1 else 0


def _taken(index: Any) -> dict[str, np.ndarray]:
    return {
        "degree": number(_degree(index.hnsw)),
        "entry": number(index.hnsw.entry_point),
        "levels": faiss.vector_to_array(index.hnsw.levels),
        "links": faiss.vector_to_array(index.hnsw.neighbors),
    }


def _made(part: Part, count: int, dim: int, inside: Inside) -> Any:
    levels, links = part.array("levels", "<i4", count), part.array("links", "<i4", None)
    entry = part.number("entry", 0, count - 1)
    stored = inside(0, count, dim)
    index = owning(faiss.IndexHNSW(stored, part.number("degree", _FEWEST, _MOST)), stored)
    graph = index.hnsw
    _require_links(levels, links, _links_before(graph), entry)
    faiss.copy_array_to_vector(levels, graph.levels)
    graph.prepare_level_tab(count, True)
    faiss.copy_array_to_vector(links, graph.neighbors)
    graph.entry_point, graph.max_level = entry, int(levels.max()) - 1
    index.ntotal = count
    return index


def _require_links(levels: np.ndarray, links: np.ndarray, before: np.ndarray, entry: int) -> None:
    """Check the links: FAISS follows them from the `entry` downwards and checks none. Each must lead to a vector of its level."""
    most = int(levels.max())
    if levels.min() < 1 or most >= len(before) or levels[entry] != most:
        raise IndexFileError(f"a graph has levels of {levels.min()} to {most}, entered at {levels[entry]}")
    ends = np.cumsum(before[levels], dtype=np.int64)
    if len(links) != ends[-1]:
        raise IndexFileError(f"a graph has {len(links)} links, its levels say {ends[-1]}")
    if links.min() < -1 or links.max() >= len(levels):
        raise IndexFileError(f"a graph has links to {links.min()} and {links.max()}, of {len(levels)} vectors")
    starts = ends - before[levels]
    for level in range(1, most):
        there = np.flatnonzero(levels > level)
        linked = links[starts[there][:, None] + np.arange(before[level], before[level + 1])]
        if (levels[linked[linked >= 0]] <= level).any():
            raise IndexFileError("a graph has links to vectors that are not of that level")


FORMS = {
    "IndexHNSW": Form(_taken, _made, {"storage": _COMPARED}, fits=lambda index: _FEWEST <= _degree(index.hnsw) <= _MOST),
}
