"""Heads: logistic regression on how two templates differ, in a minute on one core."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from engine.errors import TrainingError
from engine.matching.pair_verifier import FORMS, Head, features
from engine.templates.parquet import Templates
from engine.training.pairs import labels_of, mined_pairs

# Ridges that are tried, the part of the identities that chooses among them, and steps of the optimiser at most.
_RIDGES, _HELD, _STEPS = (1e-5, 1e-4, 1e-3, 1e-2), 0.2, 300


def train_head(templates: Templates, form: str, seed: int = 0) -> Head:
    """Learn a head from labelled templates. The ridge is the one that does best on a fifth of the identities, held back; then all
    are learnt from.

    Raises:
        TrainingError: no such form, or nobody has two templates.
    """
    if form not in FORMS:
        raise TrainingError(f"--form {form}: expected {', '.join(FORMS)}")
    vectors, labels = templates.vectors, labels_of(templates)
    held = np.isin(labels, np.random.default_rng(seed).permutation(labels.max() + 1)[: max(1, int(_HELD * labels.max()))])
    try:
        inside, outside = _pairs(form, vectors[~held], labels[~held], seed), _pairs(form, vectors[held], labels[held], seed)
        losses = [_loss(_fit(*inside, ridge), *outside) for ridge in _RIDGES]
        ridge = _RIDGES[int(np.argmin(losses))]
    except TrainingError:  # too few people to hold some back
        ridge = _RIDGES[-1]
    found = _fit(*_pairs(form, vectors, labels, seed), ridge)
    return Head(form, found[:-1].astype(np.float32), float(found[-1]), templates.provenance)


def _pairs(form: str, vectors: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    numbers = np.unique(labels, return_inverse=True)[1]
    rows, same = mined_pairs(vectors, numbers, seed)
    return features(form, vectors[rows[:, 0]], vectors[rows[:, 1]]), same


def _fit(values: np.ndarray, same: np.ndarray, ridge: float) -> np.ndarray:
    """Weights and bias (d + 1,). Both kinds of pairs count alike, however many there are."""
    counted = np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
    spread = values.std(axis=0)
    scaled = values / spread

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        margins = np.where(same, 1, -1) * (point[-1] - scaled @ point[:-1])
        pull = -counted * expit(-margins) * np.where(same, 1, -1)
        slope = np.append(-(pull @ scaled) + 2 * ridge * point[:-1], pull.sum())
        return float(counted @ np.logaddexp(0, -margins) + ridge * point[:-1] @ point[:-1]), slope

    found = minimize(
        loss, np.append(np.full(values.shape[1], 0.1), 1.0), jac=True, method="L-BFGS-B", options={"maxiter": _STEPS}
    )
    return np.append(found.x[:-1] / spread, found.x[-1])


def _loss(point: np.ndarray, values: np.ndarray, same: np.ndarray) -> float:
    margins = np.where(same, 1, -1) * (point[-1] - values @ point[:-1])
    losses = np.logaddexp(0, -margins)
    return float(losses[same].mean() + losses[~same].mean())
