"""Rates of searches, by system and K, each with its interval or with the reason why it is not told."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.evaluation.intervals import (
    LEAST_EVENTS,
    Resampling,
    Share,
    TradeOff,
    interval,
    share_of,
    too_few,
    too_few_people,
    trade_off,
)
from engine.evaluation.raw import Searched, System, Trial
from engine.evaluation.splits import RATES
from engine.metrics import Searches, cmc, tpir_at_fpir

# Points of a curve.
_POINTS = 40


@dataclass(frozen=True)
class Figure:
    """One figure: of which system and K, its `name` as in `engine.metrics`, of which group of people (empty: all), and between
    what it lies with 95 % confidence. Where it is not told, `value` is None and `reason` says why.
    """

    system: str
    k: int
    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    searches: int = 0
    people: int = 0
    group: str = ""
    reason: str = ""


@dataclass(frozen=True)
class CurveWithInterval:
    """A line of a figure: `y` over `x`, float (p,), between `low` and `high`."""

    system: str
    k: int
    name: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class AtSize:
    """The searches of one system in galleries of one K: rows of all searches, and what is needed of them, each (n,)."""

    system: System
    k: int
    rows: np.ndarray
    scores: np.ndarray
    ranks: np.ndarray
    mated: np.ndarray
    told: np.ndarray
    failed: np.ndarray
    splits: np.ndarray
    resampling: Resampling
    trials: tuple[Trial, ...]

    @property
    def right(self) -> np.ndarray:
        """Whether the first candidate is who was searched for, bool (n,)."""
        return self.ranks == 1

    def figure(self, name: str, share: Share | None, reason: str = "", group: str = "") -> Figure:
        """A figure of a share, or of none for a reason."""
        if share is None:
            return Figure(self.system.name, self.k, name, None, group=group, reason=reason)
        return Figure(
            self.system.name, self.k, name, share.value, share.low, share.high, share.searches, share.people, group, reason
        )

    def limits(self, rate: float) -> np.ndarray:
        """The threshold that each search's gallery gives itself for a rate, float32 (n,); NaN where it gives none."""
        known = {trial.split: trial.thresholds.get(f"{rate:g}", np.nan) for trial in self.trials}
        splits, back = np.unique(self.splits, return_inverse=True)
        return np.array([known.get(int(split), np.nan) for split in splits], np.float32)[back]

    def refusal(self, rate: float) -> str:
        """Why its galleries give no threshold for a rate."""
        why = {float(each): reason for trial in self.trials for each, reason in trial.refused.items()}
        return next((why[each] for each in sorted(why, reverse=True) if each <= rate), "not measured")

    def supports(self, rate: float) -> bool:
        """Whether a gallery gives a threshold for a rate: it was kept, or one of a smaller rate was."""
        return any(float(each) <= rate for trial in self.trials for each in trial.thresholds)

    def named_at(self, rate: float) -> tuple[np.ndarray, np.ndarray]:
        """Whether each search gives a name at a rate's threshold, bool (n,), and whether its gallery has one, bool (n,).

        Of a rate whose thresholds were not kept, each search's `told` says it: so many expected false alarms or fewer.
        """
        limits = self.limits(rate)
        if np.isfinite(limits).any() or not self.supports(rate):
            return self.scores <= limits, np.isfinite(limits)
        least = {trial.split: min(map(float, trial.thresholds), default=np.inf) for trial in self.trials}
        known = np.array([least.get(int(split), np.inf) for split in self.splits]) <= rate
        known &= np.isfinite(self.told) | self.failed
        return known & (self.told <= np.float32(-np.log1p(-rate))), known


def at_sizes(searched: Searched, resampling: Resampling) -> Iterator[AtSize]:
    """The searches by system and K."""
    for number, system in enumerate(searched.about.systems):
        own = np.flatnonzero(searched.systems == number)
        for size in np.unique(searched.sizes[own]):
            rows = own[searched.sizes[own] == size]
            trials = tuple(each for each in searched.about.trials if each.system == system.name and each.identities == size)
            yield AtSize(
                system,
                int(size),
                rows,
                searched.scores[rows],
                searched.ranks[rows],
                searched.mated[rows],
                searched.told[rows],
                searched.failed[rows],
                searched.splits[rows],
                resampling.of(rows),
                trials,
            )


def figures_at(part: AtSize, asked: float, rates: tuple[float, ...] = RATES) -> tuple[list[Figure], TradeOff | None]:
    """Everything that is told of one system at one K. A rate of its own, `asked`, is told beside the usual ones."""
    figures = [part.figure("failures", part.resampling.share(part.failed, np.ones(len(part.rows), bool)))]
    mated, strangers = part.mated, ~part.mated
    wanted = sorted({*rates, asked})
    figures += _ranks(part)
    trade = None
    if mated.any() and strangers.any():
        trade = trade_off(part.resampling, part.scores, part.right, mated)
        figures += [_fnir_at(part, trade, rate) for rate in wanted]
    else:
        lacking = "nobody who is searched for is enrolled" if not mated.any() else "there are no strangers"
        figures += [part.figure(f"fnir@fpir={rate:g}", None, lacking) for rate in wanted]
    for rate in wanted:
        figures += _obtained(part, rate)
    figures += [_told(part, rate) for rate in rates]
    return figures, trade


def _ranks(part: AtSize) -> list[Figure]:
    if reason := _few_mated(part):
        return [part.figure("rank1", None, reason)]
    return [part.figure("rank1", part.resampling.share(part.right, part.mated))]


def _few_mated(part: AtSize, which: np.ndarray | None = None) -> str | None:
    if not part.mated.any():
        return "nobody who is searched for is enrolled"
    return too_few_people(part.resampling.people_in(part.mated if which is None else which), "enrolled people")


def _fnir_at(part: AtSize, trade: TradeOff, rate: float) -> Figure:
    name, strangers = f"fnir@fpir={rate:g}", part.resampling.people_in(~part.mated)
    if reason := too_few(rate, strangers) or _few_mated(part):
        return part.figure(name, None, reason)
    mated = part.mated
    searches = Searches(part.ranks[mated], part.scores[mated], part.scores[~mated])
    value, draws = 1 - tpir_at_fpir(searches, rate), trade.fnir_draws_at(rate)
    return part.figure(name, share_of(value, draws, int(mated.sum()), part.resampling.people_in(mated)))


def _obtained(part: AtSize, rate: float) -> list[Figure]:
    """FPIR and FNIR at the thresholds that the galleries give themselves for a rate."""
    named, known = part.named_at(rate)
    strangers, mated = ~part.mated & known, part.mated & known
    made = []
    kinds = (("fpir", named, strangers, "strangers"), ("fnir", ~(named & part.right), mated, "enrolled people"))
    for name, events, among, who in kinds:
        lacking = part.refusal(rate) if not known.any() else too_few_people(part.resampling.people_in(among), who)
        share = None if lacking else part.resampling.share(events, among)
        made.append(part.figure(f"{name}@asked={rate:g}", share, lacking or ""))
    return made


def _told(part: AtSize, most: float) -> Figure:
    """The share of strangers' searches that were told so few expected false alarms."""
    known = ~part.mated & np.isfinite(part.told)
    name = f"told@{most:g}"
    if not known.any():
        return part.figure(name, None, "nothing was told: the gallery knows nothing of strangers")
    if reason := too_few(most, part.resampling.people_in(known)):
        return part.figure(name, None, reason)
    return part.figure(name, part.resampling.share(part.told <= np.float32(most), known))


def curves_of(part: AtSize, trade: TradeOff | None) -> list[CurveWithInterval]:
    """The curves of one system at one K: DET, both rates over the threshold, CMC, and what was told against what happened."""
    found = []
    mated, strangers = part.mated, ~part.mated
    people, others = part.resampling.people_in(mated), part.resampling.people_in(strangers)
    if trade is not None:
        found += [_det(part, trade, people, others)]
        for name, values, draws, count, own in (
            ("fpir", trade.fpir, trade.fpir_draws, int(strangers.sum()), others),
            ("fnir", trade.fnir, trade.fnir_draws, int(mated.sum()), people),
        ):
            # Where fewer have happened than can be told of, nothing is drawn.
            shown = values * own >= LEAST_EVENTS if name == "fpir" else np.ones(len(values), bool)
            at = np.flatnonzero(shown)[:: max(1, int(shown.sum()) // (2 * _POINTS))]
            bounds = np.array([interval(values[i], draws[:, i], count, own) for i in at]).reshape(-1, 2)
            found.append(_curve(part, name, trade.thresholds[at], values[at], bounds))
    if mated.any():
        most = int(part.ranks[mated].max(initial=1))
        if most > 1:
            values = cmc(part.ranks[mated], most)
            shares = [part.resampling.share((part.ranks >= 1) & (part.ranks <= place), mated) for place in range(1, most + 1)]
            bounds = np.array([(share.low, share.high) for share in shares])
            found.append(_curve(part, "cmc", np.arange(1, most + 1), values, bounds))
    known = strangers & np.isfinite(part.told)
    if known.any():
        levels = np.geomspace(max(LEAST_EVENTS / max(others, 1), 1e-5), 1, 20)
        shares = [part.resampling.share(part.told <= np.float32(level), known) for level in levels]
        bounds = np.array([(share.low, share.high) for share in shares])
        found.append(_curve(part, "told", levels, np.array([share.value for share in shares]), bounds))
    return found


def _det(part: AtSize, trade: TradeOff, people: int, others: int) -> CurveWithInterval:
    least = LEAST_EVENTS / max(others, 1)
    rates = np.geomspace(min(least, 1), 1, _POINTS)
    mated = part.mated
    searches = Searches(part.ranks[mated], part.scores[mated], part.scores[~mated])
    values = np.array([1 - tpir_at_fpir(searches, float(rate)) for rate in rates])
    count = int(mated.sum())
    bounds = [interval(value, trade.fnir_draws_at(float(rate)), count, people) for value, rate in zip(values, rates, strict=True)]
    return _curve(part, "det", rates, values, np.array(bounds))


def _curve(part: AtSize, name: str, x: np.ndarray, y: np.ndarray, bounds: np.ndarray) -> CurveWithInterval:
    return CurveWithInterval(part.system.name, part.k, name, np.asarray(x, float), y, bounds[:, 0], bounds[:, 1])
