"""The catalogue of a gallery: the one SQLite file that says which segments live, what joined and left since they were sealed, and
how their templates were made.
"""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.storage.catalogue.connection import NAME, connect, read_only, reading, refusing
    from engine.storage.catalogue.digest import DIGEST, drop_digest, matches_digest, write_digest
    from engine.storage.catalogue.reader import read_catalogue, read_version, version_of
    from engine.storage.catalogue.records import BuildRequest, Catalogue, Changes, Segment
    from engine.storage.catalogue.schema import FORMAT
    from engine.storage.catalogue.writer import (
        put,
        put_behind,
        put_extended,
        put_measured,
        put_segment,
        upgrade,
        write_catalogue,
    )

__all__ = [
    "DIGEST",
    "FORMAT",
    "NAME",
    "BuildRequest",
    "Catalogue",
    "Changes",
    "Segment",
    "connect",
    "drop_digest",
    "matches_digest",
    "put",
    "put_behind",
    "put_extended",
    "put_measured",
    "put_segment",
    "read_catalogue",
    "read_only",
    "read_version",
    "reading",
    "refusing",
    "upgrade",
    "version_of",
    "write_catalogue",
    "write_digest",
]

__getattr__ = late_names(
    __name__,
    {
        "engine.storage.catalogue.connection": ("NAME", "connect", "read_only", "reading", "refusing"),
        "engine.storage.catalogue.digest": ("DIGEST", "drop_digest", "matches_digest", "write_digest"),
        "engine.storage.catalogue.reader": ("read_catalogue", "read_version", "version_of"),
        "engine.storage.catalogue.records": ("BuildRequest", "Catalogue", "Changes", "Segment"),
        "engine.storage.catalogue.schema": ("FORMAT",),
        "engine.storage.catalogue.writer": (
            "put",
            "put_behind",
            "put_extended",
            "put_measured",
            "put_segment",
            "upgrade",
            "write_catalogue",
        ),
    },
)
