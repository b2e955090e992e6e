"""Reading a gallery's SQLite file that somebody else may have written: nothing in it runs, and every query comes to an end.

SQLite runs what a schema contains (triggers, views, generated columns, virtual tables) with every statement that touches it.
Therefore the schema must be exactly the one that onek writes. Neither a correct hash nor SQLite's `integrity_check` shows that.
"""

import sqlite3
import stat
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from engine.errors import GalleryError

_JOURNAL = "-journal"
# The longest text or blob, and the longest statement (the schema consists of statements), in bytes. JSON needs up to forty times
# its length in memory.
MOST_VALUE, MOST_STATEMENT = 1 << 23, 1 << 16
# How many steps of its virtual machine SQLite may take for one connection: a fixed number, and some for each byte of the file;
# they are counted every `_LOOK` steps. A small file that lists the same page again and again would otherwise be read for ever.
# Queries of onek need less than one step a byte.
_STEPS, _STEPS_A_BYTE, _LOOK = 5_000_000, 8, 100_000


def refuse_planted(folder: Path) -> None:
    """Refuse a gallery whose folder holds what would make SQLite, or a lock, change files elsewhere: a link, a pipe, or a
    rollback journal. A journal may name another file as its super-journal, and SQLite deletes that file
    (https://www.sqlite.org/fileformat2.html#the_rollback_journal). onek uses a write-ahead log, and never leaves a journal.

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
    """Make a connection safe before its first query, and check that the file holds nothing but the `tables`.

    Args:
        database: newly connected.
        tables: the statements that create them; several of one name are forms of it, any of which will do.

    Raises:
        ValueError: it holds anything else; names it.
        sqlite3.Error: it cannot be read.
    """
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_VALUE)
    database.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, MOST_STATEMENT)
    database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 1)  # VACUUM needs one
    database.set_authorizer(_deny_triggers_and_views)
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


def _deny_triggers_and_views(_action: int, _first: str | None, _second: str | None, _of: str | None, inside: str | None) -> int:
    """SQLite's authorizer: deny whatever a trigger or a view does, since one may appear after the schema was checked. Before
    Python 3.12 there is no other way to switch them off.
    """
    return sqlite3.SQLITE_OK if inside is None else sqlite3.SQLITE_DENY


def rows(database: sqlite3.Connection, statement: str, *values: object) -> Iterator[tuple[Any, ...]]:
    """The rows of a query on one table.

    Raises:
        ValueError: together they are longer than the file, so that it must list the same pages several times.
        sqlite3.Error: they cannot be read.
    """
    left = _size(database)
    for row in database.execute(statement, values):
        left -= sum(len(value) if isinstance(value, str | bytes) else 1 for value in row)
        if left < 0:
            raise ValueError("a table in it is longer than the file")
        yield row


def limit_steps(database: sqlite3.Connection) -> None:
    """Let the queries of a connection take no more steps than a file of this size can need."""
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
    """The rows of SQLite's own list of tables for a file that holds these; several tables may be forms of one name."""
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
