"""Writing a catalogue: a new one, and what changes in one inside a transaction."""

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict, astuple, fields
from pathlib import Path
from uuid import uuid4

from engine.calibration.calibration import Calibration
from engine.matching.scoring import Scoring
from engine.storage import recent_rows as recent
from engine.storage.catalogue.connection import NAME, refusing
from engine.storage.catalogue.digest import write_new
from engine.storage.catalogue.reader import segments_of
from engine.storage.catalogue.records import BuildRequest, Catalogue, Segment
from engine.storage.catalogue.schema import CHANGES, FORMAT, ROWS_ONLY, SEGMENTS, TABLES
from engine.templates.provenance import Provenance


def write_catalogue(folder: Path, catalogue: Catalogue) -> None:
    """Create the catalogue of a new gallery. Raises `OutputError` where SQLite cannot write it."""
    with refusing(folder), closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        database.executescript(TABLES + SEGMENTS + CHANGES + recent.TABLE)
        database.execute("BEGIN")
        put(database, "format", str(FORMAT))
        put(database, "id", uuid4().hex)
        put(database, "version", "1")
        put(database, "provenance", catalogue.provenance.to_metadata()["onek.provenance"])
        put(database, "created", catalogue.created)
        put(database, "asked", json.dumps(asdict(catalogue.asked)))
        put_measured(database, catalogue.segments, catalogue.scoring, catalogue.calibration)
        database.execute("COMMIT")
        write_new(folder, NAME, database)


def put(database: sqlite3.Connection, key: str, value: str) -> None:
    """Set one value in the table `gallery`."""
    database.execute("INSERT OR REPLACE INTO gallery VALUES (?, ?)", (key, value))


def put_measured(
    database: sqlite3.Connection, segments: tuple[Segment, ...], scoring: Scoring, calibration: Calibration | None
) -> None:
    """Replace all segments by these, and record how they are scored and calibrated."""
    database.execute("DELETE FROM segments")
    database.execute("DELETE FROM removed")
    database.execute("DELETE FROM renamed")
    for segment in segments:
        _add(database, segment)
    put(database, "scoring", json.dumps(asdict(scoring)))
    database.execute("DELETE FROM gallery WHERE key IN ('calibration', 'measured')")
    if calibration is not None:
        put(database, "calibration", calibration.to_json())


def put_segment(database: sqlite3.Connection, old: tuple[Segment, ...], new: Segment) -> None:
    """Replace all segments by one with the same rows, under the names that the last of them has."""
    for earlier in old[:-1]:
        database.execute("DELETE FROM renamed WHERE segment = ?", (earlier.name,))
    for each in old:
        database.execute("DELETE FROM segments WHERE name = ?", (each.name,))
        for table in ("removed", "renamed"):
            database.execute(f"UPDATE {table} SET segment = ? WHERE segment = ?", (new.name, each.name))  # noqa: S608
    _add(database, new)
    database.execute("DELETE FROM gallery WHERE key = 'measured'")


def put_extended(database: sqlite3.Connection, old: Segment, new: Segment, measured: int) -> None:
    """Let a segment take the place of one whose rows it begins with, under the names that they have now; densities and the index
    are those of the first `measured` rows.
    """
    put_segment(database, (old,), new)
    database.execute("DELETE FROM renamed")
    put(database, "measured", str(measured))


def put_behind(database: sqlite3.Connection, segments: tuple[Segment, ...], new: Segment, measured: int) -> None:
    """Let a tail stand behind the base of `segments`, in the place of the tail that there is, if any, under the names that they
    have now and without its removed rows; densities and the index are those of the first `measured` rows.
    """
    base, *former = segments
    for old in former:
        database.execute("DELETE FROM segments WHERE name = ?", (old.name,))
        database.execute("DELETE FROM removed WHERE row >= ?", (base.templates,))
        # What the base's identities were called since the old tail was sealed, they are called in the new one: those that had
        # another name before, and those that had their own, which `INSERT OR IGNORE` tells apart.
        database.execute(
            "UPDATE renamed SET name = "
            "(SELECT now.name FROM renamed AS now WHERE now.segment = ? AND now.identity = renamed.name) "
            "WHERE segment = ? AND name IN (SELECT identity FROM renamed WHERE segment = ?)",
            (old.name, base.name, old.name),
        )
        database.execute(
            "INSERT OR IGNORE INTO renamed SELECT ?, identity, name FROM renamed WHERE segment = ?", (base.name, old.name)
        )
        database.execute("DELETE FROM renamed WHERE segment = ?", (old.name,))
    _add(database, new)
    put(database, "measured", str(measured))


def _add(database: sqlite3.Connection, segment: Segment) -> None:
    places = ", ".join("?" for _ in fields(Segment))
    database.execute(f"INSERT INTO segments VALUES ({places})", astuple(segment))  # noqa: S608


def upgrade(database: sqlite3.Connection) -> None:
    """Bring a catalogue of an older format to the present one, inside a transaction."""
    if database.execute("SELECT 1 FROM gallery WHERE key = 'format' AND value = ?", (str(FORMAT),)).fetchone():
        return
    (former,) = database.execute("SELECT value FROM gallery WHERE key = 'format'").fetchone()
    # Where rows are all that is, whoever upgrades seals them anew.
    staying = () if int(former) in ROWS_ONLY else segments_of(database)
    database.execute("DROP TABLE segments")
    for statement in f"{CHANGES}{recent.TABLE}{SEGMENTS}".split(";"):
        database.execute(statement)
    for segment in staying:
        _add(database, segment)
    (made,) = database.execute("SELECT value FROM gallery WHERE key = 'provenance'").fetchone()
    recent.upgrade(database, Provenance.from_json(made))
    for key, value in (
        ("format", str(FORMAT)),
        ("id", uuid4().hex),
        ("version", "1"),
        ("asked", json.dumps(asdict(BuildRequest()))),
    ):
        if key == "format" or not database.execute("SELECT 1 FROM gallery WHERE key = ?", (key,)).fetchone():
            put(database, key, value)
