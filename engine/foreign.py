"""Vectors that somebody else wrote: Parquet with a `vector` or `embedding` column, or NumPy files."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import TemplatesError
from engine.files import UNREADABLE
from indexes.plan import free_memory

NUMPY_ENDINGS = (".npy", ".npz")
VECTOR_COLUMNS = ("vector", "embedding")
_TEXT_COLUMNS = ("template_id", "identity", "source")


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


def _parquet(path: Path, rows: int) -> Iterator[ForeignBatch]:
    file = pq.ParquetFile(path)
    names = file.schema_arrow.names
    vector = next((name for name in VECTOR_COLUMNS if name in names), None)
    if vector is None:
        raise TemplatesError(
            f"{path}: no column of vectors; found {', '.join(names) or 'no columns'}, expected vector or embedding"
        )
    kind = file.schema_arrow.field(vector).type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not is_list or not pa.types.is_floating(kind.value_type):
        raise TemplatesError(f"{path}: the column {vector} is {kind}, expected a list of float32 or float64")
    text = [name for name in _TEXT_COLUMNS if name in names]
    start, dim = 0, None
    try:
        for part in file.iter_batches(batch_size=rows, columns=[vector, *text]):
            if not part.num_rows:
                continue
            vectors = _dense(path, part.column(vector), start, dim)
            dim = vectors.shape[1]
            values = {name: part.column(name).cast(pa.string()).to_pylist() for name in text}
            yield ForeignBatch(start, vectors, values.get("template_id"), values.get("identity"), values.get("source"))
            start += part.num_rows
    except UNREADABLE as error:
        raise TemplatesError(f"{path}: damaged after row {start}: {error}") from error


def _dense(path: Path, column: pa.Array, start: int, dim: int | None) -> np.ndarray:
    """A list column as an array (n, d)."""
    lengths = np.array([0 if length is None else length for length in column.value_lengths().to_pylist()])
    if dim is None:
        dim = int(lengths[0])
    wrong = np.flatnonzero(lengths != dim)
    if len(wrong):
        row = int(wrong[0])
        raise TemplatesError(
            f"{path}: the vector in row {start + row} has {lengths[row]} dimensions, expected {dim} as in the first row"
        )
    if column.flatten().null_count:
        row = int(np.flatnonzero(column.flatten().is_null())[0]) // dim
        raise TemplatesError(f"{path}: the vector in row {start + row} has an empty place, expected {dim} numbers")
    return column.flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)


def _numpy(path: Path, rows: int) -> Iterator[ForeignBatch]:
    vectors, labels = _load_numpy(path)
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating):
        raise TemplatesError(f"{path}: found an array of shape {vectors.shape} and type {vectors.dtype}, expected floats (n, d)")
    for start in range(0, len(vectors), rows):
        part = slice(start, start + rows)
        text = {name: [str(value) for value in values[part]] for name, values in labels.items()}
        yield ForeignBatch(start, np.asarray(vectors[part]), text.get("template_id"), text.get("identity"), text.get("source"))


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
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False), {}
        with np.load(path, allow_pickle=False) as archive:
            name = next((name for name in VECTOR_COLUMNS if name in archive.files), None)
            if name is None:
                raise TemplatesError(
                    f"{path}: found the arrays {', '.join(archive.files)}; expected one called vector or embedding"
                )
            _refuse_huge(path)
            labels = {text: archive[text] for text in _TEXT_COLUMNS if text in archive.files}
            vectors = archive[name]
    except TemplatesError:
        raise
    except Exception as error:  # NumPy and zipfile raise whatever they trip over in damaged bytes
        raise TemplatesError(f"{path}: not a NumPy file of numbers: {error}") from error
    for text, values in labels.items():
        if len(values) != len(vectors):
            raise TemplatesError(f"{path}: {len(vectors)} vectors, but {len(values)} in {text}; expected one for each")
    return vectors, labels
