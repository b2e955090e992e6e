"""1:1 accuracy in folds: LFW's protocol, pure functions over arrays."""

from dataclasses import dataclass

import numpy as np

FOLDS = 10


@dataclass(frozen=True)
class PairAccuracy:
    """1:1 accuracy over folds. `mean` and `standard_error` are shares of 1; `threshold` is the mean of the folds' thresholds."""

    mean: float
    standard_error: float
    threshold: float
    folds: tuple[float, ...]


def best_threshold(distances: np.ndarray, same: np.ndarray) -> float:
    """The threshold t that gets most pairs right with the rule `same if and only if distance <= t`.

    Half-way between two distances; of several equally good ones the lowest.

    Args:
        distances: float (n,).
        same: bool (n,).
    """
    order = np.argsort(distances, kind="stable")
    ordered, truth = distances[order].astype(np.float64), same[order]
    # right[i]: pairs decided rightly when the first i are called the same.
    right = (
        np.concatenate([[0], np.cumsum(truth)])
        + np.concatenate([[0], np.cumsum(~truth)])[-1]
        - np.concatenate([[0], np.cumsum(~truth)])
    )
    edges = np.concatenate([[ordered[0] - 1e-6], (ordered[1:] + ordered[:-1]) / 2, [ordered[-1]]])
    ties = np.concatenate([[False], ordered[1:] == ordered[:-1], [False]])
    return float(edges[np.argmax(np.where(ties, -1, right))])


def pair_accuracy(distances: np.ndarray, same: np.ndarray, folds: int = FOLDS) -> PairAccuracy:
    """LFW's protocol (Huang et al. 2007): each fold is judged at the threshold that is best on the others.

    The standard error is that of the folds' mean, sigma / sqrt(folds), sigma with folds - 1 degrees of freedom. Pairs of either
    kind are dealt out to the folds in turn, so that every fold has its share of both.

    Args:
        distances: float (n,), of the pairs.
        same: bool (n,), whether a pair shows one identity.
        folds: at least 2.

    Raises:
        ValueError: the arrays differ in length, or a fold would lack pairs of one kind.
    """
    distances, same = np.asarray(distances), np.asarray(same, bool)
    if distances.shape != same.shape or distances.ndim != 1:
        raise ValueError(f"{distances.shape} distances and {same.shape} labels; expected one label for each distance")
    if min(same.sum(), (~same).sum()) < folds:
        raise ValueError(
            f"{same.sum()} genuine and {(~same).sum()} impostor pairs; expected at least {folds} of each for {folds} folds"
        )
    fold = np.empty(len(same), int)
    for kind in (True, False):
        fold[same == kind] = np.arange((same == kind).sum()) % folds
    accuracies, thresholds = [], []
    for number in range(folds):
        inside = fold == number
        threshold = best_threshold(distances[~inside], same[~inside])
        accuracies.append(float(((distances[inside] <= threshold) == same[inside]).mean()))
        thresholds.append(threshold)
    error = float(np.std(accuracies, ddof=1) / np.sqrt(folds))
    return PairAccuracy(float(np.mean(accuracies)), error, float(np.mean(thresholds)), tuple(accuracies))
