"""Projections learnt on labelled templates: without a network, in seconds."""

import numpy as np
import scipy.linalg

from engine.encoders.projection import Projection
from engine.errors import TrainingError
from engine.templates.model import Templates
from engine.training.pair_verifier import labels_of

PCA, WCCN, LDA = "pca", "wccn", "lda"
KINDS = (PCA, WCCN, LDA)
SHRINKAGE = 0.1


def train_projection(templates: Templates, kind: str, dim: int | None = None, shrinkage: float = SHRINKAGE) -> Projection:
    """Learn a projection.

    - `pca`: the directions of the largest variance, centred.
    - `wccn`: within-class covariance normalisation (Hatch, Kajarekar and Stolcke 2006): W^(-1/2), so that pictures of one person
      vary alike in every direction.
    - `lda`: linear discriminants: the directions of the largest variance between people, in units of that within.

    Args:
        templates: labelled; for `wccn` and `lda` some identities need several.
        kind: one of `KINDS`.
        dim: dimensions of the result; by default as many as before (`lda`: at most identities - 1).
        shrinkage: how much of W is replaced by the unit matrix of the same trace, 0 to 1: what few pictures say of it is noise.

    Raises:
        TrainingError: no such kind, too many dimensions, or no identity with two templates where that is needed.
    """
    if kind not in KINDS:
        raise TrainingError(f"--kind {kind}: expected {', '.join(KINDS)}")
    if not 0 <= shrinkage <= 1:
        raise TrainingError(f"--shrinkage {shrinkage:g}: expected 0 to 1")
    vectors, labels = templates.vectors.astype(np.float64), labels_of(templates)
    most = min(vectors.shape[1], int(labels.max())) if kind == LDA else vectors.shape[1]
    wanted = most if dim is None else dim
    if not 0 < wanted <= most:
        raise TrainingError(f"--dim {wanted}: {kind} of these templates gives 1 to {most} dimensions")
    mean = vectors.mean(axis=0)
    if kind == PCA:
        matrix = _directions(np.cov(vectors.T))[:, :wanted]
    else:
        within = _within(vectors, labels)
        within = (1 - shrinkage) * within + shrinkage * np.trace(within) / len(within) * np.eye(len(within))
        if kind == WCCN:
            values, axes = np.linalg.eigh(within)
            matrix = ((axes / np.sqrt(values)) @ axes.T) @ _directions(np.cov(vectors.T))[:, :wanted]
        else:
            counts = np.bincount(labels)
            means = np.stack([np.bincount(labels, column) for column in vectors.T], axis=1) / counts[:, None]
            matrix = scipy.linalg.eigh(np.cov(means.T), within)[1][:, ::-1][:, :wanted]
    return Projection(kind, mean.astype(np.float32), np.ascontiguousarray(matrix, np.float32), templates.provenance)


def _directions(covariance: np.ndarray) -> np.ndarray:
    return np.linalg.eigh(covariance)[1][:, ::-1]


def _within(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The covariance of templates about the means of their identities, of those that have several."""
    counts = np.bincount(labels)
    several = counts[labels] > 1
    if not several.any():
        raise TrainingError(f"{len(counts)} identities with one template each say nothing of how one person varies")
    means = np.stack([np.bincount(labels, column) for column in vectors.T], axis=1) / counts[:, None]
    deviations = (vectors - means[labels])[several]
    return deviations.T @ deviations / (several.sum() - (counts > 1).sum())
