"""Every metric by hand on small arrays."""

import numpy as np
import pytest

from engine.errors import MetricsError
from engine.metrics import (
    Comparisons,
    Searches,
    auc,
    bootstrap,
    cmc,
    det,
    eer,
    fmr,
    fnir,
    fnmr,
    fpir,
    measure,
    threshold_at,
    tpir,
    tpir_at_fpir,
)

STRANGERS = np.array([0.5, 0.2, 0.9, 0.7, 0.4, 0.8, 0.6, 1.0, 1.1, 1.2])
RANKS = np.array([1, 1, 2, 0, 1])
MATED = np.array([0.1, 0.45, 0.3, 0.6, 0.95])
SEARCHES = Searches(RANKS, MATED, STRANGERS)


def test_fpir_and_its_threshold() -> None:
    assert fpir(STRANGERS, 0.5) == 0.3
    assert fpir(STRANGERS, 0.49) == 0.2
    # At most one in ten: just below the second smallest.
    assert 0.2 <= threshold_at(STRANGERS, 0.1) < 0.4
    assert fpir(STRANGERS, threshold_at(STRANGERS, 0.1)) == 0.1
    assert fpir(STRANGERS, threshold_at(STRANGERS, 0.19)) == 0.1
    assert threshold_at(STRANGERS, 0.05) < 0.2
    assert threshold_at(STRANGERS, 1) == 1.2
    tied = np.array([0.3, 0.3, 0.3, 0.5])
    assert threshold_at(tied, 0.25) < 0.3


def test_fnir_and_tpir() -> None:
    # Of five, the first, second and fifth are right at rank 1, with 0.1, 0.45 and 0.95.
    assert tpir(RANKS, MATED, 0.5) == pytest.approx(0.4)
    assert fnir(RANKS, MATED, 0.5) == pytest.approx(0.6)
    assert fnir(RANKS, MATED, np.inf) == pytest.approx(0.4)
    assert fnir(RANKS, MATED, np.inf, rank=2) == pytest.approx(0.2)
    assert tpir_at_fpir(SEARCHES, 0.3) == pytest.approx(0.4)
    assert tpir_at_fpir(SEARCHES, 0.1) == pytest.approx(0.2)


def test_cmc() -> None:
    assert cmc(RANKS, 3).tolist() == pytest.approx([0.6, 0.8, 0.8])
    assert len(cmc(RANKS)) == 100


def test_det() -> None:
    curve = det(SEARCHES)
    assert curve.false_accepts.tolist() == pytest.approx(np.arange(1, 11) / 10)
    assert curve.false_rejects[:4].tolist() == pytest.approx([0.8, 0.8, 0.6, 0.6])
    assert curve.false_rejects[-1] == pytest.approx(0.4)


def test_pairs() -> None:
    pairs = Comparisons(np.array([0.1, 0.2, 0.3, 0.6]), np.array([0.5, 0.6, 0.7, 0.8]))
    assert fmr(pairs.impostor, 0.6) == 0.5
    assert fnmr(pairs.genuine, 0.3) == 0.25
    assert eer(pairs) == pytest.approx(0.25)
    # 15 of 16 comparisons but one tie (half) and one lost: 0.6 against 0.5.
    assert auc(pairs) == pytest.approx((12 + 2 + 0.5) / 16)
    assert auc(Comparisons(np.array([0.1]), np.array([0.2]))) == 1
    assert eer(Comparisons(np.array([0.1]), np.array([0.2]))) == 0
    assert auc(Comparisons(np.array([0.2]), np.array([0.2]))) == 0.5


def test_names() -> None:
    assert measure("rank1", SEARCHES) == pytest.approx(0.6)
    assert measure("rank2", SEARCHES) == pytest.approx(0.8)
    assert measure("tpir@fpir=0.3", SEARCHES) == pytest.approx(0.4)
    assert measure("fnir@fpir=3e-1", SEARCHES) == pytest.approx(0.6)
    assert measure("tpir@threshold=0.5", SEARCHES) == pytest.approx(0.4)
    assert measure("fnir@threshold=0.5", SEARCHES) == pytest.approx(0.6)
    assert measure("fpir@threshold=0.5", SEARCHES) == 0.3
    pairs = Comparisons(np.array([0.1, 0.55]), np.array([0.5, 0.6, 0.7, 0.8]))
    assert measure("fnmr@fmr=0.25", pairs) == 0.0
    assert measure("fnmr@fmr=0.2", pairs) == 0.5
    assert measure("eer", pairs) == eer(pairs)
    assert measure("auc", pairs) == auc(pairs)
    for wrong in ("rank0", "tpir", "tpir@fpir=", "tpir@fmr=0.1", "tpir@fpir=1-1", "best"):
        with pytest.raises(MetricsError, match="no metric is called"):
            measure(wrong, SEARCHES)
    with pytest.raises(MetricsError, match="measured on Comparisons, not on Searches"):
        measure("eer", SEARCHES)


def test_data_that_say_nothing() -> None:
    nothing = np.array([])
    with pytest.raises(MetricsError, match="no non-mated searches"):
        measure("tpir@fpir=0.1", Searches(RANKS, MATED, nothing))
    with pytest.raises(MetricsError, match="no mated searches"):
        measure("tpir@fpir=0.1", Searches(nothing, nothing, STRANGERS))
    with pytest.raises(MetricsError, match="no mated searches"):
        measure("rank1", Searches(nothing, nothing, STRANGERS))
    with pytest.raises(MetricsError, match="1 of 2 scores of non-mated searches are NaN"):
        fpir(np.array([0.1, np.nan]), 0.5)
    for rate in (0, -1, 1.1):
        with pytest.raises(MetricsError, match="above 0, to 1"):
            threshold_at(STRANGERS, rate)
    with pytest.raises(MetricsError, match="expected rank 1"):
        fnir(RANKS, MATED, 0.5, rank=2)


def test_the_bootstrap_resamples_identities() -> None:
    random = np.random.default_rng(0)
    # Ten people of a hundred searches each, who are found always or never: what counts is ten, not a thousand.
    ranks = np.repeat(np.arange(10) % 2, 100)
    people = np.repeat(np.arange(10), 100)
    strangers = random.random(500)
    searches = Searches(ranks, np.full(1000, 0.1), strangers, people, np.arange(500))
    low, high = bootstrap("rank1", searches, resamples=300)
    assert low == pytest.approx(0.5 - 1.96 * 0.5 / np.sqrt(10), abs=0.08)
    assert high == pytest.approx(0.5 + 1.96 * 0.5 / np.sqrt(10), abs=0.08)
    apart = Searches(ranks, np.full(1000, 0.1), strangers, np.arange(1000), np.arange(500))
    near, far = bootstrap("rank1", apart, resamples=300)
    assert far - near < 0.08
    with pytest.raises(MetricsError, match="pass the identities"):
        bootstrap("rank1", SEARCHES)
