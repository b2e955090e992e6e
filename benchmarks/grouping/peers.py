"""Other methods on the same templates, each at its best in hindsight: its parameter is chosen by the labels that measure it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.grouping.measures import Right, right
from engine.grouping.method.space import neighbours

_NEIGHBOURS = 50
_SWEEPS = 20


@dataclass(frozen=True)
class Peer:
    """A method's best BCubed F, and its best pairwise F, over all its parameters; `parameter` is that of the first."""

    name: str
    parameter: str
    best: Right
    pairwise: float


def peers(vectors: np.ndarray, people: np.ndarray, said: Callable[[str], None]) -> list[Peer]:
    """DBSCAN and HDBSCAN (scikit-learn), average linkage (SciPy), connected components and Chinese whispers."""
    methods = {
        "DBSCAN": _dbscan,
        "HDBSCAN": _hdbscan,
        "average linkage": _average,
        "components": _components,
        "Chinese whispers": _whispers,
    }
    found = []
    for name, method in methods.items():
        said(name)
        tried = [(parameter, right(people, _alone(labels))) for parameter, labels in method(vectors)]
        parameter, best = max(tried, key=lambda each: each[1].bcubed)
        found.append(Peer(name, parameter, best, max(each.pairwise for _, each in tried)))
    return found


def _dbscan(vectors: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    from sklearn.cluster import DBSCAN

    for least in (1, 2, 3):
        for reach in np.arange(0.7, 1.13, 0.02):
            yield f"eps {reach:.2f}, min_samples {least}", DBSCAN(eps=reach, min_samples=least).fit_predict(vectors)


def _hdbscan(vectors: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    from sklearn.cluster import HDBSCAN

    # Its own parameter for that, cluster_selection_epsilon, fails on the newest NumPy: the tree is cut instead.
    for least in (1, 2):
        for choice in ("leaf", "eom"):
            made = HDBSCAN(min_cluster_size=2, min_samples=least, cluster_selection_method=choice, copy=True).fit(vectors)
            yield f"{choice}, min_samples {least}", made.labels_
        for reach in np.arange(0.7, 1.13, 0.02):
            yield f"cut {reach:.2f}, min_samples {least}", made.dbscan_clustering(reach, min_cluster_size=2)


def _average(vectors: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist

    tree = linkage(pdist(vectors, "cosine"), "average")
    for cut in np.arange(0.4, 0.85, 0.01):
        yield f"cut {cut:.2f}", fcluster(tree, cut, "distance")


def _components(vectors: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, cosines = _graph(vectors)
    ones = np.repeat(np.arange(len(rows)), rows.shape[1])
    for cut in np.arange(0.35, 0.75, 0.01):
        kept = cosines.ravel() >= cut
        graph = coo_array((np.ones(kept.sum(), np.int8), (ones[kept], rows.ravel()[kept])), shape=(len(rows), len(rows)))
        yield f"cosine {cut:.2f}", connected_components(graph, directed=False)[1]


def _whispers(vectors: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Biemann 2006, weighted by cosines: each node takes, in random order, the label that weighs most among its neighbours."""
    rows, cosines = _graph(vectors)
    for cut in np.arange(0.35, 0.7, 0.02):
        order = np.random.default_rng(0)
        labels = np.arange(len(rows))
        near = [(row[1:][keep[1:]], score[1:][keep[1:]]) for row, score, keep in zip(rows, cosines, cosines >= cut, strict=True)]
        for _ in range(_SWEEPS):
            changed = 0
            for node in order.permutation(len(rows)).tolist():
                others, weights = near[node]
                if len(others):
                    found, place = np.unique(labels[others], return_inverse=True)
                    best = found[np.argmax(np.bincount(place, weights))]
                    changed += int(best != labels[node])
                    labels[node] = best
            if not changed:
                break
        yield f"cosine {cut:.2f}", labels


def _graph(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = neighbours(vectors, vectors, _NEIGHBOURS + 1)
    return rows, np.stack([vectors[row] @ vector for row, vector in zip(rows, vectors, strict=True)])


def _alone(labels: np.ndarray) -> np.ndarray:
    """Noise, -1, as groups of one."""
    return np.where(labels < 0, labels.max() + 1 + np.arange(len(labels)), labels)
