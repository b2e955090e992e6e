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

# The outputs that this process was asked for, and those that are complete under their final names.
_asked: dict[Path, None] = {}
_finished: set[Path] = set()


def finish(path: Path) -> None:
    """Note that an output is complete under its final name."""
    _finished.add(path)


def outputs_finished() -> list[Path]:
    """The outputs that this process was asked for and that are complete under their final names."""
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
    """The folder in which a run to `out` keeps what it has done so far, so that it can be resumed after an interruption: beside
    `out`, or in the current folder where `out` lies in object storage.
    """
    name = f"{out.name}.{ending}"
    return Path(name) if places.is_remote(out) else out.with_name(name)


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Turn the system's errors while `path` is written into ours.

    Raises:
        OutputError: the system refused a write (disk full, no permission); names the path and the system's reason.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary file that only its owner may read. When the block ends without an error it is renamed to `path`, or
    uploaded where `path` lies in object storage; otherwise it is removed.

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
    """As `whole_file`, for a folder that only its owner may enter. What stood at `path` is replaced only when the new folder is
    complete.

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


# The temporary folder beside an output is called `.NAME.RANDOM.partial`. In it, `.alive` is locked as long as its process lives,
# and `.replaced` is what stood at the output before. RANDOM has no dot, so that one NAME's folder never looks like another's.
_RANDOM, _ALIVE, _REPLACED = r"[a-z0-9_]{8}", ".alive", ".replaced"


@contextmanager
def _private_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path`, with a name that cannot be guessed, which nobody else may enter; it is removed after the block.

    Whoever may write in the folder around it may also rename ours, and put another in its place. Therefore the path that is
    yielded leads through the descriptor of our folder, where the system has such paths: files go there, whatever has its name.
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
    """Remove everything in a folder, given by its descriptor."""
    for entry in os.scandir(descriptor):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.name, dir_fd=descriptor)
        else:
            os.unlink(entry.name, dir_fd=descriptor)


@contextmanager
def _alive(folder: Path) -> Iterator[None]:
    """Hold a lock in a folder while we work in it; the system releases it when the process dies. The lock file is opened relative
    to the folder's descriptor, since others may give the folder's name to something else. Raises `BlockingIOError` where another
    process holds the lock.
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
    """Make a folder that only its owner may enter, or check that one of this user is there already.

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
    """Whether a folder belongs to this user, and nobody else may write in it."""
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def bring_back(path: Path) -> None:
    """Put the folder `path` back in its place, where a process was killed after it had moved it away to replace it."""
    with suppress(FileNotFoundError, PermissionError):  # of the folder that it would lie in
        for leftover in _of_killed(path):
            if (leftover / _REPLACED).is_dir() and not os.path.lexists(path):
                (leftover / _REPLACED).replace(path)


def _tidy_after_killed(path: Path) -> None:
    """Put back what a killed process had moved away from `path`, and remove what it had made so far."""
    bring_back(path)
    for leftover in _of_killed(path):
        shutil.rmtree(leftover)


def _of_killed(path: Path) -> Iterator[Path]:
    """The temporary folders that `whole_folder` made for this path, for this user, in processes that no longer run."""
    known = re.compile(rf"\.{re.escape(path.name)}\.{_RANDOM}\.partial")
    for entry in os.scandir(path.parent):
        leftover = Path(entry.path)
        if not known.fullmatch(entry.name) or not entry.is_dir(follow_symlinks=False) or not _is_ours(leftover.lstat()):
            continue
        if (leftover / _ALIVE).is_file() and not (leftover / _ALIVE).is_symlink():
            with suppress(BlockingIOError), _alive(leftover):
                yield leftover


def new_file(path: Path) -> int:
    """Create a file that only its owner may read, and return its descriptor. Raises `FileExistsError` if anything, even a link,
    has that name.
    """
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
    """Make the system write a file, or a folder's list of files, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def tidy(path: Path) -> None:
    """Clean up what a killed process left of its work on the folder `path`, as far as this user may."""
    with suppress(OSError):
        _tidy_after_killed(path)
