"""People who are not trained on, and how well an encoder tells them apart."""

from dataclasses import dataclass

import numpy as np

from engine.errors import TrainingError
from engine.matching.members import Members
from engine.matching.nearest_identities import nearest_identities
from engine.metrics import Comparisons, Searches, measure
from indexes.exact.flat import Flat

# Pairs that the equal error rate is taken over, at most.
_PAIRS = 2_000_000


@dataclass(frozen=True)
class Validation:
    """Rows of chips: `enrolled` (one for each of K identities), `mated` (other pictures of these), `strangers` (of others);
    `labels` (n,) of all chips.
    """

    labels: np.ndarray
    enrolled: np.ndarray
    mated: np.ndarray
    strangers: np.ndarray


@dataclass(frozen=True)
class Figures:
    """`tpir` at FPIR 1 %, `rank1`, and the equal error rate of pairs."""

    tpir: float
    rank1: float
    eer: float


def split_identities(names: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and to validate with, int64 each: no identity is in both.

    Raises:
        TrainingError: so small a share that nobody, or so large that everybody is left out.
    """
    people = np.unique(names)
    held = np.random.default_rng(seed).permutation(people)[: round(share * len(people))]
    if not 0 < len(held) < len(people):
        raise TrainingError(f"--validation {share:g} of {len(people)} identities leaves {len(held)}; expected some, and not all")
    aside = np.isin(names, held)
    return np.flatnonzero(~aside), np.flatnonzero(aside)


def validation_of(names: np.ndarray, rows: np.ndarray, seed: int) -> Validation:
    """Enrol one picture of three quarters of the identities that have several; the rest are strangers, with those who have one.

    Raises:
        TrainingError: nobody has two pictures, or nobody is left as a stranger.
    """
    labels = np.unique(names, return_inverse=True)[1]
    random = np.random.default_rng(seed)
    rows = random.permutation(rows)
    people, first, counts = np.unique(labels[rows], return_index=True, return_counts=True)
    several = random.permutation(people[counts > 1])
    members = several[: max(1, round(0.75 * len(several)))]
    inside = np.isin(labels[rows], members)
    enrolled = rows[first[np.isin(people, members)]]
    mated, strangers = np.setdiff1d(rows[inside], enrolled), rows[~inside]
    if not len(mated) or not len(strangers):
        raise TrainingError(
            f"{len(people)} identities to validate with, {len(several)} of them with two pictures or more; expected at least two "
            "with several, or --validation with a larger share"
        )
    return Validation(labels, enrolled, mated, strangers)


def require_disjoint(trained: np.ndarray, validated: np.ndarray) -> None:
    """Refuse names (n,) and (m,) that have one in common.

    Raises:
        TrainingError: they do; names the first.
    """
    both = np.intersect1d(trained, validated)
    if len(both):
        raise TrainingError(f"{len(both)} identities are trained on and validated with, such as {both[0]}; expected none")


def figures(descriptors: np.ndarray, validation: Validation, rows: np.ndarray) -> Figures:
    """Of unit descriptors (m, d) of the chips `rows` (m,), which hold all rows of the validation."""
    place = np.full(len(validation.labels), -1)
    place[rows] = np.arange(len(rows))
    index = Flat.build(descriptors[place[validation.enrolled]])
    owners, members = validation.labels[validation.enrolled], Members(np.arange(len(validation.enrolled)))
    found = nearest_identities(index, members, descriptors[place[validation.mated]], 1)
    ranks = (owners[found.rows[:, 0]] == validation.labels[validation.mated]).astype(int)
    others = nearest_identities(index, members, descriptors[place[validation.strangers]], 1)
    searches = Searches(ranks, found.distances[:, 0], others.distances[:, 0])
    pairs = _pairs(descriptors, validation.labels[rows])
    return Figures(measure("tpir@fpir=0.01", searches), measure("rank1", searches), measure("eer", pairs))


def _pairs(descriptors: np.ndarray, labels: np.ndarray) -> Comparisons:
    one, other = np.triu_indices(len(labels), 1)
    same = labels[one] == labels[other]
    different = np.flatnonzero(~same)
    if len(different) > _PAIRS:
        different = np.random.default_rng(0).choice(different, _PAIRS, replace=False)
    distances = [
        np.linalg.norm(descriptors[one[at]] - descriptors[other[at]], axis=1) for at in (np.flatnonzero(same), different)
    ]
    return Comparisons(*distances)
