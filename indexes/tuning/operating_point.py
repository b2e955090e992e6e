"""The least effort with which an index reaches a recall: measured after the build, and kept with the index."""

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from indexes.approximate.two_stage import Effort, TwoStageIndex
from indexes.base import Progress
from indexes.errors import PlanError
from indexes.exact.flat import Flat

_SHORTLISTS = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512)
# Shortlists with which the visits are chosen. The first is nearly always long enough.
_LONG = (128, 512)
# Vectors that are searched exactly at a time, so that their lower bounds take little memory.
_PART = 1 << 18
# Distances that differ by less count as equal: any vector as near as the nearest is a right answer.
SAME = 1e-6


@dataclass(frozen=True)
class OperatingPoint:
    """The effort of a search, and the recall that was measured with it.

    `asked` and `recall`: shares of the exact rank-1 answers, the one requested and the one measured on `probes` probes.
    `of_visits`: the most visits possible. `per_second`: probes searched in one batch, on this machine.
    """

    asked: float
    recall: float
    probes: int
    visits: int
    of_visits: int
    shortlist: int
    per_second: float


def nearest_distances(vectors: np.ndarray, probes: np.ndarray) -> np.ndarray:
    """The exact distance (n,) of each probe (n, d) to its nearest of `vectors` (m, d), which are read in parts."""
    best = np.full(len(probes), np.inf, np.float32)
    for start in range(0, len(vectors), _PART):
        part = Flat(np.asarray(vectors[start : start + _PART]))
        best = np.minimum(best, part.search(probes, 1).distances[:, 0])
    return best


def recall_of(index: TwoStageIndex, probes: np.ndarray, nearest: np.ndarray) -> float:
    """The share of probes (n, d) for which the index finds a vector as near as the nearest, at its present effort."""
    return float(np.mean(index.search(probes, 1).distances[:, 0] <= nearest + SAME))


def tune(index: TwoStageIndex, probes: np.ndarray, recall: float, progress: Progress | None = None) -> OperatingPoint:
    """Set the effort of an index to the least that reaches a recall: the fewest visits, then the shortest shortlist.

    Args:
        index: what to tune.
        probes: mated probes (n, d), as similar to real ones as possible.
        recall: the share of exact rank-1 answers to reach, 0 to 1.
        progress: called at each step.

    Raises:
        PlanError: no effort reaches it; names the recall that was reached.
    """
    report = progress or (lambda *_: None)
    report("measuring", 0, 3)
    nearest = nearest_distances(index._vectors, probes)
    report("measuring", 1, 3)
    sizes = [size for size in _SHORTLISTS if size < index.count] or [index.count]

    # On other probes the recall is a little lower than on those that the effort was chosen with. So one standard error more is
    # required of these, if any effort reaches that.
    more = (recall * (1 - recall) / len(probes)) ** 0.5
    effort = _least_effort(index, probes, nearest, recall + more, sizes) or _least_effort(index, probes, nearest, recall, sizes)
    if effort is None:
        best = recall_of(index, probes, nearest)
        raise PlanError(
            f"a recall of {recall:g} was asked for; the {index.kind} index reached {best:.4f} at most, "
            f"with {index.effort.visits} visits and a shortlist of {index.effort.shortlist}. "
            "Ask for less with --recall, or take --index flat"
        )
    report("measuring", 2, 3)
    index.effort = effort
    start = time.perf_counter()
    found = recall_of(index, probes, nearest)
    seconds = time.perf_counter() - start
    report("measuring", 3, 3)
    return OperatingPoint(recall, found, len(probes), effort.visits, index.most_visits, effort.shortlist, len(probes) / seconds)


def _least_effort(
    index: TwoStageIndex, probes: np.ndarray, nearest: np.ndarray, goal: float, sizes: Sequence[int]
) -> Effort | None:
    """The least effort that reaches a recall. Where none does, None, and the index is left at its greatest effort."""

    def reaches(visits: int, shortlist: int) -> bool:
        index.effort = Effort(visits, shortlist)
        return recall_of(index, probes, nearest) >= goal

    for most in _LONG:
        long = min(most, sizes[-1])
        visits = _first(_grid(index.most_visits), partial(reaches, shortlist=long))
        if visits is not None:
            shortlist = _first([size for size in sizes if size <= long], partial(reaches, visits))
            return Effort(visits, shortlist or long)
    return None


def _grid(most: int) -> list[int]:
    """1, 2, 3, ... and then in steps of a tenth, up to `most`."""
    grid = [1]
    while grid[-1] < most:
        grid.append(min(most, max(grid[-1] + 1, grid[-1] * 11 // 10)))
    return grid


def _first(values: Sequence[int], holds: Callable[[int], bool]) -> int | None:
    """The first of sorted values for which a condition holds that then holds for all later ones too; None if it never holds.

    Larger values cost more to try, so values are doubled until it holds, and only the last step is bisected.
    """
    low = high = 0
    while not holds(values[high]):
        if high == len(values) - 1:
            return None
        low = high + 1
        twice = bisect_left(values, 2 * values[high])
        high = min(max(twice, low), len(values) - 1)
    while low < high:
        middle = (low + high) // 2
        if holds(values[middle]):
            high = middle
        else:
            low = middle + 1
    return values[low]
