"""One labelled set as a gallery, probes that are mated, and strangers; and the sizes of the galleries inside the gallery."""

from dataclasses import dataclass

import numpy as np

from engine.errors import MetricsError

# The rates of strangers' false alarms that everything is measured at.
RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
# Identities below which nothing is measured.
LEAST_IDENTITIES = 40
_FIRST = 10


@dataclass(frozen=True)
class Split:
    """Rows of labelled templates: `enrolled` (k,), one of each identity in random order, so that the first K are a gallery inside
    the next larger one; `mated`, all others of these identities; `strangers` (m,), one of each identity that is never enrolled.
    """

    enrolled: np.ndarray
    mated: np.ndarray
    strangers: np.ndarray


def split(codes: np.ndarray, seed: int, strangers: float = 0.25, able: np.ndarray | None = None) -> Split:
    """Split templates of the identities `codes` (n,), a share of which are strangers.

    `able` bool (n,): the rows that can be enrolled; all others are images of which no template was made.
    """
    random = np.random.default_rng(seed)
    rows = random.permutation(len(codes))
    identities, first = np.unique(codes[rows], return_index=True)
    order = random.permutation(len(identities))
    chosen = rows[first]
    many = int(len(order) * (1 - strangers))
    enrolled, others = chosen[order[:many]], chosen[order[many:]]
    if able is not None and not able.all():
        enrolled = np.array([row if able[row] else _another(rows, codes, able, codes[row]) for row in enrolled], np.int64)
        enrolled = enrolled[enrolled >= 0]
    rest = np.setdiff1d(np.flatnonzero(np.isin(codes, codes[enrolled])), enrolled)
    return Split(enrolled, rest, others)


def _another(rows: np.ndarray, codes: np.ndarray, able: np.ndarray, code: int) -> int:
    """A row of an identity that can be enrolled, by chance; -1 where none can."""
    own = rows[(codes[rows] == code) & able[rows]]
    return int(own[0]) if len(own) else -1


def sizes(most: int) -> list[int]:
    """10, 30, 100, 300, ... and `most`, which takes the place of a size that is nearly as large."""
    steps = [size for power in range(1, 9) for size in (10**power, 3 * 10**power)]
    return [size for size in steps if size * 1.5 < most] + [most]


def require_people(identities: int, called: str) -> None:
    """Refuse, before any work, too few identities to measure anything. Raises `MetricsError`."""
    if identities < LEAST_IDENTITIES:
        raise MetricsError(f"{called}: {identities} identities; accuracy is measured from {LEAST_IDENTITIES} on")
