"""Templates enrolled since the last sealing: rows of the catalogue, each with a checksum."""

import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from engine.errors import GalleryError
from engine.files.foreign_sqlite import rows as rows_of
from engine.templates.model import batch, schema
from engine.templates.provenance import Provenance

TABLE = """
CREATE TABLE IF NOT EXISTS recent (
    number INTEGER PRIMARY KEY AUTOINCREMENT, template_id TEXT NOT NULL UNIQUE, identity TEXT NOT NULL,
    source TEXT, face INTEGER, box BLOB, quality REAL, detection REAL, reasons TEXT, vector BLOB NOT NULL,
    checksum INTEGER NOT NULL
);
"""
# That of the formats 4 and 5, which called the detector's confidence `quality`.
FORMER_TABLE = """
CREATE TABLE IF NOT EXISTS recent (
    number INTEGER PRIMARY KEY AUTOINCREMENT, template_id TEXT NOT NULL UNIQUE, identity TEXT NOT NULL,
    source TEXT, face INTEGER, box BLOB, quality REAL, vector BLOB NOT NULL, checksum INTEGER NOT NULL
);
"""
_COLUMNS = ("template_id", "identity", "source", "face", "box", "quality", "detection", "reasons", "vector")
_FORMER_COLUMNS = tuple(name for name in _COLUMNS if name not in ("detection", "reasons"))
_INSERT = f"INSERT INTO recent ({', '.join(_COLUMNS)}, checksum) VALUES ({', '.join('?' * 10)})"  # noqa: S608

# How far the length of a unit vector may be from 1 by rounding.
_NORM = 1e-3


@dataclass(frozen=True)
class Recent:
    """Recent templates, in the order of their enrolment: `numbers` int64 (m,), ascending, never used twice; `table` (m rows)."""

    numbers: np.ndarray
    table: pa.Table


def insert(database: sqlite3.Connection, rows: pa.Table) -> None:
    """Add rows of the template contract, whose ids are not there yet."""
    for part in rows.to_batches():
        database.executemany(_INSERT, _records(part))


def read(database: sqlite3.Connection, made: Provenance, after: int = 0) -> Recent:
    """The rows whose number is above `after`.

    Raises:
        GalleryError: one is not what was written.
    """
    found = _checked_rows(database, made, after)
    if not found:
        return Recent(np.empty(0, np.int64), pa.Table.from_batches([], schema(made)))
    numbers, ids, identities, sources, faces, boxes, qualities, detections, reasons, vectors = zip(*found, strict=True)
    unit = np.frombuffer(b"".join(vectors), "<f4").reshape(-1, made.dim)
    if not (np.abs(np.linalg.norm(unit, axis=1) - 1) < _NORM).all():
        raise GalleryError("a template that was enrolled lately has not the norm 1; restore a backup")
    places = [None if box is None else np.frombuffer(box, "<f4").tolist() for box in boxes]
    texts = [list(column) for column in (ids, identities, sources, faces)]
    rows = batch(made, texts[0], texts[1], unit, texts[2], texts[3], places, qualities, detections, reasons)
    return Recent(np.array(numbers, np.int64), pa.Table.from_batches([rows]))


def _checked_rows(database: sqlite3.Connection, made: Provenance, after: int = 0) -> list[tuple[Any, ...]]:
    """The number and the values of rows, as the present columns are; of a former gallery nobody knows the quality."""
    former = _is_former(database)
    columns = _FORMER_COLUMNS if former else _COLUMNS
    wanted = f"SELECT number, {', '.join(columns)}, checksum FROM recent WHERE number > ? ORDER BY number"  # noqa: S608
    found = []
    for number, *values, checksum in rows_of(database, wanted, after):
        if _checksum(*values) != checksum or len(values[-1]) != 4 * made.dim:
            raise GalleryError(f"the template {values[0]!r}, enrolled lately, is not what was written; restore a backup")
        if former:
            values[5:6] = [None, values[5], None]
        found.append((number, *values))
    return found


def _is_former(database: sqlite3.Connection) -> bool:
    return "detection" not in {row[0] for row in database.execute("SELECT name FROM pragma_table_info('recent')")}


def upgrade(database: sqlite3.Connection, made: Provenance) -> None:
    """Inside a transaction: give the table its present columns; rows keep their numbers, and none is used again."""
    if not _is_former(database):
        return
    rows = _checked_rows(database, made)
    last = database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'recent'").fetchone()
    database.execute("DROP TABLE recent")
    database.execute(TABLE)
    into = f"INSERT INTO recent (number, {', '.join(_COLUMNS)}, checksum) VALUES ({', '.join('?' * 11)})"  # noqa: S608
    database.executemany(into, ((*row, _checksum(*row[1:])) for row in rows))
    if last is not None:
        database.execute("DELETE FROM sqlite_sequence WHERE name = 'recent'")
        database.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('recent', ?)", last)


def relabel(database: sqlite3.Connection, numbers: list[int], identity: str) -> None:
    """Give the rows of these numbers another identity, and new numbers: who knows a number has read its row already."""
    for number in numbers:
        row = database.execute(f"SELECT {', '.join(_COLUMNS)} FROM recent WHERE number = ?", (number,)).fetchone()  # noqa: S608
        values = (row[0], identity, *row[2:])
        database.execute("DELETE FROM recent WHERE number = ?", (number,))
        database.execute(_INSERT, (*values, _checksum(*values)))


def owners_of(database: sqlite3.Connection, template_ids: list[str]) -> list[tuple[int, str] | None]:
    """The number and the identity of the row that has each of these ids, None where none has."""
    asked = "SELECT number, identity FROM recent WHERE template_id = ?"
    return [database.execute(asked, (each,)).fetchone() for each in template_ids]


def numbers(database: sqlite3.Connection) -> np.ndarray:
    """The numbers of all rows, int64 (m,), ascending."""
    return np.array([number for (number,) in rows_of(database, "SELECT number FROM recent ORDER BY number")], np.int64)


def _records(part: pa.RecordBatch) -> Iterator[tuple[object, ...]]:
    dim = part.schema.field("vector").type.list_size
    flat = np.ascontiguousarray(part["vector"].flatten().to_numpy(), "<f4").tobytes()
    columns = [part[name].to_pylist() for name in _COLUMNS[:-1]]
    for at, (template_id, identity, source, face, box, *worth) in enumerate(zip(*columns, strict=True)):
        place = None if box is None else np.array(box, "<f4").tobytes()
        values = (template_id, identity, source, face, place, *worth, flat[4 * dim * at : 4 * dim * (at + 1)])
        yield (*values, _checksum(*values))


def _checksum(*values: object) -> int:
    vector = values[-1]
    said = zlib.crc32(repr(values[:-1]).encode("utf-8", "surrogatepass"))
    return zlib.crc32(vector if isinstance(vector, bytes) else repr(vector).encode(), said)
