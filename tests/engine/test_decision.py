import numpy as np
import pytest

from engine.decision import accepts, checked_distance, identify_threshold, verify_threshold
from engine.errors import GalleryError
from engine.scores import LOCAL, PLAIN, Scoring


def test_the_threshold_itself_is_accepted() -> None:
    scores = np.array([0.0, 0.42, 0.425, 0.4250001, 2.0, np.nan], np.float32)
    assert accepts(scores, 0.425).tolist() == [True, True, True, False, False, False]


def test_distances_as_thresholds() -> None:
    assert checked_distance(None, 0.4) == 0.4
    assert checked_distance(0.0, 0.4) == 0.0
    with pytest.raises(GalleryError, match="pass --threshold"):
        checked_distance(None, None)
    for wrong in (-0.1, 2.1, float("nan")):
        with pytest.raises(GalleryError, match="expected a distance"):
            checked_distance(wrong, None)


def test_a_gallery_without_calibration() -> None:
    def threshold(given: float | None, fpir: float | None, score: str = PLAIN, encoders: float | None = 0.4) -> float:
        return identify_threshold(given, fpir, scoring=Scoring(score), calibration=None, identities=3, encoders=encoders)

    assert threshold(None, None) == 0.4
    assert threshold(0.3, None) == 0.3
    assert threshold(7.5, None, LOCAL) == 7.5
    with pytest.raises(GalleryError, match="both given"):
        threshold(0.3, 0.01)
    with pytest.raises(GalleryError, match="3 identities is not calibrated"):
        threshold(None, 0.01)
    with pytest.raises(GalleryError, match="no default threshold"):
        threshold(None, None, LOCAL)
    with pytest.raises(GalleryError, match="no default threshold"):
        threshold(None, None, PLAIN, None)
    for wrong in (-1.0, float("inf"), float("nan")):
        with pytest.raises(GalleryError, match="expected a local score"):
            threshold(wrong, None, LOCAL)
    assert verify_threshold(None, None, None, 0.4) == 0.4
    with pytest.raises(GalleryError, match="both given"):
        verify_threshold(0.3, 0.01, None, 0.4)
    with pytest.raises(GalleryError, match="not calibrated"):
        verify_threshold(None, 0.01, None, 0.4)
