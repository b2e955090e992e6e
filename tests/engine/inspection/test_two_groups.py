from pathlib import Path

import numpy as np

from engine import Gallery, Templates
from engine.inspection.label_audit import TWO_GROUPS, WRONG_IMAGE, audit
from tests.support.unnamed_faces import SFACE, faces_of

MERGED = 8


def test_two_people_under_one_name_are_the_worst_two_groups_and_no_wrong_images(tmp_path: Path) -> None:
    faces = faces_of([4] * 60 + [2] * (2 * MERGED))
    ids = faces.table["template_id"].to_pylist()
    names = [each[:4] for each in ids]
    names = [f"p{int(name[1:]) - MERGED:03}" if int(name[1:]) >= 60 + MERGED else name for name in names]
    gallery = Gallery.build(Templates.from_vectors(faces.vectors, names, ids, SFACE), tmp_path / "g")
    findings = [each for each in audit(gallery, most=20) if each.kind == TWO_GROUPS]
    assert {each.identity for each in findings[:MERGED]} == {f"p{60 + at:03}" for at in range(MERGED)}
    assert all(each.likely for each in findings[:MERGED])
    assert not any(each.likely for each in findings[MERGED:])
    first = findings[0]
    assert first.identity == first.other
    assert first.template_id[:4] != first.other_template_id[:4]
    vectors = dict(zip(ids, faces.vectors, strict=True))
    assert np.isclose(first.distance, np.linalg.norm(vectors[first.template_id] - vectors[first.other_template_id]), atol=1e-5)
    assert [each.score for each in findings] == sorted(each.score for each in findings)
    images = [each for each in audit(gallery, most=20) if each.kind == WRONG_IMAGE]
    assert not any(each.likely and each.identity >= "p060" for each in images)


def test_few_people_with_four_images_have_no_two_groups(tmp_path: Path) -> None:
    faces = faces_of([4] * 12)
    ids = faces.table["template_id"].to_pylist()
    gallery = Gallery.build(Templates.from_vectors(faces.vectors, [each[:4] for each in ids], ids, SFACE), tmp_path / "g")
    assert not [each for each in audit(gallery) if each.kind == TWO_GROUPS]
