"""Parquet in folders: each file's columns, and those that its folders name, as `identity=kian` does (Hive's layout)."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq

from engine.common.dataclass_json import from_json
from engine.errors import ListError, OutputError, TemplatesError
from engine.exchange.columns import found_column
from engine.exchange.tools import Tool
from engine.files.atomic_files import UNREADABLE, check_output, whole_folder
from engine.files.budgets import refuse_bomb
from engine.files.outputs import refuse_inputs
from engine.templates.model import Templates, normalised, schema, vectors_of, with_vectors
from engine.templates.names import names_in
from engine.templates.provenance import Provenance

# What Hive calls the folder of rows without a value.
NOTHING = "__HIVE_DEFAULT_PARTITION__"
_PARTITION = re.compile(r"([^=/]+)=(.*)", re.DOTALL)
# Partitions that one table is written in at the most: each is a folder and an open file.
MOST_PARTITIONS = 10_000
_ROWS = 65_536


def parquet_files(path: Path) -> list[Path]:
    """A file, or those below a folder in the order of their names; what begins with a dot or an underscore is no data.

    Raises:
        TemplatesError: there is none.
    """
    if not path.is_dir():
        return [path]
    found = sorted(
        file
        for file in path.rglob("*.parquet")
        if file.is_file() and not any(part.startswith((".", "_")) for part in file.relative_to(path).parts)
    )
    if not found:
        raise TemplatesError(f"{path}: no Parquet file in this folder or below it")
    return found


def partitions_of(file: Path, folder: Path) -> dict[str, str | None]:
    """What the folders between `folder` and a file say of all its rows: columns and their values, None for no value."""
    if file == folder:
        return {}
    said = [_PARTITION.fullmatch(part) for part in file.relative_to(folder).parts[:-1]]
    return {unquote(each[1]): None if each[2] == NOTHING else unquote(each[2]) for each in said if each}


def parquet_columns(file: Path, folder: Path, tool: Tool) -> Iterator[tuple[int, dict[str, pa.Array]]]:
    """The vectors, identities, ids and sources of a file, a batch at a time, each by the contract's name and with the number of
    its first row.

    Raises:
        TemplatesError: it cannot be read, or has no vectors.
    """
    refuse_bomb(file)
    said = partitions_of(file, folder)
    try:
        opened = pq.ParquetFile(file)
        schema = opened.schema_arrow
        names = [name for name in schema.names if schema.names.count(name) == 1]
        vector = found_column(file, tool.vector, names)
        others = {
            column.name: found
            for column in (tool.identity, tool.template_id, tool.source)
            if (found := found_column(file, column, [*names, *said]))
        }
        labels = {name: _class_names(schema, found) for name, found in others.items()}
        read = [vector, *dict.fromkeys(found for found in others.values() if found in names)]
        start = 0
        for part in opened.iter_batches(_ROWS, columns=read):
            columns = {"vector": part.column(vector)}
            for name, found in others.items():
                if found not in names:
                    columns[name] = pa.array([said[found]] * part.num_rows, pa.string())
                elif (texts := _texts(part.column(found), labels[name])) is not None:
                    columns[name] = texts
            if part.num_rows:
                yield start, columns
            start += part.num_rows
    except UNREADABLE as error:
        raise TemplatesError(f"{file}: not a Parquet file, or a damaged one: {error}") from error


def own_templates(file: Path, folder: Path) -> Iterator[Templates] | None:
    """The templates of a file that onek wrote and that was parted by a column of text since; None of any other.

    Raises:
        TemplatesError: it cannot be read, or holds something that is no template.
    """
    refuse_bomb(file)
    try:
        opened = pq.ParquetFile(file)
    except UNREADABLE as error:
        raise TemplatesError(f"{file}: not a Parquet file: {error}") from error
    said = (opened.schema_arrow.metadata or {}).get(b"onek.provenance")
    if said is None:
        return None
    try:
        made = Provenance.from_json(said.decode(errors="replace"))
    except ValueError as error:
        raise TemplatesError(f"{file}: its metadata does not say how its templates were made: {error}") from error
    return _own(file, opened, made, partitions_of(file, folder))


def _own(file: Path, opened: pq.ParquetFile, made: Provenance, said: dict[str, str | None]) -> Iterator[Templates]:
    wanted, start = schema(made), 0
    try:
        for part in opened.iter_batches(_ROWS):
            columns = {name: part.column(name) for name in part.schema.names}
            columns |= {name: pa.array([value] * part.num_rows, pa.string()) for name, value in said.items()}
            if missing := [name for name in wanted.names if name not in columns]:
                raise TemplatesError(f"{file}: found the columns {', '.join(columns)}; expected {', '.join(missing)} too")
            columns["identity"] = names_in(columns["identity"], str(file))
            table = pa.table([columns[name] for name in wanted.names], wanted.names).cast(wanted)
            yield Templates(with_vectors(table, normalised(vectors_of(table), str(file), start), made), made)
            start += part.num_rows
    except UNREADABLE as error:
        raise TemplatesError(f"{file}: damaged after row {start}: {error}") from error


def _texts(column: pa.Array, labels: Sequence[str] | None) -> pa.Array | None:
    """A column as it is, numbers of labels as their names, and of an image its path; None of an image without one."""
    if pa.types.is_struct(column.type):
        return column.field("path") if "path" in [field.name for field in column.type] else None
    if labels is not None and pa.types.is_integer(column.type):
        known = range(len(labels))
        return pa.array([labels[each] if each in known else None for each in column.to_pylist()], pa.string())
    return column


def _class_names(schema: pa.Schema, column: str) -> list[str] | None:
    """What the numbers of a column stand for, where Hugging Face's `datasets` has said so in the file."""
    said = (schema.metadata or {}).get(b"huggingface")
    if said is None:
        return None
    found: Any = from_json(said)
    for step in ("info", "features", column, "names"):
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, list) and all(isinstance(each, str) for each in found) else None


def export_folder(table: Path, out: Path, by: str, *, overwrite: bool = False) -> int:
    """Write a Parquet file of onek's as a folder of files, one for each value of a column, which their folders name.

    Args:
        table: templates, results, or any Parquet file.
        out: the folder to make.
        by: the column, of texts or whole numbers.
        overwrite: whether a folder that stands there may be replaced, where it holds nothing but such files.

    Returns:
        How many partitions there are.

    Raises:
        ListError: there is no such column, or it has too many values.
        OutputError: `out` exists and `overwrite` is false, or it holds something else.
        TemplatesError: the file cannot be read.
    """
    refuse_inputs([out], [table])
    check_output(out, overwrite)
    if out.exists():
        _require_partitions(out)
    refuse_bomb(table)
    try:
        file = pq.ParquetFile(table)
        values = _values(table, file, by)
        with whole_folder(out) as folder:
            for name in values:
                (folder / _folder_name(by, name)).mkdir()
            for number, part in enumerate(file.iter_batches(_ROWS)):
                _write_parts(pa.Table.from_batches([part]), folder, by, number)
    except UNREADABLE as error:
        raise TemplatesError(f"{table}: not a Parquet file, or a damaged one: {error}") from error
    return len(values)


def _values(table: Path, file: pq.ParquetFile, by: str) -> list[str | None]:
    if by not in file.schema_arrow.names:
        raise ListError(f"{table}: found the columns {', '.join(file.schema_arrow.names)}; expected {by!r} among them")
    kind = file.schema_arrow.field(by).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
        raise ListError(f"{table}: the column {by} holds {kind}; expected text or whole numbers")
    values: dict[str | None, None] = {}
    for part in file.iter_batches(_ROWS, columns=[by]):
        values |= dict.fromkeys(part.column(0).cast(pa.string()).unique().to_pylist())
        if len(values) > MOST_PARTITIONS:
            raise ListError(f"{table}: {by} has over {MOST_PARTITIONS:,} values, each a folder; choose a column with fewer")
    return list(values)


def _folder_name(by: str, value: str | None) -> str:
    """Nothing in a value leads elsewhere: all but letters, digits and `_.-~` is escaped, as Hive does."""
    said = NOTHING if value is None else quote(value, safe=" ")
    return f"{quote(by, safe='')}={said}"


def _write_parts(part: pa.Table, folder: Path, by: str, number: int) -> None:
    texts = part[by].cast(pa.string())
    for value in texts.unique().to_pylist():
        mine = pa.array([each == value for each in texts.to_pylist()])
        pq.write_table(part.filter(mine).drop_columns([by]), folder / _folder_name(by, value) / f"part-{number:05}.parquet")


def _require_partitions(folder: Path) -> None:
    """Refuse to replace a folder that holds anything but what `export_folder` writes. Raises `OutputError`."""
    files = [each for each in folder.rglob("*") if not each.is_dir()]
    if not folder.is_dir() or any(each.suffix != ".parquet" or "=" not in each.parent.name for each in files):
        raise OutputError(f"{folder} holds something else than partitions of a table; choose another folder")
