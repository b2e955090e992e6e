"""Files of results: Parquet, CSV, JSON and JSON lines, written as the results come."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from engine.answers.results import SCHEMA
from engine.errors import OutputError
from engine.files.atomic_files import whole_file
from engine.tables.sheets import Sheet


class ResultsWriter(Protocol):
    """Takes tables of `SCHEMA`, in order."""

    def write(self, table: pa.Table) -> None:
        """Append rows."""


@contextmanager
def results_file(path: Path) -> Iterator[ResultsWriter]:
    """A writer for `.parquet`, `.csv`, `.json` or `.jsonl`; the file appears when the block ends well.

    Raises:
        OutputError: another ending, or the file cannot be written.
    """
    kind = writer_for(path)
    with whole_file(path) as temporary:
        if kind is None:
            with pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer:
                yield _Parquet(writer)
        else:
            with temporary.open("w", newline="", encoding="utf-8") as stream, kind(stream) as text:
                yield text


def writer_for(path: Path) -> "type[_Text] | None":
    """The writer of text that the ending of a name asks for, None for Parquet. Raises `OutputError` where none goes with it."""
    ending = path.suffix.lower()
    if ending not in (".parquet", *TEXT):
        raise OutputError(f"{path}: found the ending {path.suffix or '(none)'!r}, expected .parquet, .csv, .json or .jsonl")
    return TEXT.get(ending)


class _Parquet:
    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table)


class _Text:
    """Writes to a stream, which stays open."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, table: pa.Table) -> None:
        for row in rows_of(table):
            self._stream.write(json.dumps(row, ensure_ascii=False) + "\n")

    def __enter__(self) -> "_Text":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the text."""


class _Csv(_Text):
    """Nulls are empty; boxes and candidates are one JSON list each a row."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(stream)
        self._sheet = Sheet(stream, SCHEMA.names)

    def write(self, table: pa.Table) -> None:
        for row in rows_of(table):
            cells = row.values()
            self._sheet.write([json.dumps(each, ensure_ascii=False) if isinstance(each, list) else each for each in cells])


class _Json(_Text):
    """One list of all rows, a row a line."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(stream)
        self._before = "[\n"

    def write(self, table: pa.Table) -> None:
        for row in rows_of(table):
            self._stream.write(self._before + json.dumps(row, ensure_ascii=False))
            self._before = ",\n"

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stream.write("[]\n" if self._before.startswith("[") else "\n]\n")


TEXT: dict[str, type[_Text]] = {".csv": _Csv, ".jsonl": _Text, ".json": _Json}


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Rows as JSON and CSV have them."""
    return _tidy(table.to_pylist())


def _tidy(value: Any) -> Any:
    """The same with numbers to six digits, which is what float32 is good for."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    return {name: _tidy(item) for name, item in value.items()} if isinstance(value, dict) else value
