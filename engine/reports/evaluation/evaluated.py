"""All figures of an evaluation, computed from its raw searches, and so again at any time for other rates and groups."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from engine.evaluation.compare import Mistakes, compared, mistakes
from engine.evaluation.figures import AtSize, CurveWithInterval, Figure, at_sizes, curves_of, figures_at
from engine.evaluation.groups import differences, grouped
from engine.evaluation.intervals import Resampling, TradeOff
from engine.evaluation.raw import About, Searched
from engine.evaluation.splits import RATES
from engine.evaluation.truth import DemographicGroups
from engine.evaluation.verification import curve_of, figures_of, fixed_distance, law_figures, verification_of
from engine.inspection.label_audit import Finding
from engine.matching.scoring import PLAIN
from engine.statistics.rates import check_rate


@dataclass(frozen=True)
class Mistake:
    """A search that went wrong: `kind` is `false alarm` or `miss`. `probe` was searched for and is `identity` (None: nobody knows
    who); `named` came first, in the template `template_id`.
    """

    kind: str
    system: str
    k: int
    probe: str
    identity: str | None
    named: str | None
    template_id: str | None
    score: float | None
    rank: int
    expected_false_alarms: float | None
    row: int


@dataclass(frozen=True)
class Evaluation:
    """What was measured. `asked` is the rate that the report is about; `columns` those of the groups."""

    about: About
    asked: float
    figures: tuple[Figure, ...]
    curves: tuple[CurveWithInterval, ...]
    mistakes: tuple[Mistakes, ...]
    worst: tuple[Mistake, ...]
    columns: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = field(default=())

    @property
    def main(self) -> str:
        """The system that the first lines are about."""
        return self.about.systems[0].name

    @property
    def k(self) -> int:
        """The size of the whole gallery."""
        return max(trial.identities for trial in self.about.trials if trial.system == self.main)

    def figure(self, name: str, system: str | None = None, k: int | None = None, group: str = "") -> Figure | None:
        """One figure, of the main system and the whole gallery unless said otherwise."""
        wanted = (self.main if system is None else system, self.k if k is None else k, name, group)
        return next((each for each in self.figures if (each.system, each.k, each.name, each.group) == wanted), None)

    def of(self, name: str, system: str | None = None) -> list[Figure]:
        """A figure of everybody at every K, smallest first."""
        chosen = self.main if system is None else system
        return sorted(
            (each for each in self.figures if (each.system, each.name, each.group) == (chosen, name, "")), key=lambda f: f.k
        )


def evaluate(
    searched: Searched, comparisons: pa.Table, *, asked: float = 0.01, groups: DemographicGroups | None = None
) -> Evaluation:
    """Make every figure of raw searches.

    Args:
        searched: as `engine.evaluation.raw.read_searches` gives them.
        comparisons: the pairs beside them.
        asked: the rate of strangers' false alarms that the report is about.
        groups: of people or probes.

    Raises:
        GalleryError: the rate is none.
    """
    check_rate("fpir", asked)
    resampling = Resampling(searched.people)
    keys = {name: searched.texts(name) for name in ("identity", "probe", "named")}
    figures: list[Figure] = []
    curves: list[CurveWithInterval] = []
    whole: dict[str, tuple[AtSize, TradeOff | None]] = {}
    for part in at_sizes(searched, resampling):
        found, trade = figures_at(part, asked)
        figures += found
        if part.k == max(trial.identities for trial in searched.about.trials if trial.system == part.system.name):
            whole[part.system.name] = part, trade
            curves += curves_of(part, trade)
    figures += _pairs(searched, comparisons, resampling, curves)
    columns = () if groups is None else tuple(groups.columns)
    for part, _ in whole.values():
        for column in columns:
            figures += differences(grouped(part, groups, column, keys), _rate_in_force(part, asked)) if groups else []
    counted: list[Mistakes] = []
    first = next(iter(whole.values()))
    for other in list(whole.values())[1:]:
        if first[1] is None or other[1] is None or other[0].k != first[0].k:
            continue
        trades = first[1], other[1]
        figures += [compared(first[0], other[0], trades, rate) for rate in sorted({*RATES, asked})]
        counted += mistakes(first[0], other[0], keys["probe"][0], asked)
    worst = _worst(first[0], asked, keys)
    return Evaluation(searched.about, asked, tuple(figures), tuple(curves), tuple(counted), tuple(worst), columns)


def _rate_in_force(part: AtSize, asked: float) -> float:
    """The rate whose threshold groups are compared at: the one asked for, or the nearest that galleries give thresholds for."""
    known = {float(rate) for trial in part.trials for rate in trial.thresholds}
    return asked if part.supports(asked) or not known else min(known, key=lambda rate: abs(np.log(rate / asked)))


def _pairs(searched: Searched, comparisons: pa.Table, resampling: Resampling, curves: list[CurveWithInterval]) -> list[Figure]:
    """1:1 figures of each kind of template; and what its 1:1 distance does among K people, by the law and as it was."""
    figures: list[Figure] = []
    for templates in dict.fromkeys(system.templates for system in searched.about.systems):
        found = verification_of(comparisons, templates)
        if found is None:
            figures.append(Figure(templates, 0, "eer", None, reason="there are no pairs of one person, or none of two"))
            continue
        figures += figures_of(found)
        curves.append(curve_of(found))
        plain = next((each for each in searched.about.systems if each.templates == templates and each.score == PLAIN), None)
        if plain is None:
            continue
        limit, seen = fixed_distance(found, plain), []
        for part in at_sizes(searched, resampling):
            if part.system.name == plain.name and (~part.mated).any():
                share = part.resampling.share(part.scores <= np.float32(limit), ~part.mated)
                figures.append(part.figure("fpir@fixed", share))
                seen.append(part.k)
        figures += law_figures(found, plain, seen)
    return figures


def _worst(part: AtSize, asked: float, keys: dict[str, tuple[np.ndarray, list[str]]], most: int = 12) -> list[Mistake]:
    """The worst mistakes, each probe once: strangers with the best scores, and enrolled people with the worst."""
    named, _ = part.named_at(_rate_in_force(part, asked))
    made: list[Mistake] = []
    kinds = (
        ("false alarm", np.flatnonzero(~part.mated & named), part.scores),
        ("miss", np.flatnonzero(part.mated & ~part.failed & ~(named & part.right)), -part.scores),
    )
    for kind, rows, badness in kinds:
        seen: set[int] = set()
        for at in rows[np.argsort(badness[rows], kind="stable")]:
            row = int(part.rows[at])
            probe = int(keys["probe"][0][row])
            if probe in seen:
                continue
            seen.add(probe)
            texts = {name: None if (code := int(codes[row])) < 0 else known[code] for name, (codes, known) in keys.items()}
            score, told = float(part.scores[at]), float(part.told[at])
            made.append(
                Mistake(
                    kind,
                    part.system.name,
                    part.k,
                    str(texts["probe"]),
                    texts["identity"],
                    texts["named"],
                    None,
                    score if np.isfinite(score) else None,
                    int(part.ranks[at]),
                    told if np.isfinite(told) else None,
                    row,
                )
            )
            if len(seen) == most:
                break
    return made
