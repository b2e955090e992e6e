"""Small SQLite files that only their owner may read: one transaction at a time, each with a connection of its own."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from engine.files.atomic_files import new_file


@contextmanager
def changing(path: Path, tables: Sequence[str], wait: float) -> Iterator[sqlite3.Connection]:
    """A transaction that writes: all of it is durable when the block ends, or none of it happened. What goes is overwritten.

    Args:
        path: the file, which is made where there is none.
        tables: statements that make its tables, where they are not there.
        wait: seconds to wait for others who read or write it.

    Raises:
        sqlite3.Error: it cannot be written, or others had it all the while.
        OSError: the file cannot be made.
    """
    with _transaction(path, tables, wait, "BEGIN IMMEDIATE") as database:
        yield database


@contextmanager
def reading(path: Path, tables: Sequence[str], wait: float) -> Iterator[sqlite3.Connection]:
    """A transaction that reads. Arguments and errors as `changing`."""
    with _transaction(path, tables, wait, "BEGIN") as database:
        yield database


@contextmanager
def _transaction(path: Path, tables: Sequence[str], wait: float, begin: str) -> Iterator[sqlite3.Connection]:
    with suppress(FileExistsError):
        os.close(new_file(path))
    # Closing rolls back what was not committed, so that no failure leaves a lock behind.
    with closing(sqlite3.connect(path, timeout=wait, isolation_level=None)) as database:
        database.execute("PRAGMA secure_delete = ON")
        database.execute("PRAGMA journal_mode = TRUNCATE")
        for statement in tables:
            database.execute(statement)
        database.execute(begin)
        yield database
        database.execute("COMMIT")
