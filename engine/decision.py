"""Scores, the threshold rule, and the fusion of templates into identities."""

from dataclasses import dataclass

import numpy as np

from engine.errors import GalleryError
from indexes.base import Index

IDENTIFIED, UNKNOWN, FAILED = "identified", "unknown", "failed"


@dataclass(frozen=True)
class Candidates:
    """Identities near each probe, nearest first, as flat arrays: those of probe i lie at `offsets[i]` to `offsets[i + 1]`.

    `rows` int64: the template that stands for the identity, its nearest one. `distances` float32.
    """

    offsets: np.ndarray
    rows: np.ndarray
    distances: np.ndarray


def accepts(scores: np.ndarray, threshold: float) -> np.ndarray:
    """The one rule by which anybody is accepted: `score <= threshold`. A score that is NaN is not accepted."""
    return np.asarray(scores) <= np.float32(threshold)


def checked_threshold(threshold: float | None, default: float | None) -> float:
    """The threshold to use: the one given, else the default.

    Raises:
        GalleryError: there is neither, or it is no distance.
    """
    chosen = default if threshold is None else threshold
    if chosen is None:
        raise GalleryError("no default threshold is known for the encoder of this gallery; pass --threshold DISTANCE")
    if not 0 <= chosen <= 2:
        raise GalleryError(f"the threshold is {chosen}; expected a distance of unit vectors, 0 to 2")
    return float(chosen)


def nearest_identities(index: Index, codes: np.ndarray, probes: np.ndarray, top: int) -> Candidates:
    """The `top` nearest identities of each probe; an identity is as near as its nearest template.

    Args:
        index: the enrolled templates.
        codes: int (n,), the identity of each template as a number.
        probes: float32 (m, d).
        top: at least 1. Fewer come back where the gallery has fewer.
    """
    wanted = min(top, int(codes.max()) + 1)
    k = min(2 * top + 8, index.count)
    parts = []
    pending = np.arange(len(probes))
    while True:
        neighbours = index.search(probes[pending], k)
        first = _first_of_each(codes[neighbours.rows])
        enough = (first.sum(axis=1) >= wanted) | (k == index.count)
        # Of each identity its nearest template, and of those the first ones.
        keep = first & (np.cumsum(first, axis=1) <= wanted) & enough[:, None]
        at, place = np.nonzero(keep)
        parts.append((pending[at], neighbours.rows[at, place], neighbours.distances[at, place]))
        # Identities with many templates crowd the list: look deeper for those probes only.
        pending, k = pending[~enough], min(4 * k, index.count)
        if not len(pending):
            break
    probe, rows, distances = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(probe, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(probe, minlength=len(probes)))]).astype(np.int64)
    return Candidates(offsets, rows[order], distances[order])


def _first_of_each(codes: np.ndarray) -> np.ndarray:
    """Whether each entry of (m, k) is the first of its value in its row."""
    order = np.argsort(codes, axis=1, kind="stable")
    ordered = np.take_along_axis(codes, order, axis=1)
    first = np.ones_like(codes, bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    result = np.empty_like(first)
    np.put_along_axis(result, order, first, axis=1)
    return result
