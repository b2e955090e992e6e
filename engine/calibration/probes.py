"""Whether probes are like the people that a gallery was calibrated with, and what to do where they are not.

Thresholds hold for probes that are as good as those that they were learnt from. Clean probes against blurred photographs get
fewer names than they might, bad probes against a gallery of mixed ones more. What tells is the quality of the probes, and how far
they are from those whom they do not show.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.errors import GalleryError
from engine.statistics.rates import percent
from engine.templates.quality.scale import log_odds

# Quantiles that are kept, and the probes that are many.
_SHARES = tuple(round(0.05 * number, 2) for number in range(1, 20))
MANY = 100
# Up to this, two distributions of many probes differ by chance and by how many of them are enrolled; the share of the enrolled
# that must be worth more than `_BAD`.
_QUALITIES_DIFFER, _DISTANCES_DIFFER, _CHANCE = 0.08, 0.4, 1.63
_BAD, _HALF = 0.15, 0.5
# Steps of quality in which searches are weighted; the searches that the weighted ones must at least be worth.
_STEPS, _LEAST_WORTH = 16, 100


@dataclass(frozen=True)
class Kind:
    """What probes are like, by 19 quantiles each: `qualities`, the shares of ordinary photographs that are worse, None where
    nobody knows them; `seconds`, the distances to the second candidate, which is somebody else whether they are enrolled or not.
    """

    qualities: tuple[float, ...] | None
    seconds: tuple[float, ...] | None

    @classmethod
    def of(cls, qualities: np.ndarray | None, seconds: np.ndarray | None) -> "Kind":
        """Of probes: their qualities (n,), NaN where nobody knows, and distances (n,), NaN where there is no second candidate."""
        return cls(_quantiles(qualities), _quantiles(seconds))

    @classmethod
    def from_plain(cls, values: Any) -> "Kind":
        """What `asdict` gave, or its JSON. Raises `ValueError` or `TypeError` for other values."""
        found = {}
        for name in ("qualities", "seconds"):
            numbers = None if values[name] is None else tuple(float(each) for each in values[name])
            if numbers is not None and (len(numbers) != len(_SHARES) or not np.isfinite(numbers).all()):
                raise ValueError(f"{name} of {len(numbers)} quantiles")
            found[name] = numbers
        return cls(**found)


def unlike(calibrated_for: Kind | None, qualities: np.ndarray, seconds: np.ndarray, where: object) -> str | None:
    """In one line that many probes are not like those that a gallery `where` was calibrated for, and what to do; None where they
    are, or are few, or nothing is known.

    Args:
        calibrated_for: what the calibration was made with.
        qualities: of the probes (n,), NaN where nobody knows.
        seconds: their distances to the second candidate (n,), NaN where there is none.
        where: the gallery.
    """
    if calibrated_for is None:
        return None
    do = (
        "so strangers may get a name more often than was asked for, or less: say --calibrate-to probes, or calibrate with some "
        f"hundred strangers of that kind (onek calibrate {where} --strangers T.parquet)"
    )
    known = qualities[~np.isnan(qualities)]
    if calibrated_for.qualities is not None and _differ(calibrated_for.qualities, known, _QUALITIES_DIFFER):
        median = calibrated_for.qualities[len(_SHARES) // 2]
        return (
            f"the quality of the probes (half of them below {percent(float(np.median(known)))}) is not that which {where} was "
            f"calibrated for (half below {percent(median)}), {do}"
        )
    known = seconds[~np.isnan(seconds)]
    if calibrated_for.seconds is not None and _differ(calibrated_for.seconds, known, _DISTANCES_DIFFER):
        median = calibrated_for.seconds[len(_SHARES) // 2]
        return (
            f"the probes are not as far from everybody (half within {np.median(known):.3f}) as those that {where} was calibrated "
            f"for (half within {median:.3f}), {do}"
        )
    return None


def badly_enrolled(qualities: np.ndarray) -> str | None:
    """In one line that most of what is enrolled, (n,), is worth little; None where it is not, or nobody knows."""
    known = qualities[~np.isnan(qualities)]
    if len(known) < _HALF * len(qualities) or not len(known) or np.median(known) >= _BAD:
        return None
    return (
        f"of half of the enrolled pictures less than {percent(float(np.median(known)))} of ordinary photographs are worse: the "
        "gallery calibrates itself for probes as bad, and misses better ones; calibrate it with some hundred strangers such as "
        "probes will be (onek calibrate GALLERY --strangers T.parquet)"
    )


def weighted(scores: np.ndarray, qualities: np.ndarray, probes: np.ndarray) -> np.ndarray:
    """The scores (m,) that searches of strangers would have had if these had been as good as some probes: as many as they are
    worth.

    Searches are weighted so that in sixteen steps of quality as many lie as of the probes.

    Args:
        scores: of the searches (n,).
        qualities: of what was searched for (n,).
        probes: the qualities of the probes; NaN where nobody knows.

    Raises:
        GalleryError: nobody knows the qualities, or there are too few searches of that kind.
    """
    known = probes[~np.isnan(probes)]
    if not len(known) or np.isnan(qualities).any():
        raise GalleryError(
            "--calibrate-to probes goes by what pictures are worth, which is not known of these; calibrate with strangers instead"
        )
    odds = log_odds(qualities)
    edges = np.quantile(odds, np.arange(1, _STEPS) / _STEPS)
    ours, theirs = (np.searchsorted(edges, each, "right") for each in (odds, log_odds(known)))
    shares = np.bincount(theirs, minlength=_STEPS) / np.maximum(np.bincount(ours, minlength=_STEPS), 1) / len(known)
    weights = shares[ours]
    worth = int(weights.sum() ** 2 / max(float((weights**2).sum()), 1e-12)) if weights.any() else 0
    if worth < _LEAST_WORTH:
        raise GalleryError(
            f"only {worth} searches of the gallery's people are such as the probes are, {_LEAST_WORTH} are needed: calibrate "
            "with some hundred strangers of that kind (onek calibrate GALLERY --strangers T.parquet)"
        )
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    at = np.searchsorted(reached, (np.arange(worth) + 0.5) / worth)
    return np.asarray(scores[order[np.minimum(at, len(order) - 1)]])


def _quantiles(values: np.ndarray | None) -> tuple[float, ...] | None:
    known = np.empty(0) if values is None else values[~np.isnan(values)]
    if not len(known):
        return None
    return tuple(float(each) for each in np.quantile(known.astype(np.float64), _SHARES))


def _differ(before: tuple[float, ...], now: np.ndarray, by: float) -> bool:
    """Whether many values lie otherwise than quantiles say: by the greatest difference of the shares (Kolmogorov and Smirnov)."""
    if len(now) < MANY:
        return False
    shares = np.searchsorted(np.sort(now), before, "right") / len(now)
    return bool(np.abs(shares - _SHARES).max() > by + _CHANCE / np.sqrt(len(now)))
