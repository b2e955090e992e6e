import numpy as np
import pyarrow as pa
import pytest

from engine import group_templates
from engine.errors import EncoderMismatch, GalleryError, GroupingError, TemplatesError, WrongType
from engine.grouping.grouping import add_templates, regroup
from engine.grouping.groups import LOW_QUALITY
from engine.templates.model import Templates
from engine.templates.provenance import Provenance
from tests.support.unnamed_faces import SFACE, faces_of, number_of, persons, row_of

FEW = [4, 3, 3, 2, 2, 1, 1, 1]


def taken(templates: Templates, rows: np.ndarray | list[int]) -> Templates:
    return Templates(templates.table.take(pa.array(rows, pa.int64())), templates.provenance)


def test_each_person_is_a_group_and_every_face_has_a_row() -> None:
    faces = faces_of(FEW)
    groups = group_templates(faces)
    assert len(groups) == sum(FEW)
    assert persons(groups) == {1: {"p000"}, 2: {"p001"}, 3: {"p002"}, 4: {"p003"}, 5: {"p004"}}
    assert [len(rows) for rows in groups.members.values()] == [4, 3, 3, 2, 2]
    assert groups.alone == 3
    assert groups.cut.rule == "impostors"
    scores = groups.table["score"].to_pylist()
    assert all((score is None) == (number == 0) for score, number in zip(scores, groups.numbers.tolist(), strict=True))
    assert min(score for score in scores if score is not None) > 0.3


def test_the_order_of_the_faces_changes_nothing() -> None:
    faces = faces_of([3] * 40 + [1] * 40)
    groups = group_templates(faces)
    for seed in range(3):
        other = group_templates(taken(faces, np.random.default_rng(seed).permutation(len(faces))))
        assert other.table.equals(groups.table)
        assert other.cut.height == groups.cut.height


def test_many_people_are_cut_by_decoys_and_a_smaller_rate_cuts_higher() -> None:
    faces = faces_of([3] * 150 + [2] * 150 + [1] * 300)
    strict, lax = (group_templates(faces, wrong=rate) for rate in (0.01, 0.2))
    assert strict.cut.rule == lax.cut.rule == "decoys"
    assert strict.cut.height > lax.cut.height
    assert strict.cut.expected_wrong <= 0.01 * strict.cut.groups
    assert sum(len(people) > 1 for people in persons(strict).values()) <= 0.02 * len(strict.members)
    assert len(strict.members) > 270


def test_one_person_photographed_most_does_not_rule_the_mean() -> None:
    faces = faces_of([200] + [2] * 30 + [1] * 60)
    groups = group_templates(faces)
    found = persons(groups)
    assert len(groups.members[1]) > 190
    assert found[1] == {"p000"}
    assert sum(people != {"p000"} for people in found.values()) >= 28


def test_faces_of_one_photograph_are_two_people_unless_it_is_a_collage() -> None:
    faces = faces_of([2, 2], photographs=["party#0", "party#1", "p001/0#0", "p001/1#0"])
    apart = group_templates(faces)
    assert number_of(apart, "party#0") == number_of(apart, "party#1") == 0
    collage = group_templates(faces, same_photo=True)
    assert number_of(collage, "party#0") == number_of(collage, "party#1") > 0


def test_corrections_given_at_once_hold() -> None:
    faces = faces_of(FEW)
    groups = group_templates(faces, together=[("p005/0#0", "p006/0#0")], apart=[("p000/0#0", "p000/1#0")])
    assert number_of(groups, "p005/0#0") == number_of(groups, "p006/0#0") > 0
    assert number_of(groups, "p000/0#0") != number_of(groups, "p000/1#0")


@pytest.mark.parametrize(
    ("together", "apart", "said"),
    [
        ([("p000/0#0", "p001/0#0")], [("p001/0#0", "p000/0#0")], "p000/0#0 .* p001/0#0|p001/0#0 .* p000/0#0"),
        ([("p000/0#0", "p001/0#0"), ("p001/0#0", "p002/0#0")], [("p000/0#0", "p002/0#0")], "p000/0#0 and p002/0#0"),
        ([("p000/0#0", "nobody")], [], "nobody"),
        ([], [("p000/0#0", "p000/0#0")], "named twice"),
    ],
)
def test_contradictory_corrections_are_refused_by_name(
    together: list[tuple[str, str]], apart: list[tuple[str, str]], said: str
) -> None:
    with pytest.raises(GroupingError, match=said):
        group_templates(faces_of(FEW), together=together, apart=apart)


def test_together_against_a_photograph_is_refused_and_says_what_to_do() -> None:
    faces = faces_of([1, 1], photographs=["party#0", "party#1"])
    with pytest.raises(GroupingError, match="--same-photo"):
        group_templates(faces, together=[("party#0", "party#1")])
    groups = group_templates(faces, together=[("party#0", "party#1")], same_photo=True)
    assert number_of(groups, "party#0") == number_of(groups, "party#1") > 0


def test_poor_faces_found_no_group_but_join_one_and_say_so() -> None:
    counts = [3, 2, 1, 1]
    qualities = [0.9, 0.002, 0.9, 0.002, 0.002, 0.9, 0.002]
    groups = group_templates(faces_of(counts, qualities=qualities))
    assert number_of(groups, "p000/1#0") == number_of(groups, "p000/0#0") > 0
    assert number_of(groups, "p001/0#0") == number_of(groups, "p001/1#0") == 0
    notes = dict(zip(groups.table["template_id"].to_pylist(), groups.table["note"].to_pylist(), strict=True))
    assert notes["p001/0#0"] == notes["p003/0#0"] == LOW_QUALITY
    assert notes["p000/1#0"] is None
    assert notes["p002/0#0"] is None


def test_no_faces_and_one_face_and_a_thousand_copies() -> None:
    one = faces_of([1])
    assert len(group_templates(taken(one, []))) == 0
    alone = group_templates(one)
    assert (len(alone), len(alone.members), alone.cut.rule) == (1, 0, "nothing to merge")
    copies = group_templates(taken(one, [0] * 1000))
    assert (len(copies), copies.repeated) == (1, 999)


def test_one_face_under_a_thousand_names_is_one_group_that_weighs_no_more_than_one() -> None:
    others = faces_of([2] * 10, first=1)
    vectors = np.concatenate([np.repeat(faces_of([1]).vectors, 1000, axis=0), others.vectors])
    ids = [f"copy{row:04}" for row in range(1000)] + others.table["template_id"].to_pylist()
    groups = group_templates(Templates.from_vectors(vectors, template_ids=ids, provenance=SFACE))
    assert len(groups.members[1]) == 1000
    assert len({number_of(groups, f"copy{row:04}") for row in range(1000)}) == 1
    assert [people for number, people in persons(groups).items() if number != 1] == [{f"p{who:03}"} for who in range(1, 11)]
    assert len(group_templates(Templates.from_vectors(vectors[:1000], template_ids=ids[:1000])).members) == 1


def test_one_id_of_two_templates_is_refused() -> None:
    faces = faces_of([2])
    twice = Templates.from_vectors(faces.vectors, template_ids=["a", "a"], provenance=SFACE)
    with pytest.raises(TemplatesError, match="'a' stands for two different templates"):
        group_templates(twice)


def test_few_people_of_an_encoder_that_nobody_measured_are_refused_in_one_line() -> None:
    foreign = Templates.from_vectors(faces_of(FEW).vectors)
    with pytest.raises(GroupingError, match="expected 50 people or more"):
        group_templates(foreign)
    assert group_templates(Templates.from_vectors(faces_of([3] * 100).vectors)).cut.rule == "decoys"


@pytest.mark.parametrize("rate", [0, 1, -0.1, float("nan"), "half"])
def test_a_rate_that_is_none_is_refused(rate: object) -> None:
    with pytest.raises((GalleryError, WrongType), match="wrong is"):
        group_templates(faces_of(FEW), wrong=rate)  # type: ignore[arg-type]


def test_new_faces_join_groups_or_make_new_ones_and_no_group_changes() -> None:
    whole = faces_of([4] * 30 + [2] * 10)
    ids = np.asarray(whole.table["template_id"].to_pylist())
    first = np.flatnonzero(np.char.find(ids, "/0#") + np.char.find(ids, "/1#") > -2)
    first = np.array([row for row in first if not ids[row].startswith("p03")])
    groups = group_templates(taken(whole, first))
    grown = add_templates(groups, taken(whole, np.setdiff1d(np.arange(len(whole)), first)))
    assert len(grown) == len(whole)
    assert all(number_of(grown, each) == number_of(groups, each) for each in ids[first] if number_of(groups, each))
    assert grown.cut.height == groups.cut.height
    assert all(len(people) == 1 for people in persons(grown).values())
    assert len(grown.members) >= 38
    assert min(number_of(grown, f"p03{digit}/0#0") for digit in range(10) if number_of(grown, f"p03{digit}/0#0")) > groups.last


def test_old_groups_are_never_merged_with_each_other_by_new_faces() -> None:
    faces = faces_of([6])
    groups = group_templates(taken(faces, [0, 1]), together=[("p000/0#0", "p000/1#0")])
    other = group_templates(taken(faces, [2, 3]), together=[("p000/2#0", "p000/3#0")])
    second = other.with_columns({"group": [2, 2]})
    both = groups.__class__(pa.concat_tables([groups.table, second]), SFACE, groups.cut, last=2)
    grown = add_templates(both, taken(faces, [4, 5]))
    assert number_of(grown, "p000/0#0") == 1
    assert number_of(grown, "p000/2#0") == 2


def test_faces_that_are_there_already_are_counted_and_left_alone() -> None:
    faces = faces_of(FEW)
    groups = group_templates(faces)
    again = add_templates(groups, faces)
    assert again.repeated == len(faces)
    assert again.table.equals(groups.table)


def test_groups_of_other_templates_are_refused() -> None:
    groups = group_templates(faces_of(FEW))
    other = Provenance("sface", "1" * 64, 128, alignment=SFACE.alignment)
    with pytest.raises(EncoderMismatch, match="the templates to add"):
        add_templates(groups, faces_of([2], made=other, first=50))


def test_a_second_run_keeps_numbers() -> None:
    groups = group_templates(faces_of([3] * 40 + [2] * 20))
    again = regroup(groups)
    assert again.table.equals(groups.table)
    stricter = regroup(groups, wrong=0.0001)
    kept = [stricter.numbers[rows] for rows in groups.members.values()]
    assert all({0, number} >= set(each.tolist()) for number, each in zip(groups.members, kept, strict=True))


def test_rows_are_in_the_order_of_ids() -> None:
    groups = group_templates(faces_of(FEW))
    ids = groups.table["template_id"].to_pylist()
    assert ids == sorted(ids)
    assert row_of(groups, "p000/0#0") == 0
