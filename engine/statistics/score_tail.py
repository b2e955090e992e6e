"""The distribution of the best scores of non-mated searches (probes who are not enrolled: strangers): how often is one at most s?

Its small scores decide how many false alarms there are. It is estimated in two parts. At rates that 30 or more of the sampled
searches reach, it is their quantile, at Weibull's plotting positions r / (n + 1). At smaller rates there is a fitted tail: with u
the score at the rate of 30 searches, y = log(u / s) follows a generalised Pareto distribution (Pickands 1975; Coles 2001, chapter
4). Its shape is 0 where the rate falls as a power of s, as for distances to the nearest of many points. The shape is fitted with
a normal prior about 0, since a few dozen scores say little about it (penalised likelihood, after Coles and Dixon 1999). The tail
used is not the fitted but the predictive one: if the scale of an exponential tail was estimated from m values, the next value is
Pareto distributed with the shape 1 / m, and a threshold that ignores this gives more false alarms than were asked for.

Searches for enrolled people as if they were not enrolled come in pairs: if one is nearest to another, the other often is nearest
to the first. Their design effect (Kish 1965) is 2: n such searches say as much as n / 2 independent ones.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.statistics.beta import beta_quantiles

# So many searches must score below a quantile for it to be used; the tail is fitted to this share of all, and at most so many.
_ENOUGH, _SHARE, _MOST_FITTED = 30, 0.1, 2000
# Standard deviation of the shape's prior. On LFW the shape is within 0.05 of 0 for both scores, from 300 to 4,000 identities.
_PRIOR = 0.05
# The smallest rate that is estimated, in searches: nothing is known of smaller ones.
_LEAST_SEARCHES = 0.5
# The share of all scores that is fitted to find outliers.
_OUTLIER_SHARE = 0.2
# Quantiles that are kept of a sample, at most.
_KEPT = 512
_CONFIDENCE = 0.95
# Half the width of that interval, in standard deviations of a normal distribution.
_HALF_WIDTH = 1.96
# Scores below this are taken for this, since 0 has no logarithm.
_TINY = 1e-6
# A shape nearer to 0 than this is taken for 0.
_EXPONENTIAL = 1e-9


@dataclass(frozen=True)
class Interval:
    """A 95 % confidence interval of a rate."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class ScoreTail:
    """The distribution of the best scores of non-mated searches; smaller is more alike.

    `searches`: how many were sampled; `design_effect`: how many of them say as much as one independent search. `rates`, `scores`:
    the quantiles, both increasing. Below the first one the fitted tail begins: `shape` and `scale` of log(u / s), and their
    covariance `spread` (2, 2).
    """

    searches: int
    design_effect: int
    rates: np.ndarray
    scores: np.ndarray
    shape: float
    scale: float
    spread: np.ndarray

    @property
    def least_rate(self) -> float:
        """The smallest rate that is estimated: half a search."""
        return _LEAST_SEARCHES / self.searches

    def is_sampled(self, rate: float) -> bool:
        """Whether a rate is estimated from quantiles of the sample, not from the fitted tail."""
        return bool(rate >= self.rates[0])

    def score_at(self, rate: float) -> float:
        """The score such that a share `rate` of non-mated searches, 0 to 1, scores at most that."""
        if self.is_sampled(rate):
            return float(np.interp(rate, self.rates, self.scores))
        return float(self.scores[0] * np.exp(-_quantile(rate / self.rates[0], self.shape, self.scale)))

    def rate_at(self, scores: np.ndarray) -> np.ndarray:
        """The share of non-mated searches that score at most each score (n,): the inverse of `score_at`."""
        scores = np.maximum(np.asarray(scores, np.float64), _TINY)
        beyond = np.log(self.scores[0] / scores)
        tail = self.rates[0] * _share(beyond, self.shape, self.scale)
        return np.where(scores < self.scores[0], tail, np.interp(scores, self.scores, self.rates))

    def interval(self, rate: float) -> Interval:
        """The interval of the true rate at `score_at(rate)`, by the sampling error of the searches and of the fitted tail."""
        pivot = max(rate, float(self.rates[0]))
        independent = self.searches / self.design_effect
        levels = np.array([1 - _CONFIDENCE, 1 + _CONFIDENCE]) / 2
        low, high = beta_quantiles(pivot * (independent + 1), max((1 - pivot) * (independent + 1), 1e-9), levels)
        if self.is_sampled(rate):
            return Interval(float(low), float(high))
        width = _HALF_WIDTH * self._fitted_deviation(rate)
        below, above = np.log(pivot / low), np.log(high / pivot)
        return Interval(float(rate * np.exp(-np.hypot(below, width))), float(min(1, rate * np.exp(np.hypot(above, width)))))

    def conservative_rate(self, rate: float) -> float:
        """The rate to ask for so that the true rate is at most `rate` with 97.5 % confidence."""
        pivot = max(rate, float(self.rates[0]))
        sampled = np.sqrt((1 - pivot) * self.design_effect / (pivot * self.searches))
        return float(
            rate * np.exp(-_HALF_WIDTH * np.hypot(sampled, 0 if self.is_sampled(rate) else self._fitted_deviation(rate)))
        )

    def _fitted_deviation(self, rate: float) -> float:
        """The standard deviation of the logarithm of a rate in the fitted tail, from that of shape and scale (delta method)."""
        y = np.log(self.scores[0] / self.score_at(rate))
        at = np.array([self.shape, self.scale])
        steps = np.diag([1e-4, 1e-4 * self.scale])
        slopes = np.array([(_log_share(y, *(at + step)) - _log_share(y, *(at - step))) / (2 * step.sum()) for step in steps])
        return float(np.sqrt(slopes @ self.spread @ slopes))

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "searches": self.searches,
            "together": self.design_effect,
            "rates": self.rates.tolist(),
            "scores": self.scores.tolist(),
            "shape": self.shape,
            "scale": self.scale,
            "spread": self.spread.tolist(),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "ScoreTail":
        """What `to_json` gave, as a `ScoreTail` again. Raises `TypeError` or `ValueError` for other values."""
        rates, scores, spread = (np.asarray(values[name], np.float64) for name in ("rates", "scores", "spread"))
        shape, scale = float(values["shape"]), float(values["scale"])
        rises = all(each.ndim == 1 and len(each) and (np.diff(each) >= 0).all() for each in (rates, scores))
        finite = all(np.isfinite(each).all() for each in (rates, scores, spread, shape, scale))
        if not (rises and finite and len(rates) == len(scores) and 0 < rates[0] <= rates[-1] <= 1 and spread.shape == (2, 2)):
            raise ValueError("its quantiles are none")
        if not (scores[0] > 0 and scale > 0 and int(values["searches"]) > 0 and int(values["together"]) > 0):
            raise ValueError("its tail is none")
        return cls(int(values["searches"]), int(values["together"]), rates, scores, shape, scale, spread)


def tail_of(scores: np.ndarray, design_effect: int = 1) -> ScoreTail:
    """Estimate the distribution from the best scores (n,) of sampled non-mated searches; `design_effect` as in `ScoreTail`.

    Raises:
        ValueError: fewer than 2 scores, or one that is NaN or negative.
    """
    ordered = _ordered(scores)
    n = len(ordered)
    rates = np.arange(1, n + 1) / (n + 1)
    fitted = min(max(_ENOUGH, int(_SHARE * n)), _MOST_FITTED, n - 1)
    edge = max(float(ordered[fitted]), _TINY)
    shape, scale, spread = _fit(np.log(edge / np.maximum(ordered[:fitted], _TINY)))
    shape, spread = shape + design_effect / fitted, spread * design_effect
    first = min(_ENOUGH, n) - 1
    # The part of a generalised Pareto tail beyond a larger y has the same shape, and a scale that grows linearly with y.
    beyond = float(np.log(edge / max(ordered[first], _TINY)))
    kept = _spread_ranks(first, n)
    return ScoreTail(
        n, design_effect, rates[kept], np.maximum(ordered[kept], _TINY), shape, max(scale + shape * beyond, _TINY), spread
    )


def expected_as_small(scores: np.ndarray) -> np.ndarray:
    """For each of the best scores (n,), how many are expected to be at most that if all searches were non-mated, (n,).

    The tail is fitted to the smallest fifth. The smaller half of these is censored: only their number counts, so that wrong
    scores do not influence the estimate they are judged by, even if a tenth of all are wrong. Larger scores are counted.
    """
    ordered = _ordered(scores)
    fitted = min(max(_ENOUGH, int(_OUTLIER_SHARE * len(ordered))), len(ordered) - 1)
    edge = max(float(ordered[fitted]), _TINY)
    y = np.log(edge / np.maximum(ordered[:fitted], _TINY))
    censored = fitted // 2
    shape, scale, _ = _fit(y[censored:], censored)
    beyond = np.log(edge / np.maximum(np.asarray(scores, np.float64), _TINY))
    counted = np.searchsorted(ordered, scores, "right")
    return np.where(beyond > 0, fitted * _share(beyond, shape, scale), counted)


def outliers(scores: np.ndarray, false_share: float = 0.01) -> np.ndarray:
    """Which of the best scores (n,) are too small for non-mated searches: bool (n,).

    The r smallest are taken, for the largest r such that at most `false_share * r` are expected to be as small (Benjamini and
    Hochberg 1995). Where all searches are non-mated, some are taken in that share of samples, and by default that is rare: what
    a calibration leaves out wrongly are the very searches that say how near strangers come, and its threshold is the laxer for
    it; what it keeps wrongly makes it stricter.
    """
    order = np.argsort(scores, kind="stable")
    expected = expected_as_small(scores)[order]
    within = np.flatnonzero(expected <= false_share * np.arange(1, len(order) + 1))
    found = np.zeros(len(order), bool)
    found[order[: within[-1] + 1 if len(within) else 0]] = True
    return found


def _ordered(scores: np.ndarray) -> np.ndarray:
    ordered = np.sort(np.asarray(scores, np.float64))
    if len(ordered) < 2 or not ordered[0] >= 0 or not np.isfinite(ordered[-1]):
        raise ValueError(f"{len(ordered)} scores of strangers; expected at least 2, finite and not negative")
    return ordered


def _fit(y: np.ndarray, censored: int = 0) -> tuple[float, float, np.ndarray]:
    """Shape, scale and their covariance of a generalised Pareto distribution of y (m,), by penalised likelihood.

    Further `censored` values are known only to be larger than all of these.
    """
    mean = max(float(y.mean()), _TINY)
    largest = float(y.max())
    points = np.append(y, largest)

    from scipy.optimize import minimize  # imported late: it takes a third of the time of a search for one probe

    def cost(parameters: np.ndarray) -> float:
        shape, scale = parameters[0], mean * np.exp(np.clip(parameters[1], -10, 10))
        if 1 + shape * largest / scale <= 0:
            return 1e12  # such a tail ends before the largest y
        # -log of the share beyond y is b = log1p(shape y / scale) / shape; -log of the density there, log(scale) + (1 + shape) b.
        curved = abs(shape) > _EXPONENTIAL
        beyond = np.log1p(shape * points / scale) / shape if curved else points / scale
        cost = len(y) * np.log(scale) + (1 + shape) * beyond[:-1].sum() + censored * beyond[-1]
        return float(cost + (shape / _PRIOR) ** 2 / 2)

    found = minimize(cost, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-4})
    shape, scale = float(found.x[0]), float(mean * np.exp(np.clip(found.x[1], -10, 10)))
    # Expected Fisher information of a generalised Pareto sample (Smith 1987), and that of the prior.
    m, bent = len(y) + censored, max(shape, -0.45)
    information = m / ((1 + bent) * (1 + 2 * bent)) * np.array([[2, 1 / scale], [1 / scale, (1 + bent) / scale**2]])
    information[0, 0] += 1 / _PRIOR**2
    return shape, scale, np.linalg.inv(information)


def _share(y: np.ndarray | float, shape: float, scale: float) -> np.ndarray:
    """The share of a generalised Pareto distribution that lies beyond y: (1 + shape y / scale)^(-1 / shape), 1 below 0."""
    y = np.maximum(y, 0)
    if abs(shape) < _EXPONENTIAL:
        return np.exp(-y / scale)
    return np.maximum(1 + shape * y / scale, 0) ** (-1 / shape)


def _quantile(share: float, shape: float, scale: float) -> float:
    """The y that a share lies beyond: the inverse of `_share`."""
    logarithm = -np.log(share)
    return float(scale * logarithm if abs(shape) < _EXPONENTIAL else scale * np.expm1(shape * logarithm) / shape)


def _log_share(y: float, shape: float, scale: float) -> float:
    with np.errstate(divide="ignore"):  # log of 0, where a tail ends before y
        return float(np.log(_share(y, shape, scale)))


def _spread_ranks(first: int, n: int) -> np.ndarray:
    """Ranks from `first` to n - 1 whose logarithms are evenly spaced, so that small rates keep their detail."""
    if n - first <= _KEPT:
        return np.arange(first, n)
    return np.unique(np.geomspace(first + 1, n, _KEPT).astype(int)) - 1
