"""The catalogue of a gallery: the one SQLite file that says which segments live, and how their templates were made."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

from engine.calibration import Calibration
from engine.errors import GalleryError, OutputError
from engine.provenance import Provenance
from engine.scores import Scoring

NAME = "catalogue.sqlite"
FORMAT = 3

_TABLES = """
CREATE TABLE gallery (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE segments (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, templates INTEGER NOT NULL,
    rows_bytes INTEGER NOT NULL, rows_sha256 TEXT NOT NULL, vectors_bytes INTEGER NOT NULL, vectors_sha256 TEXT NOT NULL,
    index_bytes INTEGER NOT NULL, index_sha256 TEXT NOT NULL, operating TEXT,
    density_bytes INTEGER, density_sha256 TEXT
);
"""


@dataclass(frozen=True)
class Segment:
    """A sealed part of a gallery, whose files never change.

    `NAME.parquet` has the rows, `NAME.vectors.npy` the vectors once more, to be memory-mapped, `NAME.index` the index of `kind`.
    `operating` is the index's operating point as JSON, None where it is exact. `NAME.density.npy` has what the local score
    needs of each template; there is none where scores are plain.
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


@dataclass(frozen=True)
class Catalogue:
    """What the catalogue holds. `created` is a UTC time in ISO 8601; `calibration` is None in galleries that are too small."""

    provenance: Provenance
    created: str
    segments: tuple[Segment, ...]
    scoring: Scoring
    calibration: Calibration | None


def write_catalogue(folder: Path, catalogue: Catalogue) -> None:
    """Create the catalogue of a new gallery. Raises `OutputError` where SQLite cannot write it."""
    values = {
        "format": str(FORMAT),
        "provenance": catalogue.provenance.to_metadata()["onek.provenance"],
        "created": catalogue.created,
        "scoring": json.dumps(asdict(catalogue.scoring)),
    }
    if catalogue.calibration is not None:
        values["calibration"] = catalogue.calibration.to_json()
    places = ", ".join("?" for _ in fields(Segment))
    try:
        with closing(sqlite3.connect(folder / NAME)) as database:
            database.execute("PRAGMA synchronous = FULL")
            database.executescript(_TABLES)
            database.executemany("INSERT INTO gallery VALUES (?, ?)", values.items())
            database.executemany(f"INSERT INTO segments VALUES ({places})", map(astuple, catalogue.segments))  # noqa: S608
            database.commit()
    except sqlite3.Error as error:
        raise OutputError(f"cannot write {folder / NAME}: {error}") from error


def replace_calibration(folder: Path, calibration: Calibration) -> None:
    """Put another calibration in the place of what is there. Raises `OutputError` where SQLite cannot write it."""
    try:
        with closing(sqlite3.connect(folder / NAME)) as database:
            database.execute("PRAGMA synchronous = FULL")
            database.execute("INSERT OR REPLACE INTO gallery VALUES ('calibration', ?)", (calibration.to_json(),))
            database.commit()
    except sqlite3.Error as error:
        raise OutputError(f"cannot write {folder / NAME}: {error}") from error


def read_catalogue(folder: Path) -> Catalogue:
    """Read the catalogue of a gallery.

    Raises:
        GalleryError: the folder is no gallery, its catalogue is damaged, or of a newer format (names both).
    """
    if not folder.exists():
        raise GalleryError(f"{folder}: no such gallery; build one with onek build-index")
    if not (folder / NAME).is_file():
        raise GalleryError(f"{folder} is no gallery: it holds no {NAME}; build one with onek build-index")
    with _reading(folder) as database:
        values = dict(database.execute("SELECT key, value FROM gallery"))
        if (found := values.get("format")) != str(FORMAT):
            older = found is not None and found.isdigit() and int(found) < FORMAT
            way = "build it anew with onek build-index" if older else "take a newer onek"
            raise GalleryError(f"{folder} is a gallery of format {found}; this onek reads format {FORMAT}, so {way}")
        segments = tuple(Segment(*row) for row in database.execute("SELECT * FROM segments ORDER BY name"))
        return Catalogue(
            Provenance.from_json(values["provenance"]),
            values["created"],
            segments,
            Scoring(**json.loads(values["scoring"])),
            Calibration.from_json(values["calibration"]) if "calibration" in values else None,
        )


@contextmanager
def _reading(folder: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"{(folder / NAME).absolute().as_uri()}?mode=ro", uri=True)) as database:
            yield database
    except (sqlite3.Error, KeyError, ValueError, TypeError) as error:
        raise GalleryError(
            f"{folder}: its catalogue is damaged: {error}; restore the gallery from a backup or build it anew"
        ) from error
