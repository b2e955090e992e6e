"""Folders that another user of the machine may write in: what he plants is neither written through nor taken for ours."""

import fcntl
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from engine.errors import GalleryError, OutputError
from engine.files.atomic_files import bring_back, own_folder, whole_file, whole_folder
from engine.gallery.gallery import Gallery
from engine.workflows.embed_files import partial_folder
from tests.support.galleries import people
from tests.support.other_user import NOBODY

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
# Until told to stop, or for a minute where nobody is left to tell: have whatever appears beside an output give way to a folder
# full of links to the victim's file.
_PLANT = """
import time
ends = time.monotonic() + 60
folder, victim, names = sys.argv[1], sys.argv[2], sys.argv[3].split()
print("ready", flush=True)
turn = 0
while not os.path.exists(os.path.join(folder, "stop")) and time.monotonic() < ends:
    for entry in os.listdir(folder):
        if not entry.startswith(".") or "moved" in entry:
            continue
        place = os.path.join(folder, entry)
        turn += 1
        try:
            os.rename(place, os.path.join(folder, f".moved{turn}"))
            os.mkdir(place, 0o777)
            for name in names:
                os.symlink(victim, os.path.join(place, name))
        except OSError:
            pass
print(turn, flush=True)
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder in which everybody may write, rename and remove."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    (tmp_path / "victim").write_text("precious")
    return tmp_path / "victim"


def as_nobody(code: str, *arguments: object) -> list[str]:
    """A command that becomes somebody else before it runs the code; he need not be able to read this Python's files."""
    become = f"import os, sys; os.chdir('/'); os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    return [sys.executable, "-c", become + code, *map(str, arguments)]


@needs_root
def test_whoever_swaps_what_is_half_made_has_nothing_of_it(shared: Path, victim: Path) -> None:
    planter = subprocess.Popen(as_nobody(_PLANT, shared, victim, "out.txt inside g"), stdout=subprocess.PIPE, text=True)
    assert planter.stdout is not None
    planter.stdout.readline()
    written = 0
    for _ in range(15):
        try:
            with whole_file(shared / "out.txt") as temporary:
                temporary.write_text("ours")
            with whole_folder(shared / "g") as folder:
                (folder / "inside").write_text("ours")
        except OutputError as error:
            assert "\n" not in str(error)  # noqa: PT017
        for file in (shared / "out.txt", shared / "g" / "inside"):
            if file.exists():
                found = file.lstat()
                assert (stat.S_IMODE(found.st_mode), found.st_uid, file.read_text()) == (0o600, os.geteuid(), "ours")
                written += 1
    (shared / "stop").touch()
    assert int(planter.communicate(timeout=10)[0]) > 0
    assert written > 0
    assert victim.read_text() == "precious"


@needs_root
def test_an_unfinished_run_of_somebody_else_is_not_gone_on_with(shared: Path, victim: Path) -> None:
    folder = partial_folder(shared / "e.parquet")
    for plant in (
        "os.symlink(sys.argv[2], sys.argv[1])",
        "os.mkdir(sys.argv[1])",
    ):
        subprocess.run(as_nobody(plant, folder, victim.parent), check=True)
        with pytest.raises(OutputError, match=r"e\.parquet\.partial: it is .*take it away"):
            own_folder(folder)
        folder.unlink() if folder.is_symlink() else folder.rmdir()
    own_folder(folder)
    own_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o770)
    with pytest.raises(OutputError, match="others may write in it"):
        own_folder(folder)


@needs_root
def test_no_gallery_of_somebody_else_comes_back(shared: Path) -> None:
    """He lays out what a process of ours would leave that was killed while it replaced a gallery."""
    plant = "os.makedirs(sys.argv[1] + '/.replaced/x'); open(sys.argv[1] + '/.alive', 'w')"
    subprocess.run(as_nobody(plant, shared / ".g.abcdefgh.partial"), check=True)
    bring_back(shared / "g")
    assert not (shared / "g").exists()
    with whole_folder(shared / "g") as folder:
        (folder / "inside").touch()
    assert (shared / ".g.abcdefgh.partial" / ".replaced").is_dir()


@needs_root
def test_somebody_else_reads_nothing_of_ours(shared: Path) -> None:
    """Whatever a folder allows in which everybody writes."""
    gallery = Gallery.build(people(0, 20), shared / "g", score="plain")
    gallery.enroll(people(50, 51))
    gallery.backup(shared / "copy")
    gallery.close()
    with whole_file(shared / "t.parquet") as temporary:
        pq.write_table(people(0, 5).table, temporary)
    read = (
        "for place, folders, files in os.walk(sys.argv[1], onerror=lambda error: print('shut', error.filename)):\n"
        "    for name in files:\n"
        "        try: open(os.path.join(place, name), 'rb').read(1); print('read', name)\n"
        "        except PermissionError: print('shut', name)\n"
    )
    said = subprocess.run(as_nobody(read, shared), capture_output=True, text=True, check=True).stdout.splitlines()
    assert sorted(said) == sorted([f"shut {shared / 'g'}", f"shut {shared / 'copy'}", "shut t.parquet"])


def test_no_library_looks_for_a_half_made_gallery_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite finds out what a descriptor's path is called, and then opens that: in between others may have it lead elsewhere."""
    opened, connect = [], sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda to, *more, **how: opened.append(str(to)) or connect(to, *more, **how))
    gallery = Gallery.build(people(0, 20), tmp_path / "g", score="plain")
    gallery.backup(tmp_path / "copy")
    gallery.close()
    assert ":memory:" in opened
    assert [place for place in opened if "/fd/" in place or "partial" in place] == []


def test_the_lock_of_what_is_half_made_is_in_its_folder_wherever_that_is(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with pytest.raises(OutputError, match="Not a directory"), whole_folder(tmp_path / "g") as folder:
        (partial,) = tmp_path.glob(".g.*.partial")
        partial.rename(tmp_path / "moved")
        partial.symlink_to(home)
        with _alive_of(tmp_path / "moved") as held:
            assert not held
        (folder / "inside").touch()
    assert list(home.iterdir()) == []
    assert (tmp_path / "g" / "inside").exists()


@contextmanager
def _alive_of(folder: Path) -> Iterator[bool]:
    """Whether nobody holds the lock of a folder."""
    with (folder / ".alive").open() as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
        except BlockingIOError:
            yield False


def test_a_leftover_whose_lock_is_a_link_is_nobody_s(tmp_path: Path, victim: Path) -> None:
    """An archive may be unpacked with such a folder in it, which is the victim's own then."""
    leftover = tmp_path / ".g.abcdefgh.partial"
    (leftover / ".replaced").mkdir(parents=True)
    (leftover / ".alive").symlink_to(victim)
    bring_back(tmp_path / "g")
    assert not (tmp_path / "g").exists()
    with whole_folder(tmp_path / "g") as folder:
        (folder / "inside").touch()
    assert (leftover / ".replaced").is_dir()
    assert victim.read_text() == "precious"


def test_only_what_was_left_for_this_very_name_comes_back(tmp_path: Path) -> None:
    """`gal.old` is another gallery than `gal`."""
    for name in ("gal.old", "gal"):
        with whole_folder(tmp_path / name) as folder:
            (folder / "whose").write_text(name)
    kill = (
        "import os, sys; from pathlib import Path; from engine.files import atomic_files as files\n"
        "class Killed(type(Path())):\n"
        "    def replace(self, to):\n"
        "        done = super().replace(to)\n"
        "        os._exit(9) if Path(to).name == '.replaced' else None\n"
        "        return done\n"
        "with files.whole_folder(Killed(sys.argv[1])) as folder: pass\n"
    )
    for name in ("gal.old", "gal"):
        assert subprocess.run([sys.executable, "-c", kill, tmp_path / name], check=False).returncode == 9
        assert not (tmp_path / name).exists()
    bring_back(tmp_path / "gal")
    assert (tmp_path / "gal" / "whose").read_text() == "gal"
    assert not (tmp_path / "gal.old").exists()
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "gal"):
        raise ZeroDivisionError
    bring_back(tmp_path / "gal.old")
    assert (tmp_path / "gal.old" / "whose").read_text() == "gal.old"


def test_what_a_living_process_makes_is_left_to_it(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "g") as folder:
        (folder / "x").write_text("first")
        with whole_folder(tmp_path / "g") as second:
            (second / "x").write_text("second")
        assert (folder / "x").read_text() == "first"
    assert (tmp_path / "g" / "x").read_text() == "first"
    assert os.listdir(tmp_path) == ["g"]


@pytest.mark.parametrize(
    "name", ["writer.lock", "writer.json", "catalogue.sha256", "catalogue.sqlite-wal", "segment-000001.index"]
)
def test_links_in_a_gallery_are_not_written_through(tmp_path: Path, victim: Path, name: str) -> None:
    gallery = Gallery.build(people(0, 20), tmp_path / "g", score="plain")
    (gallery.path / name).unlink(missing_ok=True)
    (gallery.path / name).symlink_to(victim)
    for question in (lambda: Gallery.open(gallery.path), lambda: gallery.enroll(people(50, 51)), gallery.compact):
        with pytest.raises(GalleryError, match=f"{name} is a link"):
            question()
    gallery.close()
    assert victim.read_text() == "precious"
