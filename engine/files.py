"""Outputs appear under their final name only when they are whole."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow as pa

from engine import places
from engine.errors import OutputError

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
        OutputError: it exists and `overwrite` is false, or its folder is missing or not writable.
    """
    _asked[path] = None
    if (places.exists(path) if places.is_remote(path) else path.exists()) and not overwrite:
        raise OutputError(f"{path} exists already; choose another name, or pass --overwrite to replace it")
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
    """Give a temporary file beside `path`, which only its owner may read; rename it to `path` when the block ends well, remove it
    when it does not. Where `path` lies in object storage, the file is temporary here, and goes there.

    Raises:
        OutputError: the system refused a write (disk full, no permission); names the file and the system's reason.
    """
    if places.is_remote(path):
        with places.staged(path) as here:
            yield here
            places.upload(here, path)
        finish(path)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with refusing(path):
        try:
            temporary.touch(0o600)
            yield temporary
            sync_file(temporary)
            temporary.replace(path)
            finish(path)
            sync_file(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """As `whole_file`, for a folder, which only its owner may enter: what stood at `path` before is replaced only once the new
    folder is complete.

    Raises:
        OutputError: the system refused a write.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    replaced = path.with_name(f".{path.name}.{os.getpid()}.replaced")
    with refusing(path):
        _tidy_after_killed(path)
        try:
            temporary.mkdir(0o700)
            yield temporary
            for file in temporary.rglob("*"):
                keep_private(file)
                sync_file(file)
            sync_file(temporary)
            if path.exists():
                path.replace(replaced)
            temporary.replace(path)
            finish(path)
            sync_file(path.parent)
        finally:
            if replaced.exists() and not path.exists():
                replaced.replace(path)
            for leftover in (temporary, replaced):
                if leftover.exists():
                    shutil.rmtree(leftover)


def bring_back(path: Path) -> None:
    """Where a killed process was about to replace the folder `path`, and neither is there: have the old one there again."""
    if not path.exists():
        for leftover in _of_killed(path, ".replaced"):
            leftover.replace(path)
            return


def _tidy_after_killed(path: Path) -> None:
    """Bring back what a killed process was about to replace at `path`, and remove what it left half made."""
    bring_back(path)
    for leftover in (*_of_killed(path, ".replaced"), *_of_killed(path, ".partial")):
        if leftover.is_dir():
            shutil.rmtree(leftover)


def _of_killed(path: Path, ending: str) -> list[Path]:
    found = []
    for leftover in path.parent.glob(f".{path.name}.*{ending}"):
        owner = leftover.suffixes[-2][1:] if len(leftover.suffixes) > 1 else ""
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            found.append(leftover)
    return found


def keep_private(file: Path) -> None:
    """Let only its owner read and write a file."""
    file.chmod(0o600)


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
