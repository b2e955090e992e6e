"""Pairs to look at: groups that are nearly one, groups that are nearly two, in the order of what a look is worth.

A look is worth the chance that something is to be corrected, times the faces that a correction puts right.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from engine.grouping.faces import read_faces
from engine.grouping.groups import REJECTED, Groups
from engine.grouping.method.linkage import Nodes, agglomerate, each_once, pair_scores
from engine.grouping.method.space import edges_within, neighbours, placed
from engine.tables.sheets import sheet_file
from engine.templates.parquet import Templates

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
    found = _nearly_one(groups, places, described) + _nearly_two(groups, places, described)
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


def _nearly_one(groups: Groups, places: np.ndarray, described: _Described) -> list[Suggestion]:
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
    close = scores >= groups.cut.height - _BELOW
    pairs, scores = pairs[close], scores[close]
    apart = _apart_nodes(groups, rows, node_of)
    chances = 1 - groups.cut.chance_of_wrong(scores)
    order = np.argsort(node_of, kind="stable")
    members = np.split(rows[order], np.cumsum(np.bincount(node_of))[:-1])
    return [
        described.suggestion(ONE_PERSON, members[one], members[two], score, chance)
        for (one, two), score, chance in zip(pairs.tolist(), scores.tolist(), chances.tolist(), strict=True)
        if (one, two) not in apart
    ]


def _apart_nodes(groups: Groups, rows: np.ndarray, node_of: np.ndarray) -> set[tuple[int, int]]:
    """Pairs of nodes that are known to be two people, the smaller first."""
    faces = read_faces(Templates(groups.table, groups.provenance))
    node = dict(zip((groups.table["template_id"].to_pylist()[row] for row in rows.tolist()), node_of.tolist(), strict=True))
    pairs = list(groups.apart)
    if not groups.same_photo:
        pairs += [(faces.ids[one], faces.ids[two]) for one, two in faces.of_one_photograph().tolist()]
    named = {}
    for number, name in groups.names.items():
        if name:
            named[node[groups.table["template_id"][int(groups.members[number][0])].as_py()]] = name
    ends = [(node[one], node[two]) for one, two in pairs if one in node and two in node]
    return {(min(pair), max(pair)) for pair in ends} | {(one, two) for one in named for two in named if one < two}


def _nearly_two(groups: Groups, places: np.ndarray, described: _Described) -> list[Suggestion]:
    bound = ~np.asarray(groups.table["bound"].is_null())
    looked = {number: rows for number, rows in groups.members.items() if len(rows) > 1 and not bound[rows].all()}
    if not looked:
        return []
    edges = np.concatenate([rows[edges_within(places[rows])] for rows in looked.values()])
    nodes = Nodes(places, np.ones(len(places)), np.full(len(places), -1), np.empty((0, 2), np.int64))
    merges = agglomerate(nodes, edges[np.lexsort((edges[:, 1], edges[:, 0]))], _LOWEST)
    last: dict[int, int] = {}
    for at in merges.falling().tolist():
        last[int(groups.numbers[merges.kept[at]])] = at
    suggestions = []
    for number, at in last.items():
        rows = looked[number]
        stands = merges.groups_at(np.nextafter(merges.heights[at], np.float32(2)))
        side = stands[rows] == stands[merges.gone[at]]
        if side.all() or not side.any():
            continue
        height = float(merges.heights[at])
        chance = float(groups.cut.chance_of_wrong(np.array([height]))[0])
        suggestions.append(described.suggestion(TWO_PEOPLE, rows[~side], rows[side], height, chance))
    return suggestions
