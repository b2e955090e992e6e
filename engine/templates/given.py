"""Templates out of what other libraries hold in memory: arrays, lists, Arrow tables, and data frames of any library.

A data frame, whoever made it, hands itself over by Arrow's PyCapsule interface (`__arrow_c_stream__`): none is imported here.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
import pyarrow as pa

from engine.errors import TemplatesError, WrongType
from engine.templates.foreign_vectors import TEXT_COLUMNS, VECTOR_COLUMNS, batch_of_columns
from engine.templates.model import Templates
from engine.templates.parquet import of_foreign


@runtime_checkable
class ArrowStream(Protocol):
    """Tables of pyarrow, data frames of pandas and polars, relations of DuckDB, and whatever else speaks Arrow."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The table as a capsule."""


Vectors = np.ndarray | Sequence[Sequence[float]] | Sequence[np.ndarray] | ArrowStream
"""Vectors (n, d) of floats, or a table with a column of them, `vector` or `embedding`, or of d columns of floats."""
Names = Iterable[str | None]
"""Of each vector whose it is: a list, an array, or a column of a data frame."""

# What a table is called in messages.
_TABLE = Path("the table")


def are_vectors(given: object) -> TypeGuard[Vectors]:
    """Whether these are vectors or a table of them, and neither templates, paths nor pictures (which are uint8)."""
    if isinstance(given, np.ndarray):
        return given.dtype != np.uint8
    if isinstance(given, Templates | str | Path):
        return False
    if isinstance(given, ArrowStream):
        return True
    first = given[0] if isinstance(given, list | tuple) and given else None
    return isinstance(first, list | tuple | float) or (isinstance(first, np.ndarray) and first.dtype != np.uint8)


def templates_given(vectors: Vectors, names: Names | None = None) -> Templates:
    """Templates of vectors in memory.

    Args:
        vectors: an array or lists (n, d), a vector (d,), or a table with a column `vector` or `embedding`, and perhaps
            `identity`, `template_id` and `source`; or one that has nothing but d columns of floats.
        names: whose each of them is; None where nobody knows, or the table says so.

    Raises:
        TemplatesError: a vector is zero, NaN, infinite or of another length, or there is not one name for each.
        NameRefused: a name can be nobody's.
        WrongType: something else than vectors or names; says what.
    """
    whose = None if names is None else _names(names)
    if not isinstance(vectors, ArrowStream) or isinstance(vectors, np.ndarray):
        return Templates.from_vectors(_array(vectors), whose)
    table = _table(vectors)
    if whose is not None:
        if len(whose) != len(table):
            raise TemplatesError(f"{len(table)} vectors, but {len(whose)} names; expected one for each")
        kept = [name for name in table.column_names if name != "identity"]
        table = table.select(kept).append_column("identity", pa.array(whose, pa.string()))
    vector = next((name for name in VECTOR_COLUMNS if name in table.column_names), None)
    if vector is None:
        return _of_numbers(table)
    kept = [vector, *(name for name in TEXT_COLUMNS if name in table.column_names)]
    columns = {name: table[name].combine_chunks() for name in kept}
    if not len(table):
        raise TemplatesError("the table has no rows; expected at least one vector")
    return of_foreign(batch_of_columns(_TABLE, columns, vector), _TABLE)


def _array(vectors: Any) -> np.ndarray:
    if isinstance(vectors, list | tuple):
        lengths = {len(each) for each in vectors if isinstance(each, list | tuple | np.ndarray)}
        if len(lengths) > 1:
            raise TemplatesError(f"vectors of {' and '.join(map(str, sorted(lengths)))} dimensions; expected one length")
    try:
        array = np.asarray(vectors)
    except ValueError as error:
        raise WrongType(f"found {_kind(vectors)} that is no array of numbers ({error}); expected vectors (n, d)") from error
    if array.dtype.kind in "iu":
        array = array.astype(np.float64)
    if array.dtype.kind != "f" or array.ndim not in (1, 2):
        raise WrongType(f"found {_kind(vectors)} of {array.dtype} and shape {array.shape}; expected vectors of floats (n, d)")
    return array


def _names(names: Names) -> list[str | None]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise WrongType(f"the names are {_kind(names)}, {names!r:.60}; expected a list of texts, one for each vector")
    listed = [name.as_py() if isinstance(name, pa.Scalar) else name for name in names]
    for row, name in enumerate(listed):
        if name is not None and not isinstance(name, str):
            raise WrongType(f"the name in row {row} is {_kind(name)}, {name!r:.60}; expected text")
    return [None if name is None else str(name) for name in listed]


def _table(stream: ArrowStream) -> pa.Table:
    try:
        return pa.table(stream)
    except (TypeError, ValueError, pa.ArrowException):
        pass
    try:
        return pa.table({"vector": pa.chunked_array(stream)})
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise WrongType(f"found {_kind(stream)}, of which Arrow makes no table: {error}") from error


def _of_numbers(table: pa.Table) -> Templates:
    """Of a table whose columns are the dimensions."""
    texts = [name for name in TEXT_COLUMNS if name in table.column_names]
    numbers = [name for name in table.column_names if name not in texts]
    if not numbers or not all(pa.types.is_floating(table.schema.field(name).type) for name in numbers):
        shown = ", ".join(f"{field.name} {field.type}" for field in table.schema)[:200]
        raise WrongType(f"found a table with the columns {shown}; expected a column of vectors, called vector or embedding")
    rows = np.column_stack([table[name].to_numpy() for name in numbers])
    listed = {name: table[name].cast(pa.string()).to_pylist() for name in texts}
    return Templates.from_vectors(rows, listed.get("identity"), listed.get("template_id"))


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
