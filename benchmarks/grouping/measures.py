"""How right groups are, against labels. A face that is alone is a group of one."""

from dataclasses import dataclass

import numpy as np

from engine.grouping.groups import Groups


@dataclass(frozen=True)
class Right:
    """`bcubed`: the F of BCubed precision and recall (Bagga and Baldwin 1998); `pairwise`: the F of pairs in one group.
    `groups`: of two faces and more; `wrong`: how many of them hold two people.
    """

    bcubed: float
    pairwise: float
    groups: int
    wrong: int

    @property
    def rate(self) -> float:
        """The share of wrong groups."""
        return self.wrong / max(self.groups, 1)


def right(people: np.ndarray, groups: np.ndarray) -> Right:
    """Measure `groups` (n,), any numbers, against `people` (n,), any numbers."""
    who = np.unique(people, return_inverse=True)[1]
    put = np.unique(groups, return_inverse=True)[1]
    cells, cell_of, counts = np.unique(who.astype(np.int64) * (put.max() + 1) + put, return_inverse=True, return_counts=True)
    mine, theirs = np.bincount(put), np.bincount(who)
    precision, recall = (counts[cell_of] / mine[put]).mean(), (counts[cell_of] / theirs[who]).mean()
    kinds = np.bincount(cells % (put.max() + 1), minlength=len(mine))
    pairs = _pairs(mine) + _pairs(theirs)
    return Right(
        float(2 * precision * recall / (precision + recall)),
        float(2 * _pairs(counts) / pairs) if pairs else 1.0,
        int((mine > 1).sum()),
        int((kinds > 1).sum()),
    )


def labels_of(groups: Groups) -> np.ndarray:
    """The group of each face, and a number of its own for each face that is alone, int64 (n,)."""
    return np.where(groups.numbers > 0, groups.numbers, -1 - np.arange(len(groups)))


def _pairs(sizes: np.ndarray) -> float:
    return float((sizes * (sizes - 1.0) / 2).sum())
