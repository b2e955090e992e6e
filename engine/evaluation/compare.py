"""Two systems on the same searches: paired differences with intervals, and whose mistakes the other does not make."""

from dataclasses import dataclass

import numpy as np

from engine.evaluation.figures import AtSize, Figure
from engine.evaluation.intervals import TradeOff, quantiles, too_few
from engine.metrics import Searches, threshold_at, tpir_at_fpir


@dataclass(frozen=True)
class Mistakes:
    """How many searches of a kind both get wrong, one or the other, and neither; at the threshold of each for `rate`."""

    one: str
    other: str
    k: int
    kind: str
    rate: float
    both: int
    only_one: int
    only_other: int
    neither: int


def compared(one: AtSize, other: AtSize, trades: tuple[TradeOff, TradeOff], rate: float) -> Figure:
    """FNIR of the other minus that of one at the same FPIR, on the same people drawn anew."""
    name, label = f"difference:fnir@fpir={rate:g}", f"{other.system.name} - {one.system.name}"
    strangers = min(part.resampling.people_in(~part.mated) for part in (one, other))
    if reason := too_few(rate, strangers):
        return one.figure(name, None, reason, label)
    values = [1 - tpir_at_fpir(_searches(part), rate) for part in (one, other)]
    low, high = quantiles(trades[1].fnir_draws_at(rate) - trades[0].fnir_draws_at(rate))
    people = one.resampling.people_in(one.mated)
    return Figure(one.system.name, one.k, name, values[1] - values[0], low, high, int(one.mated.sum()), people, label)


def mistakes(one: AtSize, other: AtSize, keys: np.ndarray, rate: float) -> list[Mistakes]:
    """Misses and false alarms that both make, one, or the other. `keys` (n,): what is searched for, of all searches.

    Searches that only one of them made take no part.
    """
    names, other_names = (_wrong(part, rate) for part in (one, other))
    mine = {(int(split), int(key)): at for at, (split, key) in enumerate(zip(one.splits, keys[one.rows], strict=True))}
    pairs = [
        (mine[split, key], at)
        for at, (split, key) in enumerate(zip(other.splits.tolist(), keys[other.rows].tolist(), strict=True))
        if (split, key) in mine
    ]
    if not pairs:
        return []
    here, there = np.array(pairs).T
    found = []
    for kind, among in (("misses", one.mated[here]), ("false alarms", ~one.mated[here])):
        a, b = names[here][among], other_names[there][among]
        counts = (int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum()), int((~a & ~b).sum()))
        found.append(Mistakes(one.system.name, other.system.name, one.k, kind, rate, *counts))
    return found


def _wrong(part: AtSize, rate: float) -> np.ndarray:
    """Whether each search goes wrong at the threshold of an FPIR, bool (n,)."""
    scores = part.scores.astype(np.float64)  # thresholds lie between two of float32
    named = scores <= threshold_at(scores[~part.mated], rate)
    return np.where(part.mated, ~(named & part.right), named)


def _searches(part: AtSize) -> Searches:
    return Searches(part.ranks[part.mated], part.scores[part.mated], part.scores[~part.mated])
