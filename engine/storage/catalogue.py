"""The catalogue of a gallery: the one SQLite file that says which segments live, what joined and left since they were sealed, and
how their templates were made.
"""

import json
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path
from uuid import uuid4

import numpy as np

from engine.calibration.calibration import Calibration
from engine.common.dataclass_json import from_json, from_plain
from engine.errors import GalleryError, OutputError
from engine.files import atomic_files as files
from engine.files.foreign_sqlite import guard, limit_steps, refuse_links, rows
from engine.matching.scoring import PLAIN, Scoring
from engine.storage import recent_rows as recent
from engine.storage.catalogue_digest import write_digest
from engine.templates.parquet import schema
from engine.templates.provenance import Provenance
from indexes.planner import RECALL

NAME = "catalogue.sqlite"
# Times that a catalogue is copied which somebody else changes in the meantime.
_LOOKS = 5
FORMAT = 6
# Formats 1 and 2 knew no scores: only their rows are read. Formats 1 to 3 lack the tables of changes, which the first change
# adds. Up to format 4 an index was a file of FAISS's, which may name any other file, and FAISS opens that for writing: none is
# read, and every vector is searched. The first change of such a gallery seals it anew before. Up to format 5 templates did not
# say what they are worth; rows that were sealed then stay as they are.
_ROWS_ONLY, _UNCHANGEABLE, _UNINDEXED = (1, 2), (1, 2, 3), (1, 2, 3, 4)

_TABLES = """
CREATE TABLE gallery (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_SEGMENTS = """
CREATE TABLE segments (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, templates INTEGER NOT NULL,
    rows_bytes INTEGER NOT NULL, rows_sha256 TEXT NOT NULL, vectors_bytes INTEGER NOT NULL, vectors_sha256 TEXT NOT NULL,
    index_bytes INTEGER NOT NULL, index_sha256 TEXT NOT NULL, operating TEXT,
    density_bytes INTEGER, density_sha256 TEXT
);
"""
# What formats 1 and 2 had in its place.
_FORMER_SEGMENTS = (
    """
CREATE TABLE segments (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, templates INTEGER NOT NULL,
    rows_bytes INTEGER NOT NULL, rows_sha256 TEXT NOT NULL, index_bytes INTEGER NOT NULL, index_sha256 TEXT NOT NULL
);
""",
    """
CREATE TABLE segments (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, templates INTEGER NOT NULL,
    rows_bytes INTEGER NOT NULL, rows_sha256 TEXT NOT NULL, vectors_bytes INTEGER NOT NULL, vectors_sha256 TEXT NOT NULL,
    index_bytes INTEGER NOT NULL, index_sha256 TEXT NOT NULL, operating TEXT
);
""",
)
# Beside `recent.TABLE`: rows of segments that no search returns, and what identities of segments are called now.
_CHANGES = """
CREATE TABLE IF NOT EXISTS removed (segment TEXT, row INTEGER, PRIMARY KEY (segment, row)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS renamed (
    segment TEXT, identity TEXT, name TEXT NOT NULL, PRIMARY KEY (segment, identity)
) WITHOUT ROWID;
"""
# All that a catalogue may hold.
_KNOWN = (_TABLES, _SEGMENTS, *_FORMER_SEGMENTS, _CHANGES, recent.TABLE, recent.FORMER_TABLE)


@dataclass(frozen=True)
class Segment:
    """A sealed part of a gallery, whose files never change.

    `NAME.parquet` has the rows, `NAME.vectors.npy` the vectors once more, to be memory-mapped, `NAME.index` the index of `kind`.
    `operating` is the index's operating point as JSON, None where it is exact. `NAME.density.npy` has what the local score
    needs of each template; there is none where scores are plain. Of a gallery of a former format the index is not read, and the
    rows are all that is where it is `rows_only`.
    """

    name: str
    kind: str
    templates: int
    rows_bytes: int
    rows_sha256: str
    vectors_bytes: int
    vectors_sha256: str
    index_bytes: int
    index_sha256: str
    operating: str | None
    density_bytes: int | None
    density_sha256: str | None

    @property
    def rows_only(self) -> bool:
        """Whether its vectors are those in its rows, and its index is made of them when it is opened."""
        return not self.vectors_sha256

    @property
    def indexed(self) -> bool:
        """Whether its index is read; where it is not, every vector is searched."""
        return bool(self.index_sha256)


@dataclass(frozen=True)
class BuildRequest:
    """What the user asked of `build-index`, for when segments are sealed anew; None where the choice was left to onek."""

    index: str | None = None
    factory: str | None = None
    recall: float = RECALL
    score: str | None = None
    fuse: int | None = None


@dataclass(frozen=True)
class Changes:
    """What happened since the last sealing.

    `version` grows with every change. `numbers` int64 (m,): of all recent templates; `recent`: those of them that were asked for.
    `removed` int64, ascending: rows of the segment that are gone. `renamed`: what identities of the segment are called now.
    `erasable`: recent templates that were removed, whose bytes may still be in the catalogue's files.
    """

    version: int
    numbers: np.ndarray
    recent: recent.Recent
    removed: np.ndarray
    renamed: dict[str, str]
    erasable: int


@dataclass(frozen=True)
class Catalogue:
    """What the catalogue holds. `created` is a UTC time in ISO 8601; `calibration` is None in galleries that are too small; `id`
    tells a gallery from one that took its place. `measured`: the first rows of the segment, which its index was learnt from and
    densities were measured among; None: all.
    """

    provenance: Provenance
    created: str
    segments: tuple[Segment, ...]
    scoring: Scoring
    calibration: Calibration | None
    id: str = ""
    asked: BuildRequest = BuildRequest()
    changes: Changes | None = None
    format: int = FORMAT
    measured: int | None = None


def write_catalogue(folder: Path, catalogue: Catalogue) -> None:
    """Create the catalogue of a new gallery. Raises `OutputError` where SQLite cannot write it."""
    with refusing(folder), closing(connect(folder)) as database:
        database.executescript(_TABLES + _SEGMENTS + _CHANGES + recent.TABLE)
        database.execute("BEGIN")
        put(database, "format", str(FORMAT))
        put(database, "id", uuid4().hex)
        put(database, "version", "1")
        put(database, "provenance", catalogue.provenance.to_metadata()["onek.provenance"])
        put(database, "created", catalogue.created)
        put(database, "asked", json.dumps(asdict(catalogue.asked)))
        put_measured(database, catalogue.segments, catalogue.scoring, catalogue.calibration)
        database.execute("COMMIT")
        write_digest(folder, database)


def put(database: sqlite3.Connection, key: str, value: str) -> None:
    """Set one value of the gallery's."""
    database.execute("INSERT OR REPLACE INTO gallery VALUES (?, ?)", (key, value))


def put_measured(
    database: sqlite3.Connection, segments: tuple[Segment, ...], scoring: Scoring, calibration: Calibration | None
) -> None:
    """Let these segments take the place of all others, scored and calibrated so."""
    places = ", ".join("?" for _ in fields(Segment))
    database.execute("DELETE FROM segments")
    database.execute("DELETE FROM removed")
    database.execute("DELETE FROM renamed")
    database.executemany(f"INSERT INTO segments VALUES ({places})", map(astuple, segments))  # noqa: S608
    put(database, "scoring", json.dumps(asdict(scoring)))
    database.execute("DELETE FROM gallery WHERE key IN ('calibration', 'measured')")
    if calibration is not None:
        put(database, "calibration", calibration.to_json())


def put_segment(database: sqlite3.Connection, old: Segment, new: Segment) -> None:
    """Let a segment take the place of one that has the same rows."""
    places = ", ".join("?" for _ in fields(Segment))
    database.execute("DELETE FROM segments WHERE name = ?", (old.name,))
    database.execute(f"INSERT INTO segments VALUES ({places})", astuple(new))  # noqa: S608
    database.execute("DELETE FROM gallery WHERE key = 'measured'")
    for table in ("removed", "renamed"):
        database.execute(f"UPDATE {table} SET segment = ? WHERE segment = ?", (new.name, old.name))  # noqa: S608


def put_extended(database: sqlite3.Connection, old: Segment, new: Segment, measured: int) -> None:
    """Let a segment take the place of one whose rows it begins with, under the names that they have now; densities and the index
    are those of the first `measured` rows.
    """
    put_segment(database, old, new)
    database.execute("DELETE FROM renamed")
    put(database, "measured", str(measured))


def connect(folder: Path) -> sqlite3.Connection:
    """A connection to write a catalogue with: durable, deleted content overwritten, transactions begun by hand; for any thread,
    one at a time. Closed, it leaves no write-ahead log behind, unless somebody reads or writes just then.
    """
    database = sqlite3.connect(folder / NAME, isolation_level=None, check_same_thread=False)
    try:
        guard(database, _KNOWN)
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


def upgrade(database: sqlite3.Connection) -> None:
    """Inside a transaction: make the present format of an older one that is read."""
    if database.execute("SELECT 1 FROM gallery WHERE key = 'format' AND value = ?", (str(FORMAT),)).fetchone():
        return
    (former,) = database.execute("SELECT value FROM gallery WHERE key = 'format'").fetchone()
    tables = f"{_CHANGES}{recent.TABLE}"
    if int(former) in _ROWS_ONLY:
        database.execute("DROP TABLE segments")
        tables += _SEGMENTS
    for statement in tables.split(";"):
        database.execute(statement)
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


def read_catalogue(folder: Path, after: int = 0) -> Catalogue:
    """Read the catalogue of a gallery; of the recent templates those whose number is above `after`.

    Raises:
        GalleryError: the folder is no gallery, its catalogue is damaged, or of a newer format (names both).
    """
    if not folder.exists():
        with files.refusing(folder):
            files.bring_back(folder)
    if not folder.exists():
        raise GalleryError(f"{folder}: no such gallery; build one with onek build-index")
    if not (folder / NAME).is_file():
        raise GalleryError(f"{folder} is no gallery: it holds no {NAME}; build one with onek build-index")
    with reading(folder) as database:
        database.execute("BEGIN")
        values = dict(rows(database, "SELECT key, value FROM gallery"))
        found = int(values["format"])
        if not 0 < found <= FORMAT:
            raise GalleryError(
                f"{folder} is a gallery of format {found}; this onek reads formats 1 to {FORMAT}, so take a newer onek"
            )
        made = Provenance.from_json(values["provenance"])
        return Catalogue(
            made,
            values["created"],
            tuple(_segments(database, found)),
            _scoring(values["scoring"]) if found not in _ROWS_ONLY else Scoring(PLAIN),
            Calibration.from_json(values["calibration"]) if "calibration" in values else None,
            values.get("id", ""),
            from_plain(BuildRequest, from_json(values.get("asked", "{}"))),
            _changes(database, values, made, after),
            found,
            int(values["measured"]) if "measured" in values else None,
        )


def _segments(database: sqlite3.Connection, found: int) -> Iterator[Segment]:
    if found not in _ROWS_ONLY:
        names = [field.name for field in fields(Segment)]
        for row in rows(database, f"SELECT {', '.join(names)} FROM segments ORDER BY name"):  # noqa: S608
            segment = _checked(from_plain(Segment, dict(zip(names, row, strict=True))))
            yield replace(segment, index_bytes=0, index_sha256="") if found in _UNINDEXED else segment
        return
    for row in rows(database, "SELECT name, templates, rows_bytes, rows_sha256 FROM segments ORDER BY name"):
        name, templates, rows_bytes, rows_sha256 = row
        yield _checked(Segment(name, "flat", templates, rows_bytes, rows_sha256, 0, "", 0, "", None, None, None))


def _checked(segment: Segment) -> Segment:
    # A name becomes a file's, and must not lead out of the gallery.
    if not re.fullmatch(r"segment-\d{6,9}", segment.name) or segment.templates < 1:
        raise ValueError(f"it names a segment {segment.name[:60]!r} of {segment.templates} templates")
    return segment


def _scoring(text: str) -> Scoring:
    scoring = from_plain(Scoring, from_json(text))
    scoring.check(scoring.least_identities)
    return scoring


def _changes(database: sqlite3.Connection, values: dict[str, str], made: Provenance, after: int) -> Changes:
    if int(values["format"]) in _UNCHANGEABLE:
        nothing = np.empty(0, np.int64)
        return Changes(0, nothing, recent.Recent(nothing, schema(made).empty_table()), nothing, {}, 0)
    return Changes(
        int(values["version"]),
        recent.numbers(database),
        recent.read(database, made, after),
        np.array([row for (row,) in rows(database, "SELECT row FROM removed ORDER BY row")], np.int64),
        dict(rows(database, "SELECT identity, name FROM renamed")),
        int(values.get("erasable", "0")),
    )


def read_version(folder: Path) -> tuple[str, int]:
    """The gallery's id and the version of its last change: what tells whether anything happened. Raises as `read_catalogue`."""
    with reading(folder) as database:
        return version_of(database)


def version_of(database: sqlite3.Connection) -> tuple[str, int]:
    """As `read_version`, of an open connection."""
    values = dict(database.execute("SELECT key, value FROM gallery WHERE key IN ('id', 'version')"))
    return values.get("id", ""), int(values.get("version", "0"))


def read_only(folder: Path) -> sqlite3.Connection:
    """A connection to read a catalogue with. Raises `sqlite3.Error` where there is none, and as `refuse_links`."""
    refuse_links(folder)
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
    guard(database, _KNOWN)
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


def _damaged(folder: Path, error: Exception) -> str:
    why = "it would take longer to read than a file of its size may" if str(error) == "interrupted" else error
    return f"{folder}: its catalogue is damaged: {why}; restore the gallery from a backup or build it anew"
