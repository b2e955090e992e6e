"""Reading a catalogue, of any format that was ever written."""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from engine.calibration.calibration import Calibration
from engine.common.dataclass_json import from_json, from_plain
from engine.errors import GalleryError
from engine.files import atomic_files as files
from engine.files.foreign_sqlite import rows
from engine.matching.scoring import PLAIN, Scoring
from engine.storage import recent_rows as recent
from engine.storage.catalogue.connection import NAME, reading
from engine.storage.catalogue.records import BuildRequest, Catalogue, Changes, Segment
from engine.storage.catalogue.schema import FORMAT, ROWS_ONLY, UNCHANGEABLE, UNINDEXED, UNLABELLED
from engine.templates.model import schema
from engine.templates.provenance import Provenance


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
        segments = tuple(_segments(database, found))
        return Catalogue(
            made,
            values["created"],
            segments,
            _scoring(values["scoring"]) if found not in ROWS_ONLY else Scoring(PLAIN),
            Calibration.from_json(values["calibration"]) if "calibration" in values else None,
            values.get("id", ""),
            from_plain(BuildRequest, from_json(values.get("asked", "{}"))),
            _changes(database, values, made, after, segments),
            found,
            int(values["measured"]) if "measured" in values else None,
        )


def segments_of(database: sqlite3.Connection) -> tuple[Segment, ...]:
    """The segments in a catalogue whose tables were checked."""
    (found,) = database.execute("SELECT value FROM gallery WHERE key = 'format'").fetchone()
    return tuple(_segments(database, int(found)))


def _segments(database: sqlite3.Connection, found: int) -> Iterator[Segment]:
    if found not in ROWS_ONLY:
        names = [field.name for field in fields(Segment) if found not in UNLABELLED or not field.name.startswith("labels")]
        for row in rows(database, f"SELECT {', '.join(names)} FROM segments ORDER BY length(name), name"):  # noqa: S608
            segment = _checked(from_plain(Segment, dict(zip(names, row, strict=True))))
            yield replace(segment, index_bytes=0, index_sha256="") if found in UNINDEXED else segment
        return
    for row in rows(database, "SELECT name, templates, rows_bytes, rows_sha256 FROM segments ORDER BY name"):
        name, templates, rows_bytes, rows_sha256 = row
        yield _checked(Segment(name, "flat", templates, rows_bytes, rows_sha256, 0, "", 0, "", None, None, None))


def _checked(segment: Segment) -> Segment:
    # A segment's name becomes part of a file's path, which must not lead out of the gallery.
    if not re.fullmatch(r"segment-\d{6,9}", segment.name) or segment.templates < 1:
        raise ValueError(f"it names a segment {segment.name[:60]!r} of {segment.templates} templates")
    return segment


def _scoring(text: str) -> Scoring:
    scoring = from_plain(Scoring, from_json(text))
    scoring.check(scoring.least_identities)
    return scoring


def _changes(
    database: sqlite3.Connection, values: dict[str, str], made: Provenance, after: int, segments: tuple[Segment, ...]
) -> Changes:
    if int(values["format"]) in UNCHANGEABLE:
        nothing = np.empty(0, np.int64)
        return Changes(0, nothing, recent.Recent(nothing, schema(made).empty_table()), nothing, {}, 0)
    renamed: dict[str, str] = {}
    before: dict[str, str] = {}
    for segment, identity, name in rows(database, "SELECT segment, identity, name FROM renamed"):
        earlier = len(segments) > 1 and segment == segments[0].name
        (before if earlier else renamed)[identity] = name
    return Changes(
        int(values["version"]),
        recent.numbers(database),
        recent.read(database, made, after),
        np.array([row for (row,) in rows(database, "SELECT row FROM removed ORDER BY row")], np.int64),
        renamed,
        int(values.get("erasable", "0")),
        before,
    )


def read_version(folder: Path) -> tuple[str, int]:
    """The gallery's id and the version of its last change; they tell whether anything has changed. Raises as `read_catalogue`."""
    with reading(folder) as database:
        return version_of(database)


def version_of(database: sqlite3.Connection) -> tuple[str, int]:
    """As `read_version`, of an open connection."""
    values = dict(database.execute("SELECT key, value FROM gallery WHERE key IN ('id', 'version')"))
    return values.get("id", ""), int(values.get("version", "0"))
