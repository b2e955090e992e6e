"""What a calibration refuses, keeps and says, at its limits; of a few dozen people."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from engine.calibration.calibration import (
    Calibration,
    RowNames,
    calibrate,
    calibrate_on_strangers,
    default_score,
    require_calibratable,
    require_strangers,
)
from engine.calibration.calibration import (
    _unit as unit_of,
)
from engine.errors import GalleryError
from engine.matching.densities import densities
from engine.matching.members import Members
from engine.matching.scoring import LOCAL, PLAIN, Scoring, SearchableGallery
from indexes.exact.flat import Flat


def vectors(count: int, seed: int = 0, dim: int = 8) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(count, dim))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def enrol(enrolled: np.ndarray, score: str = PLAIN) -> SearchableGallery:
    index, members = Flat.build(enrolled), Members(np.arange(len(enrolled)))
    return SearchableGallery(index, members, Scoring(score), densities(index, members) if score == LOCAL else None)


def called(prefix: str, count: int) -> RowNames:
    return RowNames(pa.chunked_array([[f"{prefix}{row}" for row in range(count)]]))


@pytest.fixture(scope="module", params=[PLAIN, LOCAL])
def known(request: pytest.FixtureRequest) -> Calibration:
    return calibrate(enrol(vectors(60), request.param), called("t", 60))


@pytest.mark.parametrize(
    "changed",
    [
        *({"identities": wrong} for wrong in (0, -1, "many")),
        *({"drift": wrong} for wrong in (float("nan"), float("inf"), None)),
        *({"unit": wrong} for wrong in (0, -1.0, float("inf"), float("nan"), "one")),
        {"scoring": {"score": 3}},
        {"left_out": [{"template_id": "a"}]},
        {"tail": {}},
    ],
)
def test_a_stored_calibration_that_cannot_be(known: Calibration, changed: dict[str, Any]) -> None:
    stored = json.loads(known.to_json())
    for allowed in ({}, {"identities": 1}, {"unit": 1e-8}, {"unit": None}, {"drift": 0}):
        assert Calibration.from_json(json.dumps({**stored, **allowed})).tail.searches == known.tail.searches
    assert Calibration.from_json(known.to_json()).made_for == known.made_for
    del stored["unit"]  # as an older onek wrote it
    assert Calibration.from_json(json.dumps(stored)).unit is None
    with pytest.raises((ValueError, TypeError, KeyError)):
        Calibration.from_json(json.dumps({**stored, **changed}))


def test_the_smallest_rate_and_the_one_below(known: Calibration) -> None:
    least = known.least_rate
    assert least == 0.5 / known.tail.searches
    assert known.threshold(least, 60).fpir == least
    with pytest.raises(
        GalleryError, match=rf"fpir .*: {known.tail.searches} searches of strangers .* support 0\.0\d+ at the least"
    ):
        known.threshold(least * 0.999, 60)
    assert known.verify_threshold(known.pairs.least_rate) == known.pairs.score_at(known.pairs.least_rate)
    with pytest.raises(GalleryError, match=f"fmr .*: {known.pairs.searches:,} pairs of this gallery's identities support"):
        known.verify_threshold(known.pairs.least_rate * 0.999)
    assert known.pairs.searches == 60 * 59 // 2


@pytest.mark.parametrize("identities", [60, 600])
def test_scores_move_with_k_and_rates_move_back(known: Calibration, identities: int) -> None:
    for fpir in (0.01, 0.1, 0.6):
        score = known.score_at(fpir, identities)
        assert known.threshold(fpir, identities) == type(known.threshold(fpir, 60))(score, fpir, known.tail.is_sampled(fpir))
        assert known.rate_at(np.array([score]), identities)[0] == pytest.approx(fpir, abs=1 / 60)
        growth = known.scoring.growth(identities) - known.scoring.growth(60)
        assert score == pytest.approx(known.tail.score_at(fpir) * np.exp(known.drift * growth))


def test_how_many_it_takes() -> None:
    """To leave one out, or to search for strangers; at the limit and one below."""
    assert [default_score(identities) for identities in (1, 49, 50, 51)] == ["plain", "plain", "local", "local"]
    for least, scoring in ((10, Scoring(PLAIN)), (10, Scoring(LOCAL)), (15, Scoring(LOCAL, 12))):
        require_calibratable(least, scoring)
        with pytest.raises(GalleryError, match=f"{least - 1} identities cannot say how .*; expected at least {least}$"):
            require_calibratable(least - 1, scoring)
    for least, scoring in ((2, Scoring(PLAIN)), (7, Scoring(LOCAL))):
        require_strangers(10, least, scoring)
        with pytest.raises(GalleryError, match="9 templates of strangers were given; expected at least 10"):
            require_strangers(9, least, scoring)
        with pytest.raises(GalleryError, match=f"the gallery has {least - 1} identities"):
            require_strangers(10, least - 1, scoring)


@pytest.mark.parametrize(("apart", "same"), [(0.0, True), (0.0009, True), (0.0011, False)])
def test_a_stranger_who_is_enrolled_is_named(apart: float, same: bool) -> None:
    """Nearer than a thousandth is the template itself; as searches are exact, the limit is to the digit."""
    enrolled, cohort = vectors(30), vectors(40, 1)
    for row, whose in ((12, 4), (33, 8)):
        sideways = np.cross(enrolled[whose, :3], [1, 0, 0])
        moved = enrolled[whose].astype(np.float64)
        moved[:3] += apart * sideways / np.linalg.norm(sideways)
        cohort[row] = moved / np.linalg.norm(moved)
    gallery, names = enrol(enrolled), (called("t", 30), called("s", 40))
    if same:
        with pytest.raises(GalleryError, match="^2 of the strangers are enrolled: s12 is t4; expected templates of people who"):
            calibrate_on_strangers(gallery, cohort, *names)
    else:
        made = calibrate_on_strangers(gallery, cohort, *names)
        assert (made.source, made.tail.design_effect, made.pairs.design_effect) == ("strangers", 1, 2)
        # So near, they are no strangers either.
        assert made.left_out_count >= 2
        assert {(pair.template_id, pair.other) for pair in made.left_out[:2]} == {("s12", "t4"), ("s33", "t8")}


def test_whoever_is_left_out_is_named_the_worst_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pair once, whoever of both was searched for; up to a number, and all are counted."""
    enrolled = vectors(300)
    twice = enrolled[:8].astype(np.float64) + np.linspace(0.001, 0.02, 8)[:, None] * vectors(8, 5)
    both = np.concatenate([enrolled, twice / np.linalg.norm(twice, axis=1, keepdims=True)]).astype(np.float32)
    made = calibrate(enrol(both), called("t", 308))
    named = [frozenset((pair.template_id, pair.other)) for pair in made.left_out]
    apart = np.linalg.norm(both[:8] - both[300:], axis=1)
    nearest = np.argsort(apart).tolist()
    assert named[:8] == [frozenset((f"t{row}", f"t{300 + row}")) for row in nearest]
    assert made.left_out_count >= 16
    assert made.tail.searches == 308 - made.left_out_count
    assert (made.source, made.tail.design_effect, made.identities) == ("gallery", 2, 308)
    for pair, row in zip(made.left_out, nearest, strict=False):
        assert pair.distance == pytest.approx(apart[row], abs=2e-6)
        assert pair.distance == round(pair.distance, 6)
    monkeypatch.setattr("engine.calibration.calibration._MOST_NAMED", 6)
    fewer = calibrate(enrol(both), called("t", 308))
    assert [frozenset((pair.template_id, pair.other)) for pair in fewer.left_out] == named[:3]
    assert fewer.left_out_count == made.left_out_count


def test_the_unit_of_local_scores() -> None:
    enrolled = enrol(vectors(60), LOCAL)
    assert enrolled.density is not None
    made = calibrate(enrolled, called("t", 60))
    assert made.unit == pytest.approx(np.median(enrolled.density[:, 0]))
    # Of a gallery whose densities lie elsewhere they are measured.
    assert unit_of(replace(enrolled, density=None)) == made.unit
    assert calibrate(enrol(vectors(60)), called("t", 60)).unit is None
    same = enrol(np.repeat(np.eye(1, 8, dtype=np.float32), 60, axis=0), LOCAL)
    assert calibrate(same, called("t", 60)).unit == 1e-8
