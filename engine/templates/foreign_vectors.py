"""Vectors that somebody else wrote: Parquet with a `vector` or `embedding` column, or NumPy files."""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.common.late import pc
from engine.errors import TemplatesError
from engine.files.atomic_files import UNREADABLE
from engine.templates.provenance import MOST_DIMENSIONS
from indexes.planner import free_memory

NUMPY_ENDINGS = (".npy", ".npz")
VECTOR_COLUMNS = ("vector", "embedding")
TEXT_COLUMNS = ("template_id", "identity", "source")


@dataclass(frozen=True)
class ForeignBatch:
    """Rows from `start` on, as they stand in the file: `vectors` (n, d), neither checked nor normalised."""

    start: int
    vectors: np.ndarray
    template_ids: Sequence[str] | None = None
    identities: Sequence[str | None] | None = None
    sources: Sequence[str | None] | None = None


def foreign_batches(path: Path, rows: int) -> Iterator[ForeignBatch]:
    """Read a file in batches of at most `rows`.

    Raises:
        TemplatesError: it is unreadable, empty, or has no usable vectors; names the columns found and the row.
    """
    batches = _parquet(path, rows) if path.suffix.lower() == ".parquet" else _numpy(path, rows)
    empty = True
    for part in batches:
        empty = False
        yield part
    if empty:
        raise TemplatesError(f"{path}: no rows in it; expected at least one vector")


def vector_column(path: Path, names: Sequence[str]) -> str:
    """Which column (or array) holds the vectors. Raises `TemplatesError` where none does, or more than one."""
    found = [name for name in names if name in VECTOR_COLUMNS]
    if not found:
        shown = ", ".join(names)[:200] or "none"
        raise TemplatesError(f"{path}: found the columns {shown}; expected one of vectors, called vector or embedding")
    if len(found) > 1:
        raise TemplatesError(f"{path}: found {len(found)} columns of vectors, {' and '.join(found)}; expected one")
    return found[0]


def _parquet(path: Path, rows: int) -> Iterator[ForeignBatch]:
    file = pq.ParquetFile(path, pre_buffer=False)  # which would keep all that was read
    names = file.schema_arrow.names
    vector = vector_column(path, names)
    _refuse_kind(path, file.schema_arrow.field(vector))
    text = [name for name in TEXT_COLUMNS if name in names]
    for name in text:
        if names.count(name) > 1:
            raise TemplatesError(f"{path}: found {names.count(name)} columns called {name}; expected one")
    start, dim = 0, None
    try:
        for part in file.iter_batches(batch_size=rows, columns=[vector, *text]):
            if not part.num_rows:
                continue
            made = batch_of_columns(path, {name: part.column(name) for name in part.schema.names}, vector, start, dim)
            yield made
            start, dim = start + part.num_rows, made.vectors.shape[1]
    except UNREADABLE as error:
        raise TemplatesError(f"{path}: damaged after row {start}: {error}") from error


def batch_of_columns(
    path: Path, columns: Mapping[str, pa.Array], vector: str, start: int = 0, dim: int | None = None
) -> ForeignBatch:
    """The rows that Arrow columns (n,) hold: that of vectors, and those of `TEXT_COLUMNS` that are there.

    Args:
        path: what they are of, in messages.
        columns: by their names.
        vector: which of them holds the vectors.
        start: which row the first one is, in messages.
        dim: the dimensions that vectors must have; None: those of the first.

    Raises:
        TemplatesError: they hold no vectors, or texts that are none; names the row.
    """
    _refuse_kind(path, pa.field(vector, columns[vector].type))
    text = [name for name in TEXT_COLUMNS if name in columns]
    for name in text:
        _refuse_text(path, pa.field(name, columns[name].type))
    vectors = _dense(path, vector, columns[vector], start, dim)
    return _batch(path, start, vectors, {name: _texts(path, name, columns[name], start) for name in text})


def _batch(path: Path, start: int, vectors: np.ndarray, texts: dict[str, list[str | None]]) -> ForeignBatch:
    """Raises `TemplatesError` where a template has no id."""
    ids = [each or "" for each in texts["template_id"]] if "template_id" in texts else None
    if ids is not None and "" in ids:
        raise TemplatesError(
            f"{path}: template_id in row {start + ids.index('')} is empty; expected one for each row, or no such column"
        )
    return ForeignBatch(start, vectors, ids, texts.get("identity"), texts.get("source"))


def _refuse_kind(path: Path, field: pa.Field) -> None:
    kind = getattr(field.type, "storage_type", field.type)  # a tensor is a list underneath
    if pa.types.is_fixed_size_list(kind):
        refuse_wide(path, kind.list_size)
    if _is_list(kind) and pa.types.is_floating(kind.value_type):
        return
    floats = "float16, float32 or float64"
    if _is_list(kind) and pa.types.is_integer(kind.value_type):
        raise TemplatesError(
            f"{path}: the column {field.name} holds whole numbers ({kind}), expected lists of {floats}; "
            "only whoever made them knows their zero point and scale, so turn them into floats first"
        )
    raise TemplatesError(f"{path}: the column {field.name} is {kind}, expected lists of {floats}")


def refuse_wide(path: Path, dim: int) -> None:
    """Raise `TemplatesError` where vectors have more dimensions than are read."""
    if dim > MOST_DIMENSIONS:
        raise TemplatesError(f"{path}: vectors of {dim:,} dimensions; at most {MOST_DIMENSIONS:,} are read")


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    known = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view)
    return any(each(kind) for each in known)


def _refuse_text(path: Path, field: pa.Field) -> None:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    types = pa.types
    text = (types.is_string, types.is_large_string, types.is_string_view, types.is_binary, types.is_large_binary)
    if not any(each(kind) for each in (*text, types.is_integer, types.is_null)):
        raise TemplatesError(f"{path}: the column {field.name} holds {field.type}, expected text or whole numbers")


def _texts(path: Path, name: str, column: pa.Array, start: int) -> list[str | None]:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        return column.cast(pa.string()).to_pylist()
    return [None if value is None else _decoded(path, name, value, start + row) for row, value in enumerate(column.to_pylist())]


def _decoded(path: Path, name: str, value: bytes, row: int) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TemplatesError(f"{path}: {name} in row {row} is {value[:40]!r}, which is not UTF-8; expected text") from error


def _dense(path: Path, name: str, column: pa.Array, start: int, dim: int | None) -> np.ndarray:
    """A list column as an array (n, d)."""
    column = getattr(column, "storage", column)
    if column.null_count:
        row = int(np.flatnonzero(column.is_null())[0])
        raise TemplatesError(f"{path}: {name} in row {start + row} is null; expected a vector in each row")
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    if dim is None:
        dim = int(lengths[0])
    if not dim:
        raise TemplatesError(f"{path}: {name} in row {start} has no dimensions; expected a vector in each row")
    refuse_wide(path, dim)
    wrong = np.flatnonzero(lengths != dim)
    if len(wrong):
        row = int(wrong[0])
        raise TemplatesError(
            f"{path}: {name} in row {start + row} has {lengths[row]} dimensions, expected {dim} as in the first row"
        )
    flat = column.flatten()
    if flat.null_count:
        row = int(np.flatnonzero(flat.is_null())[0]) // dim
        raise TemplatesError(f"{path}: {name} in row {start + row} has an empty place, expected {dim} numbers")
    return np.asarray(flat).reshape(-1, dim)


def _numpy(path: Path, rows: int) -> Iterator[ForeignBatch]:
    vectors, labels = _load_numpy(path)
    for start in range(0, len(vectors), rows):
        texts = {
            name: [_label(path, name, value, start + row) for row, value in enumerate(values[start : start + rows])]
            for name, values in labels.items()
        }
        yield _batch(path, start, np.asarray(vectors[start : start + rows]), texts)


def _label(path: Path, name: str, value: np.generic, row: int) -> str | None:
    return _decoded(path, name, value, row) if isinstance(value, bytes) else str(value)


def count_numpy(path: Path) -> int:
    """How many vectors a NumPy file holds. Raises `TemplatesError` where it cannot be read."""
    return len(_load_numpy(path)[0])


def _refuse_huge(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > (most := free_memory() // 2):
        raise TemplatesError(
            f"{path} unpacks to {size >> 20} MiB, half of the free memory is {most >> 20}; save the vectors as .npy or Parquet"
        )


def _load_numpy(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The vectors (n, d) of a file, and the arrays (n,) of text or whole numbers that go with them."""
    labels: dict[str, np.ndarray] = {}
    try:
        if path.suffix.lower() == ".npy":
            vectors = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            with np.load(path, allow_pickle=False) as archive:
                name = vector_column(path, archive.files)
                _refuse_huge(path)
                labels = {text: archive[text] for text in TEXT_COLUMNS if text in archive.files}
                vectors = archive[name]
    except TemplatesError:
        raise
    except Exception as error:  # NumPy and zipfile raise whatever they trip over in damaged bytes
        said = " ".join(str(error).split())
        raise TemplatesError(f"{path}: not a NumPy file of numbers and text: {said}") from error
    if vectors.ndim != 2 or not vectors.shape[1] or not np.issubdtype(vectors.dtype, np.floating):
        raise TemplatesError(f"{path}: found an array of shape {vectors.shape} and type {vectors.dtype}, expected floats (n, d)")
    for text, values in labels.items():
        if values.ndim != 1 or values.dtype.kind not in "USiu":
            raise TemplatesError(
                f"{path}: {text} has the shape {values.shape} and holds {values.dtype}, expected text or whole numbers (n,)"
            )
        if len(values) != len(vectors):
            raise TemplatesError(f"{path}: {len(vectors)} vectors, but {len(values)} in {text}; expected one for each")
    return vectors, labels
