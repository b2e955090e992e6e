"""Scores and leave-one-identity-out, against plain loops and against galleries in which the identity really never was."""

from dataclasses import replace

import numpy as np
import pytest

from engine.calibration.impostor_searches import drift, left_out_searches, subsample
from engine.errors import GalleryError
from engine.matching.densities import densities, reference
from engine.matching.members import Members
from engine.matching.nearest_identities import nearest_identities
from engine.matching.scoring import LOCAL, PLAIN, QUALITY, Scoring, SearchableGallery
from indexes.approximate.ivf import Ivf
from indexes.approximate.two_stage import Effort
from indexes.exact.flat import Flat


def enrol(vectors: np.ndarray, codes: np.ndarray, scoring: Scoring) -> SearchableGallery:
    index, members = Flat.build(vectors), Members(codes)
    density = densities(index, members, scoring.neighbours) if scoring.scaled else None
    return SearchableGallery(index, members, scoring, density)


def people(identities: int, most: int, dim: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Templates of identities that have 1 to `most` each, in no order."""
    random = np.random.default_rng(seed)
    codes = random.permutation(np.repeat(np.arange(identities), random.integers(1, most + 1, identities)))
    vectors = random.normal(size=(identities, dim))[codes] + 0.3 * random.normal(size=(len(codes), dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), codes


def local_by_hand(vectors: np.ndarray, codes: np.ndarray, probe: np.ndarray, r: int, fuse: int = 1) -> dict[int, float]:
    """The local score of every identity, in loops and double precision."""
    wide = vectors.astype(float)

    def to_identities(point: np.ndarray, but: int) -> np.ndarray:
        squares = ((wide - point) ** 2).sum(axis=1)
        return np.sort([squares[codes == code].min() for code in set(codes.tolist()) - {but}])

    scores = {}
    for code in sorted(set(codes.tolist())):
        squares = np.where(codes == code, ((wide - probe) ** 2).sum(axis=1), np.inf)
        distance = np.sqrt(np.sort(squares)[: min(fuse, (codes == code).sum())]).mean()
        around_probe = to_identities(probe, code)[:r].mean()
        around_template = to_identities(wide[np.argmin(squares)], code)[:r].mean()
        scores[code] = distance**2 / np.sqrt(around_probe * around_template)
    return scores


@pytest.mark.parametrize(("most", "fuse", "r"), [(1, 1, 5), (4, 1, 3), (4, 2, 5)])
def test_the_local_score_is_its_formula(most: int, fuse: int, r: int) -> None:
    vectors, codes = people(30, most)
    enrolled = enrol(vectors, codes, Scoring(LOCAL, r, fuse))
    probes = people(20, 1, seed=1)[0]
    found = enrolled.candidates(probes, r)
    assert found.scores.shape == (20, r)
    for probe, rows, scores in zip(probes, found.rows, found.scores, strict=True):
        by_hand = local_by_hand(vectors, codes, probe, r, fuse)
        np.testing.assert_allclose(scores, [by_hand[code] for code in codes[rows]], rtol=1e-4)
        assert (np.diff(scores) >= 0).all()
        # No candidate that was searched for is better than the first.
        assert scores[0] <= by_hand[codes[np.argmin(((vectors - probe) ** 2).sum(axis=1))]] * 1.0001


def test_plain_scores_are_distances() -> None:
    vectors, codes = people(30, 3)
    found = enrol(vectors, codes, Scoring(PLAIN)).candidates(vectors[:5], 2)
    np.testing.assert_array_equal(found.scores, found.distances)
    assert codes[found.rows[:, 0]].tolist() == codes[:5].tolist()


@pytest.mark.parametrize("score", [LOCAL, PLAIN])
@pytest.mark.parametrize("most", [1, 4])
def test_left_out_is_as_if_never_enrolled(score: str, most: int) -> None:
    """Densities included: the gallery is built anew without each identity, and says the same."""
    vectors, codes = people(40, most)
    enrolled = enrol(vectors, codes, Scoring(score, 4))
    searches = left_out_searches(enrolled)
    assert sorted(codes[searches.probes].tolist()) == list(range(40))
    for row, nearest, found in zip(searches.probes, searches.rows, searches.scores, strict=True):
        others = codes != codes[row]
        without = enrol(vectors[others], np.unique(codes[others], return_inverse=True)[1], Scoring(score, 4))
        expected = without.candidates(vectors[row : row + 1], 1)
        assert found == pytest.approx(expected.scores[0, 0], rel=1e-4)
        assert nearest == np.flatnonzero(others)[expected.rows[0, 0]]


def test_large_galleries_measure_densities_among_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against loops; and who is left out leaves the densities only if it was in the sample."""
    monkeypatch.setattr("engine.matching.densities._MOST_SEARCHED", 50)
    monkeypatch.setattr("engine.matching.densities._REFERENCE", 60)
    monkeypatch.setattr("engine.matching.densities._LEAST", 10)
    vectors, codes = people(60, 4)
    enrolled = enrol(vectors, codes, Scoring(LOCAL, 3))
    assert enrolled.density is not None
    among = np.flatnonzero(reference(enrolled.members))
    assert 10 <= len(among) < 40
    monkeypatch.setattr("engine.matching.densities._MOST_SEARCHED", len(codes))
    assert reference(enrolled.members).all()
    monkeypatch.setattr("engine.matching.densities._MOST_SEARCHED", 50)

    def by_hand(row: int, but: set[int]) -> float:
        squares = ((vectors.astype(float) - vectors[row]) ** 2).sum(axis=1)
        return float(np.sort([squares[codes == code].min() for code in among if code not in but | {codes[row]}])[:3].mean())

    np.testing.assert_allclose(enrolled.density[:, 0], [by_hand(row, set()) for row in range(len(codes))], rtol=1e-4)
    probes, without = vectors[:40], codes[:40]
    assert {bool(np.isin(code, among)) for code in without} == {True, False}
    found = enrolled.candidates(probes, 2, without=without)
    for probe, own, rows, scores in zip(probes, without, found.rows, found.scores, strict=True):
        squares = ((vectors.astype(float) - probe) ** 2).sum(axis=1)
        near = {code: squares[codes == code].min() for code in set(codes.tolist()) - {own}}
        for row, score in zip(rows, scores, strict=True):
            around = np.sort([value for code, value in near.items() if code != codes[row]])[:3].mean()
            expected = near[codes[row]] / np.sqrt(around * by_hand(int(row), {own}))
            assert score == pytest.approx(expected, rel=1e-3)


def test_a_large_sample_is_searched_approximately(monkeypatch: pytest.MonkeyPatch) -> None:
    """Densities are those of an exact search but for a little noise; and people of no density are who is left out."""
    vectors, codes = people(4000, 1, dim=24)
    monkeypatch.setattr("engine.matching.densities._MOST_SEARCHED", 3000)
    monkeypatch.setattr("engine.matching.densities._REFERENCE", 1600)
    index, members = Flat.build(vectors), Members(codes)
    exact = densities(index, members)
    monkeypatch.setattr("engine.matching.densities._EXACT", 1500)
    ours = densities(index, members)
    assert (ours != exact).any()
    assert np.std(np.log(ours[:, 0] / exact[:, 0])) < 0.03
    # Those of templates that join later are measured exactly: these must not be longer.
    assert np.log(ours / exact).mean(axis=0) == pytest.approx([0, 0], abs=0.005)
    with monkeypatch.context() as patched:
        patched.setattr("engine.common.concurrency.os.cpu_count", lambda: 1)
        np.testing.assert_array_equal(densities(index, members), ours)
    enrolled = SearchableGallery(index, members, Scoring(LOCAL), ours)
    assert not enrolled.counted[codes[left_out_searches(enrolled, 500).probes]].any()
    # Where these are too few to speak for all, anybody is.
    few = replace(enrolled, among=np.arange(4000) < 2500)
    assert few.counted[codes[left_out_searches(few, 500).probes]].any()


@pytest.mark.parametrize("score", [LOCAL, PLAIN])
def test_who_is_left_out_is_no_reason_to_stop(score: str) -> None:
    """An enrolled template is nearest to itself: searches for strangers go on to the end, those for probes stop there."""
    vectors, codes = people(3000, 1, dim=24)
    exact = enrol(vectors, codes, Scoring(score))
    index = Ivf.build(vectors)
    index.effort = Effort(index.most_visits, len(vectors), 1, 2.0)
    stopping = replace(exact, index=index)
    ours, expected = left_out_searches(stopping, 300), left_out_searches(exact, 300)
    np.testing.assert_array_equal(ours.rows, expected.rows)
    np.testing.assert_allclose(ours.scores, expected.scores, rtol=1e-5)
    probes = people(100, 1, dim=24, seed=1)[0]
    assert (stopping.candidates(probes, 1).rows != exact.candidates(probes, 1).rows).any()


@pytest.mark.parametrize("scoring", [Scoring(LOCAL), Scoring(PLAIN), Scoring(PLAIN, fuse=2), Scoring.of(QUALITY)])
@pytest.mark.parametrize("visits", [6, None])
@pytest.mark.parametrize("most", [2, 12])
def test_how_many_are_listed_changes_nothing_else(scoring: Scoring, visits: int | None, most: int) -> None:
    """An index that looks at few lists finds others where more are wanted; and an exact one those farther away whose scores are
    better. The first are the same ones all the same.
    """
    vectors, codes = people(6000 // most, most, dim=24)
    gallery = enrol(vectors, codes, scoring)
    if visits is not None:
        index = Ivf.build(vectors)
        index.effort = Effort(visits, 8)
        gallery = replace(gallery, index=index)
    probes = people(200, 1, dim=24, seed=1)[0]
    lists = {top: gallery.candidates(probes, top) for top in (1, 5, 20, 60)}
    longest = lists[60]
    assert longest.rows.shape == (200, 60)
    assert all(len(set(gallery.members.codes[rows])) == 60 for rows in longest.rows)
    for top, found in lists.items():
        same = min(top, 20)
        np.testing.assert_array_equal(found.rows[:, :same], longest.rows[:, :same])
        np.testing.assert_array_equal(found.scores[:, :same], longest.scores[:, :same])
    first = scoring.shortlist
    assert (np.diff(longest.scores[:, :first], axis=1) >= 0).all()
    if visits is None:
        nearest = nearest_identities(gallery.index, gallery.members, probes, 60)
        np.testing.assert_array_equal(longest.rows[:, first:], nearest.rows[:, first:])


def test_lists_longer_than_the_gallery() -> None:
    vectors, codes = people(9, 2)
    found = enrol(vectors, codes, Scoring(LOCAL)).candidates(vectors, 50)
    assert all(set(codes[rows]) == set(range(9)) for rows in found.rows)
    without = enrol(vectors, codes, Scoring(LOCAL)).candidates(vectors, 50, without=codes)
    assert all(set(codes[rows]) == set(range(9)) - {own} for rows, own in zip(without.rows, codes, strict=True))


def test_identical_templates_have_scores() -> None:
    vectors = np.repeat(np.eye(1, 8, dtype=np.float32), 20, axis=0)
    found = enrol(vectors, np.arange(20), Scoring(LOCAL)).candidates(vectors[:3], 5)
    assert (found.scores == 0).all()


def test_what_cannot_be_scored() -> None:
    with pytest.raises(GalleryError, match="needs 7 identities, this gallery has 6"):
        Scoring(LOCAL).check(6)
    Scoring(LOCAL).check(7)
    Scoring(PLAIN).check(1)
    with pytest.raises(GalleryError, match="expected plain, local or quality"):
        Scoring("best").check(10)
    with pytest.raises(GalleryError, match="at least 1"):
        Scoring(PLAIN, fuse=-1).check(10)
    vectors, codes = people(10, 1)
    with pytest.raises(GalleryError, match="needs the densities"):
        SearchableGallery(Flat.build(vectors), Members(codes), Scoring(LOCAL)).candidates(vectors, 1)


def test_scores_fall_as_galleries_grow() -> None:
    vectors, codes = people(3000, 1, dim=6)
    law = drift(enrol(vectors, np.unique(codes, return_inverse=True)[1], Scoring(PLAIN)))
    # Nearest of K points in 5 dimensions: K^(-1/5).
    assert law == pytest.approx(-1 / 5, abs=0.02)
    # Too few to be halved: the spread of their scores says it alone.
    alone = [drift(enrol(vectors[start : start + 150], np.arange(150), Scoring(PLAIN))) for start in range(0, 3000, 150)]
    assert np.mean(alone) == pytest.approx(-1 / 5, abs=0.03)


@pytest.mark.parametrize(("score", "fastest"), [(PLAIN, -0.25), (LOCAL, 1.5)])
def test_people_enrolled_twice_do_not_say_how_scores_move(score: str, fastest: float) -> None:
    vectors, _ = people(150, 1, dim=6)
    twice = drift(enrol(np.concatenate([vectors, vectors[:12]]), np.arange(162), Scoring(score)))
    assert 0 < twice / fastest <= 1


def test_a_subsample_is_the_gallery_of_some() -> None:
    vectors, codes = people(30, 3)
    some = subsample(enrol(vectors, codes, Scoring(LOCAL)), np.array([4, 17, 2, 9, 11, 25, 8]))
    assert some.members.identities == 7
    assert some.index.count == np.isin(codes, [4, 17, 2, 9, 11, 25, 8]).sum()
    assert some.density is not None
    assert some.density.shape == (some.index.count, 2)


@pytest.mark.parametrize("score", [LOCAL, PLAIN])
def test_parts_make_no_difference(score: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Densities, searches and who is left out of each, seven at a time or all at once."""
    vectors, codes = people(40, 4)
    whole = enrol(vectors, codes, Scoring(score, 4))
    expected = left_out_searches(whole)
    monkeypatch.setattr("engine.matching.densities._BATCH", 7)
    monkeypatch.setattr("engine.calibration.impostor_searches._BATCH", 7)
    parts = enrol(vectors, codes, Scoring(score, 4))
    found = left_out_searches(parts)
    np.testing.assert_array_equal(found.probes, expected.probes)
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
    if score == LOCAL:
        assert whole.density is not None
        assert parts.density is not None
        np.testing.assert_allclose(parts.density, whole.density, rtol=1e-5)


def test_densities_that_were_not_measured_yet() -> None:
    """Searches measure those of their candidates; all can be had; and what was measured is as if it had been there."""
    vectors, codes = people(30, 3)
    whole = enrol(vectors, codes, Scoring(LOCAL, 4))
    assert whole.density is not None
    half = whole.density.copy()
    half[::2] = np.nan
    some = replace(whole, density=half)
    np.testing.assert_array_equal(some.known_densities(), half)
    np.testing.assert_allclose(some.candidates(vectors[:9], 3).scores, whole.candidates(vectors[:9], 3).scores, rtol=1e-5)
    known = some.known_densities()
    assert known is not None
    assert 0 < np.isnan(known).any(axis=1).sum() < np.isnan(half).any(axis=1).sum()
    np.testing.assert_allclose(known[~np.isnan(known)], whole.density[~np.isnan(known)], rtol=1e-5)
    np.testing.assert_allclose(some.all_densities(), whole.density, rtol=1e-5)
    plain = enrol(vectors, codes, Scoring(PLAIN))
    assert plain.all_densities() is None
    assert plain.known_densities() is None


def test_progress_is_told_to_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many of how many, after each batch."""
    monkeypatch.setattr("engine.matching.densities._BATCH", 7)
    monkeypatch.setattr("engine.calibration.impostor_searches._BATCH", 4)
    told: list[tuple[str, int, int]] = []

    def progress(*said: object) -> None:
        told.append(said)  # type: ignore[arg-type]

    vectors, codes = people(10, 2)
    index, members = Flat.build(vectors), Members(codes)
    enrolled = SearchableGallery(index, members, Scoring(LOCAL), densities(index, members, progress=progress))
    assert told == [("densities", done, len(codes)) for done in (*range(7, len(codes), 7), len(codes))]
    told.clear()
    left_out_searches(enrolled, progress=progress)
    assert told == [("calibrating", done, 10) for done in (4, 8, 10)]
