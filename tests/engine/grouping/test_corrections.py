from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine import Gallery, group_templates
from engine.errors import GroupingError, NameRefused
from engine.grouping.corrections import join_groups, name_group, part_faces, reject_face
from engine.grouping.grouping import add_templates, regroup
from engine.grouping.groups import Groups
from engine.grouping.groups_file import write_groups
from engine.templates.model import Templates
from engine.templates.parquet import TemplateFile, read_templates
from tests.support.unnamed_faces import faces_of, number_of, row_of

COUNTS = [5, 4, 3, 2, 1, 1]


@pytest.fixture(scope="module")
def groups() -> Groups:
    return group_templates(faces_of(COUNTS))


def said_of(groups: Groups, template_id: str) -> str | None:
    return groups.table["corrected"][row_of(groups, template_id)].as_py()


def test_a_name_is_that_of_every_face(groups: Groups) -> None:
    named = name_group(groups, 2, "  Anna ")
    assert named.names[2] == "Anna"
    assert named.table["identity"].to_pylist().count("Anna") == 4
    assert said_of(named, "p001/0#0") == "named"
    assert name_group(named, 2, "").names[2] is None
    assert groups.names[2] is None


def test_a_face_that_is_alone_can_be_named(groups: Groups) -> None:
    named = name_group(groups, "p004/0#0", "Bert")
    number = number_of(named, "p004/0#0")
    assert number == groups.last + 1 == named.last
    assert named.names[number] == "Bert"


def test_two_groups_joined_are_one(groups: Groups) -> None:
    joined = join_groups(name_group(groups, 3, "Anna"), 1, 3)
    assert number_of(joined, "p000/0#0") == number_of(joined, "p002/0#0") == 3
    assert joined.names[3] == "Anna"
    assert 1 not in joined.members
    assert join_groups(groups, 1, "p004/0#0").members[1].size == 6


def test_parting_two_faces_splits_their_group_between_them(groups: Groups) -> None:
    joined = name_group(join_groups(groups, 1, 2), 1, "Anna")
    parted = part_faces(joined, "p000/2#0", "p001/0#0")
    assert {number_of(parted, f"p000/{image}#0") for image in range(5)} == {1}
    assert {number_of(parted, f"p001/{image}#0") for image in range(4)} == {joined.last + 1}
    assert parted.names[1] == "Anna"
    assert parted.names[joined.last + 1] is None
    assert "apart" in (said_of(parted, "p001/0#0") or "")


def test_a_pair_parted_leaves_both_alone(groups: Groups) -> None:
    parted = part_faces(groups, "p003/0#0", "p003/1#0")
    assert number_of(parted, "p003/0#0") == number_of(parted, "p003/1#0") == 0
    assert 4 not in parted.members


def test_a_rejected_face_is_in_no_group_for_good(groups: Groups) -> None:
    rejected = reject_face(groups, "p000/0#0")
    for later in (rejected, regroup(rejected), add_templates(rejected, faces_of([2], first=60))):
        assert number_of(later, "p000/0#0") == 0
        assert said_of(later, "p000/0#0") == "rejected"


@pytest.mark.parametrize(
    ("correct", "said"),
    [
        (lambda groups: name_group(groups, 77, "Anna"), "--name 77: there is no group 77"),
        (lambda groups: name_group(name_group(groups, 1, "Anna"), 2, "Anna"), "--join 1 2"),
        (lambda groups: join_groups(groups, 1, 1), "one group already"),
        (lambda groups: join_groups(name_group(name_group(groups, 1, "A"), 2, "B"), 1, 2), "1 is called A, 2 B"),
        (lambda groups: join_groups(part_faces(groups, "p000/0#0", "p001/0#0"), 1, 2), "as --apart said"),
        (lambda groups: part_faces(groups, "p000/0#0", "nobody"), "nobody"),
        (lambda groups: part_faces(groups, "p000/0#0", "p000/0#0"), "one face"),
        (lambda groups: reject_face(groups, "nobody"), "nobody"),
    ],
)
def test_what_cannot_be_is_refused_by_name(groups: Groups, correct: Callable[[Groups], Groups], said: str) -> None:
    with pytest.raises(GroupingError, match=said):
        correct(groups)


def test_a_name_that_is_none_is_refused(groups: Groups) -> None:
    with pytest.raises(NameRefused):
        name_group(groups, 1, "a\nb")


def test_faces_of_one_photograph_cannot_be_joined() -> None:
    groups = group_templates(faces_of([1, 1], photographs=["party#0", "party#1"]))
    with pytest.raises(GroupingError, match="faces of one photograph"):
        join_groups(groups, "party#0", "party#1")


def test_copies_of_one_picture_cannot_be_parted() -> None:
    vectors = np.repeat(faces_of([1]).vectors, 2, axis=0)
    groups = group_templates(Templates.from_vectors(vectors, template_ids=["a", "b"], provenance=faces_of([1]).provenance))
    with pytest.raises(GroupingError, match="the same to the last bit"):
        part_faces(groups, "a", "b")


def test_corrections_hold_in_every_later_run(groups: Groups) -> None:
    corrected = name_group(join_groups(part_faces(groups, "p000/0#0", "p000/1#0"), 2, 3), 2, "Anna")
    later = corrected
    for step in range(6):
        later = regroup(later) if step % 2 else add_templates(later, faces_of([2, 1], first=100 + 10 * step))
        assert number_of(later, "p000/0#0") != number_of(later, "p000/1#0")
        assert {number_of(later, each) for each in ("p001/0#0", "p001/3#0", "p002/0#0", "p002/2#0")} == {2}
        assert later.names[2] == "Anna"
        assert all(number_of(later, f"p003/{image}#0") == 4 for image in range(2))


def test_two_names_are_two_people_however_alike() -> None:
    faces = faces_of([4])
    rows = [Templates(faces.table.take(pa.array(rows)), faces.provenance) for rows in ([0, 1], [2, 3])]
    groups = group_templates(rows[0], together=[("p000/0#0", "p000/1#0")])
    groups = name_group(groups, 1, "Anna")
    groups = add_templates(groups, rows[1])
    parted = part_faces(groups, "p000/0#0", "p000/2#0")
    twin = name_group(parted, "p000/2#0", "Berta")
    again = regroup(twin)
    assert again.names == twin.names
    assert number_of(again, "p000/0#0") != number_of(again, "p000/2#0")


def test_the_named_ones_are_enrolled_and_no_others(groups: Groups, tmp_path: Path) -> None:
    corrected = reject_face(name_group(name_group(groups, 1, "Anna"), 2, "Bert"), "p000/0#0")
    path = tmp_path / "groups.parquet"
    write_groups(path, corrected)
    assert TemplateFile(path).count() == 8
    read = read_templates(path)
    assert sorted(read.table["identity"].to_pylist()) == ["Anna"] * 4 + ["Bert"] * 4
    assert "p000/0#0" not in read.table["template_id"].to_pylist()
    gallery = Gallery.build(read, tmp_path / "g")
    assert sorted(gallery.identity_names.to_pylist()) == ["Anna", "Bert"]
    assert corrected.named().table.equals(read.table)
