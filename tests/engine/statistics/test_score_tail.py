import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaincinv

from engine.statistics.beta import beta_quantiles
from engine.statistics.score_tail import ScoreTail, expected_as_small, outliers, tail_of


def powers(n: int, seed: int, exponent: float = 16) -> np.ndarray:
    """Scores whose chance of being at most s is s^exponent: what distances to the nearest of many points look like."""
    return np.random.default_rng(seed).random(n) ** (1 / exponent)


def test_quantiles_by_hand() -> None:
    tail = tail_of(np.arange(1, 100) / 100)
    # 99 searches: the r-th smallest is reached by r in 100.
    assert tail.score_at(0.5) == pytest.approx(0.5)
    assert tail.score_at(0.3) == pytest.approx(0.3)
    assert tail.rate_at(np.array([0.4, 0.455, 2.0])).tolist() == pytest.approx([0.4, 0.455, 0.99])
    assert (tail.is_sampled(0.31), tail.is_sampled(0.29)) == (True, False)
    assert tail.least_rate == pytest.approx(0.5 / 99)


@pytest.mark.parametrize("rate", [0.003, 0.01, 0.03, 0.1])
def test_the_rate_asked_for_is_obtained_on_average(rate: float) -> None:
    """Over many small samples, thresholds beyond what each of them saw give the rate on average, not at best."""
    obtained = [tail_of(powers(300, seed)).score_at(rate) ** 16 for seed in range(200)]
    assert np.mean(obtained) == pytest.approx(rate, rel=0.15)


def test_intervals_hold_the_truth() -> None:
    for rate in (0.003, 0.2):
        held = 0
        for seed in range(100):
            tail = tail_of(powers(300, seed))
            interval, truth = tail.interval(rate), tail.score_at(rate) ** 16
            held += interval.low <= truth <= interval.high
            assert interval.low < rate < interval.high
        assert held >= 88


def test_searches_in_twos_count_half() -> None:
    one, two = tail_of(powers(400, 0)), tail_of(powers(400, 0), design_effect=2)
    assert two.interval(0.2).high > one.interval(0.2).high
    assert two.score_at(0.2) == one.score_at(0.2)
    assert two.score_at(0.002) < one.score_at(0.002)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(2, 3000), seed=st.integers(0, 1000), rate=st.floats(1e-5, 1), zeros=st.integers(0, 50))
def test_rate_and_score_are_each_others_inverse(n: int, seed: int, rate: float, zeros: int) -> None:
    scores = powers(n, seed)
    scores[: min(zeros, n - 1)] = 0
    tail = tail_of(scores)
    again = ScoreTail.from_json(json.loads(json.dumps(tail.to_json())))
    levels = np.linspace(0, 1.2, 200)
    rates = again.rate_at(levels)
    assert (np.diff(rates) >= 0).all()
    assert ((rates >= 0) & (rates <= 1)).all()
    if not zeros and tail.least_rate <= rate <= n / (n + 1):
        assert again.rate_at(np.array([tail.score_at(rate)]))[0] == pytest.approx(rate, rel=1e-6)


@pytest.mark.parametrize("scores", [[], [0.1], [0.1, float("nan")], [-0.1, 0.3], [0.1, float("inf")]])
def test_scores_that_are_none(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="expected at least 2, finite and not negative"):
        tail_of(np.array(scores))


def test_outliers_are_found_and_nobody_else() -> None:
    clean = powers(2000, 0)
    assert outliers(clean).sum() <= 2
    planted = clean.copy()
    planted[:40] *= 0.5
    found = outliers(planted)
    assert found[:40].sum() >= 38
    assert found[40:].sum() <= 8
    expected = expected_as_small(planted)
    assert expected[:40].max() < 1
    # Of scores that are nothing special, chance makes as many as there are.
    assert expected_as_small(clean)[np.argsort(clean)[1000]] == 1001
    assert expected_as_small(clean)[np.argsort(clean)[100]] == pytest.approx(101, rel=0.3)


def sphere(random: np.random.Generator, count: int) -> np.ndarray:
    points = random.normal(size=(count, 8))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize(("rate", "least"), [(0.2, 0.9), (0.05, 0.9), (0.01, 0.85)])
def test_intervals_hold_the_rates_of_galleries(rate: float, least: float) -> None:
    """Enrolled people as strangers come in twos. Taken for single ones, intervals would hold 81 to 86 of a hundred truths."""
    held = []
    for seed in range(120):
        random = np.random.default_rng(seed)
        gallery, strangers = sphere(random, 200), sphere(random, 2000)
        own = gallery @ gallery.T
        np.fill_diagonal(own, -1)
        tail = tail_of(np.sqrt(np.maximum(2 - 2 * own.max(axis=1), 0)), design_effect=2)
        nearest = np.sqrt(np.maximum(2 - 2 * (strangers @ gallery.T).max(axis=1), 0))
        interval, truth = tail.interval(rate), np.mean(nearest <= tail.score_at(rate))
        held.append(interval.low <= truth <= interval.high)
    assert least <= np.mean(held) < 0.995


@pytest.mark.parametrize("rate", [0.5, 0.2, 0.03, 0.003])
def test_what_a_sample_is_sure_of(rate: float) -> None:
    """The rate asked for so that no more than another is obtained: that fails in a fortieth of the samples, or a few more."""
    obtained = []
    for seed in range(300):
        tail = tail_of(powers(300, seed))
        assert tail.conservative_rate(rate) < rate
        obtained.append(tail.score_at(tail.conservative_rate(rate)) ** 16)
    assert 0.94 <= np.mean(np.array(obtained) <= rate) < 0.995


def test_a_tail_of_three_scores_by_hand() -> None:
    """The logarithms of the largest in units of the others have a mean, which is the scale; the prior says the shape."""
    tail = tail_of(np.array([0.4, 0.1, 0.2]))
    assert tail.scale == pytest.approx(np.log([4, 2]).mean(), rel=0.01)
    assert tail.shape == pytest.approx(1 / 2, abs=0.01)
    assert tail.rates.tolist() == [0.75]


def test_a_tail_of_shape_zero_is_exponential() -> None:
    made = tail_of(np.array([0.4, 0.1, 0.2]))
    straight = replace(made, shape=0.0, scale=2.0)
    assert straight.rate_at(np.array([0.4 / np.e])) == pytest.approx(0.75 * np.exp(-1 / 2))
    assert straight.score_at(0.75 * np.exp(-1 / 2)) == pytest.approx(0.4 / np.e)


def test_many_strangers_with_one_score() -> None:
    """As far as a tail can be from what it is thought to be: it ends at once."""
    scores = np.full(3000, 0.9)
    scores[:300] = 0.5
    tail = tail_of(scores)
    assert tail.rate_at(np.array([0.49, 0.5, 0.51])) == pytest.approx([0, 0.1, 0.1], abs=0.01)
    assert tail.score_at(0.002) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    "changed",
    [
        {"searches": 0},
        {"together": 0},
        {"scale": 0.0},
        {"scale": float("nan")},
        {"shape": float("inf")},
        {"rates": [0.0, 1.0]},
        {"rates": [0.5, 1.1]},
        {"rates": [0.6, 0.5]},
        {"rates": [0.5]},
        {"rates": []},
        {"rates": [[0.5, 1.0]]},
        {"scores": [0.0, 0.5]},
        {"scores": [0.5, 0.4]},
        {"scores": [0.5, float("inf")]},
        {"spread": [[1.0, 0.0]]},
        {"spread": [[1.0, 0.0], [0.0, float("nan")]]},
    ],
)
def test_a_stored_tail_that_cannot_be(changed: dict[str, object]) -> None:
    """What lies at the limits is read, and nothing beyond them."""
    flat = [[0.0, 0.0], [0.0, 0.0]]
    stored = {"searches": 1, "together": 1, "rates": [0.5, 1.0], "scores": [0.4, 0.4], "shape": 0.0, "scale": 1e-6}
    stored |= {"spread": flat}
    assert ScoreTail.from_json(stored).to_json() == stored
    with pytest.raises(ValueError, match="its quantiles are none|its tail is none"):
        ScoreTail.from_json({**stored, **changed})


@given(a=st.floats(0.05, 1e6), b=st.floats(0.05, 1e6))
def test_quantiles_of_beta_distributions_are_scipys(a: float, b: float) -> None:
    levels = np.array([0.025, 0.5, 0.975])
    np.testing.assert_allclose(beta_quantiles(a, b, levels), betaincinv(a, b, levels), rtol=1e-4, atol=1e-12)


def test_a_rate_of_nearly_all_has_an_interval() -> None:
    assert tail_of(np.array([0.1, 0.2])).interval(1 - 1e-12).high == pytest.approx(1)
