"""Faces of low quality found no groups: each joins the one that it is most like, or stays alone."""

import numpy as np

from engine.grouping.faces import Units
from engine.grouping.method.face_nodes import FaceNodes
from engine.grouping.method.linkage import pair_scores
from engine.grouping.method.space import neighbours

# A face looks for its group among so many neighbours.
_LOOKED_AT = 10


def join_low(
    labels: np.ndarray, places: np.ndarray, nodes: FaceNodes, low: np.ndarray, units: Units, height: float
) -> np.ndarray:
    """Let faces of low quality join the group that each is most like, if it is like it enough; best ones first.

    Args:
        labels: int64 (n,), the node that stands for each face's group; -1 for those without.
        places: float32 (n, d), where faces are compared.
        nodes: the faces that found groups.
        low: bool (n,), the faces that are to join.
        units: which faces are two people for certain.
        height: how alike a face and a group must be.
    """
    rows = np.flatnonzero(low)
    if not len(rows) or not len(nodes.rows):
        return labels
    found = nodes.rows[neighbours(np.ascontiguousarray(places[rows]), np.ascontiguousarray(places[nodes.rows]), _LOOKED_AT)]
    groups = labels[found]
    sums = np.zeros((labels.max() + 1, places.shape[1]))
    np.add.at(sums, labels[nodes.rows], places[nodes.rows])
    counts = np.maximum(np.bincount(labels[nodes.rows], minlength=len(sums)), 1)
    one = np.ones(groups.size)
    scores = pair_scores(np.repeat(places[rows], groups.shape[1], axis=0), one, sums[groups.ravel()], counts[groups.ravel()])
    labels = labels.copy()
    others = _others(units)
    for at in np.argsort(-scores, kind="stable"):
        row, group = int(rows[at // groups.shape[1]]), int(groups.ravel()[at])
        if scores[at] < height:
            break
        if labels[row] < 0 and not any(
            group in labels[units.unit_of == unit] for unit in others.get(int(units.unit_of[row]), ())
        ):
            labels[row] = group
    return labels


def _others(units: Units) -> dict[int, list[int]]:
    """The units that each unit is apart from."""
    others: dict[int, list[int]] = {}
    for one, two in units.apart.tolist():
        others.setdefault(one, []).append(two)
        others.setdefault(two, []).append(one)
    return others
