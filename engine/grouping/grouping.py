"""Group faces: all of them anew, some again after corrections, or new ones into groups that are there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from engine.errors import GroupingError
from engine.grouping.faces import Faces, Pairs, Units, chained, numbered, read_faces, units_of
from engine.grouping.groups import LOW_QUALITY, REJECTED, Cut, Groups, groups_schema
from engine.grouping.method.cut import STEP, chance_of_wrong, choose, counts_at, wrong_by_impostors
from engine.grouping.method.decoys import Graph, count_wrong
from engine.grouping.method.linkage import Nodes, agglomerate, each_once, pair_scores
from engine.grouping.method.space import (
    NEIGHBOURS,
    STRICT,
    edges_between,
    estimate_space,
    neighbours,
    placed,
    random_pairs,
)
from engine.statistics.rates import check_rate
from engine.templates.measured.impostors import impostors_of
from engine.templates.model import Templates
from engine.templates.provenance import Provenance, require_same
from indexes.base import Progress

# Among fewer people than this the encoder's impostors say more than decoys do, where they are known; among fewer than that decoys
# say nothing.
_MANY_PEOPLE, _LEAST_PEOPLE = 500, 50
# Nothing is merged below so many standard deviations above the median of random pairs.
_FLOOR = 3.0
# By an encoder's impostors: shares of pairs of different people that are as alike. So many are surely one person's, and below the
# other one nothing is merged.
_NEVER, _OFTEN = 1e-9, 0.001
# A low face looks for its group among so many neighbours.
_LOOKED_AT = 10


def group_templates(
    templates: Templates,
    *,
    wrong: float | None = None,
    apart: Pairs = (),
    together: Pairs = (),
    same_photo: bool = False,
    progress: Progress | None = None,
) -> Groups:
    """Put faces into groups, one a person, whatever order they come in.

    Args:
        templates: of one encoder; their identities are not looked at.
        wrong: the share of groups that may hold two people, above 0 and below 1. By default what puts most faces right.
        apart: pairs of template ids that are two people.
        together: pairs of template ids that are one person.
        same_photo: whether two faces of one photograph may be one person's, as in a collage.
        progress: told what is done.

    Raises:
        GroupingError: corrections contradict each other, or name a face that is not there; or the encoder is not known, and there
            are too few people to learn from.
        TemplatesError: one id stands for two templates.
    """
    if wrong is not None:
        check_rate("wrong", wrong)
    faces = read_faces(templates)
    apart = tuple(apart)
    before = _Before.nothing(faces, apart, same_photo)
    return _grouped(faces, before, faces.pairs(together, "together"), wrong, progress)


def regroup(groups: Groups, *, wrong: float | None = None, progress: Progress | None = None) -> Groups:
    """Group the same faces anew. What people corrected holds, and a group keeps its number and its name.

    Raises:
        GroupingError: as `group_templates`.
    """
    if wrong is not None:
        check_rate("wrong", wrong)
    faces = read_faces(Templates(groups.table, groups.provenance))
    return _grouped(faces, _Before.of(groups, faces), np.empty((0, 2), np.int64), wrong, progress)


def add_templates(groups: Groups, templates: Templates, progress: Progress | None = None) -> Groups:
    """Let new faces join groups, or each other. Old groups are not merged, and keep their faces, numbers and names; old faces
    that were alone may join. Faces that are there already are left out.

    Raises:
        EncoderMismatch: another encoder made them.
        GroupingError: as `group_templates`.
    """
    require_same(groups.provenance, templates.provenance, "the groups", "the templates to add")
    columns = groups_schema(groups.provenance)
    there = set(groups.table["template_id"].to_pylist())
    fresh = pa.array([each not in there for each in templates.table["template_id"].to_pylist()], pa.bool_())
    known = len(templates) - int(np.asarray(fresh).sum()) if len(templates) else 0
    incoming = templates.table.filter(fresh)
    nobody = pa.nulls(incoming.num_rows, pa.string())
    incoming = incoming.set_column(incoming.schema.get_field_index("identity"), columns.field("identity"), nobody)
    for each in columns:
        if each.name not in incoming.schema.names:
            incoming = incoming.append_column(each, pa.nulls(incoming.num_rows, each.type))
    both = pa.concat_tables([groups.table.cast(columns), incoming.cast(columns)])
    faces = read_faces(Templates(both, groups.provenance))
    before = _Before.of(groups, faces)
    new = np.array([template_id not in there for template_id in faces.ids], bool)
    done = _added(faces, before, new, groups.cut, progress)
    return replace(done, repeated=known + faces.repeated)


@dataclass(frozen=True)
class _Before:
    """What was known of the faces: for each its group (0: none), name, corrections and bound number; who is apart."""

    groups: np.ndarray
    names: list[str | None]
    corrected: list[str | None]
    bound: np.ndarray
    apart: tuple[tuple[str, str], ...]
    same_photo: bool
    last: int

    @classmethod
    def nothing(cls, faces: Faces, apart: tuple[tuple[str, str], ...], same_photo: bool) -> "_Before":
        none = np.zeros(len(faces), np.int64)
        return cls(none, [None] * len(faces), [None] * len(faces), none - 1, apart, same_photo, 0)

    @classmethod
    def of(cls, groups: Groups, faces: Faces) -> "_Before":
        table = faces.templates.table
        return cls(
            table["group"].combine_chunks().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64),
            table["identity"].to_pylist(),
            table["corrected"].to_pylist(),
            table["bound"].combine_chunks().fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64),
            groups.apart,
            groups.same_photo,
            groups.last,
        )

    @property
    def rejected(self) -> np.ndarray:
        return np.array([REJECTED in (said or "") for said in self.corrected], bool)

    def owners(self) -> np.ndarray:
        """A number for each name, -1 for faces of unnamed groups: people of different names are different."""
        numbers = {name: at for at, name in enumerate(sorted({name for name in self.names if name}))}
        return np.array([numbers[name] if name else -1 for name in self.names], np.int64)


@dataclass(frozen=True)
class _Work:
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


def _work(vectors: np.ndarray, units: Units, usable: np.ndarray, owners: np.ndarray) -> _Work:
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
    return _Work(rows, node_of_face[rows], node_of_face, sizes, owned, apart[(apart >= 0).all(axis=1)])


def _grouped(faces: Faces, before: _Before, together: np.ndarray, wrong: float | None, progress: Progress | None) -> Groups:
    units = _units(faces, before, together, before.bound)
    usable = (faces.good | (before.bound >= 0)) & ~before.rejected
    vectors = faces.templates.vectors
    work = _work(vectors, units, usable, before.owners())
    own = np.ascontiguousarray(vectors[work.rows])
    cut, stands = _cut(own, work, faces.templates.provenance, wrong, progress)
    places = placed(vectors, cut.mean)
    labels = _with_low(work.labels(stands), places, work, ~usable & ~before.rejected, units, cut.height)
    return _assembled(faces, before, labels, places, cut)


def _units(faces: Faces, before: _Before, together: np.ndarray, bound: np.ndarray) -> Units:
    held = [np.flatnonzero(bound == number) for number in np.unique(bound[bound >= 0])]
    photographs = np.empty((0, 2), np.int64) if before.same_photo else faces.of_one_photograph()
    apart = faces.pairs(before.apart, "apart")
    return units_of(faces, np.concatenate([together, chained(held)]), apart, photographs)


def _cut(
    vectors: np.ndarray, work: _Work, made: Provenance, wrong: float | None, progress: Progress | None
) -> tuple[Cut, np.ndarray]:
    """Where to cut, and the node that stands for each node's group there."""
    if len(work.rows) < 2 or len(work.sizes) < 2:
        nothing = Cut(1.0, wrong, "nothing to merge", len(work.sizes), 0, 0.0, np.zeros(made.dim), np.empty(0), np.empty(0))
        return nothing, np.arange(len(work.sizes))
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
    nodes = work.nodes(places)
    edges = edges_between(neighbours(places, places, NEIGHBOURS + 1, progress), work.node_of)
    middle, deviation = random_pairs(places[space.examples])
    floor = middle + _FLOOR * deviation
    if few and impostors is not None:
        floor = _cosine(impostors.distance_at(_OFTEN))
    heights = np.arange(min(floor, 0.9), 1 + STEP, STEP)
    merges = agglomerate(nodes, edges, float(heights[0]))
    counts = counts_at(merges, work.sizes, heights)
    if few and impostors is not None:
        grid = wrong_by_impostors(impostors, merges.nodes, counts, heights)
    else:
        strict = merges.groups_at(middle + STRICT * deviation)
        grid = count_wrong(Graph(places, work.node_of, nodes, edges), space, strict, heights, progress)
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


def _added(faces: Faces, before: _Before, new: np.ndarray, cut: Cut, progress: Progress | None) -> Groups:
    """New faces beside old groups, which are nodes that are never merged with each other."""
    bound = np.where(before.groups > 0, before.groups, -1)
    units = _units(faces, before, np.empty((0, 2), np.int64), bound)
    usable = (faces.good | (bound >= 0)) & ~before.rejected
    vectors = faces.templates.vectors
    work = _work(vectors, units, usable, bound)
    places = placed(vectors, cut.mean)
    labels = work.labels(np.arange(len(work.sizes)))
    fresh = np.flatnonzero(new[work.rows])
    if len(fresh):
        own = np.ascontiguousarray(places[work.rows])
        found = neighbours(np.ascontiguousarray(own[fresh]), own, NEIGHBOURS + 1, progress)
        edges = each_once(np.repeat(work.node_of[fresh], found.shape[1]), work.node_of[found.ravel()], len(work.sizes))
        labels = work.labels(agglomerate(work.nodes(own), edges, cut.height).groups_at(cut.height))
    labels = _with_low(labels, places, work, ~usable & ~before.rejected, units, cut.height)
    return _assembled(faces, before, labels, places, cut)


def _with_low(labels: np.ndarray, places: np.ndarray, work: _Work, low: np.ndarray, units: Units, height: float) -> np.ndarray:
    """Let faces of low quality, bool (n,), join the group that each is most like, if it is like it enough; best ones first."""
    rows = np.flatnonzero(low)
    if not len(rows) or not len(work.rows):
        return labels
    found = work.rows[neighbours(np.ascontiguousarray(places[rows]), np.ascontiguousarray(places[work.rows]), _LOOKED_AT)]
    groups = labels[found]
    sums = np.zeros((labels.max() + 1, places.shape[1]))
    np.add.at(sums, labels[work.rows], places[work.rows])
    counts = np.maximum(np.bincount(labels[work.rows], minlength=len(sums)), 1)
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


def _assembled(faces: Faces, before: _Before, labels: np.ndarray, places: np.ndarray, cut: Cut) -> Groups:
    """The groups of labelled faces, -1 for none: numbered, named, scored, and in the order of their ids."""
    numbers, last = _numbers(labels, before)
    names = {number: name for number, name in zip(before.groups.tolist(), before.names, strict=True) if name and number}
    scores = leave_one_out(places, numbers)
    made = faces.templates.provenance
    poor = ~faces.good & (numbers == 0)
    added: dict[str, Sequence[object]] = {
        "group": [number or None for number in numbers.tolist()],
        "score": [None if np.isnan(score) else score for score in scores.tolist()],
        "corrected": before.corrected,
        "bound": [None if number < 0 else number for number in before.bound.tolist()],
        "note": [LOW_QUALITY if each else None for each in poor.tolist()],
    }
    columns = groups_schema(made)
    table = faces.templates.table
    given = {name: table[name] for name in ("template_id", "source", "face", "box", "quality", "detection", "reasons", "vector")}
    given["identity"] = pa.array([names.get(number) for number in numbers.tolist()], pa.string())
    arrays = [given[each.name] if each.name in given else pa.array(added[each.name], each.type) for each in columns]
    return Groups(pa.table(arrays, schema=columns), made, cut, before.apart, before.same_photo, last, faces.repeated)


def _numbers(labels: np.ndarray, before: _Before) -> tuple[np.ndarray, int]:
    """The number of each face's group, 0 for none, and the largest ever given. Groups keep the number that most of them had."""
    sizes = np.bincount(labels[labels >= 0], minlength=int(labels.max(initial=-1)) + 1)
    named = np.array([name is not None for name in before.names], bool)
    grouped = (labels >= 0) & ((sizes[labels] > 1) | (before.groups > 0) & named)
    given: dict[int, int] = {}
    both = np.flatnonzero(grouped & (before.groups > 0))
    pairs, counts = np.unique(np.stack([before.groups[both], labels[both]]), axis=1, return_counts=True)
    with_name = set(before.groups[named].tolist())
    taken: set[int] = set()
    order = sorted(range(len(counts)), key=lambda at: (int(pairs[0, at]) not in with_name, -int(counts[at]), int(pairs[0, at])))
    for number, label in ((int(pairs[0, at]), int(pairs[1, at])) for at in order):
        if label not in given and number not in taken:
            given[label] = number
            taken.add(number)
    found, first = np.unique(labels[grouped], return_index=True)
    new = [(-int(sizes[label]), int(at), int(label)) for label, at in zip(found, first, strict=True) if int(label) not in given]
    last = before.last
    for _, _, label in sorted(new):
        last += 1
        given[label] = last
    numbers = np.zeros(len(labels), np.int64)
    for row in np.flatnonzero(grouped):
        numbers[row] = given[int(labels[row])]
    return numbers, last


def leave_one_out(places: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """How alike each face and the rest of its group are, float32 (n,); NaN for faces that are alone."""
    scores = np.full(len(numbers), np.nan, np.float32)
    found, group = np.unique(numbers, return_inverse=True)
    sums = np.zeros((len(found), places.shape[1]))
    np.add.at(sums, group, places)
    counts = np.bincount(group, minlength=len(found))
    rows = np.flatnonzero((numbers > 0) & (counts[group] > 1))
    if len(rows):
        rest = sums[group[rows]] - places[rows]
        scores[rows] = pair_scores(places[rows], np.ones(len(rows)), rest, counts[group[rows]] - 1)
    return scores


def _cosine(distance: float) -> float:
    """The cosine of unit vectors at a distance."""
    return 1 - distance**2 / 2
