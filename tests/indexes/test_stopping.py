"""Searches that stop where a probe is plainly near: the same answer for it, and for all others what a whole search finds."""

from pathlib import Path

import numpy as np
import pytest

from indexes import files
from indexes.approximate.ivf import InvertedLists, Ivf
from indexes.approximate.ivf_sq8 import IvfSq8
from indexes.approximate.two_stage import Effort
from indexes.composite.concatenated import ConcatenatedIndex
from indexes.composite.masked import MaskedIndex
from indexes.errors import IndexFileError
from indexes.exact.flat import Flat
from indexes.registry import load_index
from indexes.tuning.neighbourhoods import for_means
from indexes.tuning.operating_point import exact_answers, nearest_distances, recall_of, tune
from tests.indexes.vectors import cone, unit

COUNT = 6000
VECTORS = cone(COUNT, 48, 0, axes=40)
RANDOM = np.random.default_rng(5)


def second_shots(rows: np.ndarray, apart: float = 0.02) -> np.ndarray:
    """Vectors near those of some rows."""
    moved = VECTORS[rows] + apart * RANDOM.normal(size=(len(rows), 48))
    return (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module", params=[Ivf, IvfSq8])
def index(request: pytest.FixtureRequest) -> InvertedLists:
    return request.param.build(VECTORS)  # type: ignore[no-any-return]


def test_near_probes_stop_and_others_do_not(index: InvertedLists) -> None:
    rows = np.arange(0, COUNT, 10)
    near, strangers = second_shots(rows), cone(300, 48, 7, axes=40)
    index.effort = Effort(index.most_visits, COUNT)
    whole = index.search(strangers, 5)
    index.effort = Effort(index.most_visits, COUNT, 2, float(whole.distances[:, 0].min()))
    assert index.effort.stops
    both = index.search(np.concatenate([strangers, near]), 5, stop_near=True)
    np.testing.assert_array_equal(both.rows[:300], whole.rows)
    np.testing.assert_array_equal(both.distances[:300], whole.distances)
    # Every probe that stopped has its own vector; its other neighbours come from the two nearest lists alone.
    exact = index.search(near, 5)
    stopped = both.distances[300:, 0] < index.effort.near
    assert stopped.mean() > 0.9
    np.testing.assert_array_equal(both.rows[300:, 0][stopped], rows[stopped])
    assert (both.distances[300:, 4] > exact.distances[:, 4]).mean() > 0.5
    # A batch changes nothing for its members.
    for probe in (0, 299, 300, 301):
        alone = index.search(np.concatenate([strangers, near])[probe : probe + 1], 5, stop_near=True)
        np.testing.assert_array_equal(alone.rows[0], both.rows[probe])
    # Unless it is asked for, no search stops.
    np.testing.assert_array_equal(index.search(near, 5).rows, exact.rows)


def test_searches_that_may_not_stop_find_what_those_find_that_do_not(index: InvertedLists) -> None:
    """With shortlists so short that each finds others: a gallery is calibrated with the former, and strangers ask the latter."""
    strangers = cone(300, 48, 7, axes=40)
    index.effort = Effort(index.most_visits // 2, 6, 4, 1e-3)
    assert index.effort.stops
    may, may_not = index.search(strangers, 5, stop_near=True), index.search(strangers, 5)
    np.testing.assert_array_equal(may.rows, may_not.rows)
    np.testing.assert_array_equal(may.distances, may_not.distances)


def test_lists_with_too_few_vectors_are_no_reason_to_stop(index: InvertedLists) -> None:
    index.effort = Effort(index.most_visits, 400, 1, 2.0)
    found = index.search(second_shots(np.arange(50)), 400, stop_near=True)
    assert np.isfinite(found.distances).all()
    assert (np.diff(np.sort(found.rows, axis=1)) > 0).all()


def test_who_is_masked_is_no_reason_to_stop(index: InvertedLists) -> None:
    """The nearest vector is gone, and the search went no further because of it: it has to."""
    rows = np.arange(0, COUNT, 20)
    probes, gone = second_shots(rows, 0.002), np.zeros(COUNT, bool)
    gone[rows] = True
    index.effort = Effort(index.most_visits, COUNT, 1, 0.1)
    found = MaskedIndex(index, gone).search(probes, 3, stop_near=True)
    expected = Flat(VECTORS[~gone]).search(probes, 3)
    np.testing.assert_array_equal(found.rows, expected.rows)


def test_what_was_added_is_found_before_a_search_stops(index: InvertedLists) -> None:
    index.effort = Effort(index.most_visits, 200, 1, 2.0)
    more = cone(100, 48, 11, axes=40)
    grown = index.with_more(more)
    np.testing.assert_array_equal(grown.search(more, 1, stop_near=True).rows[:, 0], COUNT + np.arange(100))
    joined = ConcatenatedIndex([index, Flat.build(more)])
    np.testing.assert_array_equal(joined.search(more, 1, stop_near=True).rows[:, 0], COUNT + np.arange(100))


def test_ranks_are_the_lists_that_must_be_visited(index: InvertedLists) -> None:
    rows = np.arange(0, COUNT, 40)
    probes = second_shots(rows, 0.06)
    ranks = index.list_ranks(probes, rows)
    assert ranks.min() == 1
    for visits in (1, 2, 5, 20, index.most_visits):
        index.effort = Effort(visits, COUNT)
        found = (index.search(probes, COUNT).rows == rows[:, None]).any(axis=1) if visits == index.most_visits else None
        chosen = (index.shortlist(probes, COUNT) == rows[:, None]).any(axis=1)
        np.testing.assert_array_equal(chosen, ranks <= visits)
        assert found is None or found.all()


def test_tuning_counts_whom_an_exhaustive_search_identifies() -> None:
    index = Ivf.build(VECTORS)
    rows = np.arange(0, COUNT, 3)
    # Half are good pictures; half are so bad that they are as far from everybody as strangers are.
    probes = np.concatenate([second_shots(rows[:1000]), cone(1000, 48, 7, axes=40)])
    exact = exact_answers(VECTORS, probes)
    np.testing.assert_array_equal(exact.rows[:1000], rows[:1000])
    np.testing.assert_allclose(exact.distances, nearest_distances(VECTORS, probes), atol=1e-6)
    assert exact.identified[:1000].all()
    assert exact.identified[1000:].mean() < 0.5
    point = tune(index, probes, 0.99)
    assert point.identified is not None
    assert point.identified >= 0.99 > point.recall
    found = index.search(probes, 1, stop_near=True).distances[:, 0] <= exact.distances + 1e-6
    assert (point.recall, point.identified) == (found.mean(), found[exact.identified].mean())
    assert 0 < point.first < point.visits
    assert (point.first, point.near) == (index.effort.first, index.effort.near)
    # Nobody stops near to whom it does not belong, but one in a thousand.
    assert (exact.others < point.near).mean() <= 0.002


def test_a_longer_shortlist_comes_before_searches_that_never_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short one of `ivf-sq8` finds less than the long one by which it was chosen."""
    monkeypatch.setattr("indexes.approximate.ivf_sq8._ORDERED", 1)
    monkeypatch.setattr("indexes.tuning.operating_point._SHORTLISTS", (1, 64, 128))
    monkeypatch.setattr(IvfSq8, "shortest", 1)
    index = IvfSq8.build(VECTORS)
    probes = second_shots(np.arange(0, COUNT, 3), 0.09)
    point = tune(index, probes, 0.99)
    assert point.identified is not None
    assert point.identified >= 0.99
    assert point.shortlist > 1
    assert 0 < point.first < point.visits
    index.effort = Effort(point.visits, 1, point.first, point.near)
    assert recall_of(index, probes, nearest_distances(VECTORS, probes)) < 0.99


def test_probes_whose_own_vector_is_known_are_searched_for_in_part(index: InvertedLists, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexes.tuning.operating_point._MEASURED", 1)
    monkeypatch.setattr("indexes.tuning.operating_point._LEAST_SEARCHED", 100)
    own = np.arange(0, COUNT, 3)[:1000]
    probes = second_shots(own)
    whole, part = exact_answers(VECTORS, probes), exact_answers(VECTORS, probes, own=own)
    searched = np.isin(np.arange(1000), np.linspace(0, 999, 100).astype(int))
    assert len(part.others) == searched.sum() == 100
    np.testing.assert_array_equal(part.others, whole.others[searched])
    np.testing.assert_array_equal(part.rows, np.where(searched, whole.rows, own))
    np.testing.assert_allclose(part.distances[searched], whole.distances[searched], atol=1e-6)
    assert (part.distances >= whole.distances - 1e-6).all()
    # What it is tuned to holds by exhaustive searches for all.
    point = tune(index, probes, 0.99, own=own)
    assert point.visits < point.of_visits
    found = index.search(probes, 1, stop_near=True).distances[:, 0] <= whole.distances + 1e-6
    assert found[whole.identified].mean() >= 0.99


def test_others_are_of_another_group() -> None:
    """An identity's other templates are near, and say nothing of strangers."""
    twins = np.concatenate([VECTORS[:1000], second_shots(np.arange(1000), 0.01)])
    groups = np.tile(np.arange(1000), 2)
    probes = second_shots(np.arange(200), 0.01)
    alone, together = exact_answers(twins, probes), exact_answers(twins, probes, groups)
    distances = np.sqrt(((probes[:, None].astype(float) - twins[None]) ** 2).sum(axis=2))
    own = np.arange(200)[:, None] == groups
    np.testing.assert_allclose(together.others, np.where(own, np.inf, distances).min(axis=1), atol=1e-6)
    assert (alone.others < together.others).all()


def test_an_index_that_never_stops_says_so_and_is_read(
    index: InvertedLists, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.effort = Effort(5, 32, 2, 0.25)
    index.save(tmp_path / "now")
    again = load_index(tmp_path / "now", VECTORS)
    assert isinstance(again, InvertedLists)
    assert again.effort == index.effort
    kind, settings, arrays = files.read_index(tmp_path / "now")
    # As format 2 had it.
    monkeypatch.setattr(files, "FORMAT", 2)
    files.write_index(tmp_path / "before", kind, {**settings, "effort": {"visits": 5, "shortlist": 32}}, arrays)
    monkeypatch.undo()
    before = load_index(tmp_path / "before", VECTORS)
    assert isinstance(before, InvertedLists)
    assert before.effort == Effort(5, 32)
    for forged in ({"first": -1}, {"first": 1.5}, {"near": 3.0}, {"near": "far"}, {"near": float("nan")}):
        files.write_index(tmp_path / "forged", kind, {**settings, "effort": {**settings["effort"], **forged}}, arrays)
        with pytest.raises(IndexFileError, match="it stops after"):
            load_index(tmp_path / "forged", VECTORS)


def test_means_of_neighbours_take_less() -> None:
    exact = (Flat(VECTORS).search(VECTORS, 7).distances[:, 1:] ** 2).mean(axis=1)
    index = for_means(VECTORS, VECTORS[::10], 7)
    assert index.effort.visits < index.most_visits
    ours = (index.search(VECTORS, 7).distances[:, 1:] ** 2).mean(axis=1)
    assert np.std(np.log(ours / exact)) < 0.03
    # As far as it goes where that is not enough: of vectors in all directions none is near.
    everywhere = unit(2000, 48, 1)
    assert for_means(everywhere, everywhere[:200], 2).effort.visits > 8
