"""The order in which things reach the disk, so that what was acknowledged is there after the power went."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from engine.files.atomic_files import whole_file, whole_folder
from engine.gallery.gallery import Gallery
from engine.inspection.label_audit import write_audit
from engine.storage.catalogue import connect
from engine.storage.writer_lock import Writer
from engine.templates.parquet import TemplateWriter
from engine.templates.problems import write_problems
from engine.workflows.identify_files import identify_to_file
from tests.support.galleries import people

Place = tuple[int, int]


class Disk:
    """What was asked of the disk, in order. A file is known by its device and inode, whatever it is called meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, Place, str]] = []
        fsync, replace, rename = os.fsync, os.replace, os.rename

        def synced(descriptor: int) -> None:
            fsync(descriptor)
            self.events.append(("sync", place(os.fstat(descriptor)), ""))

        def renamed(how: Callable[..., None]) -> Callable[..., None]:
            def call(source: object, target: object, **more: object) -> None:
                known = place(os.stat(source, dir_fd=more.get("src_dir_fd"), follow_symlinks=False))  # type: ignore[arg-type]
                how(source, target, **more)
                self.events.append(("rename", known, Path(str(target)).name))

            return call

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(os, "replace", renamed(replace))
        monkeypatch.setattr(os, "rename", renamed(rename))

    def assert_durable(self, path: Path) -> None:
        """All of `path` was on the disk before it was called so, and its name was after that."""
        (at,) = [number for number, event in enumerate(self.events) if event[0] == "rename" and event[2] == path.name]
        before = {where for what, where, _ in self.events[:at] if what == "sync"}
        after = {where for what, where, _ in self.events[at:] if what == "sync"}
        for each in (path, *path.rglob("*")):
            if each.name.endswith(("-wal", "-shm")):  # of who opened it since
                continue
            assert place(each.stat()) in before, each
        assert place(path.parent.stat()) in after


def place(found: os.stat_result) -> Place:
    return found.st_dev, found.st_ino


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def open_mask() -> Iterator[None]:
    """A user whose files everybody may read and write, where a program says nothing else."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_file_is_on_the_disk_before_it_has_its_name(disk: Disk, tmp_path: Path) -> None:
    for text in ("first", "second"):
        disk.events.clear()
        with whole_file(tmp_path / "a.txt") as temporary:
            temporary.write_text(text)
        disk.assert_durable(tmp_path / "a.txt")


def test_a_folder_is_on_the_disk_before_it_has_its_name(disk: Disk, tmp_path: Path) -> None:
    for text in ("first", "second"):
        disk.events.clear()
        with whole_folder(tmp_path / "g") as temporary:
            (temporary / "a").write_text(text)
            (temporary / "b").write_text(text)
        disk.assert_durable(tmp_path / "g")


def test_galleries_and_their_copies_are_durable(disk: Disk, tmp_path: Path) -> None:
    gallery = Gallery.build(people(0, 60, each=1), tmp_path / "g")
    disk.assert_durable(gallery.path)
    gallery.backup(tmp_path / "copy")
    disk.assert_durable(tmp_path / "copy")


def test_a_segment_is_on_the_disk_before_the_catalogue_names_it(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = Gallery.build(people(0, 60, each=1), tmp_path / "g")
    gallery.enroll(people(60, 63))
    disk.events.clear()
    named = []

    def putting() -> None:
        files = list(gallery.path.glob("segment-000002.*"))
        assert len(files) == 5
        synced = {where for _, where, _ in disk.events}
        named.extend(place(file.stat()) in synced for file in (*files, gallery.path))

    from engine.storage.catalogue import put_measured

    monkeypatch.setattr("engine.storage.sealing.put_measured", lambda *arguments: (putting(), put_measured(*arguments)))
    gallery.compact()
    assert named == [True] * 6


def test_the_digest_of_a_gallery_at_rest_is_durable(disk: Disk, tmp_path: Path) -> None:
    gallery = Gallery.build(people(0, 30), tmp_path / "g")
    gallery.enroll(people(30, 31))
    disk.events.clear()
    gallery.close()
    disk.assert_durable(tmp_path / "g" / "catalogue.sha256")


def test_a_change_is_on_the_disk_when_it_is_acknowledged(tmp_path: Path) -> None:
    """By SQLite's own promise: a log that is synced at every commit; and what is deleted is overwritten."""
    gallery = Gallery.build(people(0, 30), tmp_path / "g")
    writer = Writer(gallery.path)
    with writer.holding(), writer.connection() as database:
        found = {
            name: database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode", "secure_delete")
        }
    assert found == {"synchronous": 2, "journal_mode": "wal", "secure_delete": 1}
    writer.close()
    other = connect(gallery.path)
    assert other.execute("PRAGMA synchronous").fetchone() == (2,)
    other.close()


def test_no_change_leaves_the_digest_of_before(tmp_path: Path) -> None:
    """A writer that is killed after a change leaves none, rather than one that is not so."""
    gallery = Gallery.build(people(0, 30), tmp_path / "g")
    assert (tmp_path / "g" / "catalogue.sha256").exists()
    gallery.enroll(people(30, 31))
    assert not (tmp_path / "g" / "catalogue.sha256").exists()
    gallery.close()
    assert (tmp_path / "g" / "catalogue.sha256").exists()


def assert_private(folder: Path) -> int:
    """Of all below a folder; how many that is."""
    files = list(folder.rglob("*"))
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == (0o700 if file.is_dir() else 0o600), file
    return len(files)


@pytest.mark.usefixtures("open_mask")
def test_what_is_written_only_its_owner_may_read(tmp_path: Path) -> None:
    gallery = Gallery.build(people(0, 60, each=1), tmp_path / "g")
    gallery.enroll(people(60, 62))
    gallery.rename("id3", "three")
    gallery.compact()
    gallery.remove(["id9"])
    assert_private(tmp_path)  # before a copy, which has the same files under other names
    gallery.backup(tmp_path / "copy")
    gallery.close()
    templates = people(0, 5)
    with whole_file(tmp_path / "t.parquet") as temporary, TemplateWriter(temporary, templates.provenance) as writer:
        for rows in templates.table.to_batches():
            writer.write(rows)
    for ending in ("csv", "parquet", "jsonl"):
        identify_to_file(gallery, [tmp_path / "t.parquet"], tmp_path / f"of-{ending}.{ending}", threshold=0.5)
    write_audit(tmp_path / "audit.csv", [])
    write_problems(tmp_path / "x.csv", [])
    assert assert_private(tmp_path) > 15
    assert pq.read_table(tmp_path / "of-parquet.parquet").num_rows == 10
    assert np.all(gallery.index.vectors(np.arange(2)))


@pytest.mark.usefixtures("open_mask")
def test_what_is_being_written_only_its_owner_may_read(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a") as temporary:
        temporary.write_text("secret")
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
    with whole_folder(tmp_path / "g") as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o700
