"""Heads: logistic regression on how two templates differ, in a minute on one core."""

import numpy as np
import pyarrow as pa
from scipy.optimize import minimize
from scipy.special import expit

from engine.errors import TrainingError
from engine.matching.pair_verifier import FORMS, PairVerifier, features
from engine.templates.model import Templates

# Pairs of one identity at most; for each template, the nearest of other people, and people drawn.
_EACH, _NEAREST, _DRAWN = 30, 5, 10
_PART = 2048


def labels_of(templates: Templates) -> np.ndarray:
    """The identity of each template as a number, int64 (n,).

    Raises:
        TrainingError: one has none, or there is but one.
    """
    names = templates.table["identity"]
    if names.null_count:
        raise TrainingError(f"{names.null_count} templates have no identity; embed with --labels")
    labels = pa.chunked_array(names).combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    if not len(labels) or not labels.max():
        raise TrainingError("templates of one identity; expected two or more, or nobody is somebody else")
    return labels


def mined_pairs(vectors: np.ndarray, labels: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of pairs (m, 2), and whether each is of one person, bool (m,): all pairs of an identity, up to 30; for each template
    the 5 nearest of other people, and 10 that are drawn.

    Raises:
        TrainingError: nobody has two templates.
    """
    random = np.random.default_rng(seed)
    order = np.argsort(labels, kind="stable")
    own = []
    for rows in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        one, other = np.triu_indices(len(rows), 1)
        kept = random.permutation(len(one))[:_EACH]
        own.append(np.column_stack([rows[one[kept]], rows[other[kept]]]))
    same = np.concatenate(own)
    if not len(same):
        raise TrainingError(f"{labels.max() + 1} identities with one template each: no pair shows the same person")
    near = []
    for start in range(0, len(vectors), _PART):
        likeness = vectors[start : start + _PART] @ vectors.T
        likeness[labels[start : start + _PART, None] == labels[None]] = -np.inf
        near.append(np.argpartition(-likeness, min(_NEAREST, likeness.shape[1] - 1), axis=1)[:, :_NEAREST])
    alike = np.column_stack([np.repeat(np.arange(len(vectors)), near[0].shape[1]), np.concatenate(near).ravel()])
    drawn = np.column_stack([np.repeat(np.arange(len(vectors)), _DRAWN), random.integers(0, len(vectors), _DRAWN * len(vectors))])
    others = np.concatenate([alike, drawn])
    others = others[labels[others[:, 0]] != labels[others[:, 1]]]
    return np.concatenate([same, others]), np.arange(len(same) + len(others)) < len(same)


# Ridges (strengths of regularisation) that are tried, the share of identities held back to choose one, and the optimiser's steps.
_RIDGES, _HELD, _STEPS = (1e-5, 1e-4, 1e-3, 1e-2), 0.2, 300


def train_pair_verifier(templates: Templates, form: str, seed: int = 0) -> PairVerifier:
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
    return PairVerifier(form, found[:-1].astype(np.float32), float(found[-1]), templates.provenance)


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
