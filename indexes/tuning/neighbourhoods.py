"""The effort that a mean distance to the nearest few takes: far less than to find each of them."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from indexes.approximate.two_stage import Effort, TwoStageIndex
from indexes.exact.flat import Flat

# What is missed makes means longer. As far as it does so for all alike, it changes no comparison; what differs from one to
# another is noise: the standard deviation of the logarithm of the mean squares. That they are taken among a sample of half of
# 100,000 templates makes as much by itself.
NOISE = 0.02
# Neighbours on a shortlist for each that is wanted, and the fewest visits that are tried.
_SPARE, _LEAST = 3, 4


@contextmanager
def for_means(index: TwoStageIndex, vectors: np.ndarray, k: int) -> Iterator[None]:
    """Inside the block an index spends the least effort at which the mean squared distances of vectors like these (n, d) to their
    k nearest have hardly more noise than by an exact search. Nobody else may search it meanwhile.
    """
    before = index.effort
    try:
        _spend(index, vectors, min(k, index.count))
        yield
    finally:
        index.effort = before


def _spend(index: TwoStageIndex, vectors: np.ndarray, k: int) -> None:
    exact = np.log(_means(Flat(index.vectors(np.arange(index.count))).search(vectors, k).distances))
    visits = min(_LEAST, index.most_visits)
    while True:
        index.effort = Effort(visits, min(_SPARE * k, index.count))
        noise = float(np.std(np.log(_means(index.search(vectors, k).distances)) - exact))
        if noise <= NOISE or index.effort.visits == index.most_visits:
            return
        visits *= 2


def _means(distances: np.ndarray) -> np.ndarray:
    """Mean squares (n,) of all but the nearest, which is the vector itself where it is enrolled."""
    return np.maximum((distances[:, 1:] ** 2).mean(axis=1), 1e-12)
