"""Pairs for somebody to look at: two groups that may be one person, or one that may be two; the most useful first.

How useful: the chance that a correction is needed, times the number of faces that it puts right.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from engine.grouping.faces import read_faces
from engine.grouping.groups import REJECTED, Groups
from engine.grouping.method.linkage import Merges, Nodes, agglomerate, each_once, pair_scores
from engine.grouping.method.space import edges_within, neighbours, placed
from engine.tables.sheets import sheet_file
from engine.templates.model import Templates

ONE_PERSON, TWO_PEOPLE = "one person?", "two people?"
# Neighbours of each group that are looked at, and how far below the cut two groups may be.
_NEIGHBOURS, _BELOW = 6, 0.15
_LOWEST = -1.5


@dataclass(frozen=True)
class Suggestion:
    """What somebody should look at. `one person?`: whether `group` and `other` are one, or the face that is alone where a number
    is None. `two people?`: whether `group` is two; `other` is None.

    `face`, `other_face`: template ids, one of each side, of the pair that is most alike. `score`: how alike the two sides are.
    `chance`: how likely the answer is yes. `worth`: that chance times the faces that a correction puts right.
    """

    kind: str
    group: int | None
    other: int | None
    face: str
    other_face: str
    source: str | None
    other_source: str | None
    score: float
    chance: float
    worth: float


def suggest(groups: Groups, most: int = 100) -> list[Suggestion]:
    """The pairs whose look is worth most, at most so many, best first."""
    if len(groups) < 2:
        return []
    places = placed(groups.vectors, groups.cut.mean)
    described = _Described(groups, places)
    found = _nearly_one(groups, places, described, most) + _nearly_two(groups, places, described)
    return sorted(found, key=lambda each: (-each.worth, each.face, each.other_face))[:most]


def write_suggestions(path: Path, suggestions: Sequence[Suggestion]) -> None:
    """Write suggestions as CSV. Raises `OutputError` where that fails."""
    with sheet_file(path, [field.name for field in fields(Suggestion)]) as sheet:
        for each in suggestions:
            sheet.write(f"{value:.6g}" if isinstance(value, float) else value for value in astuple(each))


class _Described:
    def __init__(self, groups: Groups, places: np.ndarray) -> None:
        self.ids, self.sources = groups.table["template_id"].to_pylist(), groups.table["source"].to_pylist()
        self.numbers, self.places = groups.numbers, places

    def suggestion(self, kind: str, mine: np.ndarray, theirs: np.ndarray, score: float, chance: float) -> Suggestion:
        alike = self.places[mine] @ self.places[theirs].T
        at, other = np.unravel_index(int(np.argmax(alike)), alike.shape)
        a, b = int(mine[at]), int(theirs[other])
        group, also = int(self.numbers[a]) or None, int(self.numbers[b]) or None
        worth = chance * min(len(mine), len(theirs))
        return Suggestion(
            *(kind, group, None if kind == TWO_PEOPLE else also, self.ids[a], self.ids[b]),
            *(self.sources[a], self.sources[b], float(score), float(chance), float(worth)),
        )


def _nearly_one(groups: Groups, places: np.ndarray, described: _Described, most: int) -> list[Suggestion]:
    rejected = np.array([REJECTED in (said or "") for said in groups.table["corrected"].to_pylist()], bool)
    rows = np.flatnonzero(~rejected)
    keys = np.where(groups.numbers[rows] > 0, groups.numbers[rows], -1 - rows)
    found, node_of = np.unique(keys, return_inverse=True)
    if len(found) < 2:
        return []
    sums = np.zeros((len(found), places.shape[1]))
    np.add.at(sums, node_of, places[rows])
    counts = np.bincount(node_of).astype(float)
    means = np.ascontiguousarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12), np.float32)
    near = neighbours(means, means, _NEIGHBOURS)
    pairs = each_once(np.repeat(np.arange(len(found)), near.shape[1]), near.ravel(), len(found))
    scores = pair_scores(sums[pairs[:, 0]], counts[pairs[:, 0]], sums[pairs[:, 1]], counts[pairs[:, 1]])
    kept = (scores >= groups.cut.height - _BELOW) & ~_known_apart(groups, rows, node_of, pairs)
    pairs, scores = pairs[kept], scores[kept]
    chances = 1 - groups.cut.chance_of_wrong(scores)
    # Describing a pair takes long, and many faces have many pairs.
    best = np.lexsort((pairs[:, 1], pairs[:, 0], -chances * counts[pairs].min(axis=1)))[:most]
    order = np.argsort(node_of, kind="stable")
    members = np.split(rows[order], np.cumsum(np.bincount(node_of))[:-1])
    return [
        described.suggestion(ONE_PERSON, members[one], members[two], score, chance)
        for (one, two), score, chance in zip(pairs[best].tolist(), scores[best].tolist(), chances[best].tolist(), strict=True)
    ]


def _known_apart(groups: Groups, rows: np.ndarray, node_of: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Which pairs of nodes (m, 2) are known to be two people: by a correction, a photograph, or their names. bool (m,)."""
    ids, names = groups.table["template_id"].to_pylist(), groups.table["identity"].to_pylist()
    node = {ids[row]: at for row, at in zip(rows.tolist(), node_of.tolist(), strict=True)}
    name = {at: names[row] for row, at in zip(rows.tolist(), node_of.tolist(), strict=True)}
    said = list(groups.apart)
    if not groups.same_photo:
        faces = read_faces(Templates(groups.table, groups.provenance))
        said += [(faces.ids[one], faces.ids[two]) for one, two in faces.of_one_photograph().tolist()]
    apart = {(min(ends), max(ends)) for one, two in said if one in node and two in node for ends in [(node[one], node[two])]}
    return np.array([(one, two) in apart or bool(name[one] and name[two]) for one, two in pairs.tolist()], bool)


def _nearly_two(groups: Groups, places: np.ndarray, described: _Described) -> list[Suggestion]:
    bound = ~np.asarray(groups.table["bound"].is_null())
    looked = {number: rows for number, rows in groups.members.items() if len(rows) > 1 and not bound[rows].all()}
    if not looked:
        return []
    edges = np.concatenate([rows[edges_within(places[rows])] for rows in looked.values()])
    nodes = Nodes(places, np.ones(len(places)), np.full(len(places), -1), np.empty((0, 2), np.int64))
    merges = agglomerate(nodes, edges[np.lexsort((edges[:, 1], edges[:, 0]))], _LOWEST)
    by_group: dict[int, list[int]] = {}
    for at, row in enumerate(merges.kept.tolist()):
        by_group.setdefault(int(groups.numbers[row]), []).append(at)
    suggestions = []
    for number, found in by_group.items():
        rows, root = looked[number], found[-1]
        side = _one_side(rows, merges, found)
        height = float(merges.heights[root])
        chance = float(groups.cut.chance_of_wrong(np.array([height]))[0])
        suggestions.append(described.suggestion(TWO_PEOPLE, rows[~side], rows[side], height, chance))
    return suggestions


def _one_side(rows: np.ndarray, merges: Merges, found: list[int]) -> np.ndarray:
    """Which rows of a group, bool, are on one side of the last of its merges `found`."""
    stands = rows.copy()
    for at in found[:-1]:
        stands[stands == merges.gone[at]] = merges.kept[at]
    return stands == merges.gone[found[-1]]
