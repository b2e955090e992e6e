import numpy as np
import pytest

from benchmarks.data.synthetic_templates import BLOCK, Population, Shape
from benchmarks.data.template_fit import IMPOSTOR_LEVELS, TAIL, fit, quantiles
from benchmarks.speed.index_search import growth, measure_search
from engine.errors import TemplatesError


@pytest.fixture(scope="module")
def people() -> Population:
    return Population(Shape.load(), seed=3)


def test_an_identity_is_the_same_whatever_is_asked_for(people: Population) -> None:
    whole = people.templates(0, BLOCK + 50)
    assert whole.shape == (BLOCK + 50, 128)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(people.templates(BLOCK - 5, 20), whole[BLOCK - 5 : BLOCK + 15])
    assert [len(part) for part in people.batches(10, BLOCK)] == [BLOCK - 10, 10]
    assert not np.array_equal(people.templates(0, 5, image=1), whole[:5])
    assert not np.array_equal(Population(people.shape, seed=4).templates(0, 5), whole[:5])


def test_distances_are_those_of_real_templates(people: Population) -> None:
    """The figures of the module's docstring, measured on LFW; the impostor tail must be no thinner than the real one."""
    vectors = np.concatenate([people.templates(0, 4000, image) for image in (0, 1)])
    made = quantiles(vectors, np.tile(np.arange(4000), 2))
    assert (people.shape.weights * 4028 > 9.5).all()  # fewer people, and a group's mean would be somebody's template
    assert made.impostor[IMPOSTOR_LEVELS.index(TAIL)] < 1.085
    np.testing.assert_allclose(made.impostor[2:6], [1.127, 1.184, 1.258, 1.345], atol=0.01)
    np.testing.assert_allclose(made.genuine[2], 0.79, atol=0.02)


def test_a_fit_to_its_own_templates_gives_them_back(people: Population) -> None:
    vectors = np.concatenate([people.templates(0, 1500, image) for image in (0, 1)])
    found = fit(vectors, np.tile(np.arange(1500), 2))
    np.testing.assert_allclose(found.synthetic.impostor[2:], found.real.impostor[2:], atol=0.02)
    np.testing.assert_allclose(found.synthetic.genuine, found.real.genuine, atol=0.06)
    with pytest.raises(TemplatesError, match="found 60 identities, 60 of them with several templates"):
        fit(vectors[[*range(60), *range(1500, 1560)]], np.tile(np.arange(60), 2))


def test_search_is_measured_once(tmp_path: object) -> None:
    from pathlib import Path

    out = Path(str(tmp_path)) / "out"
    rows = measure_search([1000, 2000], ["flat", "flat-codes"], out, rounds=1, recall=0.95)
    assert [(row.kind, row.count) for row in rows] == [("flat", 1000), ("flat-codes", 1000), ("flat", 2000), ("flat-codes", 2000)]
    assert [row.recall_mated for row in rows if row.kind == "flat"] == [1, 1]
    assert all(row.recall_mated > 0.9 and row.per_second > 0 and row.ratio > 0 for row in rows)
    said: list[str] = []
    again = measure_search([1000, 2000], ["flat", "flat-codes"], out, rounds=1, recall=0.95, said=said.append)
    assert (again, said) == (rows, [])


def test_growth_is_the_exponent() -> None:
    from dataclasses import replace

    from benchmarks.speed.index_search import Row

    row = Row("flat", 1000, 1, 0, 0, 0, 0, 500, 0, 0, 0, 0, 0, 0, 1, 1)
    assert growth([row, replace(row, count=100_000, per_second=5)]) == pytest.approx(1)
