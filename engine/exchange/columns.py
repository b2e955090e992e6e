"""Columns out of what other tools write: lists of records, points with payloads, arrays by name, tables of text."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.common.dataclass_json import from_json
from engine.errors import TemplatesError
from engine.exchange.plain_pickle import plain_value
from engine.exchange.tools import Tool
from engine.tables.lists import Column, places_of, read_list
from engine.tables.text_lines import LARGEST, read_lines
from engine.templates.provenance import MOST_DIMENSIONS
from indexes.planner import free_memory

Columns = dict[str, list[Any]]
# What answers and exports are wrapped in, from the outside.
_WRAPPERS = ("result", "results", "points", "rows", "data", "hits")
# Where a record keeps what somebody said of it.
_PAYLOADS = ("payload", "entity", "metadata", "properties")
# Bytes that a value of a file takes in memory, about, for each of its own.
_TIMES = 8


def columns_of(path: Path, tool: Tool) -> Columns:
    """The columns of a file, by their names: the tool's own, and all others.

    Raises:
        TemplatesError: it cannot be read, holds what needs code to be read, or nothing that is a row.
        ListError: a list cannot be read.
    """
    ending = path.suffix.lower()
    if ending == ".csv":
        headings = read_list(path, []).headings
        wanted = [found_column(path, column, headings) for column in (tool.vector, tool.identity, tool.template_id, tool.source)]
        taken = list(dict.fromkeys(name for name in wanted if name is not None))
        rows = read_list(path, [Column(name) for name in taken]).rows
        return {name: [row.values[name] for row in rows] for name in taken}
    return _of_plain(path, _READERS[ending](path), tool)


def vectors_in(path: Path, values: Sequence[Any]) -> pa.Array:
    """A column of vectors (n,), float64, of lists, arrays, or texts such as `[0.1,0.2]` and `{0.1,0.2}`.

    Raises:
        TemplatesError: one is no vector, or together they are more than the memory holds.
    """
    numbers = sum(_length(each) for each in values)
    if numbers * 8 > (most := free_memory() // 4):
        raise TemplatesError(f"{path}: its vectors are {numbers * 8 >> 20} MiB, a quarter of the free memory is {most >> 20}")
    # A small pickle may name one value a million times.
    made: dict[int, Any] = {}
    for row, value in enumerate(values):
        if id(value) not in made:
            made[id(value)] = _vector(path, row, value)
    return pa.array([made[id(value)] for value in values], pa.list_(pa.float64()))


def texts_in(path: Path, name: str, values: Sequence[Any]) -> pa.Array:
    """A column of texts (n,) and nulls, of texts, bytes and whole numbers. Raises `TemplatesError` of anything else."""
    return pa.array([_text(path, name, row, value) for row, value in enumerate(values)], pa.string())


def _length(value: Any) -> int:
    """How many numbers a vector has, before it is looked at."""
    if isinstance(value, str):
        return value.count(",") + 1
    return len(value) if isinstance(value, list | tuple) else value.size if isinstance(value, np.ndarray) else 0


def _vector(path: Path, row: int, value: Any) -> np.ndarray | None:
    """As float64 (n,); None where there is none."""
    if isinstance(value, np.ndarray):
        if value.ndim == 1 and value.dtype.kind in "fiu":
            return value.astype(np.float64)
    elif isinstance(value, str):
        parts = value.strip().strip("[]{}()").split(",", MOST_DIMENSIONS + 1)
        try:
            return np.array([float(each) for each in parts])
        except ValueError:
            pass
    elif isinstance(value, list | tuple) and all(type(each) in (float, int) for each in value):
        try:
            return np.array(value, np.float64)
        except OverflowError:
            pass
    elif value is None:
        return None
    raise TemplatesError(f"{path}: the vector in row {row} is {_shown(value)}; expected a list of numbers")


def _text(path: Path, name: str, row: int, value: Any) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if value is None or isinstance(value, str):
        return None if value is None else value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise TemplatesError(f"{path}: {name} in row {row} is {_shown(value)}; expected text or a whole number")


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple | dict | np.ndarray):
        return f"a {type(value).__name__} of {len(value) if getattr(value, 'ndim', 1) else 1}"
    return repr(value)[:60]


def _bytes(path: Path) -> bytes:
    size = path.stat().st_size
    if size > (most := min(LARGEST, free_memory() // _TIMES)):
        raise TemplatesError(f"{path}: {size >> 20} MiB; of this kind at most {most >> 20} are read here, so cut it in pieces")
    return path.read_bytes()


def _json(path: Path) -> Any:
    try:
        return from_json(_bytes(path))
    except ValueError as error:
        raise TemplatesError(f"{path}: not JSON: {error}") from error


def _json_lines(path: Path) -> Any:
    size = len(_bytes(path))  # refused where it is too large
    records = []
    for number, line in read_lines(path) if size else ():
        if line.strip():
            try:
                records.append(from_json(line))
            except ValueError as error:
                raise TemplatesError(f"{path}: line {number} is not JSON: {error}") from error
    return records


def _pickle(path: Path) -> Any:
    return plain_value(_bytes(path), str(path))


_READERS: dict[str, Callable[[Path], Any]] = {
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".pkl": _pickle,
    ".pickle": _pickle,
}


def _of_plain(path: Path, value: Any, tool: Tool) -> Columns:
    value = _unwrapped(value, tool)
    if isinstance(value, dict):
        value = {_key(key): each for key, each in value.items()}
        if places_of(tool.vector, list(value)):
            return _of_arrays(path, value)
        pairs = [(name, each) for name, found in value.items() for each in (found if _are_vectors(found) else [found])]
        return {tool.identity.name: [name for name, _ in pairs], tool.vector.name: [each for _, each in pairs]}
    if isinstance(value, np.ndarray) and value.ndim == 2:
        return {tool.vector.name: list(value)}
    if not isinstance(value, list | tuple) or not len(value):
        raise TemplatesError(f"{path}: found {_shown(value)}; expected rows, each with a vector")
    if all(isinstance(each, dict) for each in value):
        return _of_records([_flat(each, tool.vector) for each in value])
    if all(isinstance(each, list | tuple) and len(each) == 2 and isinstance(each[0], str | bytes) for each in value):
        whose = tool.source if tool.by_folder else tool.identity
        return {whose.name: [each[0] for each in value], tool.vector.name: [each[1] for each in value]}
    return {tool.vector.name: list(value)}


def _unwrapped(value: Any, tool: Tool) -> Any:
    """What lies within the answer of an API, or an export."""
    while isinstance(value, dict) and not places_of(tool.vector, [_key(key) for key in value]):
        inner = next((value[name] for name in _WRAPPERS if isinstance(value.get(name), list | dict)), None)
        if inner is None:
            break
        value = inner
    return value


def _are_vectors(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim == 2
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], list | tuple | np.ndarray)


def _of_arrays(path: Path, arrays: Mapping[str, Any]) -> Columns:
    """Arrays by name, of which those count that are as long as the others."""
    columns = {
        name: list(each)
        for name, each in arrays.items()
        if isinstance(each, list | tuple) or (isinstance(each, np.ndarray) and each.ndim)
    }
    lengths = {name: len(each) for name, each in columns.items()}
    if len(set(lengths.values())) != 1:
        found = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise TemplatesError(f"{path}: columns of several lengths ({found[:200]}); expected one value of each for each vector")
    return {name: [each.item() if isinstance(each, np.generic) else each for each in values] for name, values in columns.items()}


def _flat(record: dict[Any, Any], vector: Column) -> dict[str, Any]:
    """A record with what is in its payload beside it, and of named vectors each by its name, one alone as the vector."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        name = _key(key)
        if isinstance(value, dict) and name in _PAYLOADS:
            flat = {**{_key(inner): each for inner, each in value.items()}, **flat}
        elif isinstance(value, dict) and places_of(vector, [name]):
            flat |= {name if len(value) == 1 else _key(inner): each for inner, each in value.items()}
        else:
            flat[name] = value
    return flat


def _of_records(records: Sequence[Mapping[str, Any]]) -> Columns:
    names = dict.fromkeys(name for record in records for name in record)
    return {name: [record.get(name) for record in records] for name in names}


def _key(key: object) -> str:
    return key.decode("utf-8", "backslashreplace") if isinstance(key, bytes) else str(key)


def found_column(path: Path, column: Column, names: Sequence[str]) -> str | None:
    """Which of the names a column goes by, the best known first; None if it need not be there.

    Raises:
        TemplatesError: it must be there, and is not.
    """
    for known in (column.name, *column.also):
        if places := places_of(Column(known), list(names)):
            return names[places[0]]
    if column.required:
        shown, also = ", ".join(names)[:200] or "none", f" (or {', '.join(column.also)})" if column.also else ""
        raise TemplatesError(f"{path}: found the columns {shown}; expected {column.name}{also}")
    return None


def pieces(columns: Mapping[str, pa.Array], rows: int) -> Iterator[tuple[int, dict[str, pa.Array]]]:
    """The same in pieces of at most so many rows, each with the number of its first."""
    total = len(next(iter(columns.values())))
    for start in range(0, total, rows):
        yield start, {name: column.slice(start, rows) for name, column in columns.items()}
