"""Decisions through an index beside exhaustive ones: the figures are those of the two galleries."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.data.synthetic_templates import Population, Shape
from benchmarks.search.decisions import measure_decisions


def test_an_index_decides_as_an_exhaustive_search(tmp_path: Path) -> None:
    made = measure_decisions(Population(Shape.load()), tmp_path, 3000, 600, index="ivf", rounds=1)
    assert (made.kind, made.count, made.probes) == ("ivf", 3000, 600)
    for rate in made.rates:
        assert rate.same >= 0.97
        assert np.ptp(rate.tpir) < 0.03
    assert made.rates[0].fpir[0] <= made.rates[-1].fpir[0]
    assert made.rates[-1].fpir[0] == pytest.approx(0.1, abs=0.08)
    assert abs(made.moved[0]) < 0.05
    assert made.ratio == pytest.approx(made.per_second / made.flat, rel=0.01)


def test_the_worst_case_has_the_same_covariance_and_no_groups() -> None:
    shape = Shape.load()
    worst = shape.clusterless()
    assert worst.means.shape == (1, shape.dim)
    ours, theirs = (np.cov(Population(each).templates(0, 20_000).T) for each in (worst, shape))
    assert np.trace(ours) == pytest.approx(np.trace(theirs), rel=0.05)
    assert np.linalg.norm(ours - theirs) < 0.25 * np.linalg.norm(theirs)
