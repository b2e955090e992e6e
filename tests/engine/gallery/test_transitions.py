"""What a gallery was asked to be, it stays, whatever happens to it."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from engine.gallery.gallery import Gallery
from engine.maintenance.backup import templates_of_galleries as enrolled_in
from engine.maintenance.integrity import check
from engine.maintenance.repair import repair
from engine.storage.catalogue import read_catalogue
from engine.templates.model import Templates, batch
from engine.templates.provenance import Provenance
from tests.support.galleries import people

EACH = 5
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def _few_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What finds an index's effort takes most of the time, and is tested elsewhere."""
    monkeypatch.setattr("engine.storage.segments.making._PROBES", 100)


MADE = Provenance("ours", "ab" * 32, 16, True, "some alignment", "w.bin", 0.6, "p.npz", "onnxruntime 1.20 float32")

ASKED: dict[str, dict[str, Any]] = {
    "exact, fused": {"index": "flat", "score": "plain", "fuse": 2},
    "codes, local": {"index": "flat-codes", "score": "local", "recall": 0.97},
    "a string": {"factory": "IVF8,SQ8", "score": "plain", "fuse": 3, "recall": 0.9},
    "nothing": {},
}


def made(templates: Templates) -> Templates:
    """As the encoder `MADE` would have them."""
    return Templates(templates.table.replace_schema_metadata(MADE.to_metadata()), MADE)


def crowd(first: int, last: int) -> Templates:
    return made(people(first, last, each=EACH))


def compacted(gallery: Gallery) -> Gallery:
    gallery.enroll(crowd(100, 102))
    gallery.remove(["id3"])
    gallery.compact()
    assert gallery.info().recent == gallery.info().awaiting_erasure == 0
    return gallery


def grown_past_a_quarter(gallery: Gallery) -> Gallery:
    gallery.enroll(crowd(100, 120))
    assert gallery.info().recent == 0
    return gallery


def shrunk_by_a_quarter(gallery: Gallery) -> Gallery:
    gallery.remove([f"id{number}" for number in range(20)])
    assert gallery.info().awaiting_erasure == 0
    assert gallery.calibration is not None
    assert gallery.calibration.identities == 60
    return gallery


def backed_up(gallery: Gallery) -> Gallery:
    gallery.enroll(crowd(100, 102))
    gallery.backup(gallery.path.with_name("copy"))
    return Gallery.open(gallery.path.with_name("copy"))


def merged(gallery: Gallery) -> Gallery:
    other = Gallery.build(crowd(200, 212), gallery.path.with_name("other"))
    return Gallery.merge([gallery.path, other.path], gallery.path.with_name("both"))


def repaired(gallery: Gallery) -> Gallery:
    gallery.close()
    index = next(gallery.path.glob("*.index"))
    index.write_bytes(index.read_bytes()[:-1])
    assert repair(gallery.path)
    return Gallery.open(gallery.path)


def renamed(gallery: Gallery) -> Gallery:
    gallery.rename("id3", "three")
    gallery.rename("id4", "three", merge=True)
    return gallery


def calibrated(gallery: Gallery) -> Gallery:
    gallery.calibrate()
    return gallery


Transition = Callable[[Gallery], Gallery]
TRANSITIONS: list[Transition] = [
    compacted,
    grown_past_a_quarter,
    shrunk_by_a_quarter,
    backed_up,
    merged,
    repaired,
    renamed,
    calibrated,
]


def settings(gallery: Gallery) -> dict[str, Any]:
    """All that was asked for, and how the templates were made."""
    info = gallery.info()
    names = ("dim", "encoder", "fingerprint", "flip", "alignment", "threshold", "runtime", "index", "exact", "score", "fuse")
    catalogue = read_catalogue(gallery.path)
    return {
        **{name: getattr(info, name) for name in names},
        "recall": info.operating.asked if info.operating else None,
        "provenance": asdict(catalogue.provenance),
        "asked": asdict(catalogue.asked),
        "neighbours": catalogue.scoring.neighbours,
    }


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("transition", TRANSITIONS, ids=lambda each: each.__name__)
def test_what_was_asked_for_survives(tmp_path: Path, asked: str, transition: Transition) -> None:
    gallery = Gallery.build(crowd(0, 80), tmp_path / "g", **ASKED[asked])
    before = settings(gallery)
    after = transition(gallery)
    after.close()
    for seen in (after, Gallery.open(after.path)):
        assert settings(seen) == before
    assert check(after.path) == []
    probes = made(people(30, 40, each=1, noise=1))
    assert [result.identity for result in after.identify(probes, fpir=0.1)] == [f"id{number}" for number in range(30, 40)]


def test_the_settings_that_are_compared_are_all_there_are() -> None:
    """One that is added joins the comparison above."""
    from engine.storage.catalogue import BuildRequest, Catalogue

    assert set(BuildRequest.__dataclass_fields__) == {"index", "factory", "recall", "score", "fuse"}
    assert set(Catalogue.__dataclass_fields__) == {
        *("provenance", "created", "segments", "scoring", "calibration", "id", "asked", "changes", "format", "measured")
    }


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("left", [60, 10, 9, 1])
def test_a_gallery_of_which_few_are_left(tmp_path: Path, asked: str, left: int) -> None:
    """It is compacted, searched and grown again, however few they are, and the settings are those that were asked for."""
    gallery = Gallery.build(crowd(0, 60), tmp_path / "g", **{**ASKED[asked], "score": "plain"})
    if left < 60:
        gallery.remove([f"id{number}" for number in range(left, 60)])
    gallery.compact()
    gallery = Gallery.open(gallery.path)
    assert gallery.identities == sorted(f"id{number}" for number in range(left))
    assert (gallery.calibration is None) == (left < 10)
    if asked == "codes, local" and left < 60:
        assert gallery.info().index == "flat"  # too few to learn codes from
    found = gallery.identify(crowd(0, 1), threshold=0.5)
    assert {result.identity for result in found} == {"id0"}
    gallery.enroll(crowd(0, 60), on_duplicate="skip")
    gallery.compact()
    assert gallery.calibration is not None
    assert gallery.calibration.identities == 60
    again = Gallery.build(crowd(0, 60), tmp_path / "again", **{**ASKED[asked], "score": "plain"})
    assert settings(gallery) == settings(again)


@pytest.mark.parametrize("sealed", ["by growth", "by compact"])
def test_a_default_score_follows_the_number_of_people_and_an_asked_one_does_not(tmp_path: Path, sealed: str) -> None:
    """Local from 50 people on, and plain again below; as the README says."""
    gallery, asked = (Gallery.build(people(0, 40), tmp_path / name, score=score) for name, score in (("g", None), ("a", "plain")))
    for each in (gallery, asked):
        each.enroll(people(40, 49))
        each.compact()
        assert each.info().score == "plain"
        each.enroll(people(49, 50) if sealed == "by compact" else people(49, 65))
        if sealed == "by compact":
            each.compact()
    assert (gallery.info().score, asked.info().score) == ("local", "plain")
    for each in (gallery, asked):
        assert each.calibration is not None
        assert each.calibration.scoring == each.scoring
    gallery.remove([f"id{number}" for number in range(31)])
    gallery.compact()
    assert gallery.info().score == "plain"
    assert gallery.calibration is not None
    assert gallery.calibration.scoring == gallery.scoring


@pytest.mark.parametrize(("change", "sealed"), [(14, False), (15, True)])
@pytest.mark.parametrize("way", ["in", "out"])
def test_a_quarter_of_the_people_is_calibrated_and_not_one_less(tmp_path: Path, change: int, sealed: bool, way: str) -> None:
    gallery = Gallery.build(people(0, 60, each=1), tmp_path / "g", score="plain")
    if way == "in":
        gallery.enroll(people(100, 100 + change, each=1))
    else:
        gallery.remove([f"id{number}" for number in range(change)])
    gallery.refresh()
    assert gallery.calibration is not None
    expected = {"in": 60 + change, "out": 60 - change}[way]
    assert gallery.identity_count == expected
    assert gallery.calibration.identities == (expected if sealed else 60)
    info = gallery.info()
    assert (info.recent + info.awaiting_erasure == 0) == sealed


def test_a_quarter_is_counted_from_the_calibration_that_was_asked_for(tmp_path: Path) -> None:
    """Whoever calibrates anew need not wait for another calibration a moment later."""
    gallery = Gallery.build(people(0, 60, each=1), tmp_path / "g", score="plain")
    gallery.enroll(people(100, 114, each=1))
    gallery.calibrate()
    gallery.enroll(people(114, 118, each=1))
    assert gallery.calibration is not None
    assert (gallery.calibration.identities, gallery.info().recent) == (74, 18)
    gallery.enroll(people(118, 133, each=1))
    gallery.refresh()
    assert (gallery.calibration.identities, gallery.info().recent) == (93, 0)


@pytest.mark.parametrize(("founders", "joining", "calibrated"), [(7, 2, False), (6, 4, True), (9, 3, True), (9, 2, False)])
def test_a_gallery_is_calibrated_as_soon_as_it_can_be(tmp_path: Path, founders: int, joining: int, calibrated: bool) -> None:
    """With ten people, where a quarter of them is new; not with nine."""
    gallery = Gallery.build(people(0, founders, each=1), tmp_path / "g", score="plain")
    assert gallery.calibration is None
    gallery.enroll(people(100, 100 + joining, each=1))
    gallery.refresh()
    assert (gallery.calibration is not None) == calibrated
    assert gallery.identity_count == founders + joining


@pytest.mark.parametrize(("joining", "anew"), [(19, False), (20, True), (33, True)])
def test_a_large_gallery_is_sealed_anew_when_it_has_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, joining: int, anew: bool
) -> None:
    """Before that, behind what its index was built of."""
    monkeypatch.setattr("engine.storage.sealing.SMALL", 10)
    monkeypatch.setattr("engine.storage.sealing.SEAL_AT", 2)
    gallery = Gallery.build(people(0, 20, each=1), tmp_path / "g", score="plain")
    gallery.enroll(people(100, 100 + joining, each=1))
    assert (gallery.info().recent, len(gallery)) == (0, 20 + joining)
    assert read_catalogue(Path(gallery.path)).measured == (None if anew else 20)
    assert check(Path(gallery.path)) == []


def test_recent_templates_of_a_large_part_are_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the larger of a number and a part, at the limit and below."""
    monkeypatch.setattr("engine.storage.sealing.SEAL_AT", 20)
    gallery = Gallery.build(people(0, 100, each=1), tmp_path / "g", score="plain")
    for name, count in (("a", 20), ("b", 4)):
        gallery.enroll(people(200, 200 + count, each=1, prefix=name).of("id5"))
        assert gallery.info().recent == (20 if name == "a" else 24)
    gallery.enroll(people(300, 301, each=1).of("id5"))
    assert gallery.info().recent == 0
    assert np.sum(gallery.enrolled.members.counts == 26) == 1


def test_an_id_that_is_enrolled_again_and_again_in_a_large_gallery_is_one_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealed behind rows that its own former ones lie among, it is found, replaced and removed by its id, and repaired."""
    monkeypatch.setattr("engine.storage.sealing.SEAL_AT", 2)
    monkeypatch.setattr("engine.storage.sealing.SMALL", 10)
    gallery = Gallery.build(people(0, 40, each=1), tmp_path / "g", score="plain")
    for turn in range(1, 4):
        done = gallery.enroll(people(5, 9, each=1, noise=turn))
        assert (done.templates, done.replaced) == (4, 4)
        assert gallery.info().recent == 0
        assert (len(gallery), gallery.template_ids.to_pylist().count("id5#0")) == (40, 1)
        assert check(gallery.path) == []
    gallery.close()
    (gallery.path / "segment-000004.index").unlink()
    assert repair(gallery.path)
    gallery = Gallery.open(gallery.path)
    (found,) = gallery.identify(people(5, 6, each=1, noise=3), threshold=0.5)
    assert (found.candidates[0].template_id, found.distance) == ("id5#0", 0)
    assert gallery.remove(templates=["id5#0"]) == 1
    assert "id5" not in gallery.identities
    assert gallery.info().awaiting_erasure == 13
    gallery.compact()
    assert (gallery.info().awaiting_erasure, len(gallery)) == (0, 39)


def described(first: int, last: int) -> Templates:
    """With all that a template may say of itself, and one that says nothing."""
    plain = made(people(first, last, each=1))
    count = len(plain)
    ids, who = plain.table["template_id"].to_pylist(), plain.table["identity"].to_pylist()
    sources = [None if number == 3 else f"/pictures/{name}, é.jpg" for number, name in enumerate(ids)]
    boxes = [None if number == 3 else (1.5 * number, 2.25, 30.125, 40.0) for number in range(count)]
    told = [None if number == 3 else number for number in range(count)]
    sure = [None if number == 3 else 1 / (number + 3) for number in range(count)]
    rows = batch(MADE, ids, who, plain.vectors, sources, told, boxes, sure)
    return Templates(pa.Table.from_batches([rows]), MADE)


def rows_of(gallery: Gallery) -> list[dict[str, Any]]:
    parts = [part.table for part in enrolled_in([gallery.path])]
    return sorted(pa.concat_tables(parts).to_pylist(), key=lambda row: row["template_id"])


@pytest.mark.parametrize("small", [True, False])
def test_every_column_of_every_template_survives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: bool) -> None:
    """Built, enrolled, sealed behind and anew, copied, merged, repaired, to the last bit."""
    if not small:
        monkeypatch.setattr("engine.storage.sealing.SMALL", 10)
        monkeypatch.setattr("engine.storage.sealing.SEAL_AT", 8)
    first, then, more = described(0, 40), described(100, 106), described(200, 208)
    expected = sorted(first.table.to_pylist() + then.table.to_pylist(), key=lambda row: row["template_id"])
    gallery = Gallery.build(first, tmp_path / "g")
    gallery.enroll(then)
    assert gallery.info().recent == 6
    assert rows_of(gallery) == expected
    gallery.enroll(more)
    assert gallery.info().recent == 0  # anew, or behind what was sealed
    gallery.remove([f"id{number}" for number in range(200, 208)])
    assert rows_of(gallery) == expected
    gallery.backup(tmp_path / "copy")
    assert rows_of(Gallery.open(tmp_path / "copy")) == expected
    gallery.compact()
    assert rows_of(Gallery.open(tmp_path / "g")) == expected
    assert rows_of(repaired(gallery)) == expected
    other = Gallery.build(more, tmp_path / "other")
    both = Gallery.merge([tmp_path / "g", other.path], tmp_path / "both")
    assert rows_of(both) == sorted(expected + more.table.to_pylist(), key=lambda row: row["template_id"])
