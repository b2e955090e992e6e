"""The least effort with which a search decides as an exhaustive one would: measured after the build, and kept with the index.

What counts is who is identified. A probe is one that an exhaustive search identifies where its nearest vector is nearer than that
of nine strangers in ten: thresholds for a false-alarm rate of 10 %, the most that anybody asks for, let such a probe in. Those
that are farther are identified by no search, however exact. Strangers need not be known for that: the nearest vector of another
identity than the probe's own is what a stranger in its place would find.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from indexes.approximate.two_stage import Effort, TwoStageIndex
from indexes.base import Progress, distances_to, nearest_of
from indexes.errors import PlanError
from indexes.exact.flat import Flat

_SHORTLISTS = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512)
# Shortlists with which the visits are chosen. The first is nearly always long enough.
_LONG = (128, 512)
# Vectors that are searched exactly at a time, so that their lower bounds take little memory.
_PART = 1 << 18
# Probes whose shortlists are looked at together.
_SEARCHED = 1024
# Distances that are measured to find the nearest of probes whose own vector is known, and the fewest of these that are searched
# for.
_MEASURED, _LEAST_SEARCHED = 1 << 30, 1024
# Distances that differ by less count as equal: any vector as near as the nearest is a right answer.
SAME = 1e-6
# Of strangers, the share within whose nearest distance probes count as identified, and that within which a search may stop.
_IDENTIFIED, _PLAIN = 0.1, 0.001
# The least share of probes that must count: with fewer, these are no mated ones, and all count.
_LEAST_COUNTED = 0.25
# Neighbours among which one of another identity is looked for.
_NEIGHBOURS = 8


@dataclass(frozen=True)
class OperatingPoint:
    """The effort of a search, and the recall that was measured with it.

    `asked`: the share of an exhaustive search's identifications that must come out the same. `identified`: the share that did,
    `recall`: that of the exact rank-1 answers of all `probes`. `of_visits`: the most visits possible. `per_second`: probes
    searched in one batch, on this machine. `first`: after so many visits a search stops where it is nearer than `near`; 0 where
    it never does. Where an older onek tuned, to rank-1 answers, `identified` is None.
    """

    asked: float
    recall: float
    probes: int
    visits: int
    of_visits: int
    shortlist: int
    per_second: float
    identified: float | None = None
    first: int = 0
    near: float = 0.0


@dataclass(frozen=True)
class Exact:
    """What an exhaustive search finds for n probes: `rows` (n,) the nearest one, at `distances` (n,), and `others` (m,) the
    distance to the nearest that is of another group, as far as it is known: never more than it is.
    """

    rows: np.ndarray
    distances: np.ndarray
    others: np.ndarray

    @property
    def identified(self) -> np.ndarray:
        """Which of the probes count, bool (n,)."""
        within = self.distances <= np.quantile(self.others, _IDENTIFIED)
        return within if within.mean() >= _LEAST_COUNTED else np.ones_like(within)


def exact_answers(
    vectors: np.ndarray, probes: np.ndarray, groups: np.ndarray | None = None, own: np.ndarray | None = None
) -> Exact:
    """Search for probes (n, d) in vectors (m, d), which are read in parts; `groups` (m,) and `own` (n,) as in `tune`.

    Where a probe's own vector is known, nothing that is farther can be its nearest, and what is nearer still is rare: among many
    vectors only a part of the probes is searched for, and of the others their own counts as the nearest.
    """
    if own is not None and (most := searched_of(len(probes), len(vectors))) < len(probes):
        some = np.linspace(0, len(probes) - 1, most).astype(np.int64)
        searched = exact_answers(vectors, probes[some], groups)
        rows, distances = own.copy(), distances_to(probes, vectors, own[:, None])[:, 0]
        rows[some], distances[some] = searched.rows, searched.distances
        return Exact(rows, distances, searched.others)
    k = min(2 if groups is None else _NEIGHBOURS, len(vectors))
    rows, distances = np.zeros((len(probes), k), np.int64), np.full((len(probes), k), np.inf, np.float32)
    for start in range(0, len(vectors), _PART):
        part = Flat(np.asarray(vectors[start : start + _PART])).search(probes, k)
        both = np.hstack([rows, start + part.rows]), np.hstack([distances, part.distances])
        best = nearest_of(*both, k)
        rows, distances = best.rows, best.distances
    other = np.full(len(probes), k - 1)
    if groups is not None:
        apart = groups[rows] != groups[rows[:, :1]]
        other = np.where(apart.any(axis=1), np.argmax(apart, axis=1), k - 1)
    return Exact(rows[:, 0], distances[:, 0], distances[np.arange(len(probes)), other])


def searched_of(probes: int, count: int) -> int:
    """How many of some probes, whose own vectors are known, `exact_answers` searches for in `count` vectors."""
    return min(probes, max(_LEAST_SEARCHED, _MEASURED // count))


def nearest_distances(vectors: np.ndarray, probes: np.ndarray) -> np.ndarray:
    """The exact distance (n,) of each probe (n, d) to its nearest of `vectors` (m, d), which are read in parts."""
    return exact_answers(vectors, probes).distances


def recall_of(index: TwoStageIndex, probes: np.ndarray, nearest: np.ndarray) -> float:
    """The share of probes (n, d) for which the index finds a vector as near as the nearest, at its present effort."""
    return float(np.mean(_found(index, probes, nearest)))


def _found(index: TwoStageIndex, probes: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    return index.search(probes, 1, stop_near=True).distances[:, 0] <= nearest + SAME


def tune(
    index: TwoStageIndex,
    probes: np.ndarray,
    recall: float,
    progress: Progress | None = None,
    groups: np.ndarray | None = None,
    own: np.ndarray | None = None,
) -> OperatingPoint:
    """Set the effort of an index to the least that decides as an exhaustive search would: the fewest visits, then the shortest
    shortlist; and where probes that are plainly near may stop.

    Args:
        index: what to tune.
        probes: mated probes (n, d), as similar to real ones as possible.
        recall: the share of an exhaustive search's identifications that must come out the same, 0 to 1.
        progress: called at each step.
        groups: which vectors belong together, int (m,), as the templates of one identity do; by default none do.
        own: the row of the vector that each probe was made of, int (n,), where they were made; by default nobody knows.

    Raises:
        PlanError: no effort reaches it; names the share that was reached.
    """
    report = progress or (lambda *_: None)
    report("measuring", 0, 3)
    exact = exact_answers(index._vectors, probes, groups, own)
    report("measuring", 1, 3)
    sizes = [size for size in _SHORTLISTS if index.shortest <= size < index.count] or [index.count]
    counted = exact.identified
    mated = _Mated(probes[counted], exact.distances[counted], index.list_ranks(probes[counted], exact.rows[counted]))

    # On other probes the share is a little lower than on those that the effort was chosen with. So one standard error more is
    # required of these, if any effort reaches that.
    more = (recall * (1 - recall) / len(mated.probes)) ** 0.5
    effort = _least_effort(index, mated, recall + more, sizes) or _least_effort(index, mated, recall, sizes)
    if effort is None:
        best = recall_of(index, mated.probes, mated.nearest)
        raise PlanError(
            f"a recall of {recall:g} was asked for; the {index.kind} index reached {best:.4f} at most, "
            f"with {index.effort.visits} visits and a shortlist of {index.effort.shortlist}. "
            "Ask for less with --recall, or take --index flat"
        )
    report("measuring", 2, 3)
    trial, longer = _Trial(index, probes, exact), [size for size in sizes if size >= effort.shortlist]
    # An early stop saves most, and loses hardly anything: longer shortlists come before searches without.
    for whole in dict.fromkeys((_stopping(index, mated, effort, float(np.quantile(exact.others, _PLAIN))), effort)):
        reached = _first(longer, partial(trial.reaches, recall, whole))
        spent = replace(whole, shortlist=reached or longer[-1])
        if reached:
            break
    index.effort = spent
    found, seconds = trial.of(spent)
    report("measuring", 3, 3)
    return OperatingPoint(
        asked=recall,
        recall=float(found.mean()),
        probes=len(probes),
        visits=spent.visits,
        of_visits=index.most_visits,
        shortlist=spent.shortlist,
        per_second=len(probes) / seconds,
        identified=float(found[counted].mean()),
        first=spent.first,
        near=spent.near,
    )


class _Trial:
    """What searches for some probes find with this effort and that, each tried once."""

    def __init__(self, index: TwoStageIndex, probes: np.ndarray, exact: Exact) -> None:
        self._index, self._probes, self._exact = index, probes, exact
        self._tried: dict[Effort, tuple[np.ndarray, float]] = {}

    def of(self, effort: Effort) -> tuple[np.ndarray, float]:
        """Which of the probes' nearest are found, bool (n,), and the seconds that it takes."""
        if effort not in self._tried:
            self._index.effort = effort
            start = time.perf_counter()
            found = _found(self._index, self._probes, self._exact.distances)
            self._tried[effort] = found, time.perf_counter() - start
        return self._tried[effort]

    def reaches(self, share: float, effort: Effort, shortlist: int) -> bool:
        """Whether such a share of those who count is found with a shortlist of this length."""
        found, _ = self.of(replace(effort, shortlist=shortlist))
        return bool(found[self._exact.identified].mean() >= share)


@dataclass(frozen=True)
class _Mated:
    """Probes (n, d) that an exhaustive search identifies, their exact distance (n,), and the number of lists (n,) that must be
    visited until that vector is met; None where there are no lists.
    """

    probes: np.ndarray
    nearest: np.ndarray
    ranks: np.ndarray | None


def _least_effort(index: TwoStageIndex, mated: _Mated, goal: float, sizes: Sequence[int]) -> Effort | None:
    """The least effort that reaches a share. Where none does, None, and the index is left at its greatest effort.

    How long a shortlist must be is seen in a long one. A search for a shorter one may find less, where an index puts it in order
    in two steps: who calls this looks.
    """
    for most in _LONG:
        long = min(most, sizes[-1])
        visits, places = _least_visits(index, mated, goal, long)
        if np.mean(places <= long) >= goal:
            return Effort(visits, next(size for size in (*sizes, long) if np.mean(places <= size) >= goal))
    return None


def _least_visits(index: TwoStageIndex, mated: _Mated, goal: float, long: int) -> tuple[int, np.ndarray]:
    """The fewest visits that reach a share with a long shortlist, or all where none do; and the places (n,) on it."""
    if mated.ranks is None:
        grid = _grid(index.most_visits)
        visits = _first(grid, lambda visits: bool(np.mean(_places(index, mated, visits, long) <= long) >= goal)) or grid[-1]
        return visits, _places(index, mated, visits, long)
    visits, lost = 0, 0.0
    while True:
        # As many as come to the vectors' own lists, and to those of others for what the shortlist lacks of these.
        wanted = int(np.quantile(mated.ranks, min(goal + lost, 1), method="inverted_cdf"))
        visits = min(max(wanted, visits + 1 + visits // 10), index.most_visits)
        places = _places(index, mated, visits, long)
        if visits == index.most_visits or np.mean(places <= long) >= goal:
            return visits, places
        lost = float(np.mean((mated.ranks <= visits) & (places > long)))


def _places(index: TwoStageIndex, mated: _Mated, visits: int, long: int) -> np.ndarray:
    """Where on a shortlist, from 1 on, the nearest vector of each probe is (n,); infinite where it is not on it."""
    index.effort = Effort(visits, long)
    places = np.empty(len(mated.probes))
    for start in range(0, len(places), _SEARCHED):
        part = slice(start, start + _SEARCHED)
        distances = index._distances(mated.probes[part], index.shortlist(mated.probes[part], long))
        right = distances <= mated.nearest[part, None] + SAME
        places[part] = np.where(right.any(axis=1), np.argmax(right, axis=1) + 1, np.inf)
    return places


def _stopping(index: TwoStageIndex, mated: _Mated, effort: Effort, near: float) -> Effort:
    """The same effort, stopping early where that saves most, if anything."""
    if mated.ranks is None or not index.may_stop:
        return effort
    firsts = np.array(_grid(effort.visits)[:-1] or [effort.visits])
    stopped = np.array([np.mean((mated.ranks <= first) & (mated.nearest < near)) for first in firsts])
    first = int(firsts[np.argmin(firsts + (1 - stopped) * (effort.visits - firsts))])
    stopping = replace(effort, first=first, near=near)
    return stopping if stopping.stops and stopped.max() > 0 else effort


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
