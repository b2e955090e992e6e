import numpy as np
import pytest

from benchmarks.grouping.figures import corrected, grouped, lonely, part, people_in, synthetic
from benchmarks.grouping.measures import right
from benchmarks.grouping.peers import peers
from engine.templates.model import Templates
from tests.support.unnamed_faces import SFACE, faces_of


def labelled(counts: list[int]) -> Templates:
    faces = faces_of(counts)
    ids = faces.table["template_id"].to_pylist()
    return Templates.from_vectors(faces.vectors, [each[:4] for each in ids], ids, SFACE)


def test_measures_by_hand() -> None:
    people = np.array([0, 0, 0, 1, 2])
    perfect = right(people, np.array([5, 5, 5, 7, 8]))
    assert (perfect.bcubed, perfect.pairwise, perfect.groups, perfect.wrong) == (1, 1, 1, 0)
    found = right(people, np.array([5, 5, 6, 6, 8]))
    precision, recall = (1 + 1 + 0.5 + 0.5 + 1) / 5, (2 / 3 + 2 / 3 + 1 / 3 + 1 + 1) / 5
    assert found.bcubed == pytest.approx(2 * precision * recall / (precision + recall))
    assert found.pairwise == pytest.approx(2 * 1 / (2 + 3))
    assert (found.groups, found.wrong, found.rate) == (2, 1, 0.5)


def test_other_methods_find_people_that_are_easy_to_tell() -> None:
    templates = labelled([4] * 12)
    found = peers(templates.vectors, people_in(templates), lambda _: None)
    assert [each.name for each in found] == ["DBSCAN", "HDBSCAN", "average linkage", "components", "Chinese whispers"]
    assert all(each.best.bcubed > 0.95 for each in found)


def test_corrections_are_counted_over_batches_and_runs() -> None:
    kept = corrected(labelled([5] * 60), lambda _: None)
    assert (kept.violated, kept.renamed) == (0, 0)
    assert kept.grown.bcubed > kept.whole.bcubed - 0.03


def test_lonely_faces_and_parts() -> None:
    figures = lonely(labelled([2] * 30 + [1] * 90), lambda _: None)
    assert [each.what for each in figures] == ["nine of ten alone"] * 2 + ["all alone"] * 2
    assert figures[0].found.groups >= 4
    assert grouped("a part", part(labelled([3, 3]), np.arange(3)))[0].found.groups == 1


def test_synthetic_templates_are_as_many_as_were_asked_for() -> None:
    made = synthetic(1000)
    assert len(made) == 1000
    counts = np.bincount(np.bincount(people_in(made)))
    assert counts[4] > 0
    assert counts[1] > counts[2] > 0
