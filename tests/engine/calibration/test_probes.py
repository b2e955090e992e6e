import json

import numpy as np
import pytest

from engine.calibration.probes import MANY, Kind, badly_enrolled, unlike, weighted
from engine.errors import GalleryError


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(5)


def ordinary(random: np.random.Generator, count: int) -> np.ndarray:
    return random.random(count).astype(np.float32)


def near(random: np.random.Generator, count: int, middle: float = 1.1) -> np.ndarray:
    return random.normal(middle, 0.05, count).astype(np.float32)


def test_probes_like_those_of_the_calibration_are_not_doubted(random: np.random.Generator) -> None:
    made_for = Kind.of(ordinary(random, 2000), near(random, 2000))
    for count in (MANY, 1000, 20_000):
        assert unlike(made_for, ordinary(random, count), near(random, count), "g") is None
    # Nor few of another kind, nor where nobody knows anything.
    nobody = np.full(1000, np.nan, np.float32)
    assert unlike(made_for, ordinary(random, MANY - 1) / 100, near(random, MANY - 1, 1.5), "g") is None
    assert unlike(made_for, nobody, nobody, "g") is None
    assert unlike(None, ordinary(random, 1000) / 100, near(random, 1000), "g") is None


def test_what_differs_is_told_with_both_and_what_to_do(random: np.random.Generator) -> None:
    made_for = Kind.of(ordinary(random, 2000), near(random, 2000))
    third = np.where(np.arange(900) % 3 == 0, 0.02, ordinary(random, 900)).astype(np.float32)
    said = unlike(made_for, third, near(random, 900), "g")
    assert said is not None
    assert "--calibrate-to probes" in said
    assert "onek calibrate g --strangers" in said
    assert "half below 50 %" in said.replace("49 %", "50 %").replace("51 %", "50 %")
    unknown = np.full(900, np.nan, np.float32)
    far = unlike(Kind.of(unknown, near(random, 2000)), unknown, near(random, 900, 1.3), "g")
    assert far is not None
    assert "half within 1.3" in far
    assert "\n" not in said + far


def test_a_kind_is_kept_as_json(random: np.random.Generator) -> None:
    for kind in (Kind.of(ordinary(random, 50), near(random, 50)), Kind.of(None, near(random, 50)), Kind.of(None, None)):
        assert Kind.from_plain(json.loads(json.dumps({"qualities": kind.qualities, "seconds": kind.seconds}))) == kind
    for wrong in ({"qualities": [1.0], "seconds": None}, {"qualities": None, "seconds": [float("nan")] * 19}):
        with pytest.raises(ValueError, match="quantiles"):
            Kind.from_plain(wrong)


def test_a_gallery_of_bad_pictures_is_told(random: np.random.Generator) -> None:
    assert badly_enrolled(ordinary(random, 100)) is None
    assert badly_enrolled(np.full(100, np.nan, np.float32)) is None
    assert "--strangers" in (badly_enrolled(ordinary(random, 100) / 50) or "")


def test_weighted_scores_are_those_of_searches_as_good_as_the_probes(random: np.random.Generator) -> None:
    """Scores rise with quality here, so that the worst half has the lowest."""
    qualities = ordinary(random, 8000)
    scores = qualities.astype(np.float64) + random.normal(0, 0.01, 8000)
    bad = ordinary(random, 3000) / 4
    found = weighted(scores, qualities, bad)
    assert 1500 < len(found) <= 2200  # a quarter of the searches are such
    for share in (0.05, 0.3, 0.9):
        assert np.quantile(found, share) == pytest.approx(np.quantile(bad, share), abs=0.03)
    same = weighted(scores, qualities, ordinary(random, 5000))
    assert len(same) > 7500
    assert np.quantile(same, 0.1) == pytest.approx(np.quantile(scores, 0.1), abs=0.02)


def test_what_cannot_be_weighted_is_refused(random: np.random.Generator) -> None:
    scores, qualities = random.random(1000), ordinary(random, 1000)
    with pytest.raises(GalleryError, match="not known"):
        weighted(scores, qualities, np.full(10, np.nan))
    with pytest.raises(GalleryError, match="not known"):
        weighted(scores, np.full(1000, np.nan), qualities)
    with pytest.raises(GalleryError, match="only 6. searches"):
        weighted(scores, qualities, np.full(500, 1e-6))
