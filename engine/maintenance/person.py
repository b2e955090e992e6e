"""Everything that a gallery stores about one person, for requests of access under data protection law."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.answers.snapshot import Snapshot
from engine.errors import GalleryError, TemplatesError
from engine.files.atomic_files import UNREADABLE
from engine.storage.folder_snapshot import FolderSnapshot
from engine.storage.segments import segment_files
from engine.storage.segments.labels import opened_rows

# Columns of a sealed segment and of recent rows; the vectors come from the index.
_COLUMNS = ["template_id", "identity", "source", "face", "box"]
# Templates whose rows are read at once without anybody's waiting for it.
_FEW = 20_000


@dataclass(frozen=True)
class Stored:
    """What is stored about `identity`: a dict for each template, with `template_id`, `source`, `face`, `box`, `enrolled_as` (the
    name that it has in the sealed files, where that is another), and `vector`. `awaiting_erasure`: templates of that name that
    were removed, and whose bytes `onek compact` erases. Of a gallery in Milvus `source`, `face`, `box` are null.
    """

    identity: str
    templates: list[dict[str, Any]]
    awaiting_erasure: int


def stored_about(seen: Snapshot, identity: str) -> Stored:
    """What a gallery stores about one person.

    Raises:
        GalleryError: nobody is called that, or a file is damaged.
    """
    ids, vectors = seen.templates_of(identity)
    rows: list[dict[str, Any]] = [dict.fromkeys(_COLUMNS) for _ in ids]
    waiting = 0
    if isinstance(seen, FolderSnapshot):
        table = _rows(seen)
        removed = table.filter(pa.array(seen.gone)) if seen.gone.any() else table.slice(0, 0)
        waiting = removed["identity"].to_pylist().count(identity)
        stays = table.filter(pa.array(~seen.gone)) if seen.gone.any() else table
        at = {name: row for row, name in enumerate(stays["template_id"].to_pylist())}
        rows = stays.take([at[name] for name in ids]).to_pylist()
    return Stored(identity, [_told(*each, identity) for each in zip(rows, ids, vectors, strict=True)], waiting)


def photographs_of(seen: Snapshot, identities: Sequence[str]) -> dict[str, tuple[str, Sequence[float] | None]]:
    """Of each of some people the photograph of one template, and the box of the face in it; without those of whom a gallery keeps
    none, and nobody's where it would be long to look.
    """
    if not isinstance(seen, FolderSnapshot) or seen.template_count > _FEW:
        return {}
    table = _rows(seen).filter(pa.array(~seen.gone))
    at = {name: row for row, name in enumerate(table["template_id"].to_pylist())}
    firsts = {identity: seen.templates_of(identity)[0][0] for identity in identities}
    rows = {identity: table.slice(at[name], 1).to_pylist()[0] for identity, name in firsts.items()}
    return {identity: (row["source"], row["box"]) for identity, row in rows.items() if row["source"]}


def _told(row: dict[str, Any], name: str, vector: np.ndarray, identity: str) -> dict[str, Any]:
    former = row["identity"] if row["identity"] not in (None, identity) else None
    return {
        "template_id": name,
        "source": row["source"],
        "face": row["face"],
        "box": row["box"],
        "enrolled_as": former,
        "vector": [float(f"{number:.9g}") for number in vector],
    }


def _rows(seen: FolderSnapshot) -> pa.Table:
    """What is stored beside the vectors, of the sealed rows and then of recent ones, those that left included."""
    sealed = [_sealed(segment_files(seen.path, segment.name).rows) for segment in seen.catalogue.segments]
    return pa.concat_tables(table.replace_schema_metadata() for table in (*sealed, seen.recent.table.select(_COLUMNS)))


def _sealed(file: Path) -> pa.Table:
    try:
        return opened_rows(file).read(columns=_COLUMNS)
    except (*UNREADABLE, TemplatesError) as error:
        raise GalleryError(f"{file} cannot be read: {error}; onek check says what is wrong") from error
