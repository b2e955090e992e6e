"""From the nearest templates of a probe to its nearest identities."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from indexes.base import Neighbours, SearchableIndex, distances_to, in_parts, nearest_of
from indexes.composite.selected import SelectedIndex

# Templates that an exact index is asked for, at most, to meet enough identities; more only where an identity has many on average.
_MOST = 256
# Templates that are searched for first for each identity that is wanted, beside those of the probe's own: of hundreds a few are
# near, and probes that need more are searched for again.
_OTHERS = 16
# An exact index is asked for no more than if each identity that is wanted had so many times as many as the average: where that
# meets too few, those that have more are searched one by one.
_CROWD = 6


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
    if index.count == members.identities:
        nearest = index.search(probes, wanted, stop_near=stop_near)
        return NearestIdentities(nearest.rows, nearest.distances)
    rows, distances = np.empty((len(probes), wanted), np.int64), np.empty((len(probes), wanted), np.float32)
    each = index.count / members.identities
    k = templates_for(wanted, each)
    most = min(index.count, max(_MOST, int(_CROWD * wanted * each) + 16) if index.exact else index.count)
    pending, asked = np.arange(len(probes)), 0
    while len(pending) and asked < most:
        # Identities with many templates fill the list: search for more neighbours, for those probes only.
        asked, k = min(k, most), 4 * k
        left = []
        for part in in_parts(pending, asked):
            found = index.search(probes[part], asked, stop_near=stop_near)
            first = first_of_each(members.codes[found.rows])
            enough = first.sum(axis=1) >= wanted
            # Keep the nearest template of each identity, and of those the first `wanted`.
            keep = first[enough] & (np.cumsum(first[enough], axis=1) <= wanted)
            rows[part[enough]] = found.rows[enough][keep].reshape(-1, wanted)
            distances[part[enough]] = found.distances[enough][keep].reshape(-1, wanted)
            left.append(part[~enough])
        pending = np.concatenate(left)
    if len(pending):
        apart = _crowds_apart(index, members, probes[pending], wanted, most // wanted)
        rows[pending], distances[pending] = apart.rows, apart.distances
    return NearestIdentities(rows, distances)


def _crowds_apart(index: SearchableIndex, members: Members, probes: np.ndarray, wanted: int, each: int) -> NearestIdentities:
    """As `nearest_identities`, exactly. Identities of more than `each` templates are searched one by one, and the others without
    them, of whom none fills a list: so it takes no longer where one has half of all templates.
    """
    crowd = members.counts > each
    crowds = [np.sort(members.all_rows(np.array([identity]))) for identity in np.flatnonzero(crowd)]
    others = np.flatnonzero(~crowd[members.codes])
    theirs = Members((np.cumsum(~crowd) - 1)[members.codes[others]])
    rows, distances = np.empty((len(probes), wanted), np.int64), np.empty((len(probes), wanted), np.float32)
    for part in in_parts(np.arange(len(probes)), len(crowds) + wanted):
        near = []
        for place in crowds:
            found = SelectedIndex(index, place).search(probes[part], 1)
            near.append(Neighbours(place[found.rows], found.distances))
        if len(others):
            rest = nearest_identities(SelectedIndex(index, others), theirs, probes[part], wanted)
            near.append(Neighbours(others[rest.rows], rest.distances))
        best = nearest_of(np.hstack([one.rows for one in near]), np.hstack([one.distances for one in near]), wanted)
        rows[part], distances[part] = best.rows, best.distances
    return NearestIdentities(rows, distances)


def templates_for(identities: int, each: float) -> int:
    """How many of the nearest templates are searched for first where so many of the nearest identities are wanted, which have
    `each` on average.
    """
    return identities if each == 1 else int(min(1.5 * identities * each + 4, 2 * each + _OTHERS * identities))


def without_identity(found: NearestIdentities, members: Members, identities: np.ndarray) -> NearestIdentities:
    """The same without one identity for each probe, (n,). Each probe loses one: that identity, or the last if it is not there."""
    own = members.codes[found.rows] == identities[:, None]
    order = np.argsort(own, axis=1, kind="stable")[:, :-1]
    return NearestIdentities(np.take_along_axis(found.rows, order, 1), np.take_along_axis(found.distances, order, 1))


def with_further(found: NearestIdentities, further: NearestIdentities, members: Members) -> NearestIdentities:
    """The identities that were `found` for each probe, and behind them those that a longer search found `further`, as many as it
    found in all.
    """
    own = members.codes[found.rows][:, :, None] == members.codes[further.rows][:, None, :]
    more = max(further.rows.shape[1] - found.rows.shape[1], 0)
    order = np.argsort(own.any(axis=1), axis=1, kind="stable")[:, :more]
    rows, distances = (np.take_along_axis(values, order, 1) for values in (further.rows, further.distances))
    return NearestIdentities(np.hstack([found.rows, rows]), np.hstack([found.distances, distances]))


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
        for at in in_parts(np.flatnonzero(counts == size), int(size)):
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
