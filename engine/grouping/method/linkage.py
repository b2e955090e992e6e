"""Agglomeration along the edges of a graph: the two groups that are most alike become one, again and again.

How alike two groups are is s(A, B) = m_A · m_B / (|m_A| |m_B|)^0.6, with m the mean of a group's templates. An exponent of 0
would be average linkage, which breaks up people of many looks; one of 1 the cosine of centroids, which lets any two large groups
look alike. Sums of templates give it exactly.

A merge can raise scores. So a merge counts at the lowest score of all merges that it is made of, its height: heights fall from
the leaves to the root, and every cut through them is a set of groups.

Merging one pair at a time is slow in Python. Pairs that are each other's best are merged together, in bands of scores from the
top down, which gives the same groups but where a merge within a band raises a score above another of that band.
"""

from dataclasses import dataclass

import numpy as np

EXPONENT = 0.6
# The width of a band of scores.
_BAND = 0.01
# Edges that are scored at a time: what they take fits in the caches of a processor.
_PART = 1 << 12
_GONE = -2.0
_TINY = 1e-9


@dataclass(frozen=True)
class Nodes:
    """What is merged: n groups to begin with, often of one face each.

    `sums` float32 (n, d): the sum of each group's templates; `counts` (n,): of how many. `owners` (n,): nodes of different
    owners are never merged, however indirectly; -1 for those without. `apart` int64 (m, 2): nor are these pairs of nodes.
    """

    sums: np.ndarray
    counts: np.ndarray
    owners: np.ndarray
    apart: np.ndarray


@dataclass(frozen=True)
class Merges:
    """Merges in the order in which they were done. `kept`, `gone` int64 (m,): the nodes that stand for the two groups, of which
    the smaller one stands for both from then on. `heights` float32 (m,). `sizes` (m, 2): how many nodes each of the two had.
    """

    nodes: int
    kept: np.ndarray
    gone: np.ndarray
    heights: np.ndarray
    sizes: np.ndarray

    def falling(self) -> np.ndarray:
        """The order (m,) in which a cut that is lowered meets the merges."""
        return np.argsort(-self.heights, kind="stable")

    def groups_at(self, height: float) -> np.ndarray:
        """The node that stands for each node's group, int64 (n,), where merges at `height` and above are done."""
        stands = np.arange(self.nodes)
        done = self.heights >= height
        stands[self.gone[done]] = self.kept[done]
        while (stands[stands] != stands).any():
            stands = stands[stands]
        return stands


def linkage_scores(sums: np.ndarray, counts: np.ndarray, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """s(A, B), float32 (m,), for pairs of groups by their rows `one` and `two` (m,)."""
    scores = np.empty(len(one), np.float32)
    for start in range(0, len(one), _PART):
        part = slice(start, start + _PART)
        mine, theirs = one[part], two[part]
        scores[part] = pair_scores(sums.take(mine, axis=0), counts[mine], sums.take(theirs, axis=0), counts[theirs])
    return scores


def pair_scores(sums: np.ndarray, counts: np.ndarray, others: np.ndarray, their_counts: np.ndarray) -> np.ndarray:
    """s(A, B), float32 (m,), row by row, of sums (m, d) of `counts` (m,) templates with others."""
    products = np.einsum("ij,ij->i", sums, others) / (counts * their_counts)
    squares = np.einsum("ij,ij->i", sums, sums) * np.einsum("ij,ij->i", others, others) / (counts * their_counts) ** 2
    return (products / np.maximum(squares, _TINY**2) ** (EXPONENT / 2)).astype(np.float32)


def agglomerate(nodes: Nodes, edges: np.ndarray, floor: float) -> Merges:
    """Merge along edges int64 (m, 2) of different nodes, each pair once with the smaller first, down to the score `floor`."""
    return _Agglomeration(nodes, edges).run(floor)


def each_once(one: np.ndarray, two: np.ndarray, nodes: int) -> np.ndarray:
    """Edges (m, 2) between different nodes, each once, the smaller node first, in order."""
    low, high = np.minimum(one, two).astype(np.int64), np.maximum(one, two).astype(np.int64)
    keys = np.sort((low * nodes + high)[low != high])
    keys = keys[np.append(True, keys[1:] != keys[:-1])[: len(keys)]]
    return np.stack([keys // nodes, keys % nodes], axis=1)


class _Agglomeration:
    def __init__(self, nodes: Nodes, edges: np.ndarray) -> None:
        self.n = len(nodes.sums)
        self.sums, self.counts = nodes.sums.astype(np.float32), nodes.counts.astype(np.float32)
        self.owners = nodes.owners.copy()
        self.apart = each_once(nodes.apart[:, 0], nodes.apart[:, 1], self.n) if len(nodes.apart) else nodes.apart
        self.heights = np.full(self.n, np.inf, np.float32)
        self.sizes = np.ones(self.n, np.int64)
        self.one, self.two = edges[:, 0].copy(), edges[:, 1].copy()
        self.scores = self._scored(self.one, self.two)
        self.first = np.empty(self.n, np.int64)

    def run(self, floor: float) -> Merges:
        merged: list[tuple[np.ndarray, ...]] = []
        limit = 1.0
        while True:
            found = np.flatnonzero(self.scores >= limit)
            if len(found):
                merged.append(self._merge(found))
                continue
            top = float(self.scores.max(initial=_GONE))
            if top < floor:
                break
            limit = max(floor, min(limit, top) - _BAND)
            self._drop_gone()
        kept, gone, heights, mine, theirs = (
            np.concatenate([part[at] for part in merged]) if merged else np.empty(0, kind)
            for at, kind in enumerate((np.int64, np.int64, np.float32, np.int64, np.int64))
        )
        return Merges(self.n, kept, gone, heights, np.stack([mine, theirs], axis=1))

    def _merge(self, found: np.ndarray) -> tuple[np.ndarray, ...]:
        """Merge the pairs that are each other's best among the edges `found`; equally good ones by their nodes."""
        one, two, scores = self.one[found], self.two[found], self.scores[found]
        order = np.lexsort((two, one, -scores))
        one, two, scores = one[order], two[order], scores[order]
        places = np.arange(len(order))
        # Of several writes to one place the last stays, so that each node gets its first edge.
        self.first[np.stack([one, two], axis=1)[::-1].ravel()] = np.repeat(places[::-1], 2)
        best = (self.first[one] == places) & (self.first[two] == places)
        one, two, scores = one[best], two[best], scores[best]
        heights = np.minimum(np.minimum(self.heights[one], self.heights[two]), scores)
        mine, theirs = self.sizes[one], self.sizes[two]
        self.heights[one] = heights
        self.sizes[one] = mine + theirs
        self.sums[one] += self.sums[two]
        self.counts[one] += self.counts[two]
        self.owners[one] = np.maximum(self.owners[one], self.owners[two])
        self._relabel(one, two)
        return one, two, heights, mine, theirs

    def _relabel(self, one: np.ndarray, two: np.ndarray) -> None:
        """Let `one` stand for `two`, and score anew the edges that lead to them."""
        stands = np.arange(self.n)
        stands[two] = one
        changed = np.zeros(self.n, bool)
        changed[one] = changed[two] = True
        if len(self.apart):
            self.apart = each_once(stands[self.apart[:, 0]], stands[self.apart[:, 1]], self.n)
        touched = np.flatnonzero(changed[self.one] | changed[self.two])
        edges = each_once(stands[self.one[touched]], stands[self.two[touched]], self.n)
        here, over = touched[: len(edges)], touched[len(edges) :]
        self.one[here], self.two[here] = edges[:, 0], edges[:, 1]
        self.scores[here] = self._scored(edges[:, 0], edges[:, 1])
        self.one[over] = self.two[over] = 0
        self.scores[over] = _GONE

    def _scored(self, one: np.ndarray, two: np.ndarray) -> np.ndarray:
        scores = linkage_scores(self.sums, self.counts, one, two)
        mine, theirs = self.owners[one], self.owners[two]
        scores[(mine >= 0) & (theirs >= 0) & (mine != theirs)] = _GONE
        if len(self.apart):
            keys = self.apart[:, 0] * self.n + self.apart[:, 1]
            scores[np.isin(one * self.n + two, keys)] = _GONE
        return scores

    def _drop_gone(self) -> None:
        here = self.scores > _GONE
        if here.mean() < 0.9:
            self.one, self.two, self.scores = self.one[here], self.two[here], self.scores[here]
