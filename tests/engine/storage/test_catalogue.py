"""The catalogue by hand: what is put is what is read, and what it refuses in which words."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import GalleryError, OutputError
from engine.gallery.gallery import Gallery
from engine.matching.scoring import PLAIN, Scoring
from engine.storage.catalogue import (
    Segment,
    connect,
    put,
    put_behind,
    put_extended,
    put_measured,
    put_segment,
    read_catalogue,
    read_version,
    reading,
    refusing,
)
from tests.support.galleries import people

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten people with a calibration, of whom one was renamed and one template is gone."""
    gallery = Gallery.build(people(0, 10), tmp_path / "g")
    gallery.rename("id1", "one")
    gallery.remove(templates=["id3#0"])
    gallery.close()
    return gallery.path


def segment(name: str, templates: int = 20) -> Segment:
    return Segment(name, "flat", templates, 1, "a", 2, "b", 3, "c", None, None, None)


def test_what_a_new_catalogue_says(folder: Path) -> None:
    catalogue = read_catalogue(folder)
    assert catalogue.format == 8
    assert len(catalogue.id) == 32
    assert catalogue.measured is None
    assert catalogue.changes is not None
    assert (catalogue.changes.version, catalogue.changes.erasable) == (3, 0)
    assert read_version(folder) == (catalogue.id, 3)
    assert len(catalogue.changes.numbers) == len(catalogue.changes.recent.numbers) == 0
    assert catalogue.changes.renamed == {"id1": "one"}
    assert catalogue.changes.removed.tolist() == [6]
    (only,) = catalogue.segments
    assert (only.name, only.indexed, only.rows_only, only.density_sha256) == ("segment-000001", True, False, None)
    other = Gallery.build(people(0, 2), folder.with_name("other"))
    assert read_catalogue(Path(other.path)).id != catalogue.id


def put_by(folder: Path, what: Any) -> None:
    with closing(connect(folder)) as database:
        database.execute("BEGIN")
        what(database)
        database.execute("COMMIT")


def test_segments_take_the_place_of_others(folder: Path) -> None:
    before = read_catalogue(folder)
    (old,) = before.segments
    # With the same rows: changes go with it.
    put_by(folder, lambda database: put_segment(database, (old,), segment("segment-000002")))
    after = read_catalogue(folder)
    assert after.segments == (segment("segment-000002"),)
    assert after.changes is not None
    assert (after.changes.renamed, after.changes.removed.tolist()) == ({"id1": "one"}, [6])
    assert (after.measured, after.calibration is None) == (None, False)
    # That goes on behind them: names are those of its rows.
    put_by(folder, lambda database: put_extended(database, after.segments[0], segment("segment-000003", 25), 20))
    after = read_catalogue(folder)
    assert after.segments == (segment("segment-000003", 25),)
    assert after.changes is not None
    assert (after.changes.renamed, after.changes.removed.tolist(), after.measured) == ({}, [6], 20)
    put_by(folder, lambda database: put_segment(database, after.segments, segment("segment-000004", 25)))
    assert read_catalogue(folder).measured is None
    # Anew: nothing is left of what was measured before.
    both = (segment("segment-000005"), segment("segment-000006"))
    put_by(folder, lambda database: put_measured(database, both, Scoring(PLAIN, fuse=3), None))
    after = read_catalogue(folder)
    assert (after.segments, after.scoring, after.calibration) == (both, Scoring(PLAIN, fuse=3), None)
    assert after.changes is not None
    assert (after.changes.renamed, after.changes.removed.tolist(), after.measured) == ({}, [], None)
    put_by(folder, lambda database: put_measured(database, both[:1], before.scoring, before.calibration))
    after = read_catalogue(folder)
    assert before.calibration is not None
    assert after.calibration is not None
    assert after.calibration.to_json() == before.calibration.to_json()


def test_a_tail_takes_the_place_of_another(folder: Path) -> None:
    """What the base's identities are called goes with it, however often; rows of the tail that were removed do not."""
    (base,) = read_catalogue(folder).segments
    say = lambda *rows: put_by(folder, lambda it: it.executemany("INSERT OR REPLACE INTO renamed VALUES (?, ?, ?)", rows))  # noqa: E731
    put_by(folder, lambda database: put_behind(database, (base,), segment("segment-000002", 5), 20))
    catalogue = read_catalogue(folder)
    assert catalogue.segments == (base, segment("segment-000002", 5))
    assert catalogue.changes is not None
    assert (catalogue.changes.renamed, catalogue.changes.renamed_before) == ({}, {"id1": "one"})
    assert (catalogue.changes.removed.tolist(), catalogue.measured) == ([6], 20)
    # One that was called otherwise before, one that was not, and one of the tail who has the first name of another.
    say(("segment-000002", "one", "1"), ("segment-000002", "id2", "two"), ("segment-000002", "id1", "another"))
    put_by(
        folder, lambda it: it.executemany("INSERT INTO removed VALUES (?, ?)", [(base.name, 2), (base.name, 20), (base.name, 24)])
    )
    changes = read_catalogue(folder).changes
    assert changes is not None
    assert changes.renamed == {"one": "1", "id2": "two", "id1": "another"}
    assert changes.removed.tolist() == [2, 6, 20, 24]
    before = read_catalogue(folder).segments
    put_by(folder, lambda database: put_behind(database, before, segment("segment-000003", 9), 20))
    catalogue = read_catalogue(folder)
    assert catalogue.segments == (base, segment("segment-000003", 9))
    assert catalogue.changes is not None
    assert (catalogue.changes.renamed, catalogue.changes.renamed_before) == ({}, {"id1": "1", "id2": "two", "one": "1"})
    assert catalogue.changes.removed.tolist() == [2, 6]
    # In one segment again: the names that rows have are those of the tail.
    say(("segment-000003", "two", "2"))
    put_by(folder, lambda database: put_segment(database, catalogue.segments, segment("segment-000004", 29)))
    catalogue = read_catalogue(folder)
    assert catalogue.changes is not None
    assert (catalogue.changes.renamed, catalogue.changes.renamed_before) == ({"two": "2"}, {})
    assert (catalogue.changes.removed.tolist(), catalogue.measured) == ([2, 6], None)


def test_a_catalogue_that_holds_more_than_onek_writes_is_not_written_to(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "catalogue.sqlite")) as database:
        database.execute("CREATE TRIGGER more AFTER INSERT ON gallery BEGIN DELETE FROM segments; END")
    for opened in (lambda: connect(folder), lambda: read_catalogue(folder)):
        with pytest.raises(GalleryError, match=r"g: its catalogue is damaged: .*; restore the gallery from a backup or build it"):
            opened()


def test_what_hinders_a_write_is_said(folder: Path) -> None:
    for error in (sqlite3.OperationalError("disk I/O error"), sqlite3.DatabaseError("malformed")):
        with pytest.raises(OutputError, match=rf"cannot write .*/g/catalogue\.sqlite: {error}"), refusing(folder):
            raise error
    with pytest.raises(OutputError, match=r"cannot write .*/g: no room"), refusing(folder):
        raise OSError(28, "no room")
    with pytest.raises(KeyError), refusing(folder):
        raise KeyError


def test_what_hinders_a_read_is_said(folder: Path) -> None:
    said = r"/g: its catalogue is damaged: {}; restore the gallery from a backup or build it anew"
    for error in (
        sqlite3.DatabaseError("malformed"),
        KeyError("format"),
        ValueError("odd"),
        TypeError("none"),
        OverflowError("x"),
    ):
        with pytest.raises(GalleryError, match=said.format(error)), reading(folder):
            raise error
    slow = "it would take longer to read than a file of its size may"
    with pytest.raises(GalleryError, match=said.format(slow)), reading(folder):
        raise sqlite3.OperationalError("".join(["inter", "rupted"]))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("format", "0", "is a gallery of format 0; this onek reads formats 1 to 8, so take a newer onek"),
        ("format", "9", "is a gallery of format 9; this onek reads formats 1 to 8, so take a newer onek"),
        ("format", "five", "its catalogue is damaged"),
        ("scoring", '{"score": "best", "neighbours": 5, "fuse": 1}', "expected plain, local or quality"),
        ("scoring", '{"score": "plain", "neighbours": 5, "fuse": -1}', "expected at least 1"),
        ("asked", "[]", "its catalogue is damaged"),
        ("measured", "many", "its catalogue is damaged"),
        ("version", "", "its catalogue is damaged"),
        ("erasable", "x", "its catalogue is damaged"),
    ],
)
def test_values_that_cannot_be(folder: Path, key: str, value: str, said: str) -> None:
    put_by(folder, lambda database: put(database, key, value))
    with pytest.raises(GalleryError, match=said):
        read_catalogue(folder)


@pytest.mark.parametrize(
    ("name", "templates", "wrong"),
    [
        ("segment-00001", 1, True),
        ("segment-000001", 1, False),
        ("segment-000000001", 1, False),
        ("segment-0000000001", 1, True),
        ("segment-000001", 0, True),
        ("segment-000001 ", 1, True),
    ],
)
def test_segments_at_their_limits(folder: Path, name: str, templates: int, wrong: bool) -> None:
    (old,) = read_catalogue(folder).segments
    put_by(folder, lambda database: put_segment(database, (old,), replace(old, name=name, templates=templates)))
    if wrong:
        with pytest.raises(GalleryError, match=f"it names a segment {name!r} of {templates} templates"):
            read_catalogue(folder)
    else:
        assert read_catalogue(folder).segments[0].name == name


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="nothing: no such gallery; build one with onek build-index"):
        read_catalogue(tmp_path / "nothing")
    with pytest.raises(GalleryError, match="is no gallery: it holds no catalogue.sqlite; build one with onek build-index"):
        read_catalogue(tmp_path)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_gallery_of_a_former_format_has_a_version_too(tmp_path: Path, number: int) -> None:
    """What is read of it and what tells whether anything happened are one, so that nothing is read again for nothing."""
    former = Path(__file__).parents[2] / "fixtures" / "galleries" / f"format-{number}"
    path = Path(shutil.copytree(former, tmp_path / "g"))
    catalogue = read_catalogue(path)
    assert catalogue.changes is not None
    assert read_version(path) == (catalogue.id, catalogue.changes.version)
    (only,) = catalogue.segments
    assert (only.indexed, only.rows_only, only.kind == "flat") == (False, number < 3, number < 4)
