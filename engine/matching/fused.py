"""One template for each identity, fused of all of its own by what each is worth; made when it is asked for, so that it follows
every change of them.

Its vector is the mean of theirs, weighted by max(10 + log odds of the quality, 0.15), and brought to unit length. Templates of
which nobody knows what they are worth count as ordinary ones.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from engine.matching.nearest_identities import Members
from indexes.base import SearchableIndex

_ORDINARY, _LEAST, _TINY = np.float32(10), np.float32(0.15), np.float32(1e-12)
# Templates whose vectors are looked at together.
_PART = 65_536


def fused(index: SearchableIndex, members: Members, odds: np.ndarray, identities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The fused templates of some identities (m,): float32 (m, d), and the weighted means of their log odds, float32 (m,).

    Args:
        index: the enrolled templates.
        members: which identity each one belongs to.
        odds: the log odds of the quality of each enrolled template, (n,).
        identities: their numbers.
    """
    vectors, worth = np.empty((len(identities), index.dim), np.float32), np.empty(len(identities), np.float32)
    for part in _parts(members.counts[identities]):
        rows, starts = members.flat_rows(identities[part])
        own = odds[rows]
        weights = np.maximum(_ORDINARY + own, _LEAST)
        sums = np.add.reduceat(index.vectors(rows) * weights[:, None], starts, axis=0)
        vectors[part] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), _TINY)
        worth[part] = np.add.reduceat(own * weights, starts) / np.add.reduceat(weights, starts)
    return vectors, worth


def _parts(counts: np.ndarray) -> Iterator[slice]:
    """Identities with about `_PART` templates together; an identity is never divided."""
    ends = np.flatnonzero(np.diff(np.cumsum(counts) // _PART)) + 1
    bounds = [0, *ends.tolist(), len(counts)]
    for first, last in pairwise(bounds):
        if last > first:
            yield slice(first, last)
