"""One writer at a time: the lock, and who holds it."""

import json
import logging
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from engine.catalogue import put, read_catalogue, upgrade, writing
from engine.errors import GalleryBusy, OutputError

WAIT = 10.0
"""Seconds that a writer waits for another."""

# The lock, which the system takes back from a process that dies, and a note of who holds it.
LOCK, HOLDER = "writer.lock", "writer.json"
_log = logging.getLogger(__name__)


@contextmanager
def locked(folder: Path, wait: float = WAIT) -> Iterator[None]:
    """Be the one writer of a gallery.

    Raises:
        GalleryBusy: somebody else was, for `wait` seconds; says who.
        GalleryError: there is no gallery.
        OutputError: the folder cannot be written to.
    """
    read_catalogue(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {folder}: no permission to write in it")
    lock = FileLock(folder / LOCK, timeout=wait, mode=0o600)
    try:
        lock.acquire()
    except Timeout as error:
        raise GalleryBusy(
            f"{folder} is being written to by {_holder(folder)}; waited {wait:g} s, so try again or --wait longer"
        ) from error
    try:
        said = {"pid": os.getpid(), "command": " ".join(sys.argv[:2]), "since": datetime.now(UTC).isoformat(timespec="seconds")}
        (folder / HOLDER).write_text(json.dumps(said), encoding="utf-8")
        _tidy(folder)
        yield
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


@contextmanager
def changing(folder: Path) -> Iterator[sqlite3.Connection]:
    """One change of the catalogue, by whoever holds the lock: all of it is durable when the block ends, or none of it happened.

    Raises:
        OutputError: SQLite cannot write.
    """
    with writing(folder) as database:
        database.execute("BEGIN IMMEDIATE")
        try:
            upgrade(database)
            yield database
            (version,) = database.execute("SELECT value FROM gallery WHERE key = 'version'").fetchone()
            put(database, "version", str(int(version) + 1))
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")


def _tidy(folder: Path) -> None:
    """Remove what a killed writer left: segments that no catalogue names."""
    names = {segment.name for segment in read_catalogue(folder).segments}
    for file in folder.glob("segment-*"):
        if file.name.split(".")[0] not in names:
            _log.info("removing %s, which an interrupted change left", file)
            file.unlink()


def _holder(folder: Path) -> str:
    try:
        said = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"process {said['pid']} ({said['command']}) since {said['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
