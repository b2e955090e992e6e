"""How well searches and comparisons agree with the truth: pure functions over arrays. Scores are small where things are alike.

Identification rates are those of NIST FRTE 1:N and ISO/IEC 19795-1: FPIR of non-mated searches, FNIR and TPIR = 1 - FNIR of
mated ones, at rank 1 and within a threshold. `measure` knows them by name: `rank1`, `tpir@fpir=0.01`, `fnir@fpir=0.003`,
`tpir@threshold=0.8`, `fpir@threshold=0.8`; of pairs `fnmr@fmr=0.001`, `eer`, `auc`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from engine.errors import MetricsError


@dataclass(frozen=True)
class Searches:
    """Searches whose truth is known.

    `ranks` (n,): of mated searches, the place of the true identity among the candidates, from 1; 0 where it is not among them.
    `mated` (n,): the first candidate's score. `non_mated` (m,): the same of searches of people who are not enrolled.
    `mated_identities` (n,) and `non_mated_identities` (m,) say who was searched for; only the bootstrap needs them.
    """

    ranks: np.ndarray
    mated: np.ndarray
    non_mated: np.ndarray
    mated_identities: np.ndarray | None = None
    non_mated_identities: np.ndarray | None = None


@dataclass(frozen=True)
class Comparisons:
    """Distances of pairs of templates: `genuine` (n,) of one identity, `impostor` (m,) of two."""

    genuine: np.ndarray
    impostor: np.ndarray


@dataclass(frozen=True)
class Curve:
    """Points of a trade-off, both float64 (p,): the share of false acceptances, rising, and that of false rejections."""

    false_accepts: np.ndarray
    false_rejects: np.ndarray


def fpir(non_mated: np.ndarray, threshold: float) -> float:
    """False-positive identification rate: |{s <= T}| / m over the best scores (m,) of non-mated searches."""
    return float(np.mean(_scores(non_mated, "non-mated searches") <= threshold))


def threshold_at(scores: np.ndarray, rate: float) -> float:
    """The largest threshold that at most a share `rate` of the scores (m,) reaches: FPIR(T) <= rate."""
    ordered = np.sort(_scores(scores, "non-mated searches"))
    if not 0 < rate <= 1:
        raise MetricsError(f"a rate of {rate:g} was asked for; expected above 0, to 1")
    allowed = int(np.floor(rate * len(ordered) + 1e-9))
    return float(ordered[-1] if allowed >= len(ordered) else np.nextafter(ordered[allowed], -np.inf))


def fnir(ranks: np.ndarray, mated: np.ndarray, threshold: float, rank: int = 1) -> float:
    """False-negative identification rate: the share of mated searches whose true identity is not within `rank` and `threshold`.

    `mated` (n,) are scores of the first candidate, so that with a threshold `rank` is 1; without one (infinity) it may be any.
    """
    scores = _scores(mated, "mated searches")
    if rank != 1 and np.isfinite(threshold):
        raise MetricsError(f"rank {rank} with a threshold: the scores are those of the first candidates; expected rank 1")
    places = np.asarray(ranks)
    return float(1 - np.mean((places >= 1) & (places <= rank) & (scores <= threshold)))


def tpir(ranks: np.ndarray, mated: np.ndarray, threshold: float) -> float:
    """True-positive identification rate at rank 1, 1 - FNIR(T)."""
    return 1 - fnir(ranks, mated, threshold)


def tpir_at_fpir(searches: Searches, rate: float) -> float:
    """TPIR at the largest threshold whose FPIR is at most `rate`."""
    return tpir(searches.ranks, searches.mated, threshold_at(searches.non_mated, rate))


def cmc(ranks: np.ndarray, most: int = 100) -> np.ndarray:
    """Cumulative match characteristic, float64 (most,): the share of mated searches found within rank 1, 2, ..."""
    places = np.asarray(ranks)
    if not len(places):
        raise MetricsError("there are no mated searches; expected at least one")
    counts = np.bincount(places[(places >= 1) & (places <= most)], minlength=most + 1)[1:]
    return np.cumsum(counts) / len(places)


def det(searches: Searches) -> Curve:
    """Detection error trade-off: FNIR against FPIR, at each score of a non-mated search as threshold."""
    strangers = np.sort(_scores(searches.non_mated, "non-mated searches"))
    own = np.sort(_scores(searches.mated, "mated searches")[np.asarray(searches.ranks) == 1])
    found = np.searchsorted(own, strangers, "right") / len(searches.mated)
    return Curve(np.searchsorted(strangers, strangers, "right") / len(strangers), 1 - found)


def fmr(impostor: np.ndarray, threshold: float) -> float:
    """False-match rate: the share of impostor distances (m,) within the threshold."""
    return float(np.mean(_scores(impostor, "impostor pairs") <= threshold))


def fnmr(genuine: np.ndarray, threshold: float) -> float:
    """False-non-match rate: the share of genuine distances (n,) beyond the threshold."""
    return float(np.mean(_scores(genuine, "genuine pairs") > threshold))


def eer(pairs: Comparisons) -> float:
    """Equal error rate: (FMR + FNMR) / 2 at the observed distance where they differ least."""
    genuine, impostor = np.sort(_scores(pairs.genuine, "genuine pairs")), np.sort(_scores(pairs.impostor, "impostor pairs"))
    at = np.concatenate([[-np.inf], np.unique(np.concatenate([genuine, impostor]))])
    false_match = np.searchsorted(impostor, at, "right") / len(impostor)
    false_non_match = 1 - np.searchsorted(genuine, at, "right") / len(genuine)
    best = int(np.argmin(np.abs(false_match - false_non_match)))
    return float((false_match[best] + false_non_match[best]) / 2)


def auc(pairs: Comparisons) -> float:
    """Area under the ROC curve: the chance that a genuine pair is nearer than an impostor pair, ties counting half.

    The statistic of Mann and Whitney (1947) over n * m.
    """
    genuine, impostor = _scores(pairs.genuine, "genuine pairs"), np.sort(_scores(pairs.impostor, "impostor pairs"))
    nearer = len(impostor) - np.searchsorted(impostor, genuine, "right")
    tied = np.searchsorted(impostor, genuine, "right") - np.searchsorted(impostor, genuine, "left")
    return float(np.mean(nearer + tied / 2) / len(impostor))


def apcer(attacks: Mapping[str, np.ndarray], threshold: float) -> dict[str, float]:
    """Attack presentation classification error rate, ISO/IEC 30107-3: of each species of presentation attack the share that is
    taken for a living person, |{s >= T}| / n over a detector's scores (n,), large for living people. What a system has is its
    largest. (Scores of a detector, unlike all others here, are large where all is well.)
    """
    if not attacks:
        raise MetricsError("there are no species of attack; expected at least one")
    return {species: float(np.mean(_scores(scores, species) >= threshold)) for species, scores in attacks.items()}


def bpcer(bona_fide: np.ndarray, threshold: float) -> float:
    """Bona fide presentation classification error rate, ISO/IEC 30107-3: the share of living people who are taken for an attack,
    |{s < T}| / n over a detector's scores (n,), large for living people.
    """
    return float(np.mean(_scores(bona_fide, "bona fide presentations") < threshold))


def measure(name: str, data: Searches | Comparisons) -> float:
    """A metric by its name, as the module's docstring lists them.

    Raises:
        MetricsError: no such name, data of the other kind, or data without what the metric needs.
    """
    function, kind = _parsed(name)
    if not isinstance(data, kind):
        raise MetricsError(f"{name} is measured on {kind.__name__}, not on {type(data).__name__}")
    return function(data)


def bootstrap(
    name: str, searches: Searches, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """An interval of a metric by resampling identities, mated and non-mated ones apart: searches for one person hang together.

    Percentiles of `resamples` draws with replacement (Efron 1979; for biometrics Bolle et al. 2004, the subsets bootstrap).

    Raises:
        MetricsError: as `measure`, or the searches do not say for whom they were.
    """
    if searches.mated_identities is None or searches.non_mated_identities is None:
        raise MetricsError("a bootstrap by identity needs to know who was searched for; pass the identities")
    measure(name, searches)
    random = np.random.default_rng(seed)
    mated, non_mated = _groups(searches.mated_identities), _groups(searches.non_mated_identities)
    values = []
    for _ in range(resamples):
        own = np.concatenate([mated[i] for i in random.integers(0, len(mated), len(mated))])
        others = np.concatenate([non_mated[i] for i in random.integers(0, len(non_mated), len(non_mated))])
        drawn = Searches(searches.ranks[own], searches.mated[own], searches.non_mated[others])
        values.append(measure(name, drawn))
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _parsed(name: str) -> tuple[Callable[..., float], type]:
    if (match := re.fullmatch(r"rank([1-9]\d*)", name)) is not None:
        place = int(match[1])
        return lambda data: float(cmc(data.ranks, place)[-1]), Searches
    if name in ("eer", "auc"):
        return (eer if name == "eer" else auc), Comparisons
    match = re.fullmatch(r"(tpir|fnir|fpir|fnmr)@(fpir|fmr|threshold)=([0-9.eE+-]+)", name)
    try:
        what, given, value = (match[1], match[2], float(match[3])) if match else ("", "", 0.0)
    except ValueError:
        what = given = ""
        value = 0.0
    known: dict[tuple[str, str], tuple[Callable[..., float], type]] = {
        ("tpir", "fpir"): (lambda data: tpir_at_fpir(data, value), Searches),
        ("fnir", "fpir"): (lambda data: 1 - tpir_at_fpir(data, value), Searches),
        ("tpir", "threshold"): (lambda data: tpir(data.ranks, data.mated, value), Searches),
        ("fnir", "threshold"): (lambda data: fnir(data.ranks, data.mated, value), Searches),
        ("fpir", "threshold"): (lambda data: fpir(data.non_mated, value), Searches),
        ("fnmr", "fmr"): (lambda data: fnmr(data.genuine, threshold_at(data.impostor, value)), Comparisons),
    }
    if (what, given) not in known:
        raise MetricsError(
            f"no metric is called {name!r}; expected one such as rank1, tpir@fpir=0.01, fnmr@fmr=0.001, eer or auc"
        )
    return known[what, given]


def _scores(scores: np.ndarray, of: str) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    if not len(scores):
        raise MetricsError(f"there are no {of}; expected at least one")
    if np.isnan(scores).any():
        raise MetricsError(f"{int(np.isnan(scores).sum())} of {len(scores)} scores of {of} are NaN; expected numbers")
    return scores


def _groups(identities: np.ndarray) -> list[np.ndarray]:
    order = np.argsort(identities, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(np.unique(identities, return_inverse=True)[1][order])) + 1)
