"""An index for mean distances to the nearest few, which take far less effort than to find each of them."""

from typing import Any

import numpy as np

from indexes.approximate.ivf import Ivf
from indexes.approximate.two_stage import Effort
from indexes.exact.flat import Flat
from indexes.late import faiss

# What is missed makes means longer. As far as it does so for all alike, it changes no comparison; what differs from one to
# another is noise: the standard deviation of the logarithm of the mean squares. That they are taken among a sample of half of
# 100,000 templates makes 0.02 by itself. With so much more, as many of 3,000 mated searches among 65,536 synthetic people come
# within the thresholds of 0.1, 1 and 10 % as with none.
NOISE = 0.025
# Neighbours on a shortlist for each that is wanted, and the fewest visits that are tried.
_SPARE, _LEAST = (1, 1.5, 2, 3), 4
# Iterations that train the codes: with FAISS's 25 there is as much noise.
_ITERATIONS = 10


class _Means(Ivf):
    """Its shortlist is as short as its effort says: which of two vectors is nearer makes no difference to a mean."""

    spare = 1

    @classmethod
    def _untrained(cls, sample: np.ndarray, count: int) -> Any:
        index = super()._untrained(sample, count)
        faiss.downcast_index(faiss.extract_index_ivf(index)).pq.cp.niter = _ITERATIONS
        return index


def for_means(vectors: np.ndarray, probes: np.ndarray, k: int) -> Ivf:
    """An index of vectors (m, d) with the least effort at which the mean squared distances of probes (n, d) to the k nearest have
    hardly more noise than by an exact search.

    Raises:
        VectorsError: as `Ivf.build`.
    """
    index = _Means.build(vectors)
    exact = np.log(_means(Flat(vectors).search(probes, k).distances))
    visits = _LEAST
    while True:
        for spare in _SPARE:
            index.effort = Effort(visits, min(int(spare * k), index.count))
            noise = float(np.std(np.log(_means(index.search(probes, k).distances)) - exact))
            if noise <= NOISE:
                return index
        if index.effort.visits == index.most_visits:
            return index
        visits *= 2


def _means(distances: np.ndarray) -> np.ndarray:
    """Mean squares (n,) of all but the nearest, which is the vector itself where it is among them."""
    return np.maximum((distances[:, 1:] ** 2).mean(axis=1), 1e-12)
