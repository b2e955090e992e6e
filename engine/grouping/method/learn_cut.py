"""Where to cut the tree of merges: learnt from the faces themselves or, where they are few, from their encoder's impostors."""

import numpy as np

from engine.errors import GroupingError
from engine.grouping.groups import Cut
from engine.grouping.method.cut import STEP, chance_of_wrong, choose, counts_at, wrong_by_impostors
from engine.grouping.method.decoys import Graph, count_wrong
from engine.grouping.method.face_nodes import FaceNodes
from engine.grouping.method.linkage import agglomerate
from engine.grouping.method.space import NEIGHBOURS, STRICT, edges_between, estimate_space, neighbours, placed, random_pairs
from engine.templates.measured.impostors import impostors_of
from engine.templates.provenance import Provenance
from indexes.base import Progress

# Among fewer people than the first number, the encoder's impostors (where they are known) say more than decoys do; among fewer
# than the second, decoys say nothing.
_MANY_PEOPLE, _LEAST_PEOPLE = 500, 50
# Nothing is merged below so many standard deviations above the median of random pairs.
_FLOOR = 3.0
# By an encoder's impostors: shares of pairs of different people that are as alike. So many are surely one person's, and below the
# other one nothing is merged.
_NEVER, _OFTEN = 1e-9, 0.001


def learn_cut(
    vectors: np.ndarray, faces: FaceNodes, made: Provenance, wrong: float | None, progress: Progress | None
) -> tuple[Cut, np.ndarray]:
    """The cut, and for each node the node that stands for its group at that cut."""
    if len(faces.rows) < 2 or len(faces.sizes) < 2:
        nothing = Cut(1.0, wrong, "nothing to merge", len(faces.sizes), 0, 0.0, np.zeros(made.dim), np.empty(0), np.empty(0))
        return nothing, np.arange(len(faces.sizes))
    impostors = impostors_of(made)
    space = estimate_space(vectors, 1.0 if impostors is None else _cosine(impostors.distance_at(_NEVER)))
    few = space.people < _MANY_PEOPLE and impostors is not None
    if space.people < _LEAST_PEOPLE and not few:
        raise GroupingError(
            f"{len(vectors)} faces of about {space.people} people, by {made}, of whose impostors nothing is known; "
            f"expected {_LEAST_PEOPLE} people or more to learn from, or templates of an encoder that onek encoders lists as known"
        )
    mean = np.zeros(made.dim) if few else space.mean
    places = placed(vectors, mean)
    nodes = faces.nodes(places)
    edges = edges_between(neighbours(places, places, NEIGHBOURS + 1, progress), faces.node_of)
    middle, deviation = random_pairs(places[space.examples])
    floor = middle + _FLOOR * deviation
    if few and impostors is not None:
        floor = _cosine(impostors.distance_at(_OFTEN))
    heights = np.arange(min(floor, 0.9), 1 + STEP, STEP)
    merges = agglomerate(nodes, edges, float(heights[0]))
    counts = counts_at(merges, faces.sizes, heights)
    if few and impostors is not None:
        grid = wrong_by_impostors(impostors, merges.nodes, counts, heights)
    else:
        strict = merges.groups_at(middle + STRICT * deviation)
        grid = count_wrong(Graph(places, faces.node_of, nodes, edges), space, strict, heights, progress)
    at = choose(grid, counts, wrong, few)
    cut = Cut(
        float(heights[at]),
        wrong,
        "impostors" if few else "decoys",
        space.people,
        int(counts.groups[at]),
        float(grid.wrong_groups[at]),
        mean,
        heights,
        chance_of_wrong(grid, counts),
    )
    return cut, merges.groups_at(cut.height)


def _cosine(distance: float) -> float:
    """The cosine of unit vectors at a distance."""
    return 1 - distance**2 / 2
