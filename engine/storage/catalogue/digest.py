"""The digest of a catalogue: the SHA-256 of its pages while nobody writes, in a file beside it.

SQLite's own checks do not see a byte that changed where a page holds nothing. Whoever writes takes the digest away first, and
puts a new one there when closing. A killed writer leaves none.

The pages are read through SQLite, never through a file handle of our own: closing one would take the locks from every connection
that this process has to the file (https://www.sqlite.org/howtocorrupt.html, 2.2).
"""

import hashlib
import os
import sqlite3
from pathlib import Path

from engine.files.atomic_files import new_file, sync_file, whole_file

DIGEST = "catalogue.sha256"
# Where a file of SQLite's says who may write and read it: 2 for those that keep a write-ahead log.
_VERSIONS = slice(18, 20)


def drop_digest(folder: Path) -> None:
    """Remove the digest before a write; whoever calls this holds the lock."""
    file = folder / DIGEST
    if file.exists():
        file.unlink()
        sync_file(folder)


def write_new(folder: Path, name: str, database: sqlite3.Connection) -> None:
    """Write a database that was made in memory, which has a write-ahead log from then on, and its digest. SQLite itself would
    look for the file by the names of its folders, which others may change meanwhile.

    Raises:
        OutputError: it cannot be written.
    """
    data = bytearray(database.serialize())
    data[_VERSIONS] = b"\2\2"
    with os.fdopen(new_file(folder / name), "wb") as stream:
        stream.write(data)
    with whole_file(folder / DIGEST) as temporary:
        temporary.write_text(_digest(data), encoding="ascii")


def write_digest(folder: Path, database: sqlite3.Connection) -> None:
    """Write the digest after the last write; whoever calls this holds the lock.

    Raises:
        OutputError: it cannot be written.
    """
    with whole_file(folder / DIGEST) as temporary:
        temporary.write_text(_of(database), encoding="ascii")


def matches_digest(folder: Path, database: sqlite3.Connection) -> bool | None:
    """Whether the catalogue is what its digest says; None where there is no digest."""
    wanted = _of(database).encode("ascii")
    try:
        with (folder / DIGEST).open("rb") as file:
            # A gallery from elsewhere may have a link here to something that never ends.
            return file.read(len(wanted) + 1) == wanted
    except FileNotFoundError:
        return None


def _of(database: sqlite3.Connection) -> str:
    return _digest(database.serialize())


def _digest(data: bytes | bytearray) -> str:
    return f"{hashlib.sha256(data).hexdigest()}\n"
