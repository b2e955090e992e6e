"""Where to cut the tree of merges: how alike two groups must be to be one person, so that no more groups are wrong than the user
accepts.

Among many people the decoys (`engine.grouping.method.decoys`) say how many groups are wrong at each height. Among few they say
too little, and what is known of the encoder's impostors says it: of C groups, C (C - 1) / 2 pairs could be merged wrongly, each
with the share of pairs of different people that are as alike.
"""

from dataclasses import dataclass

import numpy as np

from engine.grouping.method.decoys import Grid
from engine.grouping.method.linkage import Merges
from engine.templates.measured.impostors import Impostors

# Where the user asked for no rate: one wrong merge costs as much as `_COST` right ones gain, and at most the share `_BEARABLE` of
# the groups may be wrong.
_COST, _BEARABLE = 3, 0.2
# The same by an encoder's impostors, who are no look-alikes.
BEARABLE_OF_FEW = 0.01
STEP = 0.002


@dataclass(frozen=True)
class Counts:
    """What a cut at each height of a grid gives: `groups` of two faces and more, and `merges` done, both (h,)."""

    groups: np.ndarray
    merges: np.ndarray


def counts_at(merges: Merges, sizes: np.ndarray, heights: np.ndarray) -> Counts:
    """Count groups and merges of nodes that have `sizes` (n,) faces, at heights (h,)."""
    order = merges.falling()
    several = sizes > 1
    more = np.empty(len(order), np.int64)
    for at, (one, two) in enumerate(zip(merges.kept[order].tolist(), merges.gone[order].tolist(), strict=True)):
        more[at] = 1 - int(several[one]) - int(several[two])
        several[one] = True
    seen = np.searchsorted(-merges.heights[order], -heights, side="right")
    groups = int((sizes > 1).sum()) + np.concatenate([[0], np.cumsum(more)])[seen]
    return Counts(groups, seen)


def wrong_by_impostors(impostors: Impostors, nodes: int, counts: Counts, heights: np.ndarray) -> Grid:
    """How many groups are wrong at each height, as a table of impostors says it; heights are cosines.

    As a cut is lowered, each pair of the groups that are left is merged wrongly with the share of pairs that are as alike as
    that, and no more.
    """
    rates = np.array([impostors.rate_at(float(np.sqrt(max(2 - 2 * height, 0)))) for height in heights])
    left = nodes - np.append(counts.merges[1:], 0)
    more = left * (left - 1) / 2 * np.maximum(rates - np.append(rates[1:], 0), 0)
    wrong = np.cumsum(more[::-1])[::-1]
    return Grid(heights, wrong, wrong)


def choose(grid: Grid, counts: Counts, asked: float | None, few: bool) -> int:
    """The place in the grid where to cut.

    Asked for a rate: the lowest height at which at most that share of the groups is wrong. Nothing asked for: where right merges
    outweigh wrong ones most. Below the height of most wrong groups everything grows into one, and fewer groups says nothing good.
    """
    sensible = np.arange(len(grid.heights)) >= (0 if few else int(np.argmax(grid.wrong_groups)))
    if asked is None and not few:
        bearable = sensible & (grid.wrong_groups <= _BEARABLE * counts.groups)
        worth = np.where(bearable, counts.merges - _COST * grid.wrong_merges, -1)
        return int(np.argmax(worth))
    rate = BEARABLE_OF_FEW if asked is None else asked
    least = 1 if few else 0
    within = np.flatnonzero(sensible & (grid.wrong_groups <= rate * np.maximum(counts.groups, least)))
    return int(within[0]) if len(within) else len(grid.heights) - 1


def chance_of_wrong(grid: Grid, counts: Counts) -> np.ndarray:
    """The chance that a merge at each height is wrong, (h,): of those about there, how many are; it falls as heights rise."""
    width = 25
    size = len(grid.heights)
    low, high = np.maximum(np.arange(size) - width, 0), np.minimum(np.arange(size) + width, size - 1)
    wrong = grid.wrong_merges[low] - grid.wrong_merges[high]
    done = counts.merges[low] - counts.merges[high]
    share = np.clip(wrong / np.maximum(done, 1), 0, 1)
    return np.maximum.accumulate(share[::-1])[::-1]
