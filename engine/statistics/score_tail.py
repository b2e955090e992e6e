"""How often a stranger scores at most s: from the sample where it says something, from a fitted tail beyond it.

A search of a stranger gives a best score; its distribution at small s decides false alarms. At rates that 30 or more of the
sampled searches reach, it is their quantile, at Weibull's plotting positions r / (n + 1). Below, y = log(u / s), with u the score
at that rate, follows a generalised Pareto distribution (Pickands 1975; Coles 2001, chapter 4): its shape is 0 where the chance
falls as a power of s, as it does for distances to the nearest of many points. The shape is fitted with a normal prior about 0, so
that a few dozen scores do not invent a bend (penalised likelihood, after Coles and Dixon 1999). What is then used is not the
fit but what it predicts: with an exponential tail whose scale was estimated from m values, the next value is Pareto distributed
with the shape 1 / m, and a threshold that ignores this gives more false alarms than were asked for.

Searches for enrolled people as if they were strangers come in twos: who is near to another is so both ways. `together` says so,
and counts them as half as many.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

# Searches that must lie below a quantile before it is trusted; the share of all that the tail is fitted to, and at most so many.
_ENOUGH, _SHARE, _MOST_FITTED = 30, 0.1, 2000
# Standard deviation of the prior of the shape. On LFW the shape is 0 within 0.05 for both scores, from 300 to 4,000 identities.
_PRIOR = 0.05
# The smallest rate that is answered, in searches: beyond it nothing is known.
_LEAST_SEARCHES = 0.5
# The share of all that is fitted when outliers are looked for.
_SHARE_JUDGED = 0.2
# Scores that are kept of a sample, at most.
_KEPT = 512
_CONFIDENCE = 0.95
# Standard deviations to either end of it.
_SURE = 1.96
# Scores below this are as good as 0, whose logarithm is none.
_TINY = 1e-6
# A shape nearer to 0 than this is 0.
_STRAIGHT = 1e-9


@dataclass(frozen=True)
class Interval:
    """Where a rate lies with 95 % confidence."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Tail:
    """The distribution of the best scores of strangers, small is alike.

    `searches`: how many were sampled, `together` of them telling no more than one. `rates`, `scores`: its quantiles, both rising;
    the first is where the fitted tail begins, with `shape` and `scale` of log(u / s) there, their covariance in `spread` (2, 2).
    """

    searches: int
    together: int
    rates: np.ndarray
    scores: np.ndarray
    shape: float
    scale: float
    spread: np.ndarray

    @property
    def least_rate(self) -> float:
        """The smallest rate that can be asked for: half a search."""
        return _LEAST_SEARCHES / self.searches

    def is_sampled(self, rate: float) -> bool:
        """Whether a rate comes from the sample, not from the fitted tail."""
        return bool(rate >= self.rates[0])

    def score_at(self, rate: float) -> float:
        """The score that a share `rate` of strangers' searches, 0 to 1, reaches or beats."""
        if self.is_sampled(rate):
            return float(np.interp(rate, self.rates, self.scores))
        return float(self.scores[0] * np.exp(-_quantile(rate / self.rates[0], self.shape, self.scale)))

    def rate_at(self, scores: np.ndarray) -> np.ndarray:
        """The share of strangers' searches that reach or beat each score (n,): the inverse of `score_at`."""
        scores = np.maximum(np.asarray(scores, np.float64), _TINY)
        beyond = np.log(self.scores[0] / scores)
        tail = self.rates[0] * _share(beyond, self.shape, self.scale)
        return np.where(scores < self.scores[0], tail, np.interp(scores, self.scores, self.rates))

    def interval(self, rate: float) -> Interval:
        """What the rate at `score_at(rate)` may truly be: sampling of the searches and, in the tail, of its shape."""
        from scipy.special import betaincinv, ndtri  # late: a third of the time that a search for one probe takes

        pivot = max(rate, float(self.rates[0]))
        independent = self.searches / self.together
        levels = np.array([1 - _CONFIDENCE, 1 + _CONFIDENCE]) / 2
        low, high = betaincinv(pivot * (independent + 1), max((1 - pivot) * (independent + 1), 1e-9), levels)
        if self.is_sampled(rate):
            return Interval(float(low), float(high))
        width = ndtri(levels[1]) * self._fitted_deviation(rate)
        below, above = np.log(pivot / low), np.log(high / pivot)
        return Interval(float(rate * np.exp(-np.hypot(below, width))), float(min(1, rate * np.exp(np.hypot(above, width)))))

    def surely(self, rate: float) -> float:
        """The rate that must be asked for so that, by 97.5 %, no more than `rate` is obtained."""
        pivot = max(rate, float(self.rates[0]))
        sampled = np.sqrt((1 - pivot) * self.together / (pivot * self.searches))
        return float(rate * np.exp(-_SURE * np.hypot(sampled, 0 if self.is_sampled(rate) else self._fitted_deviation(rate))))

    def _fitted_deviation(self, rate: float) -> float:
        """The standard deviation of the logarithm of a rate in the fitted tail, by that of its shape and scale (delta method)."""
        y = np.log(self.scores[0] / self.score_at(rate))
        at = np.array([self.shape, self.scale])
        steps = np.diag([1e-4, 1e-4 * self.scale])
        slopes = np.array([(_log_share(y, *(at + step)) - _log_share(y, *(at - step))) / (2 * step.sum()) for step in steps])
        return float(np.sqrt(slopes @ self.spread @ slopes))

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "searches": self.searches,
            "together": self.together,
            "rates": self.rates.tolist(),
            "scores": self.scores.tolist(),
            "shape": self.shape,
            "scale": self.scale,
            "spread": self.spread.tolist(),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Tail":
        """Read back what `to_json` wrote. Raises `TypeError`, `ValueError` where it is something else."""
        rates, scores, spread = (np.asarray(values[name], np.float64) for name in ("rates", "scores", "spread"))
        shape, scale = float(values["shape"]), float(values["scale"])
        rises = all(each.ndim == 1 and len(each) and (np.diff(each) >= 0).all() for each in (rates, scores))
        finite = all(np.isfinite(each).all() for each in (rates, scores, spread, shape, scale))
        if not (rises and finite and len(rates) == len(scores) and 0 < rates[0] <= rates[-1] <= 1 and spread.shape == (2, 2)):
            raise ValueError("its quantiles are none")
        if not (scores[0] > 0 and scale > 0 and int(values["searches"]) > 0 and int(values["together"]) > 0):
            raise ValueError("its tail is none")
        return cls(int(values["searches"]), int(values["together"]), rates, scores, shape, scale, spread)


def tail_of(scores: np.ndarray, together: int = 1) -> Tail:
    """The distribution that sampled best scores of strangers (n,) speak for, `together` of them telling no more than one.

    Raises:
        ValueError: fewer than 2 scores, or one that is NaN or negative.
    """
    ordered = _ordered(scores)
    n = len(ordered)
    rates = np.arange(1, n + 1) / (n + 1)
    fitted = min(max(_ENOUGH, int(_SHARE * n)), _MOST_FITTED, n - 1)
    edge = max(float(ordered[fitted]), _TINY)
    shape, scale, spread = _fit(np.log(edge / np.maximum(ordered[:fitted], _TINY)))
    shape, spread = shape + together / fitted, spread * together
    first = min(_ENOUGH, n) - 1
    # A generalised Pareto tail beyond a higher threshold has the same shape and a scale that grows with it.
    beyond = float(np.log(edge / max(ordered[first], _TINY)))
    kept = _spread_ranks(first, n)
    return Tail(n, together, rates[kept], np.maximum(ordered[kept], _TINY), shape, max(scale + shape * beyond, _TINY), spread)


def expected_as_small(scores: np.ndarray) -> np.ndarray:
    """How many of the best scores (n,) chance alone would make as small as each of them, (n,).

    The tail is fitted to the smallest fifth, of which the smaller half says only that it is small: what is to be judged does not
    speak for itself, even where a tenth of the scores are wrong. Larger scores are simply counted.
    """
    ordered = _ordered(scores)
    fitted = min(max(_ENOUGH, int(_SHARE_JUDGED * len(ordered))), len(ordered) - 1)
    edge = max(float(ordered[fitted]), _TINY)
    y = np.log(edge / np.maximum(ordered[:fitted], _TINY))
    censored = fitted // 2
    shape, scale, _ = _fit(y[censored:], censored)
    beyond = np.log(edge / np.maximum(np.asarray(scores, np.float64), _TINY))
    counted = np.searchsorted(ordered, scores, "right")
    return np.where(beyond > 0, fitted * _share(beyond, shape, scale), counted)


def outliers(scores: np.ndarray, false_share: float = 0.1) -> np.ndarray:
    """Which of the best scores (n,) are too small for strangers: bool (n,).

    The r smallest are taken where chance would make at most `false_share * r` as small (Benjamini and Hochberg 1995).
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

    `censored` values more are known only to be larger than all of them.
    """
    mean = max(float(y.mean()), _TINY)
    largest = float(y.max())
    points = np.append(y, largest)

    from scipy.optimize import minimize  # late, as above

    def cost(parameters: np.ndarray) -> float:
        shape, scale = parameters[0], mean * np.exp(np.clip(parameters[1], -10, 10))
        if 1 + shape * largest / scale <= 0:
            return 1e12  # beyond the end of such a tail
        # -log of the share beyond y is b = log1p(shape y / scale) / shape; of the density there, log(scale) + (1 + shape) b.
        bent = abs(shape) > _STRAIGHT
        beyond = np.log1p(shape * points / scale) / shape if bent else points / scale
        cost = len(y) * np.log(scale) + (1 + shape) * beyond[:-1].sum() + censored * beyond[-1]
        return float(cost + (shape / _PRIOR) ** 2 / 2)

    found = minimize(cost, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-4})
    shape, scale = float(found.x[0]), float(mean * np.exp(np.clip(found.x[1], -10, 10)))
    # Expected information of a generalised Pareto sample (Smith 1987), and that of the prior.
    m, bent = len(y) + censored, max(shape, -0.45)
    information = m / ((1 + bent) * (1 + 2 * bent)) * np.array([[2, 1 / scale], [1 / scale, (1 + bent) / scale**2]])
    information[0, 0] += 1 / _PRIOR**2
    return shape, scale, np.linalg.inv(information)


def _share(y: np.ndarray | float, shape: float, scale: float) -> np.ndarray:
    """The share of a generalised Pareto distribution that lies beyond y: (1 + shape y / scale)^(-1 / shape), 1 below 0."""
    y = np.maximum(y, 0)
    if abs(shape) < _STRAIGHT:
        return np.exp(-y / scale)
    return np.maximum(1 + shape * y / scale, 0) ** (-1 / shape)


def _quantile(share: float, shape: float, scale: float) -> float:
    """The y beyond which a share lies: the inverse of `_share`."""
    logarithm = -np.log(share)
    return float(scale * logarithm if abs(shape) < _STRAIGHT else scale * np.expm1(shape * logarithm) / shape)


def _log_share(y: float, shape: float, scale: float) -> float:
    with np.errstate(divide="ignore"):  # beyond the end of a tail that has one
        return float(np.log(_share(y, shape, scale)))


def _spread_ranks(first: int, n: int) -> np.ndarray:
    """Ranks from `first` to n - 1 whose logarithms are evenly spaced, so that small rates keep their detail."""
    if n - first <= _KEPT:
        return np.arange(first, n)
    return np.unique(np.geomspace(first + 1, n, _KEPT).astype(int)) - 1
