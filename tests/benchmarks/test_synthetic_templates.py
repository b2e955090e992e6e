from pathlib import Path

import numpy as np
import pytest

from benchmarks.data.synthetic_templates import BLOCK, Population, Shape
from benchmarks.data.template_fit import fit, people_of, quantiles
from benchmarks.search.likeness import SOURCES, _ranks, measure_likeness
from benchmarks.speed.index_search import growth, measure_search
from engine.errors import TemplatesError
from engine.templates.model import Templates


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


@pytest.mark.parametrize(
    ("encoder", "impostor", "genuine"),
    [
        ("sface", [1.076, 1.127, 1.184, 1.258, 1.345], [0.710, 0.790, 0.881]),
        ("dlib-resnet", [0.336, 0.377, 0.422, 0.486, 0.566], [0.251, 0.286, 0.321]),
    ],
)
def test_distances_are_those_of_real_templates(encoder: str, impostor: list[float], genuine: list[float]) -> None:
    """As `fit-templates` measured them on LFW; the impostor tail must be no thinner than the real one."""
    people = Population(Shape.of(encoder), seed=3)
    vectors = np.concatenate([people.templates(0, 4000, image) for image in (0, 1)])
    made = quantiles(vectors, np.tile(np.arange(4000), 2))
    assert (people.shape.weights * 4028 > 9.5).all()  # fewer people, and a group's mean would be somebody's template
    np.testing.assert_allclose(made.impostor[1:6], impostor, rtol=0.025)
    np.testing.assert_allclose(made.genuine[1:4], genuine, rtol=0.03)
    with pytest.raises(TemplatesError, match="like those of nobody; expected sface or dlib-resnet"):
        Shape.of("nobody")


def test_photographs_of_an_identity_are_about_as_unlike(people: Population) -> None:
    """How unlike belongs to the identity: who differs much between two photographs does so between two others."""
    one, two, three, four = (people.templates(0, 3000, image) for image in range(4))
    pairs = np.linalg.norm(one - two, axis=1), np.linalg.norm(three - four, axis=1)
    assert np.corrcoef(*pairs)[0, 1] > 0.5


@pytest.fixture(scope="module")
def templates(people: Population) -> Templates:
    vectors = np.concatenate([people.templates(0, 1300, image) for image in (0, 1)])
    names = [f"p{number % 1300}" for number in range(2600)]
    return Templates.from_vectors(vectors, identities=names)


def test_a_fit_to_its_own_templates_gives_them_back(templates: Templates, tmp_path: Path) -> None:
    found = fit(templates.vectors, people_of(templates), "whose")
    np.testing.assert_allclose(found.synthetic.impostor[2:], found.real.impostor[2:], atol=0.02)
    np.testing.assert_allclose(found.synthetic.genuine, found.real.genuine, atol=0.06)
    found.shape.save(tmp_path / "fit.npz")
    again = Shape.load(tmp_path / "fit.npz")
    assert again.encoder == "whose"
    np.testing.assert_array_equal(again.noise, found.shape.noise)
    few = [*range(60), *range(1300, 1360)]
    with pytest.raises(TemplatesError, match="found 60 identities, 60 of them with several templates"):
        fit(templates.vectors[few], np.tile(np.arange(60), 2), "whose")


def test_templates_of_the_generator_are_like_those_that_it_was_fitted_to(templates: Templates) -> None:
    found = {each.source: each for each in measure_likeness(templates, [650], splits=1)}
    assert tuple(found) == SOURCES
    real = found["real"].figures
    np.testing.assert_allclose(found["synthetic"].figures[4:], real[4:], rtol=0.06)
    np.testing.assert_array_equal(found["simulated probes"].figures[7:], real[7:])
    # What answers lie in, of real people and of the generator's: between the first list and all of them.
    assert ((real[:4] > 0) & (real[:4] <= 1)).all()
    assert real[0] < real[1]
    with pytest.raises(TemplatesError, match="651 people to compare: expected 40 to 650"):
        measure_likeness(templates, [651])


def test_lists_until_an_answer_by_hand() -> None:
    """Two groups far apart are two lists: a probe in the one whose answer lies in the other visits both."""
    random = np.random.default_rng(0)
    near = random.normal(0, 0.01, (40, 8)).astype(np.float32)
    near[20:, 0] += 1
    probes = near[[0, 0]]
    np.testing.assert_array_equal(_ranks(near, probes, np.array([3, 30])), [0.5, 1])


def test_search_is_measured_once(tmp_path: Path) -> None:
    out = tmp_path / "out"
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
