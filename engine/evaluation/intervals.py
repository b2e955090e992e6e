"""How sure a rate is: people drawn anew with replacement, never single searches, since searches for one person hang together.

The bootstrap over people (Efron 1979; for biometrics Bolle, Ratha and Pankanti 2004) gives the variance v of a rate p. A rate of
independent searches has p (1 - p) / n; so these are worth n = p (1 - p) / v of them, and the interval is that of Wilson (1927) at
this n (as Korn and Graubard 1998 and Franco et al. 2019 do for samples of households). It stays within 0 and 1, is as lopsided
as rare events are, and is none of width 0 where nothing went wrong.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import t as student

RESAMPLES = 1000
# Lots that people are drawn in, at most: of many people, some at random stand together, which changes no variance.
LOTS = 2000
CONFIDENCE = 0.95
# People that must have been searched for before any rate is told.
LEAST_PEOPLE = 30
# Events that must be expected before a rate is told: below, an interval spans more than a factor of four.
LEAST_EVENTS = 10


@dataclass(frozen=True)
class Share:
    """A rate with its interval, and of how many searches of how many people it is; `draws` (r,) are those of the bootstrap."""

    value: float
    low: float
    high: float
    searches: int
    people: int
    draws: np.ndarray


class Resampling:
    """People drawn anew with replacement, the same draws for all that is measured on them, so that differences are paired.

    `people` int (n,): who each search is for, as a number from 0.
    """

    def __init__(self, people: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> None:
        self.people = np.asarray(people)
        self.count = int(self.people.max(initial=-1)) + 1
        random = np.random.default_rng(seed)
        lots = min(self.count, LOTS)
        of_person = np.arange(self.count) if lots == self.count else random.permutation(self.count) % lots
        self.lots = of_person[self.people].astype(np.int64)
        self.weights = random.multinomial(lots, np.full(lots, 1 / max(lots, 1)), resamples).astype(np.float32)

    def of(self, rows: np.ndarray) -> "Resampling":
        """The same draws, for some of the searches: their rows (m,), or a bool (n,)."""
        part = object.__new__(Resampling)
        part.people, part.lots = self.people[rows], self.lots[rows]
        part.count, part.weights = self.count, self.weights
        return part

    def counted(self, which: np.ndarray) -> np.ndarray:
        """How many of the searches that a bool (n,) picks each lot has, float32 (lots,)."""
        return np.bincount(self.lots[which], minlength=self.weights.shape[1]).astype(np.float32)

    def drawn(self, which: np.ndarray) -> np.ndarray:
        """How many of the searches that a bool (n,) picks each resample has, float32 (r,)."""
        return self.weights @ self.counted(which)

    def share(self, events: np.ndarray, among: np.ndarray) -> Share:
        """The share of events, bool (n,), among some of the searches, bool (n,). At least one must be among them."""
        searches = int(among.sum())
        value = float((events & among).sum() / searches)
        with np.errstate(invalid="ignore", divide="ignore"):
            draws = self.drawn(events & among) / self.drawn(among)
        return share_of(value, draws, searches, self.people_in(among))

    def people_in(self, which: np.ndarray) -> int:
        """How many people the searches are for that a bool (n,) picks."""
        return int(np.count_nonzero(np.bincount(self.people[which], minlength=self.count)))


def share_of(value: float, draws: np.ndarray, searches: int, people: int) -> Share:
    """A rate whose bootstrap gave `draws` (r,), with its interval."""
    return Share(value, *interval(value, draws, searches, people), searches, people, draws)


def interval(value: float, draws: np.ndarray, searches: int, people: int) -> tuple[float, float]:
    """The interval of a rate that the module's docstring describes. `people` count for one search each where v is 0."""
    spread = float(np.nanvar(draws)) if np.isfinite(draws).any() else 0.0
    worth = value * (1 - value) / spread if spread > 0 and 0 < value < 1 else float(people)
    return wilson(value, max(min(worth, searches), 1.0), float(student.ppf((1 + CONFIDENCE) / 2, max(people - 1, 1))))


def wilson(value: float, count: float, z: float) -> tuple[float, float]:
    """Wilson's score interval of a share of `count` independent searches."""
    middle, scale = value + z * z / (2 * count), 1 + z * z / count
    half = z * np.sqrt(value * (1 - value) / count + z * z / (4 * count * count))
    low, high = float((middle - half) / scale), float((middle + half) / scale)
    return low if value > 0 else 0.0, high if value < 1 else 1.0


def quantiles(draws: np.ndarray) -> tuple[float, float]:
    """The interval of a figure that is no share, such as a difference: percentiles of its draws (r,)."""
    low, high = np.nanquantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def too_few(rate: float, people: int) -> str | None:
    """Why a rate of strangers' false alarms cannot be told of so many people, and how many would do; None where it can."""
    if reason := too_few_people(people, "strangers"):
        return reason
    if people * rate >= LEAST_EVENTS:
        return None
    return f"{people:,} strangers are too few for {100 * rate:.6g} %; {int(np.ceil(LEAST_EVENTS / rate)):,} would do"


def too_few_people(people: int, who: str) -> str | None:
    """Why nothing is told of so many people; None where it can be."""
    return None if people >= LEAST_PEOPLE else f"{people:,} {who} are too few to tell of; {LEAST_PEOPLE} would do"


@dataclass(frozen=True)
class TradeOff:
    """What a threshold trades: with draws of the bootstrap for each, on `thresholds` (g,), rising.

    `fpir`, `fnir` (g,); `fpir_draws`, `fnir_draws` (r, g).
    """

    thresholds: np.ndarray
    fpir: np.ndarray
    fnir: np.ndarray
    fpir_draws: np.ndarray
    fnir_draws: np.ndarray

    def fnir_draws_at(self, rate: float) -> np.ndarray:
        """FNIR in each resample at the largest threshold whose FPIR there is at most `rate`, float (r,).

        Between two thresholds of the grid as a straight line goes.
        """
        above = (self.fpir_draws > rate).argmax(axis=1)
        above = np.where((self.fpir_draws > rate).any(axis=1), above, self.fpir_draws.shape[1] - 1)
        before, row = np.maximum(above - 1, 0), np.arange(len(above))
        x0, x1 = self.fpir_draws[row, before], self.fpir_draws[row, above]
        y0, y1 = self.fnir_draws[row, before], self.fnir_draws[row, above]
        with np.errstate(invalid="ignore", divide="ignore"):
            way = np.clip((rate - x0) / (x1 - x0), 0, 1)
        return np.where(x1 > x0, y0 + np.nan_to_num(way) * (y1 - y0), y0)


class ThresholdGrid:
    """Thresholds at which everything is counted at once, out of strangers' scores: dense where false alarms are rare."""

    POINTS = 240

    def __init__(self, strangers: np.ndarray, mated: np.ndarray) -> None:
        ordered = np.sort(strangers[np.isfinite(strangers)])
        ranks = np.unique(np.geomspace(1, max(len(ordered), 1), self.POINTS).astype(int)) - 1
        own = mated[np.isfinite(mated)]
        wide = np.linspace(min(own.min(initial=np.inf), ordered[0]), ordered[-1], 60) if len(own) else ordered[:1]
        self.thresholds = np.unique(np.concatenate([ordered[ranks], wide]).astype(np.float64))

    @cached_property
    def count(self) -> int:
        """How many thresholds there are."""
        return len(self.thresholds)

    def reached(self, resampling: Resampling, scores: np.ndarray, which: np.ndarray) -> np.ndarray:
        """How many of the scores (n,) that a bool (n,) picks reach each threshold, by lot, float32 (lots, g)."""
        lots, at = resampling.lots[which], np.searchsorted(self.thresholds, scores[which].astype(np.float64), "left")
        inside = at < self.count
        flat = np.bincount(lots[inside] * self.count + at[inside], minlength=resampling.weights.shape[1] * self.count)
        return np.cumsum(flat.reshape(-1, self.count), axis=1).astype(np.float32)


def trade_off(resampling: Resampling, scores: np.ndarray, right: np.ndarray, mated: np.ndarray) -> TradeOff:
    """FPIR and FNIR over the threshold.

    Args:
        resampling: of who the searches are for.
        scores: of the first candidates (n,); infinite where a search failed.
        right: whether the first candidate is who was searched for, bool (n,).
        mated: which searches are mated, bool (n,); there is one of each kind at least.
    """
    grid = ThresholdGrid(scores[~mated], scores[mated])
    alarms, found = grid.reached(resampling, scores, ~mated), grid.reached(resampling, scores, mated & right)
    with np.errstate(invalid="ignore", divide="ignore"):
        fpir_draws = (resampling.weights @ alarms) / resampling.drawn(~mated)[:, None]
        fnir_draws = 1 - (resampling.weights @ found) / resampling.drawn(mated)[:, None]
    return TradeOff(
        grid.thresholds,
        alarms.sum(axis=0, dtype=np.float64) / (~mated).sum(),
        1 - found.sum(axis=0, dtype=np.float64) / mated.sum(),
        np.nan_to_num(fpir_draws),
        np.nan_to_num(fnir_draws, nan=1.0),
    )
