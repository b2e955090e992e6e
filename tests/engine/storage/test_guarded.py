"""Catalogues that hold more than onek writes, or less than they say: none of it runs, and reading ends."""

import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from benchmarks.attacks.catalogues import journal_of
from engine.errors import GalleryError
from engine.gallery.gallery import Gallery
from engine.maintenance.integrity import check
from engine.storage.catalogue import connect
from tests.support.galleries import people

_ENDLESS = "WITH RECURSIVE endless(key, value) AS (SELECT 'format', '5' UNION ALL SELECT * FROM endless) SELECT * FROM endless"
FOREIGN = {
    "a trigger that copies": (
        "CREATE TABLE kept (name TEXT, vector BLOB);"
        "CREATE TRIGGER keep AFTER DELETE ON recent BEGIN INSERT INTO kept VALUES (old.identity, old.vector); END"
    ),
    "a trigger that renames": (
        "CREATE TRIGGER swap AFTER INSERT ON recent BEGIN INSERT INTO renamed VALUES ('segment-000001', 'id1', 'id2'); END"
    ),
    "an endless view": f"ALTER TABLE gallery RENAME TO other; CREATE VIEW gallery AS {_ENDLESS}",
    "a view for a table": "ALTER TABLE renamed RENAME TO other; CREATE VIEW renamed AS SELECT * FROM other",
    "a generated column": "ALTER TABLE renamed ADD COLUMN more TEXT AS (upper(name))",
    "a further column": "ALTER TABLE removed ADD COLUMN more TEXT",
    "an index on an expression": "CREATE INDEX more ON recent(upper(identity))",
    "a virtual table": "CREATE VIRTUAL TABLE more USING rtree(id, a, b)",
    "a further table": "CREATE TABLE more (x)",
    "statistics": "ANALYZE",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    gallery = Gallery.build(people(0, 20), tmp_path_factory.mktemp("guarded") / "g", score="plain")
    gallery.enroll(people(100, 103))
    gallery.close()
    return gallery.path


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "g"))


@pytest.mark.parametrize("statements", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_schema_that_is_not_onek_s_is_refused(path: Path, statements: str, tmp_path: Path) -> None:
    before = Gallery.open(path)
    with sqlite3.connect(path / "catalogue.sqlite") as database:
        database.executescript(statements)
    database.close()
    (path / "catalogue.sha256").unlink(missing_ok=True)
    began = time.perf_counter()
    for question in (
        lambda: Gallery.open(path),
        lambda: before.enroll(people(200, 201)),
        before.compact,
        lambda: before.backup(tmp_path / "copy"),
        lambda: Gallery.build(people(0, 20), path, overwrite=True),
    ):
        with pytest.raises(GalleryError, match="it holds a .* that onek does not write; restore the gallery") as refused:
            question()
        assert "\n" not in str(refused.value)
    assert check(path)
    assert time.perf_counter() - began < 10


def test_pages_that_are_listed_again_and_again(path: Path) -> None:
    """A tree of pages whose every branch is the same leaf: a file of half a megabyte that holds billions of rows."""
    with sqlite3.connect(path / "catalogue.sqlite") as database:
        database.executemany("INSERT INTO removed VALUES (?, ?)", (("segment-000001", row) for row in range(20_000)))
    ((page,),) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'removed'").fetchall()
    ((size,),) = database.execute("PRAGMA page_size").fetchall()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    database.close()
    file = path / "catalogue.sqlite"
    data = bytearray(file.read_bytes())

    def children(number: int) -> list[int]:
        """Where an inner page of the tree keeps the numbers of those below it."""
        start = (number - 1) * size
        cells = int.from_bytes(data[start + 3 : start + 5])
        offsets = [int.from_bytes(data[start + 12 + 2 * cell : start + 14 + 2 * cell]) for cell in range(cells)]
        return [start + 8, *(start + offset for offset in offsets)]

    leaf = bytes(data[children(page)[1] : children(page)[1] + 4])
    for place in children(page):
        data[place : place + 4] = leaf
    inner = len(data) // size + 1
    for level in range(3):  # the root once more, below itself, and again
        data += data[(page - 1) * size : page * size]
        for place in children(inner + level):
            data[place : place + 4] = (inner + level - 1).to_bytes(4) if level else leaf
    for place in children(page):
        data[place : place + 4] = (inner + 2).to_bytes(4)
    data[28:32] = (len(data) // size).to_bytes(4)
    file.write_bytes(data)
    (path / "catalogue.sha256").unlink(missing_ok=True)
    began = time.perf_counter()
    with pytest.raises(GalleryError, match="its catalogue is damaged: it would take longer to read than"):
        Gallery.open(path)
    assert check(path)
    assert time.perf_counter() - began < 10


def test_a_journal_that_names_another_file_has_it_removed_by_nobody(path: Path, tmp_path: Path) -> None:
    """SQLite rolls a journal back on opening, and then removes the file that it names as the whole transaction's."""
    victim = tmp_path / "precious"
    victim.write_bytes(b"dear diary" * 2000)
    before = Gallery.open(path)
    (path / "catalogue.sqlite-journal").write_bytes(journal_of(path / "catalogue.sqlite", victim))
    for question in (
        lambda: Gallery.open(path),
        lambda: before.enroll(people(200, 201)),
        before.compact,
        lambda: before.backup(tmp_path / "copy"),
        lambda: Gallery.merge([path], tmp_path / "merged"),
        lambda: Gallery.build(people(0, 20), path, overwrite=True),
    ):
        with pytest.raises(GalleryError, match="catalogue.sqlite-journal is a rollback journal, which onek does not write"):
            question()
    assert check(path)
    assert victim.exists()
    with closing(sqlite3.connect(path / "catalogue.sqlite")) as unguarded:
        unguarded.execute("SELECT * FROM gallery").fetchall()
    assert not victim.exists()  # so the journal was one that does it


def test_a_trigger_that_appears_once_the_schema_was_seen_does_nothing(path: Path) -> None:
    """Some versions of Python have no setting that keeps SQLite from it."""
    with closing(connect(path)) as ours:
        with closing(sqlite3.connect(path / "catalogue.sqlite")) as theirs:
            theirs.executescript("CREATE TRIGGER t AFTER INSERT ON gallery BEGIN DELETE FROM recent; END")
        with suppress(sqlite3.DatabaseError):
            ours.execute("INSERT INTO gallery VALUES ('more', 'x')")
        assert ours.execute("SELECT count(*) FROM recent").fetchone()[0] > 0


@pytest.mark.parametrize("value", [bytes(9_000_000), "9" * 9_000_000], ids=["a blob", "a text"])
def test_a_value_that_is_too_long_is_not_read(path: Path, value: bytes | str) -> None:
    with sqlite3.connect(path / "catalogue.sqlite") as database:
        database.execute("UPDATE gallery SET value = ? WHERE key = 'calibration'", (value,))
    database.close()
    with pytest.raises(GalleryError, match="its catalogue is damaged: string or blob too big"):
        Gallery.open(path)


def test_a_file_that_a_writer_takes_away_while_the_folder_is_listed(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who holds the lock is noted in a file of a moment: it is there when the folder is listed, and gone when it is looked at."""
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: [*listed(folder), folder / "writer.json"])
    assert not (whole / "writer.json").exists()
    assert len(Gallery.open(whole)) == 46
