"""Links, pipes, devices and files without end, planted in galleries, beside outputs and among photographs."""

import os
import random
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.attacks.case import OfGallery, Place, ask_all, changes, people, readings
from engine.errors import ImageProblem
from engine.faces.images import decode, find_images
from engine.files.atomic_files import check_output, own_folder, whole_file, whole_folder
from engine.gallery.gallery import Gallery
from engine.workflows.embed_files import partial_folder

_IN_GALLERY = (
    *("catalogue.sqlite", "catalogue.sqlite-wal", "catalogue.sqlite-shm", "catalogue.sqlite-journal", "catalogue.sha256"),
    *("writer.lock", "writer.json", "segment-000001.index", "segment-000001.vectors.npy", "segment-000001.parquet"),
    *("segment-000002.parquet", "segment-000002.index", "segment-000002.vectors.npy", "segment-000001.density.npy"),
)
_DEVICES = ("/dev/zero", "/dev/full", "/dev/random")
_NOBODY = 65534


class Links(OfGallery):
    """Where one lies is what a sort is called by."""

    def lay(self, place: Place, chance: random.Random) -> str:
        path = self.copied(place, chance)
        sort = chance.choice(["gallery", "gallery", "endless", "output", "leftover", "photographs", "race"])
        if sort == "gallery":
            for _ in range(chance.randint(1, 2)):
                _plant(path / chance.choice(_IN_GALLERY), place, chance)
        elif sort == "endless":
            with (path / chance.choice(_IN_GALLERY)).open("ab") as stream:
                stream.truncate(chance.choice([1 << 26, 1 << 33, 1 << 40]))
        elif sort == "output":
            for name in ("out.txt", "copy", "e.parquet.partial", "merged"):
                if chance.random() < 0.6:
                    _plant(place.work / name, place, chance)
        elif sort == "leftover":
            _leave(place, chance)
        elif sort == "photographs":
            (place.work / "photographs").mkdir()
            for number in range(4):
                _plant(place.work / "photographs" / f"{number}.jpg", place, chance, linked=False)
            (place.work / "photographs" / "round").symlink_to(place.work / "photographs")
        (place.work / "sort").write_text(sort)
        return sort

    def ask(self, place: Place, chance: random.Random) -> None:
        sort, path = (place.work / "sort").read_text(), place.work / "g"
        if sort in ("gallery", "endless"):
            ask_all([*readings(path), *changes(path)])
        elif sort == "photographs":
            _look_at(place.work / "photographs")
        elif sort == "race":
            with _racing(place.work):
                ask_all([lambda: _write(place.work), *chance.sample(changes(path), 2), lambda: _write(place.work)])
        else:
            ask_all([lambda: _write(place.work), *changes(path)])


def _plant(at: Path, place: Place, chance: random.Random, *, linked: bool = True) -> None:
    """Put something where a file is looked for. `linked`: links to the canary too; photographs may be links."""
    shutil.rmtree(at) if at.is_dir() and not at.is_symlink() else at.unlink(missing_ok=True)
    kind = chance.choice(["pipe", "folder", "device", "itself", "nowhere", *(["file", "file", "folder of others"] * linked)])
    if kind == "pipe":
        os.mkfifo(at)
    elif kind == "folder":
        at.mkdir()
    elif kind == "device":
        at.symlink_to(chance.choice(_DEVICES))
    elif kind == "itself":
        at.symlink_to(at.name)
    elif kind == "nowhere":
        at.symlink_to(place.canary / "absent" if linked else place.work / "absent")
    else:
        at.symlink_to(place.canary / ("precious" if kind == "file" else "folder"))


def _leave(place: Place, chance: random.Random) -> None:
    """What a killed process of somebody else's would have left."""
    for name in ("g", "copy", "out.txt", "gal.old"):
        folder = (
            place.work / f".{name}.{chance.choice(['99999', 'abcdefgh', 'abcd.fgh'])}.{chance.choice(['partial', 'replaced'])}"
        )
        kind = chance.randrange(3)
        if folder.is_symlink() or folder.exists():
            continue
        if kind == 0:
            folder.symlink_to(place.canary / chance.choice(["precious", "folder", "absent"]))
        else:
            folder.mkdir(0o777)
            (folder / ".alive").symlink_to(place.canary / "precious")
            (folder / ".replaced").symlink_to(place.canary / "folder")
            (folder / name).symlink_to(place.canary / "folder")
    if chance.random() < 0.5:
        shutil.rmtree(place.work / "g")


def _write(work: Path) -> None:
    """All ways in which outputs are written."""
    with whole_file(work / "out.txt") as temporary:
        temporary.write_text("ours")
    own_folder(partial_folder(work / "e.parquet"))
    check_output(work / "other", overwrite=False)
    with whole_folder(work / "other") as folder:
        (folder / "inside").write_text("ours")
    Gallery.build(people(0, 20), work / "built", score="plain", overwrite=True).close()


def _look_at(folder: Path) -> None:
    found = find_images(folder)
    for path in found:
        try:
            decode(path)
        except ImageProblem:
            continue


@contextmanager
def _racing(work: Path) -> Iterator[None]:
    """While another user, if this one may become one, swaps whatever is half made in a folder of everybody's for links."""
    if os.geteuid() != 0:
        yield
        return
    work.chmod(0o777)
    victim = Path(tempfile.gettempdir(), "victim")
    ready, go = os.pipe()
    if not (racer := os.fork()):
        try:
            os.chdir(work)  # he could not enter the folders above
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
            os.write(go, b".")
            _race(victim)
        finally:
            os._exit(0)
    os.close(go)
    try:
        os.read(ready, 1)
        yield
    finally:
        os.close(ready)
        os.kill(racer, signal.SIGKILL)
        os.waitpid(racer, 0)


def _race(victim: Path) -> None:
    turn = 0
    while True:
        for entry in Path().iterdir():
            if not entry.name.startswith(".") or "moved" in entry.name:
                continue
            turn += 1
            try:
                entry.rename(f".moved{turn}")
                if turn % 2:
                    entry.mkdir(0o777)
                    for name in ("out.txt", "inside", ".alive", "other", "built", "copy", "merged"):
                        (entry / name).symlink_to(victim)
                else:
                    entry.symlink_to(victim.parent)
            except OSError:
                continue
