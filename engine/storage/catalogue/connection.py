"""Connections to a catalogue: what it holds is checked before it is trusted, and SQLite's errors become ours."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from engine.errors import GalleryError, OutputError
from engine.files import atomic_files as files
from engine.files.foreign_sqlite import guard, limit_steps, refuse_planted
from engine.storage.catalogue.schema import KNOWN

NAME = "catalogue.sqlite"
# How often a catalogue is copied again that somebody else changes meanwhile.
_LOOKS = 5


def connect(folder: Path) -> sqlite3.Connection:
    """A connection to write a catalogue with: durable, deleted content overwritten, transactions begun by hand; for any thread,
    one at a time. Closed, it leaves no write-ahead log behind, unless somebody reads or writes just then.
    """
    database = sqlite3.connect(folder / NAME, isolation_level=None, check_same_thread=False)
    try:
        guard(database, KNOWN)
    except ValueError as error:
        database.close()
        raise GalleryError(_damaged(folder, error)) from error
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA secure_delete = ON")
    return database


@contextmanager
def refusing(folder: Path) -> Iterator[None]:
    """SQLite's errors, and the system's, while writing as ours.

    Raises:
        OutputError: one of them refused a write.
    """
    try:
        with files.refusing(folder):
            yield
    except sqlite3.Error as error:
        raise OutputError(f"cannot write {folder / NAME}: {error}") from error


@contextmanager
def reading(folder: Path) -> Iterator[sqlite3.Connection]:
    """A connection to read a catalogue with.

    Raises:
        GalleryError: it is damaged.
    """
    try:
        with closing(read_only(folder)) as database:
            yield database
    except (sqlite3.Error, KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise GalleryError(_damaged(folder, error)) from error


def read_only(folder: Path) -> sqlite3.Connection:
    """A connection to read a catalogue with. Raises `sqlite3.Error` where there is none, and as `refuse_planted`."""
    refuse_planted(folder)
    address = f"{(folder / NAME).absolute().as_uri()}?mode=ro"
    database = sqlite3.connect(address, uri=True)
    try:
        _guard_reading(database)
    except sqlite3.OperationalError as error:
        # A reader of a log writes a few bytes beside it; where none can be, on a full disk or a read-only one, no log may be.
        log = folder / f"{NAME}-wal"
        database.close()
        if "interrupted" in str(error):
            raise
        if log.exists() and log.stat().st_size:
            return _with_log(folder, log)
        database = sqlite3.connect(f"{address}&immutable=1", uri=True)
        _guard_reading(database)
    return database


def _guard_reading(database: sqlite3.Connection) -> None:
    guard(database, KNOWN)
    limit_steps(database)


def _with_log(folder: Path, log: Path) -> sqlite3.Connection:
    """A catalogue whose writer ended without closing it, where nothing can be written beside it: what its log holds was
    acknowledged, so both are read in a copy. Raises `sqlite3.Error` where somebody goes on writing, or it is damaged.
    """
    for _ in range(_LOOKS):
        with tempfile.TemporaryDirectory(prefix="onek-") as copy:
            before = [(file.stat().st_mtime_ns, file.stat().st_size) for file in (folder / NAME, log)]
            for file in (folder / NAME, log):
                shutil.copyfile(file, Path(copy, file.name))
            if before == [(file.stat().st_mtime_ns, file.stat().st_size) for file in (folder / NAME, log)]:
                database = sqlite3.connect(":memory:")
                with closing(sqlite3.connect(Path(copy, NAME))) as copied:
                    copied.backup(database)
                _guard_reading(database)
                return database
    raise sqlite3.OperationalError("it is being written to from elsewhere, and no file can be written beside it here")


def _damaged(folder: Path, error: Exception) -> str:
    why = "it would take longer to read than a file of its size may" if str(error) == "interrupted" else error
    return f"{folder}: its catalogue is damaged: {why}; restore the gallery from a backup or build it anew"
