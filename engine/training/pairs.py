"""Pairs of labelled templates: of one person, and of two who are alike."""

import numpy as np
import pyarrow as pa

from engine.errors import TrainingError
from engine.templates.parquet import Templates

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
