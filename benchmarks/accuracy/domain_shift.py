"""What false-alarm rate is obtained when probes are worse than the enrolled photographs, or better, or a mixture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from benchmarks.accuracy.open_set import calibrated, enrol, thresholds
from benchmarks.accuracy.sweep import Summary, summary
from engine.calibration.calibration import RowNames, calibrate_on_strangers
from engine.evaluation.splits import RATES
from engine.matching.scoring import Scoring
from engine.metrics import fpir
from engine.templates.model import Templates

CLEAN, MIXED = "clean", "mixed"


@dataclass(frozen=True)
class Shift:
    """Enrolled photographs of one kind, probes of another. `obtained`: FPIR in units of the one asked for, by rate, where the
    gallery calibrated itself; `cohort`: where strangers' photographs of the probes' kind were given. `found`: the share of mated
    probes right within the gallery's own threshold for 1 %.
    """

    enrolled: str
    probes: str
    obtained: Mapping[float, Summary]
    cohort: Mapping[float, Summary]
    found: Summary


@dataclass(frozen=True)
class Seen:
    """Templates (n, d), and what they are worth (n,)."""

    vectors: np.ndarray
    qualities: np.ndarray


def measure_shifts(kinds: Mapping[str, Templates], score: str, *, identities: int = 1000, splits: int = 10) -> list[Shift]:
    """Clean against each kind, each kind against clean, and mixtures of all against mixtures.

    Args:
        kinds: `clean` labelled templates, and templates of the same photographs made worse; their sources say which is which.
        score: plain or local.
        identities: to enrol, one photograph each; the others are strangers, a quarter of them the cohort.
        splits: how often.
    """
    sets = {kind: _by_source(templates) for kind, templates in kinds.items()}
    common = sorted(set.intersection(*(set(own) for own in sets.values())))
    people = np.array([kinds[CLEAN].table["identity"][row].as_py() for row in (sets[CLEAN][source] for source in common)])
    rows = {kind: [sets[kind][source] for source in common] for kind in kinds}
    seen = {kind: Seen(templates.vectors[rows[kind]], templates.qualities[rows[kind]]) for kind, templates in kinds.items()}
    codes = np.unique(people, return_inverse=True)[1]
    random = np.random.default_rng(0)
    which = (random.integers(0, len(kinds), len(common)), np.arange(len(common)))
    seen[MIXED] = Seen(*(np.stack([getattr(seen[kind], name) for kind in kinds])[which] for name in ("vectors", "qualities")))
    worse = [kind for kind in kinds if kind != CLEAN]
    pairs = [(CLEAN, CLEAN), *((CLEAN, kind) for kind in worse), *((kind, CLEAN) for kind in worse)]
    pairs += [(MIXED, MIXED), (CLEAN, MIXED), (MIXED, CLEAN)]
    return [_measure(seen, codes, *pair, Scoring.of(score), identities, splits) for pair in pairs]


def _measure(
    seen: Mapping[str, Seen], codes: np.ndarray, ours: str, theirs: str, scoring: Scoring, identities: int, splits: int
) -> Shift:
    obtained: dict[float, list[float]] = {rate: [] for rate in RATES[1:]}
    cohort: dict[float, list[float]] = {rate: [] for rate in RATES[1:]}
    found = []
    for number in range(splits):
        random = np.random.default_rng(number)
        rows = random.permutation(len(codes))
        first = rows[np.unique(codes[rows], return_index=True)[1]]
        random.shuffle(first)
        enrolled_rows, others = first[:identities], first[identities:]
        known, strangers = others[: len(others) // 4], others[len(others) // 4 :]
        enrolled = enrol(seen[ours].vectors[enrolled_rows], np.arange(identities), scoring, seen[ours].qualities[enrolled_rows])
        place = np.full(codes.max() + 1, -1)
        place[codes[enrolled_rows]] = np.arange(identities)
        mated = np.setdiff1d(np.flatnonzero(place[codes] >= 0), enrolled_rows)
        there = seen[theirs]
        hits = enrolled.candidates(there.vectors[mated], 1, qualities=there.qualities[mated])
        scores = enrolled.candidates(there.vectors[strangers], 1, qualities=there.qualities[strangers]).scores[:, 0]
        limits = thresholds(calibrated(enrolled), identities)
        names = RowNames(pa.chunked_array([np.arange(identities).astype(str)]))
        given = calibrate_on_strangers(
            enrolled,
            there.vectors[known],
            names,
            RowNames(pa.chunked_array([known.astype(str)])),
            qualities=there.qualities[known],
        )
        for kind, by_rate in ((obtained, limits), (cohort, thresholds(given, identities))):
            for rate in kind:
                if rate in by_rate:
                    kind[rate].append(fpir(scores, by_rate[rate]) / rate)
        right = enrolled.members.codes[hits.rows[:, 0]] == place[codes[mated]]
        found.append(float(np.mean(right & (hits.scores[:, 0] <= limits[0.01]))))
    return Shift(ours, theirs, _summed(obtained), _summed(cohort), summary(found))


def _summed(values: Mapping[float, Sequence[float]]) -> dict[float, Summary]:
    return {rate: summary(own) for rate, own in values.items() if own}


def _by_source(templates: Templates) -> dict[str, int]:
    return {source: row for row, source in enumerate(templates.table["source"].to_pylist())}
