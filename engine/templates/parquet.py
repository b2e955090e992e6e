"""The Parquet contract for templates: schema, streaming writer, readers that trust nothing."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.common.late import pc
from engine.errors import EncoderMismatch, FormerFile, TemplatesError
from engine.files import content_ids as ids
from engine.files.atomic_files import UNREADABLE
from engine.files.budgets import refuse_bomb
from engine.files.object_storage import local
from engine.templates.foreign_vectors import NUMPY_ENDINGS, VECTOR_COLUMNS, count_numpy, foreign_batches
from engine.templates.names import each_of, name_of, names_in, short, texts
from engine.templates.provenance import MOST_DIMENSIONS, PICTURE, Provenance, require_same
from engine.templates.quality.scale import scale_of

ROW_GROUP = 65_536
GROUPS = "onek.groups"
"""The key of a file's metadata that says it holds groups of faces, behind whose columns those of templates have more."""


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


def _former_schema(provenance: Provenance) -> pa.Schema:
    """That of format 1, which called the detector's confidence `quality`, and knew nothing of what a picture is worth."""
    return pa.schema([field for field in schema(provenance) if field.name not in ("detection", "reasons")])


def is_contract(found: pa.Schema, made: Provenance) -> bool:
    """Whether columns are those of a template file, of the present format or the former one."""
    return bool(found.equals(schema(made)) or found.equals(_former_schema(made)))


def of_today(table: pa.Table, made: Provenance) -> pa.Table:
    """Rows of the present schema out of rows of it or of format 1's, whose quality nobody measured."""
    if "detection" not in table.column_names:
        nothing = {"quality": pa.nulls(len(table), pa.float32()), "reasons": pa.nulls(len(table), pa.string())}
        columns = {name: table[name] for name in table.column_names} | {"detection": table["quality"]} | nothing
        table = pa.table([columns[name] for name in schema(made).names], schema(made).names)
    return table.cast(schema(made))


def with_vectors(table: pa.Table, vectors: np.ndarray, made: Provenance) -> pa.Table:
    """The same rows with other vectors (n, d), which were `made` so."""
    flat = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(vectors, np.float32).ravel()), made.dim)
    return pa.table([*table.columns[:-1], flat], schema=schema(made))


@dataclass(frozen=True)
class Templates:
    """Templates in memory: an Arrow table of the contract's schema, and how they were made."""

    table: pa.Table
    provenance: Provenance

    def __len__(self) -> int:
        return self.table.num_rows

    @cached_property
    def vectors(self) -> np.ndarray:
        """float32, shape (n, dim), L2-normalised, C-contiguous."""
        return vectors_of(self.table)

    def of(self, identity: str) -> "Templates":
        """The same templates, all of one identity. Raises `NameRefused` where that is no name."""
        return Templates(_with_identities(self.table, pa.array([name_of(identity)] * len(self), pa.string())), self.provenance)

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
    """A record batch of the contract's schema. What is not given is null."""
    target = schema(provenance)
    nothing = [None] * len(vectors)
    given = (template_ids, identities, sources, faces, boxes, qualities, detections, reasons)
    arrays = [_column(nothing if column is None else column, target.field(i).type) for i, column in enumerate(given)]
    flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
    arrays.append(pa.FixedSizeListArray.from_arrays(flat, provenance.dim))
    return pa.RecordBatch.from_arrays(arrays, schema=target)


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    return texts(values) if isinstance(values, list) and pa.types.is_string(kind) else pa.array(values, kind)


class TemplateWriter:
    """Write templates to one Parquet file as they come, in row groups of at most `ROW_GROUP` rows."""

    def __init__(self, path: Path, provenance: Provenance) -> None:
        self._writer = pq.ParquetWriter(
            path, schema(provenance), compression="zstd", write_statistics=["template_id", "identity"]
        )
        self._waiting: list[pa.RecordBatch] = []
        self.rows = 0

    def write(self, rows: pa.RecordBatch) -> None:
        """Append a batch of the contract's schema."""
        self._waiting.append(rows)
        self.rows += rows.num_rows
        if sum(waiting.num_rows for waiting in self._waiting) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting), row_group_size=ROW_GROUP)
            self._waiting = []

    def __enter__(self) -> "TemplateWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self._flush()
        self._writer.close()


def is_template_file(path: Path, modality: str = PICTURE) -> bool:
    """Whether a file is meant as templates: NumPy, or Parquet that has vectors, or is no list of photographs either.

    Where templates are made of signals or volumes, a NumPy file is one of those.
    """
    if path.suffix.lower() in NUMPY_ENDINGS:
        return modality == PICTURE
    if path.suffix.lower() != ".parquet" or not (path := local(path)).is_file():
        return False
    columns = _open(path).schema_arrow.names
    return "path" not in columns or any(name in columns for name in VECTOR_COLUMNS)


class TemplateFile:
    """A file of templates that is read: one that onek wrote, or vectors from elsewhere (Parquet with a `vector` or `embedding`
    column, `.npy`, `.npz`). Where it lies is found once, when this is made; no file is held open.

    `path`: as it was given. Raises `TemplatesError` where there is no such file, or it has the ending of another kind.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._here = _existing(self.path)
        self._is_numpy = self._here.suffix.lower() in NUMPY_ENDINGS

    @cached_property
    def provenance(self) -> Provenance:
        """How the vectors were made, without reading more of them than is needed.

        Raises:
            TemplatesError: the file is unreadable, of a newer format, or has no vectors.
        """
        return self._own_provenance or next(_foreign(self._here, ROW_GROUP)).provenance

    @cached_property
    def _own_provenance(self) -> Provenance | None:
        """None for a file from elsewhere."""
        return None if self._is_numpy else _provenance_of(self._here, _open(self._here))

    def count(self) -> int:
        """How many templates there are, from the file's header where that says it. Raises `TemplatesError` as `provenance`."""
        if self._is_numpy:
            return count_numpy(self._here)
        file = _open(self._here)
        return sum(map(len, self.stream())) if _holds_groups(file) else file.metadata.num_rows

    def stream(self, rows: int | None = None) -> Iterator[Templates]:
        """Read in batches of at most `rows`, by default `ROW_GROUP`; as `stream_templates`."""
        rows = ROW_GROUP if rows is None else rows
        made = self._own_provenance
        return _foreign(self._here, rows) if made is None else _own(self._here, made, rows)


def stream_templates(path: Path, rows: int = ROW_GROUP) -> Iterator[Templates]:
    """Read a template file in batches of at most `rows`, every vector checked.

    A file that onek wrote is taken as it is, but for names, which are read as everywhere (`names`). A file from elsewhere
    (Parquet with a `vector` or `embedding` column, `.npy`, `.npz`) is normalised; where it has no `template_id`, a template is
    called after its numbers and row, and where it says no `source` either, that is `FILE:ROW`. Of groups that `onek group` made,
    the named ones are read.

    Raises:
        TemplatesError: the file cannot be read, or a vector is zero, NaN, infinite or of another length: names file and row.
        NameRefused: an identity is no name.
    """
    yield from TemplateFile(path).stream(rows)


def read_templates(*paths: str | Path) -> Templates:
    """Read template files whole, as one.

    Raises:
        TemplatesError: as `stream_templates`.
        EncoderMismatch: the files were made by different encoders; names both.
    """
    if not paths:
        raise TemplatesError("no template file was named")
    parts = [part for _, part in stream_same(map(TemplateFile, paths))]
    return Templates(pa.concat_tables([part.table for part in parts]), parts[0].provenance)


def stream_same(files: Iterable[TemplateFile]) -> Iterator[tuple[Path, Templates]]:
    """Read several files in batches, each with its file's path, and refuse the first file that was made differently from the ones
    before.

    Raises:
        TemplatesError: as `stream_templates`.
        EncoderMismatch: names both files and how each was made.
    """
    first: TemplateFile | None = None
    for file in files:
        first = first or file
        one, other = first.provenance, file.provenance
        require_same(one, other, str(first.path), str(file.path))
        if (one.fingerprint is None) != (other.fingerprint is None):
            raise EncoderMismatch(f"{first.path} was made by {one}, {file.path} by {other}; expected one encoder's templates")
        for part in file.stream():
            yield file.path, part


def normalised(vectors: np.ndarray, name: str, first_row: int) -> np.ndarray:
    """L2-normalise vectors (n, d) of any float type.

    Raises:
        TemplatesError: one is zero, NaN or infinite; names `name` and the row, counted from `first_row`.
    """
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating) or not vectors.shape[1]:
        raise TemplatesError(f"{name}: found an array of shape {vectors.shape} and type {vectors.dtype}, expected floats (n, d)")
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
    return np.ascontiguousarray(wide / norms[:, None], np.float32)


def vectors_of(table: pa.Table) -> np.ndarray:
    """The vectors of a table of the contract's schema: float32 (n, dim), C-contiguous."""
    column = table["vector"].combine_chunks()
    dim = table.schema.field("vector").type.list_size
    return np.ascontiguousarray(column.flatten().to_numpy().reshape(-1, dim))


def qualities_of(table: pa.Table) -> np.ndarray:
    """The qualities of a table of the contract's schema: float32 (n,), NaN for null."""
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


def _check_unit(vectors: np.ndarray, path: Path, start: int) -> None:
    norms = np.linalg.norm(vectors, axis=1)
    bad = np.flatnonzero(~(np.abs(norms - 1) < 1e-3))
    if len(bad):
        row = int(bad[0])
        raise TemplatesError(
            f"{path}: the vector in row {start + row} has the norm {norms[row]:.4g}, expected 1; embed the photographs anew"
        )


def _existing(path: Path) -> Path:
    path = local(path)
    if path.is_dir():
        raise TemplatesError(f"{path} is a folder; expected a template file, which onek embed makes of photographs")
    if not path.is_file():
        raise TemplatesError(f"{path}: no such template file")
    if path.suffix.lower() not in (".parquet", *NUMPY_ENDINGS):
        raise TemplatesError(f"{path}: expected templates as .parquet, .npy or .npz")
    refuse_bomb(path)
    return path


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except UNREADABLE as error:
        raise TemplatesError(f"{path}: not a Parquet file: {error}") from error


def _own(path: Path, made: Provenance, rows: int) -> Iterator[Templates]:
    file = _open(path)
    if (file.schema_arrow.metadata or {}).get(b"onek.format") == b"1" and scale_of(made) is not None:
        warnings.warn(
            f"{path}: an older onek wrote it, which did not say what a picture is worth: nothing in it is below --quality, and "
            "scores go without; embed the photographs anew to have it",
            FormerFile,
            stacklevel=2,
        )
    groups = _holds_groups(file)
    start = 0
    try:
        for part in file.iter_batches(batch_size=rows):
            table = pa.Table.from_batches([part])
            if groups:
                table = table.filter(pc.is_valid(table["identity"])).select(schema(made).names)
            table = of_today(table, made)
            table = _with_identities(table, names_in(table["identity"], str(path)))
            _check_unit(vectors_of(table), path, start)
            yield Templates(table, made)
            start += part.num_rows
    except UNREADABLE as error:
        raise TemplatesError(f"{path}: damaged after row {start}: {error}") from error
    if not start:
        yield Templates(schema(made).empty_table(), made)


def _provenance_of(path: Path, file: pq.ParquetFile) -> Provenance | None:
    """None for a file that somebody else wrote."""
    found = file.schema_arrow.metadata or {}
    ours = {key: value for key, value in found.items() if key.startswith(b"onek.")}
    metadata = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in ours.items()}
    if "onek.format" not in metadata:
        return None
    form = metadata["onek.format"]
    if form not in ("1", "2"):
        raise TemplatesError(f"{path}: template format {form}; this onek reads formats 1 and 2, so take a newer onek")
    try:
        made = Provenance.from_json(metadata.get("onek.provenance", ""))
    except ValueError as error:
        raise TemplatesError(f"{path}: its metadata does not say how its templates were made: {error}") from error
    expected = schema(made) if form == "2" else _former_schema(made)
    columns = pa.schema(list(file.schema_arrow)[: len(expected)]) if _holds_groups(file) else file.schema_arrow
    if not expected.equals(columns):
        raise TemplatesError(f"{path}: found the columns {_columns(file.schema_arrow)}, expected {_columns(expected)}")
    return made


def _holds_groups(file: pq.ParquetFile) -> bool:
    return GROUPS.encode() in (file.schema_arrow.metadata or {})


def _columns(found: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in found)


def _foreign(path: Path, rows: int) -> Iterator[Templates]:
    made = None
    for part in foreign_batches(path, rows):
        if part.vectors.shape[1] > MOST_DIMENSIONS:
            raise TemplatesError(f"{path}: vectors of {part.vectors.shape[1]:,} dimensions; at most {MOST_DIMENSIONS:,} are read")
        unit = normalised(part.vectors, str(path), part.start)
        made = made or Provenance.foreign(unit.shape[1])
        called, sources = part.template_ids, part.sources
        if called is None:
            called = ids.of_vectors(part.vectors, part.start)
            sources = sources or [f"{path.name}:{part.start + row}" for row in range(len(unit))]
        table = pa.Table.from_batches([batch(made, called, part.identities, unit, sources)])
        yield Templates(_with_identities(table, names_in(table["identity"], str(path))), made)


def _with_identities(table: pa.Table, identities: pa.Array | pa.ChunkedArray) -> pa.Table:
    column = table.schema.get_field_index("identity")
    return table.set_column(column, table.schema.field(column), identities)
