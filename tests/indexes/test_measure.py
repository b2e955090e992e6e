import numpy as np
import pytest

from indexes.approximate.flat_codes import FlatCodes
from indexes.approximate.ivf import Ivf
from indexes.approximate.two_stage import Effort
from indexes.errors import PlanError
from indexes.tuning.operating_point import _first, nearest_distances, recall_of, tune
from indexes.tuning.simulated_probes import second_templates, within_covariance
from tests.indexes.vectors import brute_force, cone, unit


def test_the_least_effort_that_reaches_the_recall() -> None:
    vectors, probes = cone(20_000, 32, 0, axes=24), cone(400, 32, 1, axes=24)
    index = Ivf.build(vectors)
    stages = []
    low, high = (tune(index, probes, recall, lambda *stage: stages.append(stage)) for recall in (0.8, 0.99))
    assert low.identified is not None
    assert high.identified is not None
    assert 0.8 <= low.identified <= 1
    assert 0.99 <= high.identified <= 1
    assert low.visits < high.visits <= high.of_visits == index.most_visits
    assert (index.effort.visits, index.effort.shortlist) == (high.visits, high.shortlist)
    # Mated probes would do with fewer, but scores go by strangers' distances as well.
    assert min(low.shortlist, high.shortlist) >= 48
    assert (high.asked, high.probes) == (0.99, 400)
    assert stages[-1] == ("measuring", 3, 3)
    nearest = nearest_distances(vectors, probes)
    np.testing.assert_allclose(nearest, brute_force(vectors, probes, 1)[:, 0], atol=2e-6)
    index.effort = Effort(high.visits // 2, 64)
    assert recall_of(index, probes, nearest) < 0.99


def test_a_recall_that_cannot_be_reached_says_what_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexes.tuning.operating_point._SHORTLISTS", (1, 2))
    monkeypatch.setattr(FlatCodes, "shortest", 1)
    index = FlatCodes.build(unit(5000, 64, 0))
    with pytest.raises(
        PlanError, match=r"recall of 1 was asked for; the flat-codes index reached 0\.\d+ at most, .* shortlist of 2"
    ):
        tune(index, unit(200, 64, 1), 1.0)


def test_second_templates_lie_as_real_ones_do() -> None:
    """Identities and noise of known covariance: a drawn second template is as far away, and as spread out, as a true one."""
    random = np.random.default_rng(0)
    widths, noise = np.geomspace(0.3, 0.05, 10), np.geomspace(0.05, 0.12, 10)
    centres = np.zeros((4000, 16))
    centres[:, 0] = 2
    centres[:, 1:11] = random.normal(size=(4000, 10)) * widths

    def shots() -> np.ndarray:
        made = centres.copy()
        # Some photographs are much like the others of a person, and some are not.
        uneven = np.exp(0.16 * random.normal(size=(4000, 1)))
        made[:, 1:11] += random.normal(size=(4000, 10)) * noise * uneven
        return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)

    first, second = shots(), shots()
    within = within_covariance(np.concatenate([first, second]).astype(float), np.tile(np.arange(4000), 2))
    assert within is not None
    assert np.trace(within) == pytest.approx((noise**2).sum() / 4 * np.exp(2 * 0.16**2), rel=0.1)
    drawn = second_templates(first, first, within)
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1, atol=1e-6)
    true, ours = np.linalg.norm(first - second, axis=1), np.linalg.norm(first - drawn, axis=1)
    np.testing.assert_allclose(np.quantile(ours, [0.1, 0.5, 0.9]), np.quantile(true, [0.1, 0.5, 0.9]), rtol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(second.T), atol=2e-3)


def test_within_needs_identities_with_several() -> None:
    assert within_covariance(unit(30, 8, 0).astype(float), np.arange(30)) is None
    same = second_templates(np.repeat(unit(1, 8, 0), 5, axis=0), np.repeat(unit(1, 8, 0), 5, axis=0), None)
    np.testing.assert_array_equal(same, np.repeat(unit(1, 8, 0), 5, axis=0))


def test_the_first_value_is_found_without_trying_what_costs_much_more() -> None:
    values = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144]
    for wanted in values:
        tried: list[int] = []

        def holds(value: int, wanted: int = wanted, tried: list[int] = tried) -> bool:
            tried.append(value)
            return value >= wanted

        assert _first(values, holds) == wanted
        assert max(tried) <= 4 * wanted
    assert _first(values, lambda _: False) is None
