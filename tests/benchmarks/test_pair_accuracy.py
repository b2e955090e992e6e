import numpy as np
import pytest

from benchmarks.accuracy.pair_accuracy import best_threshold, pair_accuracy


def test_best_threshold_by_hand() -> None:
    distances = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    assert best_threshold(distances, np.array([True, True, False, False, False])) == pytest.approx(0.25)
    # Two mistakes at least: between 0.2 and 0.3 one impostor is below and one genuine pair above.
    assert best_threshold(distances, np.array([True, False, True, False, False])) == pytest.approx(0.15)
    assert best_threshold(distances, np.zeros(5, bool)) < 0.1
    assert best_threshold(distances, np.ones(5, bool)) >= 0.5


def test_no_threshold_parts_equal_distances() -> None:
    threshold = best_threshold(np.array([0.2, 0.2, 0.4]), np.array([True, False, False]))
    assert threshold < 0.2 or 0.2 < threshold < 0.4


def test_pair_accuracy_by_hand() -> None:
    # Folds take turns: 0.1 and 0.9 lie in fold 0, 0.2 and 0.35 in fold 1. Fold 0 is judged at fold 1's threshold and so on.
    accuracy = pair_accuracy(np.array([0.1, 0.2, 0.9, 0.35]), np.array([True, True, False, False]), folds=2)
    assert accuracy.folds == (1.0, 0.5)  # at 0.5 the pair of distance 0.35 is called the same
    assert accuracy.mean == 0.75
    assert accuracy.standard_error == pytest.approx(0.25)


def test_pair_accuracy_of_chance_is_a_half() -> None:
    random = np.random.default_rng(0)
    accuracy = pair_accuracy(random.random(4000), np.arange(4000) % 2 == 0)
    assert 0.46 < accuracy.mean < 0.54


@pytest.mark.parametrize(("distances", "same"), [([0.1], [True, False]), ([0.1, 0.2], [True, True])])
def test_pairs_that_cannot_be_judged(distances: list[float], same: list[bool]) -> None:
    with pytest.raises(ValueError, match="expected"):
        pair_accuracy(np.array(distances), np.array(same), folds=2)
