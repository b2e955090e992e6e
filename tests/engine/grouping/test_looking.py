"""What people are given to look at: pairs of groups that may be one, groups that may be two."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine import Gallery, group_templates
from engine.grouping.corrections import name_group, part_faces, reject_face
from engine.grouping.suggestions import ONE_PERSON, TWO_PEOPLE, suggest, write_suggestions
from engine.templates.model import Templates
from engine.workflows.known_people import known_people
from tests.support.unnamed_faces import SFACE, faces_of


def test_a_person_in_two_groups_is_to_be_looked_at_first_and_no_more_once_parted() -> None:
    faces = faces_of([6, 3, 3, 3])
    mine = [f"p000/{image}#0" for image in range(6)]
    groups = group_templates(faces, apart=[(one, two) for one in mine[:3] for two in mine[3:]])
    undone = replace(groups, apart=())
    first = suggest(undone)[0]
    assert first.kind == ONE_PERSON
    assert {first.face in mine, first.other_face in mine} == {True}
    assert first.worth > 1
    assert not [each for each in suggest(groups) if each.kind == ONE_PERSON and each.face in mine and each.other_face in mine]


def test_two_people_in_one_group_are_to_be_looked_at_until_they_are_named() -> None:
    faces = faces_of([4] * 6)
    groups = group_templates(faces, together=[("p000/0#0", "p001/0#0")])
    both = int(groups.numbers[0])
    two = [each for each in suggest(groups) if each.kind == TWO_PEOPLE]
    assert two[0].group == both
    assert {two[0].face[:4], two[0].other_face[:4]} == {"p000", "p001"}
    named = name_group(groups, both, "Anna")
    assert both not in [each.group for each in suggest(named) if each.kind == TWO_PEOPLE]


def test_rejected_faces_are_not_to_be_looked_at(tmp_path: Path) -> None:
    faces = faces_of([2, 2])
    groups = reject_face(part_faces(group_templates(faces), "p000/0#0", "p000/1#0"), "p000/0#0")
    found = suggest(groups)
    assert not [each for each in found if "p000/0#0" in (each.face, each.other_face)]
    write_suggestions(tmp_path / "pairs.csv", found)
    assert len(list(csv.DictReader((tmp_path / "pairs.csv").open()))) == len(found)
    assert suggest(group_templates(faces_of([1]))) == []


def test_the_order_is_that_of_what_a_look_is_worth() -> None:
    found = suggest(group_templates(faces_of([3] * 30)))
    assert [each.worth for each in found] == sorted((each.worth for each in found), reverse=True)
    assert all(0 <= each.chance <= 1 for each in found)


def test_groups_of_enrolled_people_are_recognised_with_their_false_alarms(tmp_path: Path) -> None:
    faces = faces_of([4] * 60)
    ids = faces.table["template_id"].to_pylist()
    enrolled = [row for row, each in enumerate(ids) if "/0#" in each or "/1#" in each]
    people = Templates(faces.table.take(pa.array(enrolled)), SFACE)
    named = people.table.set_column(1, people.table.schema.field(1), pa.array([each[:4] for each in np.array(ids)[enrolled]]))
    gallery = Gallery.build(Templates(named, SFACE), tmp_path / "g")
    others = np.setdiff1d(np.arange(len(ids)), enrolled)
    groups = group_templates(Templates(faces.table.take(pa.array(others)), SFACE))
    known = known_people(groups, gallery)
    assert len(known) == len(groups.members)
    rows = groups.table["template_id"].to_pylist()
    sure = [each for each in known if each.decision == "identified"]
    assert len(sure) > 50
    assert all(rows[groups.members[each.group][0]].startswith(each.identity) for each in sure)
    assert all(each.expected_false_alarms is not None and each.expected_false_alarms < 1 for each in sure)
    first = known[0]
    assert first.group not in [each.group for each in known_people(name_group(groups, first.group, "Anna"), gallery)]
