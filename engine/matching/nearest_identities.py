"""From the nearest templates of a probe to its nearest identities."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from indexes.base import SearchableIndex, distances_to


@dataclass(frozen=True)
class NearestIdentities:
    """The nearest identities of n probes, nearest first; every probe has the same number t of them.

    `rows` int64 (n, t): the template that stands for the identity, its nearest one. `distances` float32 (n, t): its distance.
    """

    rows: np.ndarray
    distances: np.ndarray


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

    def rows(self, identities: np.ndarray, most: int | None = None) -> np.ndarray:
        """The rows of the templates of some identities (...), at most the first `most` of each: int64 (..., most of these),
        filled up with -1.
        """
        at = np.arange(self.counts[identities].max(initial=0))[:most]
        inside = at < self.counts[identities][..., None]
        return np.where(inside, self._order[np.where(inside, self._starts[identities][..., None] + at, 0)], -1)


def nearest_identities(
    index: SearchableIndex, members: Members, probes: np.ndarray, top: int, *, stop_near: bool = False
) -> NearestIdentities:
    """The `top` nearest identities of each probe; an identity is as near as its nearest template.

    Args:
        index: the enrolled templates.
        members: which identity each one belongs to.
        probes: float32 (n, d).
        top: at least 1. Fewer are returned if there are fewer identities.
        stop_near: as of `SearchableIndex.search`.
    """
    wanted = min(top, members.identities)
    rows, distances = np.empty((len(probes), wanted), np.int64), np.empty((len(probes), wanted), np.float32)
    k = templates_for(wanted, index.count / members.identities)
    pending = np.arange(len(probes))
    while len(pending):
        k = min(k, index.count)
        found = index.search(probes[pending], k, stop_near=stop_near)
        if index.count == members.identities:
            return NearestIdentities(found.rows, found.distances)
        first = first_of_each(members.codes[found.rows])
        enough = first.sum(axis=1) >= wanted
        # Keep the nearest template of each identity, and of those the first `wanted`.
        keep = first[enough] & (np.cumsum(first[enough], axis=1) <= wanted)
        rows[pending[enough]] = found.rows[enough][keep].reshape(-1, wanted)
        distances[pending[enough]] = found.distances[enough][keep].reshape(-1, wanted)
        # Identities with many templates fill the list: search for more neighbours, for those probes only.
        pending, k = pending[~enough], 4 * k
    return NearestIdentities(rows, distances)


def templates_for(identities: int, each: float) -> int:
    """How many of the nearest templates are searched for first where so many of the nearest identities are wanted, which have
    `each` on average.
    """
    return identities if each == 1 else int(1.5 * identities * each) + 4


def without_identity(found: NearestIdentities, members: Members, identities: np.ndarray) -> NearestIdentities:
    """The same without one identity for each probe, (n,). Each probe loses one: that identity, or the last if it is not there."""
    own = members.codes[found.rows] == identities[:, None]
    order = np.argsort(own, axis=1, kind="stable")[:, :-1]
    return NearestIdentities(np.take_along_axis(found.rows, order, 1), np.take_along_axis(found.distances, order, 1))


def fused_distances(
    index: SearchableIndex, members: Members, probes: np.ndarray, found: NearestIdentities, nearest: int
) -> np.ndarray:
    """The distance of each identity, float32 (n, t): the mean over its `nearest` nearest templates, or all if it has fewer."""
    if nearest == 1 or members.most == 1:
        return found.distances
    fused = np.empty_like(found.distances)
    for column, identities in enumerate(members.codes[found.rows].T):
        fused[:, column] = _mean_nearest(index, members, probes, identities, nearest)
    return fused


def nearest_of_identity(index: SearchableIndex, members: Members, identities: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The distance of vector i (n, d) to the nearest template of identity i (n,): float32 (n,)."""
    return _mean_nearest(index, members, vectors, identities, 1)


def _mean_nearest(
    index: SearchableIndex, members: Members, probes: np.ndarray, identities: np.ndarray, nearest: int
) -> np.ndarray:
    result = np.empty(len(probes), np.float32)
    counts = members.counts[identities]
    # Identities with the same number of templates together, so that one with a thousand does not widen the arrays of all.
    for size in np.unique(counts):
        at = np.flatnonzero(counts == size)
        rows = members.rows(identities[at])
        # Identities come again and again, each with its vectors read once.
        there, back = np.unique(rows, return_inverse=True)
        own = distances_to(probes[at], index.vectors(there), back.reshape(rows.shape))
        result[at] = np.sort(own, axis=1)[:, :nearest].mean(axis=1)
    return result


def first_of_each(codes: np.ndarray) -> np.ndarray:
    """For an array (m, k): whether each entry is the first one of its value in its row."""
    order = np.argsort(codes, axis=1, kind="stable")
    ordered = np.take_along_axis(codes, order, axis=1)
    first = np.ones_like(codes, bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    result = np.empty_like(first)
    np.put_along_axis(result, order, first, axis=1)
    return result
