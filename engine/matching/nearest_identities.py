"""From the nearest templates of a probe to its nearest identities."""

from dataclasses import dataclass

import numpy as np

from engine.matching.members import Members, mean_of_nearest, nearest_of_each
from indexes.base import SearchableIndex, in_parts, nearest_of

# Templates that are searched for first for each identity that is wanted, beside those of the probe's own: of hundreds a few are
# near, and probes that need more are searched for again.
_OTHERS = 16
# Up to so many templates are searched for, or up to this share of all of them: a search for more takes longer than comparing a
# probe with all.
_MOST, _SHARE = 256, 1 / 256
# Templates that a probe is compared with at a time; identities that are measured exactly beyond those that are wanted, and how
# much farther the last one must be, squared: what products make of distances is rounded by less.
_BLOCK, _SPARE, _ROUNDING = 4096, 4, np.float32(1e-5)


@dataclass(frozen=True)
class NearestIdentities:
    """The nearest identities of n probes, nearest first; every probe has the same number t of them.

    `rows` int64 (n, t): the template that stands for the identity, its nearest one. `distances` float32 (n, t): its distance.
    """

    rows: np.ndarray
    distances: np.ndarray


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
    k, most = templates_for(wanted, index.count / members.identities), most_searched_for(index.count)
    pending = np.arange(len(probes))
    # Identities with many templates fill the list: search for more neighbours, for those probes only.
    while len(pending) and k <= most:
        left = []
        for part in in_parts(pending, k):
            found = index.search(probes[part], k, stop_near=stop_near)
            first = first_of_each(members.codes[found.rows])
            enough = first.sum(axis=1) >= wanted
            # Keep the nearest template of each identity, and of those the first `wanted`.
            keep = first[enough] & (np.cumsum(first[enough], axis=1) <= wanted)
            rows[part[enough]] = found.rows[enough][keep].reshape(-1, wanted)
            distances[part[enough]] = found.distances[enough][keep].reshape(-1, wanted)
            left.append(part[~enough])
        pending, k = np.concatenate(left), 4 * k
    for part in in_parts(pending, _BLOCK):
        near = _compared_with_all(index, members, probes[part], wanted)
        rows[part], distances[part] = near.rows, near.distances
    return NearestIdentities(rows, distances)


def _compared_with_all(index: SearchableIndex, members: Members, probes: np.ndarray, wanted: int) -> NearestIdentities:
    """As `nearest_identities`, exactly, in a time that goes by how many templates there are in all, whosever they are."""
    some = min(wanted + _SPARE, members.identities)
    likely, squares = _likely(index, members, probes, some)
    rows, distances = _measured(index, members, probes, likely, wanted)
    if some < members.identities:
        # Templates may be as good as equal, and products confuse those that are behind with those before, in one batch other ones
        # than in the next: where they may have, every distance is measured.
        unsure = np.flatnonzero(squares[:, -1] - distances[:, -1] ** 2 <= _ROUNDING)
        every = np.arange(members.identities)
        for part in in_parts(unsure, members.identities):
            everybody = np.broadcast_to(every, (len(part), len(every)))
            rows[part], distances[part] = _measured(index, members, probes[part], everybody, wanted)
    return NearestIdentities(rows, distances)


def _likely(index: SearchableIndex, members: Members, probes: np.ndarray, some: int) -> tuple[np.ndarray, np.ndarray]:
    """The `some` identities of each probe (n, d) whose nearest templates products find nearest, int64 (n, some), and the squares
    of their distances, about.
    """
    likely, squares = np.empty((len(probes), 0), np.int64), np.empty((len(probes), 0), np.float32)
    order, own = members.all_rows(np.arange(members.identities)), np.einsum("nd,nd->n", probes, probes)[:, None]
    for start in range(0, len(order), _BLOCK):
        rows = order[start : start + _BLOCK]
        vectors, codes = index.vectors(rows), members.codes[rows]
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        products = probes @ vectors.T
        products -= np.einsum("nd,nd->n", vectors, vectors) / 2
        near = np.maximum(own - 2 * np.maximum.reduceat(products, starts, axis=1), 0)
        codes = np.broadcast_to(codes[starts], near.shape)
        likely, squares = np.hstack([likely, codes]), np.hstack([squares, near])
        # One that goes on from block to block is met twice, and leaves the farther place to another.
        best = nearest_of(likely, squares, min(some + 1, likely.shape[1]))
        likely, squares = best.rows, np.where(first_of_each(best.rows), best.distances, np.inf)
    order = np.argsort(squares, axis=1, kind="stable")[:, :some]
    return np.take_along_axis(likely, order, 1), np.take_along_axis(squares, order, 1)


def _measured(
    index: SearchableIndex, members: Members, probes: np.ndarray, identities: np.ndarray, wanted: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of some identities of each probe (n, m) the `wanted` nearest, by their exact distances: rows and distances (n, wanted)."""
    found = nearest_of_each(index, members, identities, probes)
    best = nearest_of(found.rows, found.distances, wanted)
    return best.rows, best.distances


def templates_for(identities: int, each: float) -> int:
    """How many of the nearest templates are searched for first where so many of the nearest identities are wanted, which have
    `each` on average.
    """
    return identities if each == 1 else int(min(1.5 * identities * each + 4, 2 * each + _OTHERS * identities))


def most_searched_for(count: int) -> int:
    """How many of the nearest of `count` templates are searched for at most; a probe that takes more is compared with all."""
    return max(_MOST, int(_SHARE * count))


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
    return mean_of_nearest(index, members, members.codes[found.rows], probes, nearest)


def first_of_each(codes: np.ndarray) -> np.ndarray:
    """For an array (m, k): whether each entry is the first one of its value in its row."""
    order = np.argsort(codes, axis=1, kind="stable")
    ordered = np.take_along_axis(codes, order, axis=1)
    first = np.ones_like(codes, bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    result = np.empty_like(first)
    np.put_along_axis(result, order, first, axis=1)
    return result
