"""Corrections by people: name a group, join two, part two faces, reject a face. They hold when faces are grouped again."""

from dataclasses import replace

import numpy as np

from engine.errors import GroupingError
from engine.grouping.faces import Faces, read_faces
from engine.grouping.groups import APART, JOINED, NAMED, REJECTED, Groups
from engine.grouping.method.linkage import Nodes, agglomerate
from engine.grouping.method.space import placed
from engine.grouping.numbering import leave_one_out
from engine.templates.model import Templates
from engine.templates.names import name_of

# Below every score.
_LOWEST = -1.5


def name_group(groups: Groups, which: str | int, name: str) -> Groups:
    """Name a group, given by its number, or the group of a face, given by its template id. Its faces stay together from then on.
    An empty name takes the name away.

    Raises:
        GroupingError: there is no such group or face, or another group has the name.
        NameRefused: the name is none.
    """
    where = f"--name {which}"
    rows = _rows(groups, which, where)
    if not name.strip():
        return _edited(groups, rows, identity=None, bound=None, unsaid=NAMED)
    name = name_of(name)
    others = [
        number for number, known in groups.names.items() if known == name and not np.isin(groups.members[number], rows).all()
    ]
    if others:
        raise GroupingError(f"{where}: group {others[0]} is called {name} already; --join {others[0]} {which} makes one of both")
    number, last = _number(groups, rows)
    return _edited(replace(groups, last=last), rows, group=number, identity=name, bound=number, said=NAMED)


def join_groups(groups: Groups, one: str | int, two: str | int) -> Groups:
    """Make one group of two, each named by its number or, for a face that is alone, its template id; it has the number and the
    name of the one that is named, or else of the first.

    Raises:
        GroupingError: there is none such, they have different names, or faces of theirs are two people.
    """
    where = f"--join {one} {two}"
    mine, theirs = _rows(groups, one, where), _rows(groups, two, where)
    if np.intersect1d(mine, theirs).size:
        raise GroupingError(f"{where}: both are one group already")
    names = groups.table["identity"].to_pylist()
    called = [names[int(rows[0])] for rows in (mine, theirs)]
    if all(called) and called[0] != called[1]:
        raise GroupingError(f"{where}: {one} is called {called[0]}, {two} {called[1]}; take one name back with --name {two} ''")
    both = np.concatenate([mine, theirs])
    _refuse_apart(groups, both, where)
    first = theirs if called[1] and not called[0] else mine
    number, last = _number(groups, first)
    return _edited(replace(groups, last=last), both, group=number, identity=called[0] or called[1], bound=number, said=JOINED)


def part_faces(groups: Groups, one: str, two: str) -> Groups:
    """Say that two faces, given by their template ids, are two people. If they were in one group, it is split, and the part
    with `one` keeps its number and name.

    Raises:
        GroupingError: there is no such face, or their templates are the same.
    """
    where = f"--apart {one} {two}"
    a, b = int(_rows_of_face(groups, one, where)[0]), int(_rows_of_face(groups, two, where)[0])
    if a == b:
        raise GroupingError(f"{where}: that is one face; expected two")
    if np.array_equal(groups.vectors[a], groups.vectors[b]):
        raise GroupingError(f"{where}: their templates are the same to the last bit, as of two copies of one picture")
    pair = (one, two) if one < two else (two, one)
    groups = replace(groups, apart=tuple(sorted({*groups.apart, pair})))
    number = int(groups.numbers[a])
    if not number or number != groups.numbers[b]:
        return _edited(groups, np.array([a, b]), said=APART)
    rows = groups.members[number]
    leaving = rows[_far_side(groups, rows, a, b)]
    several = len(leaving) > 1
    parted = _edited(
        replace(groups, last=groups.last + several),
        leaving,
        group=groups.last + 1 if several else None,
        identity=None,
        bound=None,
        unsaid=f"{NAMED} {JOINED}",
    )
    staying = np.setdiff1d(rows, leaving)
    if len(staying) == 1 and parted.names.get(number) is None:
        parted = _edited(parted, staying, group=None)
    return _edited(parted, np.array([a, b]), said=APART)


def reject_face(groups: Groups, face: str) -> Groups:
    """Reject a face, given by its template id: it leaves its group for good, and is never enrolled.

    Raises:
        GroupingError: there is no such face.
    """
    rows = _rows_of_face(groups, face, f"--reject {face}")
    return _edited(groups, rows, group=None, identity=None, bound=None, said=REJECTED, unsaid=f"{NAMED} {JOINED}")


_SAME = object()


def _edited(
    groups: Groups,
    rows: np.ndarray,
    group: object = _SAME,
    identity: object = _SAME,
    bound: object = _SAME,
    said: str = "",
    unsaid: str = "",
) -> Groups:
    """Groups with other values in some rows, and the scores that follow."""
    columns = {name: groups.table[name].to_pylist() for name in ("group", "identity", "bound", "corrected", "note")}
    for row in rows.tolist():
        for name, value in (("group", group), ("identity", identity), ("bound", bound)):
            if value is not _SAME:
                columns[name][row] = value
        words = {*(columns["corrected"][row] or "").split(), *said.split()} - {*unsaid.split()}
        columns["corrected"][row] = " ".join(sorted(words)) or None
        if columns["group"][row] is not None:
            columns["note"][row] = None
    numbers = np.array([number or 0 for number in columns["group"]], np.int64)
    scores = leave_one_out(placed(groups.vectors, groups.cut.mean), numbers)
    columns["score"] = [None if np.isnan(score) else score for score in scores.tolist()]
    return replace(groups, table=groups.with_columns(columns))


def _rows(groups: Groups, which: str | int, where: str) -> np.ndarray:
    """The rows of a group by its number, or of the group that a face, by its id, is in, or of that face alone."""
    if isinstance(which, int) or which.isdigit():
        return groups.rows_of(int(which), where)
    row = _rows_of_face(groups, which, where)
    number = int(groups.numbers[row[0]])
    return groups.members[number] if number else row


def _rows_of_face(groups: Groups, face: str, where: str) -> np.ndarray:
    rows = np.flatnonzero(np.asarray(groups.table["template_id"]) == face)
    if not len(rows):
        raise GroupingError(f"{where}: there is no face with the template id {face!r}")
    return rows


def _number(groups: Groups, rows: np.ndarray) -> tuple[int, int]:
    """The number of the group of these rows, a new one if they have none, and the largest ever given."""
    number = int(groups.numbers[rows[0]])
    return (number, groups.last) if number else (groups.last + 1, groups.last + 1)


def _refuse_apart(groups: Groups, rows: np.ndarray, where: str) -> None:
    faces = read_faces(Templates(groups.table, groups.provenance))
    ids = groups.table["template_id"].to_pylist()
    joined = {ids[row] for row in rows.tolist()}
    for one, two in groups.apart:
        if one in joined and two in joined:
            raise GroupingError(f"{where}: {one} and {two} are two people, as --apart said")
    if not groups.same_photo:
        _refuse_photographs(faces, joined, where)


def _refuse_photographs(faces: Faces, joined: set[str], where: str) -> None:
    for one, two in faces.of_one_photograph().tolist():
        if faces.ids[one] in joined and faces.ids[two] in joined:
            raise GroupingError(
                f"{where}: {faces.ids[one]} and {faces.ids[two]} are faces of one photograph; if that shows somebody twice, "
                "group with --same-photo"
            )


def _far_side(groups: Groups, rows: np.ndarray, one: int, two: int) -> np.ndarray:
    """When a group is split between the faces `one` and `two`: which of its rows go with `two`, bool."""
    places = placed(groups.vectors[rows], groups.cut.mean)
    a, b = int(np.flatnonzero(rows == one)[0]), int(np.flatnonzero(rows == two)[0])
    pairs = np.stack(np.triu_indices(len(rows), 1), axis=1).astype(np.int64)
    nodes = Nodes(places, np.ones(len(rows)), np.full(len(rows), -1), np.array([[a, b]], np.int64))
    stands = agglomerate(nodes, pairs, _LOWEST).groups_at(_LOWEST)
    return stands == stands[b]
