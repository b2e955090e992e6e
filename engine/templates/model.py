"""Templates in memory: the columns of a table of them, and what makes one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from engine.errors import TemplatesError
from engine.files import content_ids as ids
from engine.tables.frames import Tabular
from engine.templates.names import each_of, name_of, names_in, short, texts
from engine.templates.provenance import Provenance

# Numbers that are normalised at once, in double precision.
_AT_ONCE = 1 << 20


def schema(provenance: Provenance) -> pa.Schema:
    """The columns of a template file, and how the templates were made as its metadata."""
    fields = [
        pa.field("template_id", pa.string(), nullable=False),
        pa.field("identity", pa.string()),
        pa.field("source", pa.string()),
        pa.field("face", pa.int32()),
        pa.field("box", pa.list_(pa.float32(), 4)),
        pa.field("quality", pa.float32()),
        pa.field("detection", pa.float32()),
        pa.field("reasons", pa.string()),
        pa.field("vector", pa.list_(pa.float32(), provenance.dim), nullable=False),
    ]
    return pa.schema(fields, metadata=provenance.to_metadata())


@dataclass(frozen=True)
class Templates(Tabular):
    """Templates in memory: an Arrow table with the columns of `schema`, and how they were made."""

    table: pa.Table
    provenance: Provenance

    _shown = ("template_id", "identity", "source", "face", "quality")

    def __repr__(self) -> str:
        return f"<Templates: {len(self):,} made by {self.provenance}>"

    def __len__(self) -> int:
        return self.table.num_rows

    @cached_property
    def vectors(self) -> np.ndarray:
        """float32, shape (n, dim), L2-normalised, C-contiguous."""
        return vectors_of(self.table)

    def of(self, identity: str) -> "Templates":
        """The same templates, all of one identity. Raises `NameRefused` where that is no name."""
        return Templates(with_identities(self.table, pa.array([name_of(identity)] * len(self), pa.string())), self.provenance)

    @cached_property
    def qualities(self) -> np.ndarray:
        """float32, shape (n,): the share of ordinary photographs that are worse than each template's; NaN where nobody said."""
        return qualities_of(self.table)

    @classmethod
    def from_vectors(
        cls,
        vectors: np.ndarray,
        identities: str | Sequence[str | None] | None = None,
        template_ids: str | Sequence[str] | None = None,
        provenance: Provenance | None = None,
    ) -> "Templates":
        """Templates out of an array (n, dim) of any length and float type; the vectors are normalised.

        Without `template_ids`, they get ones made of their numbers and rows: the same vector the same id, others others. Of those
        that nobody labelled, `source` says `vectors:ROW`, which is what results call a probe.

        Raises:
            TemplatesError: a vector is zero, NaN or infinite, or the lists are of other lengths.
            NameRefused: an identity is no name.
        """
        vectors = np.atleast_2d(np.asarray(vectors))
        count = len(vectors)
        identities = None if identities is None else each_of(identities)
        template_ids = None if template_ids is None else each_of(template_ids)
        for name, values in (("identities", identities), ("template_ids", template_ids)):
            if values is not None and len(values) != count:
                raise TemplatesError(f"{count} vectors, but {len(values)} {name}; expected one for each")
        unit = normalised(vectors, "vectors", 0)
        made = provenance or Provenance.foreign(unit.shape[1])
        names = None if identities is None else names_in(texts(identities), "the vectors")
        called = short(texts(template_ids), "template_ids") if template_ids else ids.of_vectors(vectors)
        sources = [f"vectors:{row}" for row in range(count)] if identities is None and template_ids is None else None
        return cls(pa.Table.from_batches([batch(made, called, names, unit, sources)]), made)


def batch(
    provenance: Provenance,
    template_ids: Sequence[str] | pa.Array,
    identities: Sequence[str | None] | pa.Array | None,
    vectors: np.ndarray,
    sources: Sequence[str | None] | pa.Array | None = None,
    faces: Sequence[int | None] | None = None,
    boxes: Sequence[Sequence[float] | None] | None = None,
    qualities: Sequence[float | None] | None = None,
    detections: Sequence[float | None] | None = None,
    reasons: Sequence[str | None] | None = None,
) -> pa.RecordBatch:
    """A record batch with the columns of `schema`. What is not given is null."""
    target = schema(provenance)
    nothing = [None] * len(vectors)
    given = (template_ids, identities, sources, faces, boxes, qualities, detections, reasons)
    arrays = [_column(nothing if column is None else column, target.field(i).type) for i, column in enumerate(given)]
    flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
    arrays.append(pa.FixedSizeListArray.from_arrays(flat, provenance.dim))
    return pa.RecordBatch.from_arrays(arrays, schema=target)


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    return texts(values) if isinstance(values, list) and pa.types.is_string(kind) else pa.array(values, kind)


def with_vectors(table: pa.Table, vectors: np.ndarray, made: Provenance) -> pa.Table:
    """The same rows with other vectors (n, d), which were `made` so."""
    flat = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(vectors, np.float32).ravel()), made.dim)
    return pa.table([*table.columns[:-1], flat], schema=schema(made))


def with_identities(table: pa.Table, identities: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The same rows with other identities (n,)."""
    column = table.schema.get_field_index("identity")
    return table.set_column(column, table.schema.field(column), identities)


def normalised(vectors: np.ndarray, name: str, first_row: int) -> np.ndarray:
    """L2-normalise vectors (n, d) of any float type.

    Raises:
        TemplatesError: one is zero, NaN or infinite; names `name` and the row, counted from `first_row`.
    """
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating) or not vectors.shape[1]:
        raise TemplatesError(f"{name}: found an array of shape {vectors.shape} and type {vectors.dtype}, expected floats (n, d)")
    unit = np.empty(vectors.shape, np.float32)
    part = max(1, _AT_ONCE // vectors.shape[1])
    for start in range(0, len(vectors), part):
        unit[start : start + part] = _normalised(vectors[start : start + part], name, first_row + start)
    return unit


def _normalised(vectors: np.ndarray, name: str, first_row: int) -> np.ndarray:
    wide = vectors.astype(np.float64)
    # In units of each vector's largest number, so that no square is too large or too small.
    largest = np.abs(wide).max(axis=1, keepdims=True)
    wide = np.divide(wide, largest, out=wide, where=np.isfinite(largest) & (largest > 0))
    norms = np.linalg.norm(wide, axis=1)
    bad = np.flatnonzero(~np.isfinite(norms) | (norms == 0))
    if len(bad):
        row = int(bad[0])
        what = "a zero vector" if norms[row] == 0 else "NaN or infinity in the vector"
        more = f" ({len(bad)} such rows in this part)" if len(bad) > 1 else ""
        raise TemplatesError(f"{name}: row {first_row + row} holds {what}; expected finite numbers that are not all zero{more}")
    return wide / norms[:, None]


def vectors_of(table: pa.Table) -> np.ndarray:
    """The vectors of a table of templates: float32 (n, dim), C-contiguous."""
    column = table["vector"]
    # To combine a single chunk would copy it.
    whole = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    dim = table.schema.field("vector").type.list_size
    return np.ascontiguousarray(whole.flatten().to_numpy().reshape(-1, dim))


def qualities_of(table: pa.Table) -> np.ndarray:
    """The qualities of a table of templates: float32 (n,), NaN for null."""
    parts = [_floats(chunk) for chunk in table["quality"].chunks]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _floats(column: pa.Array) -> np.ndarray:
    """As they lie in memory, NaN for null: Arrow's own functions take a third of the time in which `onek list` starts."""
    known, data = column.buffers()
    if data is None:
        return np.full(len(column), np.nan, np.float32)
    values = np.frombuffer(data, np.float32, len(column), 4 * column.offset)
    if known is None or not column.null_count:
        return values
    bits = np.unpackbits(np.frombuffer(known, np.uint8), bitorder="little")[column.offset : column.offset + len(column)]
    return np.where(bits == 1, values, np.float32(np.nan))
