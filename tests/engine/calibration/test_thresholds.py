"""Which threshold decides, from how much evidence; from the first person on, and from one kind of evidence to the other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine import Gallery, Templates
from engine.calibration.calibration import Calibration, RowNames, calibrate
from engine.calibration.evidence import Evidence, combined_threshold, evidence_of
from engine.calibration.thresholds import accepts, checked_distance, default_threshold, identify_threshold, match_threshold
from engine.errors import GalleryError
from engine.matching.densities import densities
from engine.matching.members import Members
from engine.matching.scoring import LOCAL, PLAIN, Scoring, SearchableGallery
from engine.templates.measured.impostors import Chances, impostors_of
from engine.templates.provenance import Provenance
from indexes.exact.flat import Flat
from tests.support.known import SFACE, made_by_sface, people, strangers

FOREIGN = Provenance.foreign(128)


def enrol(vectors: np.ndarray, score: str) -> SearchableGallery:
    index, members = Flat.build(vectors), Members(np.arange(len(vectors)))
    density = densities(index, members) if score == LOCAL else None
    return SearchableGallery(index, members, Scoring(score), density)


def calibrated(enrolled: SearchableGallery) -> Calibration:
    return calibrate(enrolled, RowNames(pa.chunked_array([np.arange(enrolled.index.count).astype(str)])))


def at(identities: int, made: Provenance = SFACE, calibration: Calibration | None = None, score: str = PLAIN) -> Evidence:
    return evidence_of(Scoring(score), calibration, made, identities, identities)


def test_the_threshold_itself_is_accepted() -> None:
    scores = np.array([0.0, 0.42, 0.425, 0.4250001, 2.0, np.nan], np.float32)
    assert accepts(scores, 0.425).tolist() == [True, True, True, False, False, False]


def test_distances_as_thresholds() -> None:
    assert checked_distance(None, 0.4) == 0.4
    assert checked_distance(0.0, 0.4) == 0.0
    with pytest.raises(GalleryError, match="pass threshold="):
        checked_distance(None, None)
    for wrong in (-0.1, 2.1, float("nan")):
        with pytest.raises(GalleryError, match="expected a distance"):
            checked_distance(wrong, None)


def test_without_anything_that_is_known() -> None:
    for evidence in (at(3, FOREIGN), at(3, score=LOCAL)):
        assert default_threshold(evidence) is None
        with pytest.raises(GalleryError, match=r"no default threshold: 3 identities are too few .* takes 50;.*--strangers"):
            identify_threshold(None, None, evidence)
        with pytest.raises(GalleryError, match="3 identities say nothing of strangers"):
            identify_threshold(None, 0.01, evidence)
    given = identify_threshold(0.3, None, at(3, FOREIGN))
    assert (given.score, given.fpir, given.given) == (0.3, None, True)
    assert str(given) == "threshold 0.3 (plain): as given; nothing is known of strangers at K=3"
    assert identify_threshold(7.5, None, at(3, FOREIGN, score=LOCAL)).score == 7.5
    with pytest.raises(GalleryError, match="both given"):
        identify_threshold(0.3, 0.01, at(3))
    for wrong in (-1.0, float("inf"), float("nan")):
        with pytest.raises(GalleryError, match="expected a local score"):
            identify_threshold(wrong, None, at(3, score=LOCAL))


def test_the_encoders_impostors_decide_in_small_galleries() -> None:
    known = impostors_of(SFACE)
    assert known is not None
    used = identify_threshold(None, None, at(49))
    assert used.score == pytest.approx(known.distance_at(1 - 0.99 ** (1 / 49)))
    assert str(used) == (
        f"threshold {used.score:.4g} (plain): strangers 1 % at K=49, "
        "by the encoder's impostors (8.1 million pairs of 4,028 people)"
    )
    # More chances, be they templates or people, and smaller rates: stricter.
    assert identify_threshold(None, None, at(50)).score < used.score
    assert identify_threshold(None, None, evidence_of(Scoring(PLAIN), None, SFACE, 49, 147)).score < used.score
    assert identify_threshold(None, 0.003, at(49)).score < used.score
    given = identify_threshold(used.score, None, at(49))
    assert given.fpir == pytest.approx(0.01, rel=0.05)
    assert "as given; strangers about" in str(given)
    with pytest.raises(GalleryError, match=r"fpir 1e-05: 8,110,378 pairs of impostors at 49 templates support 0\.00074 at the"):
        identify_threshold(None, 1e-5, at(49))
    assert identify_threshold(None, 0.00074, at(49)).fpir == 0.00074


def test_expected_false_alarms_agree_with_the_threshold() -> None:
    small, large = at(5), at(300, calibration=calibrated(enrol(people(0, 300), PLAIN)))
    for evidence in (small, large):
        scores = np.linspace(0.5, 1.4, 400)
        expected = evidence.expected_false_alarms(scores)
        assert expected is not None
        assert (np.diff(expected) >= 0).all()
        assert expected.max() <= evidence.identities
        for fpir in (0.003, 0.01, 0.1):
            limit = identify_threshold(None, fpir, evidence).score
            rate = evidence.rate_at(np.array([limit]))
            assert rate is not None
            assert rate[0] == pytest.approx(fpir, rel=0.15)
    tiny = small.expected_false_alarms(np.array([0.3]))
    assert tiny is not None
    assert tiny[0] < 1e-9
    assert at(5, FOREIGN).expected_false_alarms(np.array([0.3])) is None


@pytest.mark.parametrize("score", [PLAIN, LOCAL])
def test_no_jump_where_a_gallery_begins_to_speak_for_itself(score: str) -> None:
    """Its own searches enter at K = 50 with nothing, and have nearly all to say at twenty times as many."""
    enrolled = calibrated(enrol(people(0, 200), score))
    chances = Chances(impostors_of(SFACE), 60, enrolled.unit)  # type: ignore[arg-type]
    least = enrolled.tail.least_rate

    def limit(fpir: float) -> float:
        return identify_threshold(None, fpir, Evidence(score, enrolled, chances, 200, 60)).score

    assert limit(least * 1.0001) == pytest.approx(limit(least * 0.9999), rel=1e-3)
    assert limit(least * 0.9999) <= chances.score_at(least * 0.9999) * (1 + 1e-6)
    # And the table's has nothing to say any more where it ends.
    many = replace(chances, templates=3000)
    before, behind = (
        identify_threshold(None, rate * many.least_rate, Evidence(score, enrolled, many, 200, 3000)).score
        for rate in (0.999, 1.001)
    )
    assert behind == pytest.approx(before, rel=0.01)
    own, strict = enrolled.threshold(0.1, 200).score, replace(chances, templates=10_000)
    mostly = identify_threshold(None, 0.1, Evidence(score, enrolled, strict, 200, 60)).score
    assert mostly <= own
    # A table that is far too strict holds a gallery back no further than it is sure of itself.
    sure = enrolled.score_at(enrolled.tail.conservative_rate(0.1), 200)
    assert mostly >= sure * 0.99


def test_together_by_hand() -> None:
    def of(own: float, sure: float, doubt: float, encoders: float = 0.0) -> float:
        return combined_threshold(own, sure, 1.0, doubt=doubt, encoders_doubt=encoders)

    assert of(0.9, 0.8, doubt=1) == 1.0  # no evidence of its own: the encoder's
    assert of(0.9, 0.8, doubt=1, encoders=0.5) == 1.0
    assert of(0.9, 0.8, doubt=0) == 0.9  # the stricter, its own
    assert of(1.1, 0.8, doubt=0) == 1.0  # the stricter, the encoder's
    assert of(1.1, 1.05, doubt=0) == 1.05  # but no stricter than it is sure of
    assert of(1.1, 0.8, doubt=0, encoders=1) == 1.1  # the encoder has nothing to say any more
    assert of(0.9, 0.8, doubt=0.5) == pytest.approx(np.sqrt(0.9))


@pytest.mark.parametrize("score", [PLAIN, LOCAL])
@pytest.mark.parametrize("identities", [12, 49, 100])
def test_people_who_are_more_alike_than_the_tables_are_not_let_in(identities: int, score: str) -> None:
    """All of them are moved towards one point, so that the table's distances would let nearly everybody in."""
    found = []
    for number in range(4):
        both = np.concatenate([people(number * identities, identities), strangers(number, 1000)]) + people(60_000, 1)
        near, others = np.split(both / np.linalg.norm(both, axis=1, keepdims=True), [identities])
        enrolled = enrol(near.astype(np.float32), score)
        evidence = at(identities, calibration=calibrated(enrolled), score=score)
        assert evidence.chances is not None
        assert evidence.chances.trust < 0.1
        limit = identify_threshold(None, None, evidence).score
        found.append(np.mean(enrolled.candidates(others.astype(np.float32), 1).scores <= limit))
    assert np.mean(found) < 0.015


@pytest.mark.parametrize("identities", [1, 12, 49, 50, 100])
def test_strangers_stay_out_from_the_first_person_on(identities: int) -> None:
    """At 1 % asked, at most 1.5 % in the mean of many galleries, and not nobody either."""
    found, right = [], []
    for number in range(15):
        enrolled = enrol(people(number * identities, identities), LOCAL if identities >= 50 else PLAIN)
        own = calibrated(enrolled) if identities >= 10 else None
        evidence = at(identities, calibration=own, score=enrolled.scoring.score)
        limit = identify_threshold(None, None, evidence).score
        found.append(np.mean(enrolled.candidates(strangers(number), 1).scores <= limit))
        again = enrolled.candidates(people(number * identities, identities, image=1), 1)
        right.append(np.mean((again.rows[:, 0] == np.arange(identities)) & (again.scores[:, 0] <= limit)))
    assert 0.004 < np.mean(found) < 0.015
    assert np.mean(right) > 0.96


def test_verification_says_how_often_impostors_are_as_near(tmp_path: Path) -> None:
    known = impostors_of(SFACE)
    assert known is not None
    default = match_threshold(None, None, None, SFACE)
    assert (default.distance, default.source, default.pairs) == (1.146, "encoder", known.pairs)
    assert default.fmr == pytest.approx(known.rate_at(1.146))
    assert str(default).startswith("threshold 1.146: the encoder's 1:1 distance; impostors 0.")
    asked = match_threshold(None, 0.001, None, SFACE)
    assert asked.distance == pytest.approx(known.distance_at(0.001))
    assert str(match_threshold(0.5, None, None, FOREIGN)) == "threshold 0.5: as given; nothing is known of impostors"
    with pytest.raises(GalleryError, match="both given"):
        match_threshold(0.3, 0.01, None, SFACE)
    with pytest.raises(GalleryError, match="not calibrated"):
        match_threshold(None, 0.01, None, FOREIGN)
    with pytest.raises(GalleryError, match="not calibrated"):
        match_threshold(None, 1e-7, None, SFACE)
    gallery = Gallery.build(made_by_sface(people(0, 400)), tmp_path / "g")
    limit = gallery.match_threshold(fmr=0.001)
    squares = 2 - 2 * strangers(0) @ people(0, 400).T
    assert 0.0007 < np.mean(squares <= limit.distance**2) < 0.0013


def test_a_gallery_of_one_and_of_a_few(tmp_path: Path) -> None:
    one = Gallery.build(made_by_sface(people(0, 1)), tmp_path / "one")
    results = one.identify(made_by_sface(people(0, 1, image=1)))
    assert results.counts.identified == 1
    assert results[0].expected_false_alarms is not None
    assert results[0].expected_false_alarms < 1e-3
    assert one.threshold_used().pairs is not None
    info = one.info()
    assert info.decides == one.threshold_used()
    nobody = Gallery.build(Templates.from_vectors(people(0, 1), ["id0"]), tmp_path / "nobody")
    assert nobody.info().decides is None


@pytest.mark.parametrize("times", [0.5, 0.99, 1.0, 2.0, 20.0])
def test_verification_by_the_gallerys_own_pairs_and_the_encoders(times: float) -> None:
    """Where its own pairs are too few for a rate the table says it alone; where they are enough, both."""
    known, calibration = impostors_of(SFACE), calibrated(enrol(people(0, 60), PLAIN))
    assert known is not None
    pairs = calibration.pairs
    fmr = times * pairs.least_rate
    used = match_threshold(None, fmr, calibration, SFACE)
    assert (used.fmr, used.source) == (fmr, "rate")
    if times < 1:
        assert (used.distance, used.pairs) == (known.distance_at(fmr), known.pairs)
        with pytest.raises(GalleryError, match=f"{pairs.searches:,} pairs of this gallery's identities support .* at the least"):
            match_threshold(None, fmr, calibration, FOREIGN)
        return
    own, sure, table = pairs.score_at(fmr), pairs.score_at(pairs.conservative_rate(fmr)), known.distance_at(fmr)
    rest = known.least_rate / fmr
    by_both = min(own, max(table, sure)) ** (1 - rest) * own**rest
    assert used.distance == pytest.approx(table ** (1 / times) * by_both ** (1 - 1 / times))
    assert used.pairs == known.pairs + pairs.searches
    alone = match_threshold(None, fmr, calibration, FOREIGN)
    assert (alone.distance, alone.pairs) == (own, pairs.searches)
    # A distance that is given has the rate that either knows of it.
    given = match_threshold(own, None, calibration, FOREIGN)
    assert given.fmr == pytest.approx(fmr)
    assert (given.source, given.pairs) == ("given", pairs.searches)


@pytest.mark.parametrize("score", [PLAIN, LOCAL])
@pytest.mark.parametrize("identities", [12, 20, 49, 100])
def test_whoever_asks_for_fewer_false_alarms_never_gets_more(identities: int, score: str) -> None:
    for number in range(6):
        # A few people who are like one another, among others who are not: their gallery contradicts the tables for large rates.
        vectors = people(number * identities, identities).copy()
        vectors[:4] += 2 * vectors[:1]
        enrolled = enrol(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), score)
        evidence = at(identities, calibration=calibrated(enrolled), score=score)
        rates = np.geomspace(max(0.001, evidence.least_rate), 0.5, 40)
        thresholds = [evidence.score_at(rate) for rate in rates]
        assert (np.diff(thresholds) >= -1e-9).all()
