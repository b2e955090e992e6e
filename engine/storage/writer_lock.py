"""One writer at a time: the lock, who holds it, and the connection that changes go through."""

import json
import logging
import os
import shutil
import sqlite3
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from engine.errors import GalleryBusy, OutputError
from engine.files.atomic_files import new_file
from engine.files.foreign_sqlite import refuse_planted
from engine.storage.catalogue import NAME, connect, read_catalogue, refusing, upgrade, version_of
from engine.storage.catalogue.digest import DIGEST, drop_digest, write_digest

WAIT = 10.0
"""Seconds that a writer waits for another."""

# The file with the lock, which the system releases when its process dies, and a note of who holds it.
LOCK, HOLDER = "writer.lock", "writer.json"
# How much of a writer's note is read, in bytes: somebody who shares the folder may have put an endless file there.
_MOST_SAID = 1 << 16
_log = logging.getLogger(__name__)


class Writer:
    """Writes to a gallery, whenever it holds the lock.

    It keeps its connection between changes, since opening one takes longer than a change, and closes it at the end of the process
    at the latest. Closed, it leaves the digest, and no write-ahead log unless somebody else reads or writes just then.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: _Kept | None = None

    @contextmanager
    def holding(self, wait: float = WAIT) -> Iterator[None]:
        """Hold the lock, so that no other process or thread writes to the gallery.

        Raises:
            GalleryBusy: somebody else was, for `wait` seconds; says who.
            GalleryError: there is no gallery, or it is damaged.
            OutputError: the folder cannot be written to.
        """
        with locked(self.folder, wait):
            if self._kept is not None and not self._kept.current(self.folder):
                self._kept = None
            if self._kept is None:
                with refusing(self.folder):
                    _tidy(self.folder)
            yield

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """One change of the catalogue, by whoever holds the lock: all of it is durable when the block ends, or none of it
        happened.

        Raises:
            OutputError: SQLite cannot write.
        """
        with refusing(self.folder), self.connection() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                upgrade(database)
                yield database
                database.execute("UPDATE gallery SET value = value + 1 WHERE key = 'version'")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """The connection to write with, for whoever holds the lock; no transaction is begun.

        Raises:
            OutputError: SQLite cannot write.
        """
        with refusing(self.folder):
            if self._kept is None:
                self._kept = _Kept(self.folder)
            drop_digest(self.folder)
            yield self._kept.database

    def version(self) -> tuple[str, int]:
        """As `engine.storage.catalogue.read_version`, for whoever holds the lock."""
        with refusing(self.folder):
            if self._kept is None:
                self._kept = _Kept(self.folder)
            return version_of(self._kept.database)

    def close(self) -> None:
        """Close the connection; the next change opens another."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None


class _Kept:
    """A connection, of the process and to the file that it was made for."""

    def __init__(self, folder: Path) -> None:
        self.database = connect(folder)
        self._inode, self._process = (folder / NAME).stat().st_ino, os.getpid()
        self.close = weakref.finalize(self, _close, self.database, folder, self._inode, self._process)

    def current(self, folder: Path) -> bool:
        """Whether it still is of this process and this file: a process may have forked, a gallery been replaced."""
        return self._process == os.getpid() and (folder / NAME).stat().st_ino == self._inode


def _close(database: sqlite3.Connection, folder: Path, inode: int, process: int) -> None:
    if process != os.getpid():
        return
    try:
        if (folder / NAME).stat().st_ino == inode:
            with locked(folder, wait=0):
                write_digest(folder, database)
    except (GalleryBusy, OutputError, OSError, sqlite3.Error) as error:
        # Whoever else writes will; without one it is as good, but for bytes that mean nothing to SQLite.
        _log.info("%s gets no digest: %s", folder, error)
    database.close()


@contextmanager
def locked(folder: Path, wait: float = WAIT) -> Iterator[None]:
    """Hold a gallery's lock. Raises as `Writer.holding`."""
    if not (folder / NAME).is_file():
        read_catalogue(folder)
    refuse_planted(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {folder}: no permission to write in it")
    lock = FileLock(folder / LOCK, timeout=wait, mode=0o600)
    with refusing(folder):
        try:
            lock.acquire()
        except Timeout as error:
            raise GalleryBusy(
                f"{folder} is being written to by {_holder(folder)}; waited {wait:g} s, so try again, or wait=60 for longer"
            ) from error
    try:
        with refusing(folder):
            _say_who(folder)
        yield
    finally:
        try:
            (folder / HOLDER).unlink(missing_ok=True)
        except OSError as error:  # whoever holds the lock next writes it anew, and nobody reads it before
            _log.info("%s stays: %s", folder / HOLDER, error)
        lock.release()


def _say_who(folder: Path) -> None:
    said = {"pid": os.getpid(), "command": " ".join(sys.argv[:2]), "since": datetime.now(UTC).isoformat(timespec="seconds")}
    (folder / HOLDER).unlink(missing_ok=True)
    with os.fdopen(new_file(folder / HOLDER), "w", encoding="utf-8") as holder:
        json.dump(said, holder)


def _holder(folder: Path) -> str:
    try:
        with (folder / HOLDER).open("rb") as file:
            said = json.loads(file.read(_MOST_SAID))
        return f"process {said['pid']} ({said['command']}) since {said['since']}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"


def _tidy(folder: Path) -> None:
    """Remove what a killed writer left: segments that no catalogue names, and a digest that is not whole."""
    names = {segment.name for segment in read_catalogue(folder).segments}
    left = [file for file in folder.glob("segment-*") if file.name.split(".")[0] not in names]
    for file in (*left, *folder.glob(f".{DIGEST}.*.partial")):
        _log.info("removing %s, which an interrupted change left", file)
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file)
        else:
            file.unlink()
