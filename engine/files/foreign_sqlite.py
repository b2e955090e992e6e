"""A gallery's SQLite file, which may be somebody else's, so that reading it runs nothing of his and ends.

SQLite runs what a schema holds (triggers, views, generated columns, virtual tables) with every statement that touches it. So the
schema has to be the one that onek writes, and nothing beside it; a hash or `integrity_check` says nothing of that.
"""

import sqlite3
import stat
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from engine.errors import GalleryError

_JOURNAL = "-journal"
# The longest text or blob, and the longest statement, of which the schema is made, in bytes. JSON takes up to forty times that.
MOST_VALUE, MOST_STATEMENT = 1 << 23, 1 << 16
# What SQLite may do for one connection: so many of its steps, and a few for each byte of the file. Pages that are listed again
# and again make a small file endless; onek's own statements take one step for several bytes.
_STEPS, _STEPS_A_BYTE, _LOOK = 5_000_000, 8, 100_000


def refuse_planted(folder: Path) -> None:
    """Refuse a gallery in which something lies that would have SQLite, or a lock, change files elsewhere: a link, a pipe, or a
    rollback journal. SQLite removes whatever file a journal names as that of the whole transaction
    (https://www.sqlite.org/fileformat2.html#the_rollback_journal); onek keeps a write-ahead log, and leaves no journal.

    Raises:
        GalleryError: names it.
    """
    for file in folder.iterdir() if folder.is_dir() else ():
        try:
            mode = file.lstat().st_mode
        except FileNotFoundError:  # a writer took it away since the folder was listed
            continue
        ours = file.name.startswith(("catalogue.", "segment-", "writer."))
        if not (stat.S_ISREG(mode) or (stat.S_ISDIR(mode) and not ours)):
            kind = "a link" if stat.S_ISLNK(mode) else "no regular file"
            raise GalleryError(f"{file} is {kind}; a gallery's files lie in its folder, so put the file itself there")
        if file.name.endswith(_JOURNAL):
            raise GalleryError(f"{file} is a rollback journal, which onek does not write; restore the gallery from a backup")


def guard(database: sqlite3.Connection, tables: Iterable[str]) -> None:
    """Before the first statement of a connection to a file that holds nothing but some `tables`, each in any of the ways given.

    Raises:
        ValueError: it holds anything else; names it.
        sqlite3.Error: it cannot be read.
    """
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_VALUE)
    database.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, MOST_STATEMENT)
    database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 1)  # VACUUM needs one
    database.set_authorizer(_unless_of_schema)
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA cell_size_check = ON")
    if hasattr(database, "setconfig"):  # from Python 3.12 on
        database.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)  # type: ignore[attr-defined,unused-ignore]
        database.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_TRIGGER, False)  # type: ignore[attr-defined,unused-ignore]
        database.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_VIEW, False)  # type: ignore[attr-defined,unused-ignore]
    known = _known(tuple(tables))
    for kind, name, table, said in rows(database, "SELECT type, name, tbl_name, sql FROM sqlite_schema"):
        if (kind, name, table, _one_line(said)) not in known:
            raise ValueError(f"it holds a {str(kind)[:20]} {str(name)[:60]!r} that onek does not write")


def _unless_of_schema(_action: int, _first: str | None, _second: str | None, _of: str | None, inside: str | None) -> int:
    """Whether a statement may do something: never what a trigger or a view asks for, should one appear after the schema was seen.
    Before Python 3.12 nothing else keeps SQLite from it.
    """
    return sqlite3.SQLITE_OK if inside is None else sqlite3.SQLITE_DENY


def rows(database: sqlite3.Connection, statement: str, *values: object) -> Iterator[tuple[Any, ...]]:
    """What a statement gives of one table, whose rows together are no longer than the file.

    Raises:
        ValueError: they are: pages are listed again and again.
        sqlite3.Error: they cannot be read.
    """
    left = _size(database)
    for row in database.execute(statement, values):
        left -= sum(len(value) if isinstance(value, str | bytes) else 1 for value in row)
        if left < 0:
            raise ValueError("a table in it is longer than the file")
        yield row


def limit_steps(database: sqlite3.Connection) -> None:
    """Let a connection that reads do no more than its file is worth."""
    left = (_STEPS + _STEPS_A_BYTE * _size(database)) // _LOOK

    def spent() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    database.set_progress_handler(spent, _LOOK)


def _size(database: sqlite3.Connection) -> int:
    (pages,), (size,) = (database.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    return int(pages * size)


@cache
def _known(tables: tuple[str, ...]) -> frozenset[tuple[str, str, str, str]]:
    """What SQLite says of a file that holds these tables; of those of one name, of each."""
    known = set()
    for table in tables:
        made = sqlite3.connect(":memory:")
        made.executescript(table)
        found = made.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema").fetchall()
        known |= {(kind, name, of, _one_line(said)) for kind, name, of, said in found}
        made.close()
    return frozenset(known)


def _one_line(said: str | None) -> str:
    return " ".join(str(said).split())
