import numpy as np
import pytest

from engine.calibration.calibration import LEAST_LOCAL, default_score
from engine.matching.densities import densities
from engine.matching.fused import fused
from engine.matching.members import Members
from engine.matching.scoring import LOCAL, PLAIN, QUALITY, WHOLE, Scoring, SearchableGallery
from engine.templates.quality.scale import log_odds
from indexes.exact.flat import Flat


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(3)


def gallery(random: np.random.Generator, each: int = 1, fuse: int | None = None, neighbours: int = 5) -> SearchableGallery:
    """Thirty identities in eight dimensions; what their templates are worth is anything, and of every seventh unknown."""
    centres = random.normal(size=(30, 8))
    vectors = unit(np.repeat(centres, each, axis=0) + 0.3 * random.normal(size=(30 * each, 8)))
    quality = np.concatenate([[1e-6, 0.999999], random.random(30 * each - 2)]).astype(np.float32)
    quality[::7] = np.nan
    index, members = Flat.build(vectors), Members(np.repeat(np.arange(30), each))
    scoring = Scoring(QUALITY, neighbours, Scoring.of(QUALITY, fuse).fuse)
    return SearchableGallery(index, members, scoring, densities(index, members, neighbours), quality=quality)


def by_hand(enrolled: SearchableGallery, probe: np.ndarray, quality: float) -> np.ndarray:
    """The score of each of K identities with one template each, as its definition says it."""
    assert enrolled.quality is not None
    vectors, r = enrolled.index.vectors(np.arange(enrolled.index.count)).astype(float), enrolled.scoring.neighbours
    squares = ((probe - vectors) ** 2).sum(axis=1)
    among = ((vectors[:, None] - vectors) ** 2).sum(axis=2)
    np.fill_diagonal(among, np.inf)
    theirs = np.sort(among, axis=1)[:, :r].mean(axis=1)
    mine = np.array([np.sort(np.delete(squares, k))[:r].mean() for k in range(len(vectors))])
    one, two = (np.nan_to_num(log_odds(np.asarray(q, float)), nan=0.0) for q in (quality, enrolled.quality))
    bonus = 0.014 * (np.clip(one, -5, 2.5) + np.clip(two, -5, 2.5))
    penalty = 0.04 * np.maximum(0, -2.5 - one) * np.maximum(0, -2.5 - two)
    return np.exp(2 * squares - mine - theirs + bonus + penalty)


@pytest.mark.parametrize("quality", [0.5, 0.97, 1e-5, float("nan")])
def test_the_score_by_its_definition(random: np.random.Generator, quality: float) -> None:
    enrolled = gallery(random)
    probe = unit(random.normal(size=(1, 8)))
    found = enrolled.candidates(probe, 30, qualities=np.array([quality], np.float32))
    expected = by_hand(enrolled, probe[0], quality)
    np.testing.assert_allclose(found.scores[0], expected[found.rows[0]], rtol=2e-5)
    shortlist = enrolled.scoring.shortlist
    nearest = ((probe - enrolled.index.vectors(np.arange(30))) ** 2).sum(axis=1).argsort()
    in_order = nearest[:shortlist][np.argsort(expected[nearest[:shortlist]])]
    assert found.rows[0].tolist() == [*in_order.tolist(), *nearest[shortlist:].tolist()]


def test_a_probe_of_which_nobody_knows_counts_as_ordinary(random: np.random.Generator) -> None:
    enrolled, probes = gallery(random), unit(random.normal(size=(4, 8)))
    nothing = enrolled.candidates(probes, 3)
    for known in (np.full(4, np.nan, np.float32), np.full(4, 0.5, np.float32)):
        np.testing.assert_array_equal(enrolled.candidates(probes, 3, qualities=known).scores, nothing.scores)


@pytest.mark.parametrize("each", [1, 3])
def test_who_is_left_out_was_never_enrolled(random: np.random.Generator, each: int) -> None:
    enrolled = gallery(random, each)
    assert enrolled.quality is not None
    probes, worth = unit(random.normal(size=(30, 8))), random.random(30).astype(np.float32)
    without = np.arange(30)
    found = enrolled.candidates(probes, 5, without, worth)
    for at in range(30):
        rows = np.flatnonzero(enrolled.members.codes != at)
        index = Flat.build(enrolled.index.vectors(rows))
        members = Members(np.unique(enrolled.members.codes[rows], return_inverse=True)[1])
        density = densities(index, members, enrolled.scoring.neighbours)
        never = SearchableGallery(index, members, enrolled.scoring, density, quality=enrolled.quality[rows])
        expected = never.candidates(probes[at : at + 1], 5, qualities=worth[at : at + 1])
        np.testing.assert_allclose(found.scores[at], expected.scores[0], rtol=1e-4)
        assert found.rows[at].tolist() == rows[expected.rows[0]].tolist()


def test_a_fused_template_by_hand() -> None:
    vectors = unit(np.array([[1.0, 0], [0, 1], [0, -1], [1, 1]]))
    odds = np.array([0.0, -20, 2, -5], np.float32)
    found, worth = fused(Flat.build(vectors), Members(np.array([0, 0, 1, 0])), odds, np.array([1, 0]))
    weights = np.array([10, 0.15, 5])
    mean = weights @ vectors[[0, 1, 3]]
    np.testing.assert_allclose(found, [[0, -1], mean / np.linalg.norm(mean)], atol=1e-6)
    assert worth == pytest.approx([2, weights @ [0, -20, -5] / weights.sum()])


def test_fused_templates_are_the_same_in_whatever_parts(random: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = np.repeat(np.arange(40), random.integers(1, 9, 40))
    index, members = Flat.build(unit(random.normal(size=(len(codes), 8)))), Members(codes)
    odds, identities = random.normal(size=len(codes)).astype(np.float32), random.permutation(40)
    whole = fused(index, members, odds, identities)
    monkeypatch.setattr("engine.matching.fused._PART", 5)
    for one, other in zip(whole, fused(index, members, odds, identities), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_identity_is_as_far_as_its_fused_template(random: np.random.Generator) -> None:
    enrolled, probes = gallery(random, each=4), unit(random.normal(size=(6, 8)))
    odds = np.nan_to_num(log_odds(enrolled.quality), nan=0.0).astype(np.float32)
    means, _ = fused(enrolled.index, enrolled.members, odds, np.arange(30))
    found = enrolled.candidates(probes, 5)
    codes = enrolled.members.codes[found.rows]
    np.testing.assert_allclose(found.distances, np.linalg.norm(probes[:, None] - means[codes], axis=2), rtol=1e-5)
    # What stands for it is its nearest template.
    for probe, rows in zip(probes, found.rows, strict=True):
        for row in rows:
            own = enrolled.members.rows(enrolled.members.codes[row : row + 1])[0]
            near = np.linalg.norm(enrolled.index.vectors(own) - probe, axis=1)
            assert row == own[near.argmin()]
    alone = [enrolled.candidates(probe[None], 5).scores[0] for probe in probes]
    np.testing.assert_array_equal(found.scores, alone)


def test_what_is_taken_by_default() -> None:
    assert (Scoring.of(QUALITY).neighbours, Scoring.of(QUALITY).fuse) == (20, WHOLE)
    assert (Scoring.of(QUALITY, 2).fuse, Scoring.of(LOCAL).fuse, Scoring.of(LOCAL, 0).fuse) == (2, 1, WHOLE)
    assert [Scoring.of(score).least_identities for score in (QUALITY, LOCAL, PLAIN)] == [22, 7, 1]
    assert [default_score(LEAST_LOCAL - 1, qualities=True), default_score(LEAST_LOCAL)] == [PLAIN, LOCAL]
    assert default_score(LEAST_LOCAL, qualities=True) == QUALITY
