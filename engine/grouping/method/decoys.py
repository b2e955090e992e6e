"""Mirror decoys: people who do not exist, distributed like those who do, so that wrong groups can be counted.

A decoy is x' = V S Vᵀ x: a template mirrored along principal axes of the people, S with signs that are drawn at random, but on
the first axes, which are kept: they part kinds of people, and whoever is mirrored across them would be of no kind. All faces of a
person are mirrored alike, so that decoys have as many faces, as much alike, as the people have. Real faces and decoys are grouped
together, and whatever group holds both is wrong. Of the wrong groups of n faces, a share of f decoys shows 2f: there are f n²
pairs of one of each, and n² / 2 pairs of real ones.

On real photographs nearly all mixed groups are those of a decoy and its own original, whom the kept axes make look alike as
brothers do. So what is counted is, for each person, one who resembles him: too many where people have nobody like that, too few
where many have more (`docs/guides/grouping.md` says how near the count came).
"""

from dataclasses import dataclass

import numpy as np

from engine.grouping.method.linkage import Merges, Nodes, agglomerate
from engine.grouping.method.space import NEIGHBOURS, Space, neighbours
from indexes.base import Progress

# Axes that are not mirrored.
KEPT = 8
LEAST_DRAWS, _MOST_DRAWS = 4, 16
# Decoys that one draw makes, at most, and how many all draws together make at least, where there are so many faces.
_DRAW, _ALL_DRAWS = 10_000, 16_000
_SEED = 8
# What the face of a group can be: real, a decoy, or both.
_REAL, _DECOY, _BOTH = 1, 2, 3


@dataclass(frozen=True)
class Grid:
    """How many groups are wrong at each height: `heights` rising, (h,); `wrong_groups` and `wrong_merges` (h,), of the real
    faces.
    """

    heights: np.ndarray
    wrong_groups: np.ndarray
    wrong_merges: np.ndarray


@dataclass(frozen=True)
class Graph:
    """Real faces: their places float32 (n, d), the node that each belongs to, the nodes, and the edges (m, 2) between nodes."""

    places: np.ndarray
    node_of: np.ndarray
    nodes: Nodes
    edges: np.ndarray


def count_wrong(graph: Graph, space: Space, people: np.ndarray, heights: np.ndarray, progress: Progress | None = None) -> Grid:
    """Group real faces with decoys, several times, and count.

    Args:
        graph: the real faces.
        space: whose axes are mirrored.
        people: int64 (nodes,), which strict group each node is in: groups become decoys as wholes.
        heights: where to count, rising; nothing below the first is merged.
        progress: told how many draws are done.
    """
    groups, members = np.unique(people, return_inverse=True)
    faces = len(graph.places)
    share = min(1.0, _DRAW / faces)
    draws = int(np.clip(-(-_ALL_DRAWS // faces), LEAST_DRAWS, _MOST_DRAWS))
    wrong_groups, wrong_merges = np.zeros(len(heights)), np.zeros(len(heights))
    for draw in range(draws):
        drawn = np.random.default_rng((_SEED, draw))
        signs = drawn.choice([-1.0, 1.0], space.axes.shape[1])
        signs[:KEPT] = 1
        mirror = ((space.axes * signs) @ space.axes.T).astype(np.float32)
        taken = np.zeros(len(groups), bool)
        taken[drawn.permutation(len(groups))[: round(share * len(groups))]] = True
        chosen = np.flatnonzero(taken[members])
        if not len(chosen):
            continue
        merges, decoys = _grouped_with(graph, mirror, chosen, float(heights[0]))
        falling, groups_more, merges_more = _mixed(merges, len(graph.nodes.sums))
        seen = np.searchsorted(-falling, -heights, side="right")
        weight = 2 * decoys / faces * draws
        wrong_groups += np.concatenate([[0], np.cumsum(groups_more)])[seen] / weight
        wrong_merges += np.concatenate([[0], np.cumsum(merges_more)])[seen] / weight
        if progress:
            progress("decoys", draw + 1, draws)
    return Grid(heights, wrong_groups, wrong_merges)


def _grouped_with(graph: Graph, mirror: np.ndarray, chosen: np.ndarray, floor: float) -> tuple[Merges, int]:
    """The real nodes merged together with the mirrored ones `chosen`; and how many faces those have."""
    real, count = graph.nodes, len(graph.nodes.sums)
    decoy_of = np.full(count, -1)
    decoy_of[chosen] = count + np.arange(len(chosen))
    faces = np.flatnonzero(decoy_of[graph.node_of] >= 0)
    places = np.ascontiguousarray(graph.places[faces] @ mirror)
    found = neighbours(places, graph.places, NEIGHBOURS)
    across = np.stack([graph.node_of[found.ravel()], np.repeat(decoy_of[graph.node_of[faces]], found.shape[1])], axis=1)
    across = np.unique(across, axis=0) if len(graph.nodes.sums) < len(graph.places) else across
    among = decoy_of[graph.edges]
    among = among[(among >= 0).all(axis=1)]
    apart = decoy_of[real.apart] if len(real.apart) else real.apart
    owners = real.owners[chosen]
    nodes = Nodes(
        np.concatenate([real.sums, real.sums[chosen] @ mirror]),
        np.concatenate([real.counts, real.counts[chosen]]),
        np.concatenate([real.owners, np.where(owners < 0, -1, owners + real.owners.max() + 1)]),
        np.concatenate([real.apart, apart[(apart >= 0).all(axis=1)]]),
    )
    return agglomerate(nodes, np.concatenate([graph.edges, among, across]), floor), len(faces)


def _mixed(merges: Merges, real: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each merge, from the highest on: its height, how many mixed groups there are more, and whether it made a mixed one."""
    kinds = np.full(merges.nodes, _REAL)
    kinds[real:] = _DECOY
    order = merges.falling()
    more, made = np.zeros(len(order), np.int64), np.zeros(len(order), bool)
    for at, (one, two) in enumerate(zip(merges.kept[order].tolist(), merges.gone[order].tolist(), strict=True)):
        kind = kinds[one] | kinds[two]
        made[at] = kind == _BOTH
        more[at] = int(kind == _BOTH) - int(kinds[one] == _BOTH) - int(kinds[two] == _BOTH)
        kinds[one] = kind
    return merges.heights[order], more, made
