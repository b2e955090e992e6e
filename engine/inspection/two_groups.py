"""People whose images fall into two groups, each of two images or more: somebody else is enrolled under their name.

Each such image lies near another of its own identity, so that none looks wrong by itself. So the images of each identity are
merged as `onek group` does it, and the merge of the two groups that are least alike counts: how many are as unlike by chance says
a tail fitted to all identities.
"""

from dataclasses import dataclass

import numpy as np

from engine.grouping.method.linkage import Merges, Nodes, agglomerate
from engine.grouping.method.space import edges_within, placed
from engine.matching.scoring import SearchableGallery
from engine.statistics.score_tail import expected_as_small, outliers
from indexes.base import Progress

# Fewer identities are too few to fit a tail to. Each of the two groups needs two images.
_LEAST_PEOPLE, _LEAST_IMAGES = 30, 4
# Below every score; scores are shifted to be positive, as the tail wants them.
_LOWEST, _SHIFT = -1.5, 1.0


@dataclass(frozen=True)
class SplitPerson:
    """An identity's images in two groups: `row` and `other` are the rows of the two images, one of each, that are most alike.
    `score`: how alike the groups are, from 0 to 2, small is worse. `expected`, `likely`: as in `Finding`.
    """

    row: int
    other: int
    score: float
    expected: float
    likely: bool


def split_people(enrolled: SearchableGallery, likely: float, progress: Progress | None = None) -> list[SplitPerson]:
    """Identities by how unlike two groups of their images are, worst first; `likely`: the share of these that may be chance."""
    members, index = enrolled.members, enrolled.index
    people = np.flatnonzero(members.counts >= _LEAST_IMAGES)
    if len(people) < _LEAST_PEOPLE:
        return []
    mean = _balanced_mean(enrolled)
    # For each identity, how alike its two least alike groups are, groups of one image among them: this is what chance gives.
    scores = np.empty(len(people))
    pairs: dict[int, tuple[int, int]] = {}
    for at, person in enumerate(people.tolist()):
        rows = members.rows(np.array([person]))[0]
        rows = rows[rows >= 0]
        places = placed(index.vectors(rows), mean)
        nodes = Nodes(places, np.ones(len(rows)), np.full(len(rows), -1), np.empty((0, 2), np.int64))
        merges = agglomerate(nodes, edges_within(places), _LOWEST)
        side = _least_alike(merges)
        scores[at] = _SHIFT + (float(merges.heights.min()) if side is None else side[0])
        if side is not None:
            _, mine, theirs = side
            alike = places[mine] @ places[theirs].T
            one, two = np.unravel_index(int(np.argmax(alike)), alike.shape)
            pairs[at] = (int(rows[mine[one]]), int(rows[theirs[two]]))
        if progress:
            progress("groups", at + 1, len(people))
    expected, wrong = expected_as_small(scores), outliers(scores, likely)
    order = [at for at in np.argsort(scores, kind="stable").tolist() if at in pairs]
    return [SplitPerson(*pairs[at], float(scores[at]), float(expected[at]), bool(wrong[at])) for at in order]


def _least_alike(merges: Merges) -> tuple[float, np.ndarray, np.ndarray] | None:
    """Of the merges of two groups of two and more the lowest: its height, and the two groups; None where there is none."""
    several = np.flatnonzero((merges.sizes > 1).all(axis=1))
    if not len(several):
        return None
    at = int(several[np.argmin(merges.heights[several])])
    stands = np.arange(merges.nodes)
    for one, two in zip(merges.kept[:at].tolist(), merges.gone[:at].tolist(), strict=True):
        stands[stands == two] = one
    mine, theirs = (np.flatnonzero(stands == node) for node in (merges.kept[at], merges.gone[at]))
    return float(merges.heights[at]), mine, theirs


def _balanced_mean(enrolled: SearchableGallery) -> np.ndarray:
    """The mean (d,) in which every identity counts once, by its first image."""
    first = np.unique(enrolled.members.codes, return_index=True)[1]
    return enrolled.index.vectors(first).mean(axis=0, dtype=np.float64)
