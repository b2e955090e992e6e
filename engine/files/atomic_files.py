"""Outputs appear under their final name only when they are whole."""

import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa

from engine.errors import OutputError
from engine.files import object_storage as places

# What pyarrow raises of a file that is damaged.
UNREADABLE = (OSError, ValueError, pa.ArrowException)

# What was asked for in this process, and what stands, whole, under its final name.
_asked: dict[Path, None] = {}
_finished: set[Path] = set()


def finish(path: Path) -> None:
    """Note that an output stands under its final name."""
    _finished.add(path)


def outputs_finished() -> list[Path]:
    """Of the outputs that this process was asked for, those that stand whole under their final names."""
    return [path for path in _asked if path in _finished and (places.is_remote(path) or path.exists())]


def check_output(path: Path, overwrite: bool) -> None:
    """Refuse, before any work is done, an output that exists or whose folder cannot be written to.

    Raises:
        OutputError: it exists and `overwrite` is false, or its folder is missing, not writable, or may not be entered.
    """
    _asked[path] = None
    with refusing(path):  # a folder that may not be entered does not say what is in it
        there = places.exists(path)
    if there and not overwrite:
        raise OutputError(f"{path} exists already; choose another name, or pass overwrite=True to replace it")
    if places.is_remote(path):
        places.require_writable(path)
        return
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {folder}; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {path}: no permission to write in {folder}")


def unfinished(out: Path, ending: str) -> Path:
    """The folder that an interrupted run to `out` goes on from: beside it, or in the current folder where it lies in object
    storage.
    """
    name = f"{out.name}.{ending}"
    return Path(name) if places.is_remote(out) else out.with_name(name)


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """The system's errors while writing as ours.

    Raises:
        OutputError: the system refused a write (disk full, no permission); names the path and the system's reason.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary file, which only its owner may read; rename it to `path` when the block ends well, remove it when it does
    not. Where `path` lies in object storage, the file is temporary here, and goes there.

    Raises:
        OutputError: the system refused a write (disk full, no permission); names the file and the system's reason.
    """
    if places.is_remote(path):
        with places.staged(path) as here:
            yield here
            places.upload(here, path)
        finish(path)
        return
    with refusing(path), _private_folder(path) as folder:
        temporary = folder / path.name
        os.close(new_file(temporary))
        yield temporary
        keep_private(temporary)  # a library may have put a file of its own there
        sync_file(temporary)
        temporary.replace(path)
        finish(path)
        sync_file(path.parent)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """As `whole_file`, for a folder, which only its owner may enter: what stood at `path` before is replaced only once the new
    folder is complete.

    Raises:
        OutputError: the system refused a write.
    """
    with refusing(path):
        _tidy_after_killed(path)
        with _private_folder(path) as folder, _alive(folder):
            temporary, replaced = folder / path.name, folder / _REPLACED
            temporary.mkdir(0o700)
            yield temporary
            for file in temporary.rglob("*"):
                keep_private(file)
                sync_file(file)
            sync_file(temporary)
            try:
                if path.exists():
                    path.replace(replaced)
                temporary.replace(path)
                finish(path)
                sync_file(path.parent)
            finally:
                if replaced.exists() and not path.exists():
                    replaced.replace(path)


# What a folder of ours beside an output is called, `.NAME.RANDOM.partial`, what says that its process lives, and what was at the
# output before. RANDOM has no dot, so that none is taken for that of another NAME.
_RANDOM, _ALIVE, _REPLACED = r"[a-z0-9_]{8}", ".alive", ".replaced"


@contextmanager
def _private_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path`, under a name that nobody foresees and that nobody else may enter; it goes with the block.

    In a folder where others may write, they may also rename what lies there, ours too. So it is given by way of its descriptor,
    where the system has such paths: whatever others put in its place is not what is written to.
    """
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if not _is_ours(os.fstat(descriptor)) or list(os.scandir(descriptor)):
            raise OutputError(f"cannot write {path}: somebody else changes {path.parent} meanwhile; write to another folder")
        by_descriptor = Path(f"/proc/self/fd/{descriptor}")
        try:
            yield by_descriptor if by_descriptor.is_dir() else folder
        finally:
            _empty(descriptor)
            with suppress(FileNotFoundError):  # others may have renamed it
                folder.rmdir()
    finally:
        os.close(descriptor)


def _empty(descriptor: int) -> None:
    """Remove all that lies in the folder that a descriptor is of."""
    for entry in os.scandir(descriptor):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.name, dir_fd=descriptor)
        else:
            os.unlink(entry.name, dir_fd=descriptor)


@contextmanager
def _alive(folder: Path) -> Iterator[None]:
    """Hold a lock in a folder that we work in: the system takes it back from a process that dies. The folder is reached by its
    descriptor, since by its name others may lead elsewhere. Raises `BlockingIOError` where somebody holds it.
    """
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        held = os.open(_ALIVE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=opened)
    finally:
        os.close(opened)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(held)


def own_folder(path: Path) -> None:
    """Make a folder that only its owner may enter, or see that one of ours is there.

    Raises:
        OutputError: what is there is a link, somebody else's, or others may write in it; or the system refused.
    """
    with refusing(path):
        with suppress(FileExistsError):
            path.mkdir(0o700)
        found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise OutputError(f"cannot write {path}: it is no folder, or a link to one; take it away")
    if not _is_ours(found):
        raise OutputError(f"cannot write {path}: it is somebody else's, or others may write in it; take it away")


def _is_ours(found: os.stat_result) -> bool:
    """Whether a folder is of this user, and nobody else may write in it."""
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def bring_back(path: Path) -> None:
    """Where a killed process was about to replace the folder `path`, and neither is there: have the old one there again."""
    with suppress(FileNotFoundError, PermissionError):  # of the folder that it would lie in
        for leftover in _of_killed(path):
            if (leftover / _REPLACED).is_dir() and not os.path.lexists(path):
                (leftover / _REPLACED).replace(path)


def _tidy_after_killed(path: Path) -> None:
    """Bring back what a killed process was about to replace at `path`, and remove what it left half made."""
    bring_back(path)
    for leftover in _of_killed(path):
        shutil.rmtree(leftover)


def _of_killed(path: Path) -> Iterator[Path]:
    """Folders that `whole_folder` made for this very path, as this user, in a process that lives no more."""
    known = re.compile(rf"\.{re.escape(path.name)}\.{_RANDOM}\.partial")
    for entry in os.scandir(path.parent):
        leftover = Path(entry.path)
        if not known.fullmatch(entry.name) or not entry.is_dir(follow_symlinks=False) or not _is_ours(leftover.lstat()):
            continue
        if (leftover / _ALIVE).is_file() and not (leftover / _ALIVE).is_symlink():
            with suppress(BlockingIOError), _alive(leftover):
                yield leftover


def new_file(path: Path) -> int:
    """The descriptor of a new file, for its owner alone. Raises `FileExistsError` where anything is there, a link too."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)


def keep_private(file: Path) -> None:
    """Let only its owner read and write a file, or enter a folder."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fchmod(descriptor, 0o700 if stat.S_ISDIR(os.fstat(descriptor).st_mode) else 0o600)
    finally:
        os.close(descriptor)


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync_file(path: Path) -> None:
    """Have the system put a file, or a folder's list of files, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def tidy(path: Path) -> None:
    """Take away what a killed process left half made for the folder `path`, where that is allowed."""
    with suppress(OSError):
        _tidy_after_killed(path)
