from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from engine.embedding.in_memory import embed_images
from engine.encoders import Encoder
from engine.errors import PhotographsError
from engine.gallery.gallery import Gallery
from engine.inspection.label_audit import LITTLE_WORTH, SCATTERED, audit
from engine.tables.lists import Column, read_list
from engine.templates.model import Templates
from tests.support.galleries import people
from tests.support.qualities import worth


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    """Of 20 people with two templates each, the first of which are worth more."""
    return Gallery.build(worth(people(0, 20), [0.5, 0.25] * 20), tmp_path / "g")


def test_probes_below_the_gate_fail_in_their_place(gallery: Gallery) -> None:
    probes = worth(people(0, 2), [0.4, 0.0002, None, 0.0009], [None, "blurred", None, None])
    found = gallery.identify(probes, threshold=2)
    assert [each.decision for each in found] == ["identified", "failed", "identified", "failed"]
    assert [each.probe for each in found] == [each.probe for each in gallery.identify(probes, threshold=2, quality=0)]
    assert found[0].quality == pytest.approx(0.4)
    assert (found[1].quality, found[1].candidates, found[1].score) == (pytest.approx(0.0002), (), None)
    assert found[1].reasons == "quality 0.02 %, below the gate (--quality 0.1 %): blurred"
    assert found[2].quality is None
    assert {candidate.quality for candidate in found[0].candidates} <= {0.5, 0.25}
    assert found.counts.failed == 2
    assert gallery.identify(probes, threshold=2, quality=0).counts.failed == 0
    everyone = gallery.identify(worth(probes, [1e-5] * 4), threshold=2)
    assert everyone.counts.failed == 4


def test_the_qualities_of_a_gallery_outlive_its_changes(gallery: Gallery) -> None:
    def known() -> dict[str, float]:
        rows = np.arange(len(gallery))
        return dict(zip(gallery.template_ids.to_pylist(), gallery.enrolled.qualities(rows).tolist(), strict=True))

    gallery.enroll(worth(people(20, 22), [0.75] * 4))
    gallery.remove(["id0"])
    gallery.rename("id1", "id2", merge=True)
    expected = {f"id{i}#{j}": 0.5 - 0.25 * j for i in range(1, 20) for j in range(2)}
    expected |= {f"id{i}#{j}": 0.75 for i in (20, 21) for j in range(2)}
    assert known() == expected
    gallery.compact()
    assert known() == expected
    copy = gallery.path.with_name("copy")
    gallery.backup(copy)
    merged = Gallery.merge([copy], gallery.path.with_name("merged"))
    for other in (copy, merged.path):
        gallery = Gallery.open(other)
        assert known() == expected


def test_what_is_worth_too_little_is_not_enrolled(gallery: Gallery) -> None:
    done = gallery.enroll(worth(people(30, 31), [0.5, 1e-6]))
    assert (done.templates, [each.source for each in done.problems]) == (1, ["id30#1"])
    nobody = gallery.enroll(worth(people(31, 32), [1e-6] * 2))
    assert (nobody.templates, len(nobody.problems)) == (0, 2)
    assert gallery.enroll(worth(people(31, 32), [1e-6] * 2), quality=0).templates == 2
    found = [each for each in audit(gallery) if each.kind == LITTLE_WORTH]
    assert [(each.template_id, each.quality, each.other) for each in found] == [
        ("id31#0", pytest.approx(1e-6), None),
        ("id31#1", pytest.approx(1e-6), None),
    ]


def test_people_whose_pictures_lie_apart_are_audited_first(tmp_path: Path) -> None:
    mixed = people(0, 20)
    vectors = mixed.vectors.copy()
    vectors[7] = people(100, 101).vectors[0]
    names, ids = (mixed.table[name].to_pylist() for name in ("identity", "template_id"))
    gallery = Gallery.build(Templates.from_vectors(vectors, names, ids), tmp_path / "g")
    first = next(each for each in audit(gallery) if each.kind == SCATTERED)
    assert (first.identity, first.template_id in ("id3#0", "id3#1"), first.quality) == ("id3", True, None)


def degraded(picture: np.ndarray) -> np.ndarray:
    """As a camera sees somebody in the dark, out of focus."""
    return (cv2.GaussianBlur(picture, (0, 0), 6) * 0.2).astype(np.uint8)


def test_a_photograph_says_what_it_is_worth_and_why(drawn: list[np.ndarray], sface: Encoder) -> None:
    pictures = [drawn[0], degraded(drawn[0])]
    made = embed_images(pictures, sface, quality=0)
    clean, bad = made.templates.table.select(["quality", "detection", "reasons"]).to_pylist()
    assert bad["quality"] < 0.1 < clean["quality"] < 1
    assert "dark" in bad["reasons"]
    assert 0.7 < clean["detection"] <= 1
    alone = embed_images(pictures[:1], sface).templates.table["quality"].to_pylist()
    assert alone == pytest.approx([clean["quality"]], rel=1e-3)
    gated = embed_images(pictures, sface, quality=float(np.sqrt(bad["quality"] * clean["quality"])))
    assert gated.templates.table["source"].to_pylist() == ["image:0"]
    (problem,) = gated.problems
    assert problem.source == "image:1"
    assert "below the gate" in problem.reason
    assert "dark" in problem.reason


def test_of_a_group_the_faces_above_the_gate_are_kept(drawn: list[np.ndarray], sface: Encoder) -> None:
    group = np.concatenate([drawn[0], degraded(drawn[1]), drawn[2]], axis=1)
    everyone = embed_images([group], sface, faces="all", quality=0).templates.table.to_pylist()
    worst = min(row["quality"] for row in everyone)
    made = embed_images([group], sface, faces="all", quality=2 * worst)
    kept = [row for row in everyone if row["quality"] > worst]
    assert made.templates.table["template_id"].to_pylist() == [row["template_id"] for row in kept]
    assert [problem.reason.split(":")[0] for problem in made.problems] == [
        f"face {row['face']}" for row in everyone if row["quality"] == worst
    ]


def test_the_commands_have_a_gate(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def say(status: int, *arguments: object) -> str:
        result = CliRunner().invoke(app, [str(each) for each in arguments])
        assert result.exit_code == status, result.output
        return str(result.output)

    monkeypatch.chdir(tmp_path)
    say(0, "embed", photos, "-o", "all.parquet", "--quality", "0")
    say(0, "build-index", "all.parquet", "-o", "g")
    said = say(3, "identify", photos, "-g", "g", "-o", "r.csv", "--threshold", "2", "--quality", "0.999999")
    assert "12 failed, in r.csv; reasons in r.problems.csv" in said
    rows = read_list(Path("r.problems.csv"), [Column("source"), Column("reason")]).rows
    assert len(rows) == 12
    assert all("below the gate (--quality all)" in row.values["reason"] for row in rows)
    assert "12 problems in some.problems.csv" in say(3, "embed", photos, "-o", "some.parquet", "--quality", "99.9999%")
    assert "12 gave none" in say(3, "enroll", photos, "-g", "g", "--quality", "99.9999%")
    say(3, "identify", "all.parquet", "-g", "g", "-o", "t.csv", "--threshold", "2", "--quality", "99.9999%")
    with pytest.raises(PhotographsError, match="below the gate"):
        Gallery.open("g").verify(photos / "person0.jpg", "person0", quality=0.999999)
    assert "the same" in say(0, "verify", photos / "person0.jpg", "person0", "-g", "g", "--threshold", "1")
