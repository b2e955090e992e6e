"""Files of templates: a writer that takes them as they come, and readers that trust nothing."""

import warnings
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.common.late import pc
from engine.errors import EncoderMismatch, FormerFile, TemplatesError
from engine.files import content_ids as ids
from engine.files.atomic_files import UNREADABLE
from engine.files.budgets import refuse_bomb
from engine.files.object_storage import local
from engine.templates.foreign_vectors import (
    NUMPY_ENDINGS,
    VECTOR_COLUMNS,
    ForeignBatch,
    count_numpy,
    foreign_batches,
    refuse_wide,
)
from engine.templates.model import Templates, batch, normalised, schema, vectors_of, with_identities
from engine.templates.names import names_in
from engine.templates.provenance import PICTURE, Provenance, require_same
from engine.templates.quality.scale import scale_of

ROW_GROUP = 65_536
# Columns whose values come again and again. Ids never do, and numbers of vectors neither: a dictionary of them, or compressing
# those numbers, costs half of the time to write a file and saves less than a tenth of its bytes.
_REPEATED = ("identity", "source", "reasons")
GROUPS_KEY = "onek.groups"
"""The key of a file's metadata that says it holds groups of faces, behind whose columns those of templates have more."""


def _former_schema(provenance: Provenance) -> pa.Schema:
    """That of format 1, which called the detector's confidence `quality`, and knew nothing of what a picture is worth."""
    return pa.schema([field for field in schema(provenance) if field.name not in ("detection", "reasons")])


def has_template_columns(found: pa.Schema, made: Provenance) -> bool:
    """Whether columns are those of a template file, of the present format or the former one."""
    return bool(found.equals(schema(made)) or found.equals(_former_schema(made)))


def in_current_format(table: pa.Table, made: Provenance) -> pa.Table:
    """Rows of the present schema out of rows of it or of format 1's, whose quality nobody measured."""
    if "detection" not in table.column_names:
        nothing = {"quality": pa.nulls(len(table), pa.float32()), "reasons": pa.nulls(len(table), pa.string())}
        columns = {name: table[name] for name in table.column_names} | {"detection": table["quality"]} | nothing
        table = pa.table([columns[name] for name in schema(made).names], schema(made).names)
    return table.cast(schema(made))


class TemplateWriter:
    """Write templates to one Parquet file as they come, in row groups of at most `ROW_GROUP` rows."""

    def __init__(self, path: Path, provenance: Provenance) -> None:
        columns = schema(provenance)
        self._writer = pq.ParquetWriter(
            path,
            columns,
            compression={field.name: "zstd" for field in columns if not pa.types.is_fixed_size_list(field.type)},
            use_dictionary=list(_REPEATED),
            write_statistics=["template_id", "identity"],
        )
        self._waiting: list[pa.RecordBatch] = []
        self.rows = 0

    def write(self, rows: pa.RecordBatch) -> None:
        """Append a batch with the columns of `schema`."""
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


def _check_unit(vectors: np.ndarray, path: Path, start: int) -> None:
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))  # `norm` would make arrays as large as the vectors on its way
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
        return pq.ParquetFile(path, pre_buffer=False)  # which would keep all that was read
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
        for part in file.iter_batches(batch_size=rows, use_threads=False):
            table = pa.Table.from_batches([part])
            if groups:
                table = table.filter(pc.is_valid(table["identity"])).select(schema(made).names)
            table = in_current_format(table, made)
            table = with_identities(table, names_in(table["identity"], str(path)))
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
    return GROUPS_KEY.encode() in (file.schema_arrow.metadata or {})


def _columns(found: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in found)


def _foreign(path: Path, rows: int) -> Iterator[Templates]:
    made = None
    for part in foreign_batches(path, rows):
        yield (templates := of_foreign(part, path, made))
        made = templates.provenance


def of_foreign(part: ForeignBatch, path: Path, made: Provenance | None = None, first: int | None = None) -> Templates:
    """Templates of vectors from elsewhere: normalised, with names that are names, and ids of their numbers where they have none.

    `made`: how those before them were; `first`: which row theirs is among all, where `path` is one of several.

    Raises:
        TemplatesError: a vector is zero, NaN or infinite; names the row.
        NameRefused: an identity is no name.
    """
    refuse_wide(path, part.vectors.shape[1])
    unit = normalised(part.vectors, str(path), part.start)
    made = made or Provenance.foreign(unit.shape[1])
    called, sources = part.template_ids, part.sources
    if called is None:
        called = ids.of_vectors(part.vectors, part.start if first is None else first)
        sources = sources or [f"{path.name}:{part.start + row}" for row in range(len(unit))]
    table = pa.Table.from_batches([batch(made, called, part.identities, unit, sources)])
    return Templates(with_identities(table, names_in(table["identity"], str(path))), made)
