"""Faces as the nodes that are merged into groups: one for all that are one person for certain."""

from dataclasses import dataclass

import numpy as np

from engine.grouping.faces import Units, numbered
from engine.grouping.method.linkage import Nodes


@dataclass(frozen=True)
class FaceNodes:
    """Faces on their way into groups.

    `rows`: those that found groups, one of each vector, so that a thousand copies of a file weigh no more than it; `node_of`: the
    node of each of these. `node_of_face`: the node of every face, -1 for those that found no group. `sizes`: the faces of a node.
    """

    rows: np.ndarray
    node_of: np.ndarray
    node_of_face: np.ndarray
    sizes: np.ndarray
    owners: np.ndarray
    apart: np.ndarray

    def nodes(self, places: np.ndarray) -> Nodes:
        """Nodes of the places (rows, d) of `rows`."""
        sums = np.zeros((len(self.sizes), places.shape[1]))
        np.add.at(sums, self.node_of, places)
        counts = np.bincount(self.node_of, minlength=len(self.sizes))
        return Nodes(sums.astype(np.float32), counts.astype(np.float32), self.owners, self.apart)

    def labels(self, stands: np.ndarray) -> np.ndarray:
        """For every face the node that stands for its group, -1 for those that found none."""
        return np.where(self.node_of_face >= 0, stands[self.node_of_face], -1) if len(stands) else self.node_of_face


def face_nodes(vectors: np.ndarray, units: Units, usable: np.ndarray, owners: np.ndarray) -> FaceNodes:
    """Nodes of the faces that are `usable`, bool (n,), to found groups.

    Args:
        vectors: of all faces, float32 (n, d).
        units: which faces are one person for certain.
        usable: which of them found groups.
        owners: int64 (n,), whose each face is known to be; -1 where nobody knows.
    """
    found, node_of = np.unique(units.unit_of[usable], return_inverse=True)
    place = np.full(units.count, -1)
    place[found] = np.arange(len(found))
    node_of_face = np.where(usable, place[units.unit_of], -1) if len(found) else np.full(len(usable), -1)
    owned = np.full(len(found), -1)
    np.maximum.at(owned, node_of, owners[usable])
    apart = place[units.apart]
    rows = np.flatnonzero(usable)
    rows = rows[np.sort(np.unique(numbered(vectors[rows]), return_index=True)[1])]
    sizes = np.bincount(node_of, minlength=len(found))
    return FaceNodes(rows, node_of_face[rows], node_of_face, sizes, owned, apart[(apart >= 0).all(axis=1)])
