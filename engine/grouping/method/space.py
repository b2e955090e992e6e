"""Where templates are compared: about a mean that is not ruled by who was photographed most, and who lies near whom there.

A strict grouping gives one mean for each of its groups. The mean of these is taken away from every template, and their principal
axes are those along which people differ (`engine.grouping.method.decoys`).
"""

from dataclasses import dataclass

import numpy as np

from engine.grouping.method.linkage import Nodes, agglomerate, each_once
from indexes.base import Progress
from indexes.exact.flat import Flat

NEIGHBOURS = 50
# The strict grouping's cut, in robust standard deviations above the median of random pairs' scores.
STRICT = 6
# Random pairs that are looked at, and templates that the strict grouping is made of, at most.
_PAIRS, _SAMPLE = 200_000, 20_000
# Of a normal distribution: the standard deviation in units of the median of the absolute deviation.
_ROBUST = 1.4826
_SEARCH_BATCH = 8192
# Of groups larger than this a face is compared with so many neighbours, not with every other.
_WHOLE, _WITHIN = 60, 20
_SEED = 20


@dataclass(frozen=True)
class Space:
    """`mean` float64 (d,): what is taken away from templates. `axes` (d, d): one in each column, strongest first. `examples`
    int64 (p,): the row of one template of each group of the strict grouping.
    """

    mean: np.ndarray
    axes: np.ndarray
    examples: np.ndarray

    @property
    def people(self) -> int:
        """About how many people there are."""
        return len(self.examples)

    def place(self, vectors: np.ndarray) -> np.ndarray:
        """Templates (n, d) about the mean, of unit length, float32."""
        return placed(vectors, self.mean)


def placed(vectors: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Templates (n, d) about a mean (d,), of unit length, float32."""
    return _unit(vectors - mean)


def estimate_space(vectors: np.ndarray, strict: float = 1.0) -> Space:
    """The space of templates float32 (n, d), two or more; of very many, evenly chosen ones say it.

    `strict`: a cosine that is strict enough for the strict grouping, where it is known. The median of random pairs says nothing
    where most pictures are of one person.
    """
    step = -(-len(vectors) // _SAMPLE)
    chosen = np.ascontiguousarray(vectors[::step])
    middle, deviation = random_pairs(chosen)
    edges = edges_between(neighbours(chosen, chosen, NEIGHBOURS + 1))
    alone = np.full(len(chosen), -1)
    nodes = Nodes(chosen, np.ones(len(chosen)), alone, np.empty((0, 2), np.int64))
    strict = min(middle + STRICT * deviation, strict, 1 - 1e-4)
    found, stands = np.unique(agglomerate(nodes, edges, strict).groups_at(strict), return_inverse=True)
    sums = np.zeros((stands.max() + 1, chosen.shape[1]))
    np.add.at(sums, stands, chosen)
    means = _unit(sums).astype(np.float64)
    _, axes = np.linalg.eigh(np.atleast_2d(np.cov(means.T)) if len(means) > 1 else np.eye(means.shape[1]))
    return Space(means.mean(axis=0), axes[:, ::-1], found * step)


def random_pairs(vectors: np.ndarray) -> tuple[float, float]:
    """The median of the cosines of random pairs of unit vectors (n, d), and their robust standard deviation."""
    drawn = np.random.default_rng(_SEED)
    one = drawn.integers(0, len(vectors), _PAIRS)
    two = (one + drawn.integers(1, max(len(vectors), 2), _PAIRS)) % len(vectors)
    parts = [slice(start, start + _SEARCH_BATCH) for start in range(0, len(one), _SEARCH_BATCH)]
    cosines = np.concatenate([np.einsum("ij,ij->i", vectors[one[part]], vectors[two[part]]) for part in parts])
    middle = float(np.median(cosines))
    return middle, _ROBUST * float(np.median(np.abs(cosines - middle)))


def neighbours(probes: np.ndarray, vectors: np.ndarray, count: int, progress: Progress | None = None) -> np.ndarray:
    """The rows (n, k) int64 of the `count` vectors (m, d) that are nearest to each probe (n, d), all if there are fewer."""
    index = Flat.build(vectors)
    found = np.empty((len(probes), min(count, len(vectors))), np.int64)
    for start in range(0, len(probes), _SEARCH_BATCH):
        part = slice(start, start + _SEARCH_BATCH)
        found[part] = index.search(probes[part], count).rows
        if progress:
            progress("neighbours", min(start + _SEARCH_BATCH, len(probes)), len(probes))
    return found


def edges_between(found: np.ndarray, stands: np.ndarray | None = None) -> np.ndarray:
    """The edges (m, 2) of a graph in which row i of `found` (n, k) holds the neighbours of i, each once; between what `stands`
    (n,) for the rows, where several are one node.
    """
    one, two = np.repeat(np.arange(len(found)), found.shape[1]), found.ravel()
    if stands is not None:
        one, two = stands[one], stands[two]
    return each_once(one, two, max(len(found), 1))


def edges_within(places: np.ndarray) -> np.ndarray:
    """Edges int64 (m, 2) between the faces of one group, each with every other, or in large groups with its neighbours."""
    if len(places) <= _WHOLE:
        return np.stack(np.triu_indices(len(places), 1), axis=1).astype(np.int64)
    places = np.ascontiguousarray(places)
    return edges_between(neighbours(places, places, _WITHIN))


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(lengths, 1e-12), np.float32)
