"""What a gallery learns of strangers from its own people, each step by hand."""

import numpy as np
import pytest

from engine.calibration.impostor_searches import (
    drift,
    impostor_distances,
    left_out_searches,
    left_out_templates,
    search_strangers,
    subsample,
    templates_of_each,
)
from engine.matching.densities import densities
from engine.matching.members import Members
from engine.matching.scoring import LOCAL, PLAIN, QUALITY, Scoring, SearchableGallery
from engine.statistics.score_tail import outliers
from indexes.exact.flat import Flat


def enrol(identities: int, each: int = 1, score: str = PLAIN, dim: int = 6) -> SearchableGallery:
    random = np.random.default_rng(identities)
    codes = random.permutation(np.repeat(np.arange(identities), each))
    vectors = random.normal(size=(identities, dim))[codes] + 0.1 * random.normal(size=(len(codes), dim))
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    index, members = Flat.build(unit), Members(codes)
    return SearchableGallery(index, members, Scoring(score), None if score == PLAIN else densities(index, members))


@pytest.mark.parametrize("most", [1, 7, 40, 100])
def test_one_template_of_each_of_some(most: int) -> None:
    """By chance, always the same, and over many seeds each template of an identity."""
    members = enrol(40, each=3).members
    chosen, rows = left_out_templates(members, most)
    assert len(chosen) == len(set(chosen.tolist())) == min(most, 40)
    assert chosen.tolist() == sorted(chosen.tolist())
    np.testing.assert_array_equal(members.codes[rows], chosen)
    np.testing.assert_array_equal(rows, left_out_templates(members, most)[1])
    if most == 100:
        seen = [left_out_templates(members, most, seed)[1] for seed in range(60)]
        assert set(np.concatenate(seen).tolist()) == set(range(120))


def test_searches_have_names_and_parts() -> None:
    enrolled = enrol(20)
    vectors = enrol(30).index.vectors(np.arange(9))
    found = search_strangers(enrolled, vectors, np.arange(100, 109))
    assert found.probes.tolist() == list(range(100, 109))
    nearest = np.sqrt(2 - 2 * (vectors @ enrolled.index.vectors(np.arange(20)).T).max(axis=1))
    np.testing.assert_allclose(found.distances, nearest, atol=1e-4)
    np.testing.assert_array_equal(found.scores, found.distances)
    some = found.only(np.arange(9) % 2 == 0)
    for name in ("probes", "rows", "distances", "scores"):
        np.testing.assert_array_equal(getattr(some, name), getattr(found, name)[::2])
    again = found.of(np.arange(9))
    assert again.probes.tolist() == list(range(9))
    assert again.rows is found.rows


@pytest.mark.parametrize(("most", "pairs"), [(2000, 20 * 19 // 2), (20, 190), (5, 10)])
def test_distances_of_all_pairs(monkeypatch: pytest.MonkeyPatch, most: int, pairs: int) -> None:
    monkeypatch.setattr("engine.calibration.impostor_searches._MOST_PAIRED", most)
    enrolled = enrol(20)
    found = impostor_distances(enrolled)
    assert len(found) == pairs
    vectors = enrolled.index.vectors(np.arange(20)).astype(float)
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    every = np.sort(apart[np.triu_indices(20, 1)])
    if pairs == 190:
        np.testing.assert_allclose(np.sort(found), every, atol=1e-6)
    assert found.min() > 0
    # Of people with several templates, one of each: never two of one.
    assert impostor_distances(enrol(20, each=3)).min() > 0.3


def test_the_second_distance_is_that_of_the_second_candidate() -> None:
    enrolled, probes = enrol(12), enrol(30).index.vectors(np.arange(5))
    apart = np.sort(np.linalg.norm(probes[:, None] - enrolled.index.vectors(np.arange(12)), axis=2), axis=1)
    found = search_strangers(enrolled, probes, np.arange(5))
    np.testing.assert_allclose(found.distances, apart[:, 0], atol=1e-6)
    np.testing.assert_allclose(found.seconds, apart[:, 1], atol=1e-6)
    assert np.isnan(search_strangers(enrol(1), probes, np.arange(5)).seconds).all()


def level(scores: np.ndarray) -> float:
    return float(np.quantile(scores[~outliers(scores)], 0.1))


@pytest.mark.parametrize(("score", "law"), [(PLAIN, 1), (LOCAL, -6), (QUALITY, -18)])
@pytest.mark.parametrize(("identities", "sizes"), [(60, []), (199, []), (200, [100]), (430, [215, 107]), (1700, [850, 425, 212])])
def test_how_scores_move_with_k_by_hand(identities: int, sizes: list[int], score: str, law: int) -> None:
    """Halved up to three times, to a hundred at the least; what was seen has the weight K / (K + 1000)."""
    enrolled = enrol(identities, score=score)
    whole = np.random.default_rng(0).permutation(identities)
    scores = left_out_searches(subsample(enrolled, whole)).scores
    scores = scores[~outliers(scores)]
    few, many = np.log(np.quantile(scores, [0.1, 0.5]))
    foretold = max(-(many - few) / (np.log(-np.log(0.5)) - np.log(-np.log(0.9))), -0.25) * law
    if not sizes:
        assert drift(enrolled) == pytest.approx(foretold, rel=1e-5)
        return
    levels = [level(scores)]
    for size in sizes:
        groups = [whole[start : start + size] for start in range(0, identities, size)]
        found = [left_out_searches(subsample(enrolled, group)).scores for group in groups if len(group) == size]
        levels.append(level(np.concatenate(found)))
    growth = [enrolled.scoring.growth(size) for size in (identities, *sizes)]
    slope = np.polyfit(growth, np.log(levels), 1)[0]
    weight = identities / (identities + 1000)
    assert drift(enrolled) == pytest.approx(weight * slope + (1 - weight) * foretold, rel=1e-5)


def test_of_many_templates_a_few_of_each_take_part(monkeypatch: pytest.MonkeyPatch) -> None:
    assert templates_of_each(np.full(10_000, 1)) == 1
    assert templates_of_each(np.full(3000, 20)) == 6
    assert templates_of_each(np.full(20_001, 3)) == 1
    assert templates_of_each(np.array([1] * 5000 + [530])) == 530
    enrolled = enrol(400, each=5)
    seen = drift(enrolled)
    monkeypatch.setattr("engine.calibration.impostor_searches._MOST_COMPARED", 2000)
    assert drift(enrolled) == seen  # no more than there may be
    searched: list[int] = []
    monkeypatch.setattr("engine.calibration.impostor_searches._MOST_COMPARED", 900)
    monkeypatch.setattr(Flat, "build", lambda vectors, build=Flat.build: searched.append(len(vectors)) or build(vectors))
    few = drift(enrolled)
    assert searched == [800, 400, 400, *[200] * 4]
    assert few != seen
    assert few == pytest.approx(seen, rel=0.3)


def test_a_subsample_is_its_identities_in_their_order() -> None:
    enrolled = enrol(12, each=2, score=LOCAL)
    chosen = np.array([7, 2, 9, 0, 4, 11, 5])
    some = subsample(enrolled, chosen)
    for number, identity in enumerate(chosen.tolist()):
        mine = some.index.vectors(np.flatnonzero(some.members.codes == number))
        theirs = enrolled.index.vectors(np.flatnonzero(enrolled.members.codes == identity))
        np.testing.assert_array_equal(mine, theirs)
    assert some.among is None
    assert some.scoring == enrolled.scoring
    assert some.density is not None
    np.testing.assert_allclose(some.density, densities(some.index, some.members), rtol=1e-6)
    assert subsample(enrol(12), chosen).density is None


def test_templates_that_are_the_same_have_no_distance() -> None:
    """Rounding makes some of them more alike than alike can be."""
    vectors = np.repeat(enrol(40).index.vectors(np.arange(40)), 5, axis=0)
    found = impostor_distances(SearchableGallery(Flat.build(vectors), Members(np.arange(200)), Scoring(PLAIN)))
    assert np.isfinite(found).all()
    assert (found < 1e-3).sum() == 40 * 10


def test_the_smaller_galleries_are_told_one_by_one() -> None:
    told: list[tuple[str, int, int]] = []
    drift(enrol(500), progress=lambda *said: told.append(said))
    assert told == [("smaller galleries", number, 1 + 2 + 4) for number in range(1, 8)]
