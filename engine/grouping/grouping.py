"""Group faces: all of them anew, some again after corrections, or new ones into groups that are there."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from engine.grouping.earlier_groups import EarlierGroups
from engine.grouping.faces import Faces, Pairs, Units, chained, read_faces, units_of
from engine.grouping.groups import Cut, Groups, groups_schema
from engine.grouping.method.face_nodes import face_nodes
from engine.grouping.method.learn_cut import learn_cut
from engine.grouping.method.linkage import agglomerate, each_once
from engine.grouping.method.low_quality import join_low
from engine.grouping.method.space import NEIGHBOURS, neighbours, placed
from engine.grouping.numbering import numbered_groups
from engine.statistics.rates import check_rate
from engine.templates.model import Templates
from engine.templates.provenance import require_same
from indexes.base import Progress


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
    before = EarlierGroups.nothing(faces, apart, same_photo)
    return _grouped(faces, before, faces.pairs(together, "together"), wrong, progress)


def regroup(groups: Groups, *, wrong: float | None = None, progress: Progress | None = None) -> Groups:
    """Group the same faces anew. What people corrected holds, and a group keeps its number and its name.

    Raises:
        GroupingError: as `group_templates`.
    """
    if wrong is not None:
        check_rate("wrong", wrong)
    faces = read_faces(Templates(groups.table, groups.provenance))
    return _grouped(faces, EarlierGroups.of(groups, faces), np.empty((0, 2), np.int64), wrong, progress)


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
    before = EarlierGroups.of(groups, faces)
    new = np.array([template_id not in there for template_id in faces.ids], bool)
    done = _added(faces, before, new, groups.cut, progress)
    return replace(done, repeated=known + faces.repeated)


def _grouped(faces: Faces, before: EarlierGroups, together: np.ndarray, wrong: float | None, progress: Progress | None) -> Groups:
    units = _units(faces, before, together, before.bound)
    usable = (faces.good | (before.bound >= 0)) & ~before.rejected
    vectors = faces.templates.vectors
    nodes = face_nodes(vectors, units, usable, before.owners())
    own = np.ascontiguousarray(vectors[nodes.rows])
    cut, stands = learn_cut(own, nodes, faces.templates.provenance, wrong, progress)
    places = placed(vectors, cut.mean)
    labels = join_low(nodes.labels(stands), places, nodes, ~usable & ~before.rejected, units, cut.height)
    return numbered_groups(faces, before, labels, places, cut)


def _units(faces: Faces, before: EarlierGroups, together: np.ndarray, bound: np.ndarray) -> Units:
    held = [np.flatnonzero(bound == number) for number in np.unique(bound[bound >= 0])]
    photographs = np.empty((0, 2), np.int64) if before.same_photo else faces.of_one_photograph()
    apart = faces.pairs(before.apart, "apart")
    return units_of(faces, np.concatenate([together, chained(held)]), apart, photographs)


def _added(faces: Faces, before: EarlierGroups, new: np.ndarray, cut: Cut, progress: Progress | None) -> Groups:
    """New faces beside old groups, which are nodes that are never merged with each other."""
    bound = np.where(before.groups > 0, before.groups, -1)
    units = _units(faces, before, np.empty((0, 2), np.int64), bound)
    usable = (faces.good | (bound >= 0)) & ~before.rejected
    vectors = faces.templates.vectors
    nodes = face_nodes(vectors, units, usable, bound)
    places = placed(vectors, cut.mean)
    labels = nodes.labels(np.arange(len(nodes.sizes)))
    fresh = np.flatnonzero(new[nodes.rows])
    if len(fresh):
        own = np.ascontiguousarray(places[nodes.rows])
        found = neighbours(np.ascontiguousarray(own[fresh]), own, NEIGHBOURS + 1, progress)
        edges = each_once(np.repeat(nodes.node_of[fresh], found.shape[1]), nodes.node_of[found.ravel()], len(nodes.sizes))
        labels = nodes.labels(agglomerate(nodes.nodes(own), edges, cut.height).groups_at(cut.height))
    labels = join_low(labels, places, nodes, ~usable & ~before.rejected, units, cut.height)
    return numbered_groups(faces, before, labels, places, cut)
