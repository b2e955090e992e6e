import csv
from pathlib import Path

import numpy as np
import pytest

from benchmarks.data.synthetic_templates import Population, Shape
from engine import Gallery, Templates
from engine.errors import GalleryError
from engine.inspection.label_audit import TWO_NAMES, WRONG_IMAGE, _nearest_templates, _to_own, audit, write_audit
from engine.matching.members import Members
from engine.matching.scoring import PLAIN, Scoring, SearchableGallery
from indexes.exact.flat import Flat


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """400 people with 4 templates each; 10 of them under two names, 10 with a template of somebody else's."""
    people = Population(Shape.load())
    vectors = np.concatenate([people.templates(0, 400, image) for image in range(4)])
    names = np.array([f"id{i}" for i in range(400)] * 4, dtype=object)
    for i in range(10):
        names[[i, 400 + i]] = f"alias{i}"
    vectors[100:110] = people.templates(5000, 10)
    ids = [f"id{row % 400}/{row // 400}" for row in range(1600)]
    return Gallery.build(Templates.from_vectors(vectors, list(names), ids), tmp_path_factory.mktemp("audit") / "g")


def test_planted_mistakes_are_the_worst(gallery: Gallery) -> None:
    findings = audit(gallery, most=20)
    names = [finding for finding in findings if finding.kind == TWO_NAMES]
    images = [finding for finding in findings if finding.kind == WRONG_IMAGE]
    assert (len(names), len(images)) == (20, 20)
    assert {frozenset((finding.identity, finding.other)) for finding in names[:10]} == {
        frozenset((f"id{i}", f"alias{i}")) for i in range(10)
    }
    assert {finding.template_id for finding in images[:12]} >= {f"id{i}/0" for i in range(100, 110)}
    assert all(finding.likely for finding in names[:10])
    assert np.median([finding.expected_false_alarms for finding in names[:10]]) < 0.1
    for worst in (names, images):
        assert [finding.score for finding in worst] == sorted(finding.score for finding in worst)
    vectors = {row["template_id"]: np.array(row["vector"]) for row in _rows(gallery)}
    first = names[0]
    apart = np.linalg.norm(vectors[first.template_id] - vectors[first.other_template_id])
    assert first.distance == pytest.approx(apart, abs=1e-5)


def _rows(gallery: Gallery) -> list[dict[str, object]]:
    import pyarrow.parquet as pq

    return pq.read_table(next(gallery.path.glob("*.parquet"))).to_pylist()


def test_a_list_as_csv(gallery: Gallery, tmp_path: Path) -> None:
    findings = audit(gallery, most=3)
    write_audit(tmp_path / "a.csv", findings)
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["template_id"] for row in rows] == [finding.template_id for finding in findings]
    assert float(rows[0]["distance"]) == pytest.approx(findings[0].distance, rel=1e-4)
    assert rows[0]["likely"] == "True"


def test_too_few_to_compare(tmp_path: Path) -> None:
    few = Gallery.build(Templates.from_vectors(np.eye(9), [f"id{i}" for i in range(9)]), tmp_path / "g")
    with pytest.raises(GalleryError, match="has 9 identities; an audit compares at least 10"):
        audit(few)


def test_one_template_each_has_no_wrong_images(tmp_path: Path) -> None:
    people = Population(Shape.load()).templates(0, 60)
    gallery = Gallery.build(Templates.from_vectors(people, [f"id{i}" for i in range(60)]), tmp_path / "g")
    assert {finding.kind for finding in audit(gallery)} == {TWO_NAMES}


def test_distances_to_the_rest_of_a_person() -> None:
    """By loops: of one with many templates, and of those that are the same."""
    random = np.random.default_rng(0)
    codes = random.permutation(np.repeat(np.arange(6), [2, 2, 3, 3, 5, 300]))
    vectors = random.normal(size=(len(codes), 8)).astype(np.float32)
    twins = np.flatnonzero(codes == 4)
    vectors[twins[:4]] = vectors[twins[0]]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    enrolled = SearchableGallery(Flat.build(vectors), Members(codes), Scoring(PLAIN))
    rows = random.permutation(len(codes))[:200]
    apart = np.linalg.norm(vectors[rows, None] - vectors[None], axis=2)
    apart[codes[rows, None] != codes[None]] = np.inf
    apart[np.arange(200), rows] = np.inf
    np.testing.assert_allclose(_to_own(enrolled, vectors[rows], rows), apart.min(axis=1), atol=1e-6)
    near = np.linalg.norm(vectors[codes == 4][:, None] - vectors[codes == 5][None], axis=2)
    row, other, distance = _nearest_templates(enrolled, enrolled.members, 4, 5)
    assert (codes[row], codes[other]) == (4, 5)
    assert distance == pytest.approx(near.min(), abs=1e-6)
    assert distance == pytest.approx(np.linalg.norm(vectors[row] - vectors[other]), abs=1e-6)
