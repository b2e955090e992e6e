"""One template for each identity, fused of all of its own by what each is worth; made when it is asked for, so that it follows
every change of them.

Its vector is the mean of theirs, weighted by max(10 + log odds of the quality, 0.15), and brought to unit length. Templates of
which nobody knows what they are worth count as ordinary ones.
"""

import numpy as np

from engine.matching.members import Members
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
    counts = members.counts[identities]
    # Identities with the same number of templates together, so that one with a thousand does not widen the arrays of all.
    for size in np.unique(counts).tolist():
        same = np.flatnonzero(counts == size)
        for start in range(0, len(same), max(_PART // size, 1)):
            at = same[start : start + max(_PART // size, 1)]
            rows = members.rows(identities[at])
            own = odds[rows]
            weights = np.maximum(_ORDINARY + own, _LEAST)
            sums = np.einsum("ns,nsd->nd", weights, index.vectors(rows.ravel()).reshape(*rows.shape, -1))
            vectors[at] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), _TINY)
            worth[at] = (own * weights).sum(axis=1) / weights.sum(axis=1)
    return vectors, worth
