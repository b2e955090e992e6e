"""Which templates belong to which identity, and how near those of one are to a probe."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from indexes.base import Neighbours, SearchableIndex, distances_to, in_parts


class Members:
    """Which templates belong to which identity. `codes` int (n,): the identity of each row, as a number from 0 without gaps.
    `rank` (n,): by what the templates of an identity are ordered; by default, their rows.
    """

    def __init__(self, codes: np.ndarray, rank: np.ndarray | None = None) -> None:
        self.codes = codes
        self._rank = rank
        self.counts = np.bincount(codes)
        self._starts = np.concatenate([[0], np.cumsum(self.counts)[:-1]])

    @cached_property
    def _order(self) -> np.ndarray:
        return np.argsort(self.codes, kind="stable") if self._rank is None else np.lexsort((self._rank, self.codes))

    @property
    def identities(self) -> int:
        """The number of identities, K."""
        return len(self.counts)

    @property
    def most(self) -> int:
        """The number of templates of the identity that has most."""
        return int(self.counts.max())

    def rows(self, identities: np.ndarray) -> np.ndarray:
        """The rows of the templates of some identities (...), int64 (..., most of these), filled up with -1."""
        at = np.arange(self.counts[identities].max(initial=0))
        inside = at < self.counts[identities][..., None]
        return np.where(inside, self._order[np.where(inside, self._starts[identities][..., None] + at, 0)], -1)

    def all_rows(self, identities: np.ndarray, most: int | None = None) -> np.ndarray:
        """The rows of the templates of some identities (m,), or the first `most` of each, one identity's behind the other's:
        int64 (as many as they are,).
        """
        counts = np.minimum(self.counts[identities], self.most if most is None else most)
        return self._order[np.repeat(self._starts[identities] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())]

    def chosen_rows(self, identities: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """The row of one template of each identity (m,): that with a number, (m,), among its own."""
        return self._order[self._starts[identities] + numbers]


def mean_of_nearest(
    index: SearchableIndex, members: Members, identities: np.ndarray, vectors: np.ndarray, nearest: int
) -> np.ndarray:
    """The mean distances of each vector (n, d) to the `nearest` nearest templates of each of its identities (n, m), or to all if
    one has fewer: float32 (n, m).
    """
    result = np.empty(identities.size, np.float32)
    for at, _, distances in _to_own(index, members, identities, vectors):
        result[at] = np.sort(distances, axis=1)[:, :nearest].mean(axis=1)
    return result.reshape(identities.shape)


def nearest_of_each(index: SearchableIndex, members: Members, identities: np.ndarray, vectors: np.ndarray) -> Neighbours:
    """Of each identity of each vector (n, d), (n, m), the template that is nearest to it: rows and distances (n, m), in the order
    of the identities.
    """
    rows, distances = np.empty(identities.size, np.int64), np.empty(identities.size, np.float32)
    for at, own, apart in _to_own(index, members, identities, vectors):
        nearest = apart.argmin(axis=1)[:, None]
        rows[at] = np.take_along_axis(own, nearest, 1)[:, 0]
        distances[at] = np.take_along_axis(apart, nearest, 1)[:, 0]
    return Neighbours(rows.reshape(identities.shape), distances.reshape(identities.shape))


def _to_own(
    index: SearchableIndex, members: Members, identities: np.ndarray, vectors: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Places (p,) among identities (n, m), the rows of all templates of each, int64 (p, as many), and how far the vector is."""
    some, each = identities.ravel(), identities.shape[1]
    counts = members.counts[some]
    # Identities with the same number of templates together, so that one with a thousand does not widen the arrays of all; and
    # places with the same identity, so that its templates are read once.
    order = np.lexsort((some, counts))
    for same in np.split(order, np.flatnonzero(np.diff(counts[order])) + 1):
        size = int(counts[same].max(initial=1))
        for at in in_parts(same, size + vectors.shape[1]):
            read, back = np.unique(some[at], return_inverse=True)
            rows = members.rows(read)
            places = back[:, None] * size + np.arange(size)
            yield at, rows[back], distances_to(vectors[at // each], index.vectors(rows.ravel()), places)
