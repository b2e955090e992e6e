"""How error rates differ between groups of people, as the user names them; nothing of the kind is ever inferred from a face.

Between groups: the worst against the best, and Gini's coefficient as NIST has it (Grother 2022, NIST IR 8429, after Howard et al.
2022, arXiv 2203.05051): G = n / (n - 1) * sum_ij |x_i - x_j| / (2 n^2 mean(x)), 0 where n groups have the same rate, 1 where one
has all of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.evaluation.figures import AtSize, Figure
from engine.evaluation.intervals import LEAST_PEOPLE, Share, quantiles
from engine.evaluation.truth import DemographicGroups

NONE = "(not said)"


@dataclass(frozen=True)
class SearchesByGroup:
    """The searches of one system at one K by the groups of a column: `who` (n,) of who is searched for, `whom` (n,) of the
    identity that is the first candidate; None where the list is about probes.
    """

    part: AtSize
    column: str
    who: np.ndarray
    whom: np.ndarray | None


def gini(rates: np.ndarray) -> np.ndarray:
    """Gini's coefficient of rates (..., n) over the last axis, as the module says; NaN where all are 0, or n is 1."""
    rates = np.asarray(rates, np.float64)
    n = rates.shape[-1]
    apart = np.abs(rates[..., :, None] - rates[..., None, :]).sum(axis=(-1, -2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return n / np.float64(n - 1) * apart / (2 * n * n * rates.mean(axis=-1))


def grouped(
    part: AtSize, groups: DemographicGroups, column: str, keys: dict[str, tuple[np.ndarray, list[str]]]
) -> SearchesByGroup:
    """The groups of some searches. `keys`: of the columns identity, probe and named of all searches, numbers and texts."""

    def of(name: str) -> np.ndarray:
        codes, texts = keys[name]
        values = np.append(groups.values(column, texts), "")
        return values[codes[part.rows]]

    return SearchesByGroup(part, column, of(groups.key), of("named") if groups.key == "identity" else None)


def differences(found: SearchesByGroup, rate: float) -> list[Figure]:
    """FPIR and FNIR of each group, between groups, and how far they are apart, at the threshold that is in force for a rate."""
    part = found.part
    named, known = part.named_at(rate)
    if not known.any():
        return [part.figure(f"fpir@asked={rate:g}", None, part.refusal(rate), f"{found.column}")]
    made: list[Figure] = []
    events = {"fpir": (named, ~part.mated & known), "fnir": (~(named & part.right), part.mated & known)}
    values = [value for value in np.unique(found.who.astype(str)) if value]
    for name, (happened, among) in events.items():
        shares: dict[str, Share] = {}
        for value in values:
            label, own = f"{found.column}={value}", among & (found.who == value)
            people = part.resampling.people_in(own)
            if people < LEAST_PEOPLE:
                kind = "strangers" if name == "fpir" else "enrolled people"
                why = f"{label}: {people} {kind} are searched for; {LEAST_PEOPLE} would do"
                made.append(part.figure(f"{name}@asked={rate:g}", None, why, label))
                continue
            shares[value] = part.resampling.share(happened, own)
            made.append(part.figure(f"{name}@asked={rate:g}", shares[value], group=label))
        made += _apart(found, name, rate, shares)
    unsaid = int(np.count_nonzero(found.who == ""))
    if unsaid:
        made.append(
            Figure(
                part.system.name,
                part.k,
                "unsaid",
                float(unsaid / len(found.who)),
                searches=unsaid,
                group=f"{found.column}={NONE}",
            )
        )
    return made + _between(found, named, ~part.mated & known, rate, values)


def _apart(found: SearchesByGroup, name: str, rate: float, shares: dict[str, Share]) -> list[Figure]:
    part, at = found.part, f"@asked={rate:g}"
    if len(shares) < 2:
        why = f"{len(shares)} groups of {found.column} are large enough; two are compared"
        return [part.figure(f"{name}.gini{at}", None, why, found.column)]
    rates, draws = np.array([share.value for share in shares.values()]), np.stack([s.draws for s in shares.values()], axis=1)
    searches, people = sum(s.searches for s in shares.values()), sum(s.people for s in shares.values())
    order = list(shares)
    best, worst = int(np.argmin(rates)), int(np.argmax(rates))
    label = f"{found.column}={order[worst]} / {order[best]}"
    made = []

    def told(measure: str, value: float, draws: np.ndarray, group: str) -> Figure:
        label = f"{name}.{measure}{at}"
        return Figure(part.system.name, part.k, label, value, *quantiles(draws), searches, people, group)

    if rates[best] > 0:
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = draws[:, worst] / draws[:, best]
        made.append(told("ratio", float(rates[worst] / rates[best]), np.where(np.isfinite(ratios), ratios, np.nan), label))
    else:
        why = f"{found.column}={order[best]} has none at all, so that no ratio can be told"
        made.append(part.figure(f"{name}.ratio{at}", None, why, label))
    if rates.max() > 0:
        made.append(told("gini", float(gini(rates)), gini(draws), found.column))
    else:
        made.append(part.figure(f"{name}.gini{at}", None, "no group has any", found.column))
    return made


def _between(found: SearchesByGroup, named: np.ndarray, among: np.ndarray, rate: float, values: Sequence[str]) -> list[Figure]:
    """Who is taken for whom: of a group's strangers, the share that gets the name of somebody of a group."""
    if found.whom is None:
        return []
    part, made = found.part, []
    for value in values:
        own = among & (found.who == value)
        if part.resampling.people_in(own) < LEAST_PEOPLE:
            continue
        for other in values:
            label = f"{found.column}={value} > {other}"
            made.append(
                part.figure(f"taken@asked={rate:g}", part.resampling.share(named & (found.whom == other), own), group=label)
            )
    return made
