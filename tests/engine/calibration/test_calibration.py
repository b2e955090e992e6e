"""False-alarm rates on synthetic people, who lie as real ones do, and everything that a gallery refuses."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.data.synthetic_templates import Population
from engine import Gallery, Templates
from engine.calibration.calibration import Calibration, RowNames, calibrate
from engine.calibration.impostor_searches import impostor_distances
from engine.errors import EncoderMismatch, GalleryError, WrongType
from engine.matching.members import Members
from engine.matching.scoring import PLAIN, Scoring, SearchableGallery
from engine.statistics.score_tail import tail_of
from indexes.exact.flat import Flat
from tests.support import known
from tests.support.people import crowded

STRANGERS = 1 << 28


@pytest.fixture(scope="module")
def population() -> Population:
    return Population(crowded(), seed=1)


@pytest.fixture(scope="module")
def gallery(population: Population, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    return Gallery.build(named(population.templates(0, 800)), tmp_path_factory.mktemp("calibrated") / "g")


def named(vectors: np.ndarray, prefix: str = "id") -> Templates:
    count = len(vectors)
    return Templates.from_vectors(vectors, [f"{prefix}{i}" for i in range(count)], [f"{prefix}:{i}" for i in range(count)])


def alarms(gallery: Gallery, population: Population, fpir: float) -> float:
    """The share of 4,000 strangers who get a name."""
    counts = gallery.identify(population.templates(STRANGERS, 4000), fpir=fpir).counts
    return counts.identified / counts.probes


@pytest.mark.parametrize("fpir", [0.01, 0.03, 0.1])
def test_strangers_get_names_as_often_as_was_asked_for(gallery: Gallery, population: Population, fpir: float) -> None:
    assert alarms(gallery, population, fpir) == pytest.approx(fpir, rel=0.5)


@pytest.mark.parametrize("score", ["plain", "local"])
def test_a_threshold_is_foretold_for_a_gallery_five_times_as_large(score: str, population: Population, tmp_path: Path) -> None:
    small = Gallery.build(named(population.templates(0, 400)), tmp_path / "small", score=score)
    large = Gallery.build(named(population.templates(0, 2000)), tmp_path / "large", score=score)
    calibration = small.calibration
    assert calibration is not None
    foretold = calibration.threshold(0.1, 2000)
    counts = large.identify(population.templates(STRANGERS, 4000), threshold=foretold.score).counts
    # Where people lie as close as these, enrolled ones are less than a chance each: plain scores are foretold too strictly.
    assert (0.05 if score == "local" else 0.02) < counts.identified / 4000 < 0.14
    unmoved = replace(calibration, drift=0.0).threshold(0.1, 2000)
    off = large.identify(population.templates(STRANGERS, 4000), threshold=unmoved.score).counts
    assert abs(off.identified / 4000 - 0.1) > abs(counts.identified / 4000 - 0.1)


def test_enrolled_people_are_found_better_by_the_local_score(population: Population, tmp_path: Path) -> None:
    probes = population.templates(0, 800, image=1)
    found = {}
    for score in ("plain", "local"):
        gallery = Gallery.build(named(population.templates(0, 800)), tmp_path / score, score=score)
        assert gallery.info().score == score
        results = gallery.identify(probes, fpir=0.01)
        found[score] = np.mean([result.identity == f"id{i}" for i, result in enumerate(results)])
    assert found["local"] > found["plain"] > 0.3


def test_expected_false_alarms_say_what_a_row_is_worth(gallery: Gallery, population: Population) -> None:
    results = gallery.identify(population.templates(STRANGERS, 2000), fpir=0.1)
    expected = np.array(results.table["expected_false_alarms"])
    # Accepted at a rate of 10 % means: a stranger is expected to match at most -log(0.9) of the enrolled this well.
    decided = np.array(results.table["decision"]) == "identified"
    assert (decided == (expected <= -np.log(0.9) * 1.0001)).all()
    assert np.mean(expected <= 0.03) == pytest.approx(0.03, rel=0.6)
    own = gallery.identify(population.templates(0, 50), fpir=0.1)
    assert max(result.expected_false_alarms or 0 for result in own) < 1e-6
    assert expected.max() <= 800


def test_a_gallery_keeps_what_it_knows(gallery: Gallery) -> None:
    calibration = gallery.calibration
    assert calibration is not None
    again = Gallery.open(gallery.path).calibration
    assert again is not None
    assert again.threshold(0.01, 800) == calibration.threshold(0.01, 800)
    assert again.to_json() == Calibration.from_json(again.to_json()).to_json()
    described = gallery.info().calibration
    assert described is not None
    assert (described.source, described.identities, described.searches) == ("gallery", 800, 800)
    assert [rate.fpir for rate in described.rates] == [0.001, 0.003, 0.01, 0.03, 0.1]
    assert [rate.from_sample for rate in described.rates] == [False, False, False, False, True]
    assert all(rate.interval.low < rate.fpir < rate.interval.high for rate in described.rates)


def test_rates_that_are_refused(gallery: Gallery, population: Population, tmp_path: Path) -> None:
    probe = population.templates(0, 1)
    for wrong in (True, "1%"):
        with pytest.raises(WrongType, match=r"fpir is .* \((bool|str)\); expected a number such as 0\.01"):
            gallery.identify(probe, fpir=wrong)  # type: ignore[arg-type]
    for wrong in (0.0, -0.1, 1, 1.5, float("nan")):
        with pytest.raises(GalleryError, match="fpir is .*expected a rate above 0 and below 1"):
            gallery.identify(probe, fpir=wrong)  # type: ignore[arg-type]
        with pytest.raises(GalleryError, match="fmr is .*expected a rate above 0 and below 1"):
            gallery.verify(probe[0], "id0", fmr=wrong)  # type: ignore[arg-type]
    with pytest.raises(GalleryError, match=r"fpir 0\.0001: 800 searches .* support 0\.00063 at the least"):
        gallery.identify(probe, fpir=0.0001)
    with pytest.raises(GalleryError, match="pairs of this gallery's identities support"):
        gallery.verify(probe[0], "id0", fmr=1e-9)
    with pytest.raises(GalleryError, match="both given"):
        gallery.identify(probe, fpir=0.1, threshold=0.5)
    one = Gallery.build(named(population.templates(0, 1)), tmp_path / "one")
    assert one.calibration is None
    with pytest.raises(GalleryError, match=r"1 identities say nothing of strangers.*; enrol 10 or more .*--strangers"):
        one.identify(probe, fpir=0.1)
    with pytest.raises(GalleryError, match="1 identities cannot say how strangers score; expected at least 10"):
        one.calibrate()
    with pytest.raises(GalleryError, match="needs 7 identities, this gallery has 3"):
        Gallery.build(named(population.templates(0, 3)), tmp_path / "three", score="local")
    with pytest.raises(GalleryError, match="expected plain, local or quality"):
        Gallery.build(named(population.templates(0, 3)), tmp_path / "three", score="best")
    assert not (tmp_path / "three").exists()


def test_small_galleries_say_what_they_support(population: Population, tmp_path: Path) -> None:
    small = Gallery.build(named(population.templates(0, 20)), tmp_path / "g")
    assert small.info().score == "plain"
    probes = population.templates(STRANGERS, 10)
    with pytest.raises(GalleryError, match=r"20 searches .* support 0\.025 at the least"):
        small.identify(probes, fpir=0.01)
    with pytest.raises(GalleryError, match=r"no default threshold: 20 identities are too few .* takes 50; .*0\.025 at the"):
        small.identify(probes)
    assert small.identify(probes, fpir=0.03).counts.probes == 10


def test_identical_templates_everywhere(tmp_path: Path) -> None:
    same = np.repeat(np.eye(1, 16, dtype=np.float32), 60, axis=0)
    gallery = Gallery.build(named(same), tmp_path / "g")
    with pytest.raises(GalleryError, match="have one and the same score, .* do not tell people apart"):
        gallery.identify(same[:2], fpir=0.1)
    results = gallery.identify(same[:2], threshold=0.5)
    # Everybody is as near as everybody else: a stranger would be too.
    assert [result.score for result in results] == [0, 0]
    assert all(3 < (result.expected_false_alarms or 0) <= 60 for result in results)


def test_verification_at_a_false_match_rate(gallery: Gallery, population: Population) -> None:
    probes = population.templates(STRANGERS, 300)
    limit = gallery.verify(probes[0], "id0", fmr=0.01).threshold
    assert gallery.verify(probes[0], "id0", fmr=0.001).threshold < limit
    enrolled = population.templates(0, 800)
    distances = np.sqrt(np.maximum(2 - 2 * probes @ enrolled.T, 0))
    assert np.mean(distances <= limit) == pytest.approx(0.01, rel=0.3)
    with pytest.raises(GalleryError, match="both given"):
        gallery.verify(probes[0], "id0", fmr=0.01, threshold=0.4)


def test_one_person_under_two_names_is_left_out(population: Population, tmp_path: Path) -> None:
    vectors = population.templates(0, 600)
    twice = np.concatenate([vectors, vectors[:12] + 1e-3])
    gallery = Gallery.build(named(twice), tmp_path / "g")
    assert gallery.calibration is not None
    pairs = {frozenset((pair.template_id, pair.other)) for pair in gallery.calibration.left_out}
    assert {frozenset((f"id:{i}", f"id:{600 + i}")) for i in range(12)} <= pairs
    assert len(pairs) <= 14
    assert alarms(gallery, population, 0.1) == pytest.approx(0.1, rel=0.4)


def test_a_cohort_of_strangers(gallery: Gallery, population: Population, tmp_path: Path) -> None:
    mine = Gallery.build(named(population.templates(0, 300)), tmp_path / "g")
    with pytest.raises(GalleryError, match="0.0001"):
        mine.identify(population.templates(0, 1), fpir=0.0001)
    made = mine.calibrate(named(population.templates(STRANGERS + 10_000, 6000), "stranger"))
    assert (made.source, made.identities, made.tail.searches >= 5990) == ("strangers", 300, True)
    kept = Gallery.open(mine.path).calibration
    assert kept is not None
    assert kept.to_json() == made.to_json()
    assert alarms(mine, population, 0.03) == pytest.approx(0.03, rel=0.3)
    assert mine.identify(population.templates(0, 1), fpir=0.0001).counts.identified == 1
    with pytest.raises(GalleryError, match="1 templates of the strangers are of enrolled identities, such as id7"):
        mine.calibrate(Templates.from_vectors(population.templates(STRANGERS, 20), [*[None] * 19, "id7"]))
    with pytest.raises(GalleryError, match=r"2 of the strangers are enrolled: x:20 is id:3"):
        mine.calibrate(named(np.concatenate([population.templates(STRANGERS, 20), population.templates(3, 2)]), "x"))
    with pytest.raises(GalleryError, match="4 templates of strangers were given; expected at least 10"):
        mine.calibrate(named(population.templates(STRANGERS, 4), "x"))
    with pytest.raises(EncoderMismatch, match="128 dimensions"):
        mine.calibrate(named(np.eye(16, dtype=np.float32), "x"))
    assert mine.calibrate().source == "gallery"


def test_rates_of_a_percent_and_less_are_those_obtained() -> None:
    """In the mean of galleries, with people enrolled twice among them, who are left out; a fifth off would be noticed."""
    rates, obtained = (0.003, 0.01), []
    for number in range(6):
        vectors = known.people(number * 1000, 1000)
        twice = np.concatenate([vectors, vectors[:12] + 1e-3])
        twice /= np.linalg.norm(twice, axis=1, keepdims=True)
        enrolled = SearchableGallery(Flat.build(twice), Members(np.arange(len(twice))), Scoring(PLAIN))
        calibration = calibrate(enrolled, RowNames(pa.chunked_array([np.arange(len(twice)).astype(str)])))
        assert calibration.left_out_count >= 12
        assert calibration.tail.design_effect == 2  # they come in twos, which the intervals go by
        scores = enrolled.candidates(known.strangers(number, 3000), 1).scores
        obtained.append([np.mean(scores <= calibration.threshold(rate, len(twice)).score) for rate in rates])
    assert np.mean(obtained, axis=0) == pytest.approx(rates, rel=0.2)


def test_a_false_match_rate_of_a_thousandth_is_obtained() -> None:
    obtained = []
    for number in range(6):
        vectors = known.people(number * 300, 300)
        enrolled = SearchableGallery(Flat.build(vectors), Members(np.arange(300)), Scoring(PLAIN))
        pairs = tail_of(impostor_distances(enrolled), 2)
        assert pairs.searches == 300 * 299 // 2
        squares = 2 - 2 * known.strangers(number) @ vectors.T
        obtained.append(np.mean(squares <= pairs.score_at(0.001) ** 2))
    assert np.mean(obtained) == pytest.approx(0.001, rel=0.2)


def test_the_smallest_rate_told_is_accepted(population: Population, tmp_path: Path) -> None:
    for identities in (11, 13, 37, 70, 173):
        gallery = Gallery.build(named(population.templates(0, identities)), tmp_path / str(identities), score="plain")
        with pytest.raises(GalleryError) as refusal:
            gallery.threshold(fpir=1e-6)
        told = re.search(r"support (\S+) at the least", str(refusal.value))
        assert told is not None
        assert gallery.threshold(fpir=float(told[1])) > 0
        assert float(told[1]) <= 1.1 * 0.5 / (identities - 5)
