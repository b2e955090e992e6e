"""Nothing that was so once is taken for what is: after kills, repairs, replacements, and beside other writers."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.errors import GalleryError, OnekError
from engine.gallery.gallery import Gallery
from engine.maintenance.integrity import check
from engine.maintenance.repair import repair
from engine.storage.catalogue import read_catalogue
from tests.support.galleries import people

_KILLED = """
import os, signal, sys
from pathlib import Path
from engine.gallery.gallery import Gallery
from tests.support.galleries import people

path, when = Path(sys.argv[1]), sys.argv[2]

def deadly(rename):
    def call(source, target, **more):
        if when == "before" and Path(str(source)).name == path.name:
            os.kill(os.getpid(), signal.SIGKILL)
        rename(source, target, **more)
        if when == "between" and Path(str(source)).name == path.name:
            os.kill(os.getpid(), signal.SIGKILL)
        if when == "after" and Path(str(target)).name == path.name:
            os.kill(os.getpid(), signal.SIGKILL)
    return call

os.replace, os.rename = deadly(os.replace), deadly(os.rename)
Gallery.build(people(50, 55), path, overwrite=True)
"""

OLD, NEW = [f"id{number}" for number in range(3)], [f"id{number}" for number in range(50, 55)]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return Gallery.build(people(0, 30), tmp_path / "g")


@pytest.mark.parametrize(
    ("when", "asked"),
    [
        ("before", "open"),
        ("after", "open"),
        ("between", "open"),
        ("between", "enroll"),
        ("between", "check"),
        ("between", "build"),
    ],
)
def test_a_gallery_is_there_whenever_its_replacement_is_killed(tmp_path: Path, when: str, asked: str) -> None:
    """Between the two renames neither stands at its place: who asks next finds the old one, whatever he asks."""
    path, there = tmp_path / "g", NEW if when == "after" else OLD
    Gallery.build(people(0, 3), path)
    done = subprocess.run([sys.executable, "-c", _KILLED, str(path), when], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.exists() == (when != "between")
    if asked == "check":
        assert check(path) == []
    elif asked == "build":
        Gallery.build(people(60, 61), path, overwrite=True)
        assert [file.name for file in tmp_path.iterdir()] == ["g"]  # and what was half done is tidied away
        there = ["id60"]
    elif asked == "enroll":
        Gallery.open(path).enroll(people(60, 61))
        there = [*there, "id60"]
    assert Gallery.open(path).identities == sorted(there)


@pytest.fixture
def hindered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who cannot write what SQLite wants beside a log, as on a disk that is full or read-only."""

    class Hindered(sqlite3.Connection):
        def execute(self, *arguments: Any) -> Any:
            raise sqlite3.OperationalError("unable to open database file")

    connect = sqlite3.connect

    def open_hindered(address: Any, **more: Any) -> sqlite3.Connection:
        if "mode=ro" in str(address) and "immutable" not in str(address):
            more["factory"] = Hindered
        return connect(address, **more)

    monkeypatch.setattr(sqlite3, "connect", open_hindered)


def test_a_reader_who_cannot_read_the_log_does_not_go_without(gallery: Gallery, request: pytest.FixtureRequest) -> None:
    """What was acknowledged last stands in the log alone: no answer is better than the one before it."""
    gallery.enroll(people(30, 31))
    gallery.remove(["id3"])
    assert (gallery.path / "catalogue.sqlite-wal").stat().st_size
    request.getfixturevalue("hindered")
    try:
        seen = Gallery.open(gallery.path).identities
    except OnekError:
        return
    assert "id30" in seen
    assert "id3" not in seen


@pytest.mark.parametrize("log", ["none", "empty"])
def test_a_gallery_at_rest_is_read_where_nothing_can_be_written(
    gallery: Gallery, log: str, request: pytest.FixtureRequest
) -> None:
    """The other side: without a log, or with one that holds nothing, there is nothing that would be missed."""
    gallery.enroll(people(30, 31))
    gallery.close()
    for ending in ("-wal", "-shm"):
        (gallery.path / f"catalogue.sqlite{ending}").unlink(missing_ok=True)
    if log == "empty":
        (gallery.path / "catalogue.sqlite-wal").touch()
    request.getfixturevalue("hindered")
    assert "id30" in Gallery.open(gallery.path).identities


@pytest.mark.parametrize(("writes", "read"), [(0, True), (1, True), (4, True), (5, False)])
def test_a_log_that_grows_while_it_is_copied_is_copied_again(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, writes: int, read: bool
) -> None:
    """Half of one change and half of another is no catalogue. Who goes on writing is not waited for."""
    gallery.enroll(people(30, 31))
    request.getfixturevalue("hindered")
    copyfile, copied = shutil.copyfile, []

    def beside_a_writer(source: Path, target: Path) -> Path:
        done = copyfile(source, target)
        if source.name.endswith("-wal"):
            copied.append(source)
            if len(copied) <= writes:
                os.utime(source, ns=(0, len(copied)))
        return done

    monkeypatch.setattr(shutil, "copyfile", beside_a_writer)
    if read:
        assert "id30" in read_catalogue(gallery.path).changes.recent.table["identity"].to_pylist()  # type: ignore[union-attr]
        assert len(copied) == writes + 1
    else:
        with pytest.raises(GalleryError, match="it is being written to from elsewhere, and no file can"):
            read_catalogue(gallery.path)


@pytest.mark.parametrize("harm", ["index", "vectors.npy"])
def test_changes_survive_a_repair(gallery: Gallery, harm: str) -> None:
    """Who was renamed is called so still, who was removed is gone still, and a freed name is free."""
    gallery.rename("id1", "one")
    gallery.rename("one", "first")
    gallery.rename("id2", "id1")
    gallery.remove(["id3"], templates=["id4#0"])
    gallery.enroll(people(40, 41))
    before = dict(gallery.templates_by_identity())
    assert (before["first"], before["id1"], before["id4"], before["id40"]) == (2, 2, 1, 2)
    gallery.close()
    file = gallery.path / f"segment-000001.{harm}"
    file.write_bytes(file.read_bytes()[:-1])
    assert repair(gallery.path)
    for again in (Gallery.open(gallery.path), gallery):
        again.refresh()
        assert dict(again.templates_by_identity()) == before
        found = again.identify(people(1, 3, each=1, noise=1), threshold=0.5)
        assert [result.identity for result in found] == ["first", "id1"]
    with closing(sqlite3.connect(gallery.path / "catalogue.sqlite")) as database:
        named = "SELECT segment FROM removed UNION SELECT segment FROM renamed UNION SELECT name FROM segments"
        assert len(database.execute(named).fetchall()) == 1
    done = again.enroll(people(3, 4))  # who was removed joins anew, in nobody's place
    assert (done.templates, done.replaced) == (2, 0)
    before["id3"] = 2
    again.compact()
    assert dict(again.templates_by_identity()) == before
    again.rename("id1", "id2")
    again.enroll(people(70, 71, each=1).of("id1"))
    assert dict(Gallery.open(gallery.path).templates_by_identity()) == {**before, "id1": 1, "id2": 2}


@pytest.mark.parametrize("sealed", ["behind", "anew", "not"])
def test_an_old_name_does_not_return(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sealed: str) -> None:
    """Sealed under their new names, people keep these, and somebody else may have the old ones."""
    if sealed == "behind":
        monkeypatch.setattr("engine.storage.sealing.SMALL", 10)
    gallery = Gallery.build(people(0, 30), tmp_path / "g")
    gallery.rename("id1", "one")
    gallery.rename("id2", "id1")
    if sealed != "not":
        monkeypatch.setattr("engine.storage.sealing.SEAL_AT", 5)
    joined = 4 if sealed == "not" else 8
    gallery.enroll(people(40, 40 + joined))
    assert (gallery.info().recent == 0) == (sealed != "not")
    monkeypatch.setattr("engine.storage.sealing.SEAL_AT", 50_000)
    gallery.enroll(people(80, 81).of("id2"))
    for seen in (gallery, Gallery.open(gallery.path)):
        found = seen.identify(people(1, 3, each=1, noise=1), threshold=0.5)
        assert [result.identity for result in found] == ["one", "id1"]
        (other,) = seen.identify(people(80, 81, each=1, noise=1), threshold=0.5)
        assert other.identity == "id2"
        assert len(seen.identities) == 30 + joined + 1


@pytest.mark.parametrize("recent", [False, True])
def test_who_was_removed_cannot_be_removed_again(gallery: Gallery, recent: bool) -> None:
    if recent:
        gallery.enroll(people(40, 42))
    name = "id40" if recent else "id5"
    assert gallery.remove(templates=[f"{name}#0"]) == 1
    for again in (gallery, Gallery.open(gallery.path)):
        with pytest.raises(GalleryError, match=f"{name}#0 is not enrolled .*; nothing was removed"):
            again.remove(templates=[f"{name}#0"])
        with pytest.raises(GalleryError, match=rf"{name}#0 is not enrolled .* \(and 1 more\); nothing was removed"):
            again.remove(["id6"], templates=[f"{name}#0", "nothing"])
    assert gallery.remove([name]) == 1
    for again in (gallery, Gallery.open(gallery.path)):
        with pytest.raises(GalleryError, match=f"{name} is not enrolled"):
            again.remove([name])
    assert "id6" in gallery.identities


@pytest.mark.parametrize("recent", [False, True])
@pytest.mark.parametrize("freed", ["removed", "renamed"])
def test_a_name_that_is_free_again_may_be_taken(gallery: Gallery, recent: bool, freed: str) -> None:
    if recent:
        gallery.enroll(people(40, 42))
    name = "id40" if recent else "id5"
    if freed == "removed":
        gallery.remove([name])
    else:
        gallery.rename(name, "elsewhere")
    assert gallery.rename("id6", name) == 2
    (found,) = Gallery.open(gallery.path).identify(people(6, 7, each=1, noise=1), threshold=0.5)
    assert found.identity == name
    with pytest.raises(GalleryError, match=f"{name} is enrolled"):
        gallery.rename("id7", name)
    assert gallery.rename("id7", "id7") == 2


_WRITES = """
import sys, time
from pathlib import Path
from engine.gallery.gallery import Gallery
from tests.support.galleries import people
gallery = Gallery.open(sys.argv[1])
with gallery.backend._writer.holding():
    print("held", flush=True)
    time.sleep(0.4)
gallery.enroll(people(50, 52))
gallery.remove(["id4"])
"""


def test_a_second_writer_waits_for_the_first_and_builds_on_what_he_did(gallery: Gallery) -> None:
    first = subprocess.Popen([sys.executable, "-c", _WRITES, str(gallery.path)], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    first.stdout.readline()
    started = time.monotonic()
    gallery.enroll(people(60, 61), wait=30)
    assert time.monotonic() - started > 0.2
    assert first.wait(60) == 0
    gallery.refresh()
    expected = {f"id{number}" for number in (*range(30), 50, 51, 60)} - {"id4"}
    assert set(gallery.identities) == set(Gallery.open(gallery.path).identities) == expected
    with pytest.raises(GalleryError, match="id4 is not enrolled"):
        gallery.remove(["id4"])
    gallery.close()
    assert check(gallery.path) == []


def test_a_gallery_that_was_built_anew_of_the_same_is_another(tmp_path: Path) -> None:
    """To the byte the same segment, but not who joined it, who left, and what people were called since."""
    gallery = Gallery.build(people(0, 30), tmp_path / "g")
    gallery.enroll(people(50, 51))
    gallery.rename("id1", "one")
    gallery.remove(["id3"])
    reader = Gallery.open(gallery.path)
    before = read_catalogue(tmp_path / "g")
    gallery.close()
    again = Gallery.build(people(0, 30), tmp_path / "g", overwrite=True)
    assert read_catalogue(tmp_path / "g").segments == before.segments
    again.enroll(people(60, 61))
    expected = {f"id{number}" for number in (*range(30), 60)}
    assert reader.refresh()
    assert set(reader.identities) == expected
    gallery.enroll(people(61, 62))
    assert set(Gallery.open(gallery.path).identities) == {*expected, "id61"}
