"""Intervals: by hand, on people whose searches hang together, and how often they hold what they say."""

import numpy as np
import pytest

from engine.evaluation.intervals import Resampling, interval, quantiles, too_few, trade_off, wilson
from engine.metrics import Searches, fnir, fpir, tpir_at_fpir


def test_wilson_by_hand() -> None:
    # Wilson 1927 of 10 in 100: (0.1 + 1.92/100 ± 1.96 sqrt(0.0009 + 0.96/10000)) / (1 + 3.84/100).
    low, high = wilson(0.1, 100, 1.96)
    assert (low, high) == (pytest.approx(0.0552, abs=1e-4), pytest.approx(0.1744, abs=1e-4))
    assert wilson(0.0, 100, 1.96)[0] == 0
    assert wilson(1.0, 100, 1.96)[1] == 1


def test_nothing_wrong_in_few_people_is_no_certainty() -> None:
    people = np.repeat(np.arange(40), 25)
    share = Resampling(people, 200).share(np.zeros(1000, bool), np.ones(1000, bool))
    assert (share.value, share.low, share.searches, share.people) == (0, 0, 1000, 40)
    assert 0.07 < share.high < 0.11  # as 0 of 40, not as 0 of 1,000


def test_searches_for_one_person_are_not_worth_more_than_the_person() -> None:
    random = np.random.default_rng(0)
    wrong = random.random(300) < 0.2
    once, often = (Resampling(np.repeat(np.arange(300), each), 500) for each in (1, 20))
    alone = once.share(wrong, np.ones(300, bool))
    repeated = often.share(np.repeat(wrong, 20), np.ones(6000, bool))
    assert alone.value == repeated.value
    assert (repeated.low, repeated.high) == (pytest.approx(alone.low, abs=0.01), pytest.approx(alone.high, abs=0.01))


def test_many_people_are_drawn_in_lots_and_vary_as_much() -> None:
    random = np.random.default_rng(1)
    wrong = random.random(20_000) < 0.05
    share = Resampling(np.arange(20_000), 400).share(wrong, np.ones(20_000, bool))
    assert share.draws.std() == pytest.approx(np.sqrt(0.05 * 0.95 / 20_000), rel=0.15)


def test_a_trade_off_counts_as_the_metrics_do() -> None:
    random = np.random.default_rng(2)
    scores, mated = random.random(500).astype(np.float32), random.random(500) < 0.5
    ranks = np.where(mated & (random.random(500) < 0.9), 1, 0)
    trade = trade_off(Resampling(np.arange(500) // 2, 300), scores, ranks == 1, mated)
    for at in range(0, len(trade.thresholds), 17):
        limit = float(trade.thresholds[at])
        assert trade.fpir[at] == pytest.approx(fpir(scores[~mated], limit), abs=1e-9)
        assert trade.fnir[at] == pytest.approx(fnir(ranks[mated], scores[mated], limit), abs=1e-9)
    missed = 1 - tpir_at_fpir(Searches(ranks[mated], scores[mated], scores[~mated]), 0.1)
    draws = trade.fnir_draws_at(0.1)
    assert draws.mean() == pytest.approx(missed, abs=0.03)
    low, high = quantiles(draws)
    assert low < missed < high


def test_too_few_says_how_many_would_do() -> None:
    assert too_few(0.01, 1000) is None
    assert too_few(0.001, 1000) == "1,000 strangers are too few for 0.1 %; 10,000 would do"
    assert too_few(0.5, 20) == "20 strangers are too few to tell of; 30 would do"


def _holds(people: int, most: int, rate: float, alike: float, trials: int, resamples: int) -> float:
    """How often the interval of a rate holds the true one, for people with 1 to `most` searches that are `alike`."""
    random, held = np.random.default_rng(people), 0
    for _ in range(trials):
        many = random.integers(1, most + 1, people)
        own = random.beta(rate * (1 / alike - 1), (1 - rate) * (1 / alike - 1), people)
        wrong = random.random(many.sum()) < np.repeat(own, many)
        resampling = Resampling(np.repeat(np.arange(people), many), resamples, seed=int(random.integers(1 << 30)))
        share = resampling.share(wrong, np.ones(len(wrong), bool))
        held += share.low <= rate <= share.high
    return held / trials


def test_intervals_hold_about_as_often_as_they_say() -> None:
    assert 0.91 < _holds(300, 4, 0.05, 0.2, trials=300, resamples=200) < 0.99


@pytest.mark.slow
@pytest.mark.parametrize(("people", "most", "rate", "alike"), [(1000, 1, 0.02, 0.01), (1000, 3, 0.03, 0.3), (300, 5, 0.2, 0.3)])
def test_95_percent_intervals_hold_93_to_97_times_of_a_hundred(people: int, most: int, rate: float, alike: float) -> None:
    assert 0.93 < _holds(people, most, rate, alike, trials=2000, resamples=400) < 0.97


@pytest.mark.slow
def test_intervals_of_fnir_at_an_fpir_hold_too() -> None:
    """The threshold is taken from the same strangers that are drawn anew."""
    random, held, trials = np.random.default_rng(5), 0, 600
    truth = 0.5 * (1 + _erf((_quantile(0.05) * 0.1 + 0.7 - 0.5) / 0.1 * -1 / np.sqrt(2)))
    for _ in range(trials):
        scores = np.concatenate([random.normal(0.5, 0.1, 500), random.normal(0.7, 0.1, 500)])
        mated = np.arange(1000) < 500
        trade = trade_off(Resampling(np.arange(1000), 300, seed=int(random.integers(1 << 30))), scores, mated, mated)
        missed = 1 - tpir_at_fpir(Searches(np.ones(500, int), scores[mated], scores[~mated]), 0.05)
        low, high = interval(missed, trade.fnir_draws_at(0.05), 500, 500)
        held += low <= truth <= high
    assert 0.93 < held / trials < 0.97


def _quantile(share: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(share))


def _erf(x: float) -> float:
    from scipy.special import erf

    return float(erf(x))
