"""One writer at a time: what it finds, what it leaves, and what becomes of a change that fails."""

import json
import os
import stat
from pathlib import Path

import pytest

from engine.errors import GalleryBusy, GalleryError
from engine.gallery.gallery import Gallery
from engine.maintenance.integrity import check
from engine.storage.catalogue import put, read_version
from engine.storage.writer_lock import Writer, locked
from tests.support.galleries import people

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    gallery = Gallery.build(people(0, 5), tmp_path / "g")
    gallery.close()
    return gallery.path


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if not file.name.endswith(("-wal", "-shm"))}


def test_what_a_killed_writer_left_goes_with_the_next_change(folder: Path) -> None:
    """Segments that nobody names, and half a digest, which is a folder or was a file; nothing else."""
    whole = names(folder)
    for name in ("segment-000002.parquet", "segment-000007.index", ".catalogue.sha256.x1.partial", "notes.txt"):
        (folder / name).touch()
    (folder / ".catalogue.sha256.x2.partial").mkdir()
    (folder / ".catalogue.sha256.x2.partial" / "catalogue.sha256").touch()
    gallery = Gallery.open(folder)
    assert names(folder) > whole | {"segment-000002.parquet"}
    gallery.enroll(people(50, 51))
    # While it writes, it takes away nothing that came since: an embedding of its own may be under way.
    (folder / "segment-000005.parquet").touch()
    gallery.enroll(people(51, 52))
    assert "segment-000005.parquet" in names(folder)
    gallery.close()
    assert names(folder) - {"writer.lock"} == whole - {"writer.lock"} | {"notes.txt", "segment-000005.parquet"}
    Gallery.open(folder).enroll(people(52, 53))
    assert "segment-000005.parquet" not in names(folder)


def test_who_holds_the_lock_is_said(folder: Path) -> None:
    with locked(folder):
        holder = folder / "writer.json"
        assert stat.S_IMODE(holder.stat().st_mode) == 0o600
        said = json.loads(holder.read_text())
        assert said["pid"] == os.getpid()
        expected = rf"is being written to by process {os.getpid()} \(.*\) since 20.*; waited 0 s, so try again, or wait=60"
        with pytest.raises(GalleryBusy, match=expected):
            Gallery.open(folder).remove(["id0"], wait=0)
        for unreadable in ("", "{}", "[]", "3", '{"pid": 1}', "[" * 100_000):
            holder.write_text(unreadable)
            with pytest.raises(GalleryBusy, match="is being written to by another process; waited 0.05 s"):
                Gallery.open(folder).remove(["id0"], wait=0.05)
        holder.unlink()  # whoever took it away
    assert not (folder / "writer.json").exists()
    assert Gallery.open(folder).remove(["id0"], wait=0) == 2


def test_a_folder_without_a_gallery_is_not_written_to(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="gone: no such gallery"), locked(tmp_path / "gone"):
        pass
    (tmp_path / "empty").mkdir()
    with pytest.raises(GalleryError, match="is no gallery"), Writer(tmp_path / "empty").holding():
        pass


def test_a_change_that_fails_did_not_happen(folder: Path) -> None:
    """And the writer goes on with the next."""
    writer, before = Writer(folder), read_version(folder)
    with writer.holding(), pytest.raises(KeyError), writer.changing() as database:
        put(database, "created", "never")
        raise KeyError
    assert (writer.version(), read_version(folder)) == (before, before)
    with writer.holding(), writer.changing() as database:
        assert database.execute("SELECT value FROM gallery WHERE key = 'created'").fetchone() != ("never",)
        put(database, "created", "now")
    assert read_version(folder) == (before[0], before[1] + 1)
    with writer.holding(), writer.connection() as database:
        assert database.execute("SELECT value FROM gallery WHERE key = 'created'").fetchone() == ("now",)
        assert not database.in_transaction
    # A transaction that SQLite ended itself is not ended again: the first error is told.
    with writer.holding(), pytest.raises(KeyError), writer.changing() as database:
        database.execute("ROLLBACK")
        raise KeyError
    writer.close()
    writer.close()


def test_a_writer_of_a_gallery_that_was_replaced_writes_to_the_new_one(folder: Path) -> None:
    """It had written to the old one, whose catalogue it has open."""
    gallery = Gallery.open(folder)
    gallery.enroll(people(50, 51))
    Gallery.build(people(100, 105), folder, overwrite=True).close()
    gallery.enroll(people(51, 52))
    assert Gallery.open(folder).identities == [*(f"id{number}" for number in range(100, 105)), "id51"]
    gallery.remove(["id51"])
    assert len(Gallery.open(folder)) == 10
    # And an old connection that is closed leaves no digest of its own beside the new catalogue.
    gallery.close()
    assert Gallery.open(folder).check() == []


def test_a_digest_lies_there_while_nobody_writes(folder: Path) -> None:
    digest = folder / "catalogue.sha256"
    before = digest.read_bytes()
    gallery = Gallery.open(folder)
    gallery.rename("id1", "one")
    assert not digest.exists()
    gallery.close()
    assert digest.read_bytes() != before
    assert not (folder / "catalogue.sqlite-wal").exists()
    # Of somebody who cannot have the lock there is none, and no error: as good, but for bytes that say nothing.
    gallery.rename("one", "two")
    with locked(folder):
        gallery.close()
    assert not digest.exists()
    assert Gallery.open(folder).check() == []


def endless(file: Path) -> None:
    """A terabyte, all of it a hole."""
    with file.open("ab") as stream:
        stream.truncate(1 << 40)


def test_a_digest_without_end_is_none_of_ours(folder: Path) -> None:
    endless(folder / "catalogue.sha256")
    assert [fault.file.name for fault in check(folder)] == ["catalogue.sqlite"]


def test_of_who_writes_no_more_is_read_than_a_writer_says(folder: Path) -> None:
    with locked(folder):
        endless(folder / "writer.json")
        with pytest.raises(GalleryBusy, match="another process"):
            Gallery.open(folder).remove(["id1"], wait=0)
