"""Lists that people have: CSV files out of editors and spreadsheets, one name a line, or Parquet. Every command reads them here.

Columns are parted by commas, semicolons or tabs, and found by their headings, in any case. What was guessed is said in a
`ListGuess`, which the command line prints; what cannot be told is an error that names the line.
"""

import csv
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import ListError, ListGuess, TemplatesError
from engine.files.atomic_files import UNREADABLE
from engine.files.budgets import refuse_bomb
from engine.files.escaping import plainly
from engine.files.object_storage import local, uri
from engine.tables.text_lines import LARGEST, whole_lines

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
# Letters of one value of a Parquet list, as csv has for CSV.
_LONGEST = csv.field_size_limit()
_PARTS = 4096
# Texts of a list that are known when they come again.
_KNOWN = 1 << 16


@dataclass(frozen=True)
class Column:
    """A column of a list: what it is called here, and what else people call it."""

    name: str
    also: tuple[str, ...] = ()
    required: bool = True


PATH = Column(
    "path",
    ("file", "filename", "file name", "file path", "filepath", "image", "image path", "photo", "photograph", "picture", "source"),
)
IDENTITY = Column("identity", ("label", "name", "person", "subject"))
MAYBE_IDENTITY = Column(IDENTITY.name, IDENTITY.also, required=False)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: where it stands, such as `line 3`, and the text of each column that was asked for and is there, without blanks
    around it.
    """

    place: str
    values: dict[str, str]


@dataclass(frozen=True)
class Listed:
    """The rows of a list, and all its headings."""

    rows: list[Row]
    headings: tuple[str, ...]


def read_list(path: Path, columns: Sequence[Column]) -> Listed:
    """Read a CSV file (or Parquet, told by its ending) that has these columns, and perhaps others.

    Raises:
        ListError: it cannot be read, lacks a column, or has a row that does not fit its headings; names the line.
    """
    if path.suffix.lower() == ".parquet":
        return _parquet(path, columns)
    return _table(path, whole_lines(path), columns)


def read_names(path: Path) -> list[str]:
    """Read a list of identities: one name a line, or a column of a CSV or Parquet file with a heading for it.

    A line is one name, commas and all; one in quotes is read as CSV has it. Empty lines and rows without a name are passed over.

    Raises:
        ListError: as `read_list`.
    """
    if path.suffix.lower() == ".parquet":
        return _identities(_parquet(path, [IDENTITY]))
    lines = whole_lines(path)
    # Read once: a list may come out of a pipe.
    begun = next(([each] for each in lines if each[1].strip()), [])
    first = begun[0][1] if begun else ""
    lines = chain(begun, lines)
    _, headings = _headings(first, [IDENTITY])
    if places_of(IDENTITY, headings):
        if len(headings) == 1:
            _say(path, [f"its first line, {first.strip()}, is taken for a heading"])
        return _identities(_table(path, lines, [IDENTITY]))
    names = (_name(path, number, line.strip()) for number, line in lines)
    return [name for name in names if name]


def _identities(listed: Listed) -> list[str]:
    return [row.values[IDENTITY.name] for row in listed.rows if row.values[IDENTITY.name]]


def _table(path: Path, lines: Iterator[tuple[int, str]], columns: Sequence[Column]) -> Listed:
    first = next((line for _, line in lines if line.strip()), None)
    if first is None:
        raise ListError(f"{uri(path)}: an empty file; expected a first line with the headings {_expected(columns)}")
    delimiter, headings = _headings(first, columns)
    places = _places(path, headings, columns)
    guesses = [f"columns parted by {_DELIMITERS[delimiter]}"] if delimiter != "," else []
    _say(path, guesses + _taken(headings, places))
    rows, known = [], dict[str, str]()

    def once(text: str) -> str:
        """The same text, held once where it comes again and again."""
        return known.setdefault(text, text) if len(known) < _KNOWN else known.get(text, text)

    for number, cells in _records(path, lines, delimiter):
        if len(cells) != len(headings):
            quoted = ', as in "Sandler, Adam"' if delimiter == "," else ""
            raise ListError(
                f"{uri(path)}: line {number} has {len(cells)} cells for {len(headings)} headings; "
                f"put text that holds a {_DELIMITERS[delimiter].removesuffix('s')} in quotes{quoted}"
            )
        rows.append(Row(f"line {number}", {name: once(plainly(cells[place]).strip()) for name, place in places.items()}))
    return Listed(rows, tuple(headings))


def _headings(line: str, columns: Sequence[Column]) -> tuple[str, list[str]]:
    """The delimiter with which a first line has most of the columns, or else most cells; and its cells."""

    def fit(delimiter: str) -> tuple[int, int]:
        cells = _cells(line, delimiter)
        return sum(bool(places_of(column, cells)) for column in columns), len(cells)

    best = max(_DELIMITERS, key=fit)
    return best, _cells(line, best)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]
    except csv.Error:  # a first line beyond all bounds has no headings
        return []


def _records(path: Path, lines: Iterable[tuple[int, str]], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, each with the number of its first line."""
    began = last = 0

    def passed() -> Iterator[str]:
        nonlocal began, last
        for number, line in lines:
            began, last = began or number, number
            yield line

    try:
        for cells in csv.reader(passed(), delimiter=delimiter, strict=True, skipinitialspace=True):
            if any(map(str.strip, cells)):
                yield began, cells
            began = 0
    except csv.Error as error:
        until = f" to {last}" if last > began else ""
        raise ListError(
            f"{uri(path)}: line {began}{until}: a quote is not closed, or text follows one ({error}); "
            'quotes are doubled within quotes, as in "Ada ""the first"" Byron"'
        ) from error


def _name(path: Path, number: int, line: str) -> str:
    if not line.startswith('"'):
        return plainly(line)
    cells = next(_records(path, [(number, line)], ","), (number, [""]))[1]
    if len(cells) != 1:
        raise ListError(f"{uri(path)}: line {number} has {len(cells)} cells, and no heading says which is the identity")
    return plainly(cells[0]).strip()


def _places(path: Path, headings: Sequence[str], columns: Sequence[Column]) -> dict[str, int]:
    """The position of each column's heading."""
    places = {}
    for column in columns:
        found = places_of(column, headings)
        if len(found) > 1:
            both = " and ".join(headings[place] for place in found)
            raise ListError(f"{uri(path)}: the columns {both} might each be the {column.name}; call one {column.name}")
        if found:
            places[column.name] = found[0]
        elif column.required:
            shown = ", ".join(headings)[:200] or "none"
            raise ListError(f"{uri(path)}: found the columns {shown}; expected {_expected(columns)}")
    return places


def places_of(column: Column, headings: Sequence[str]) -> list[int]:
    """The positions of the headings that name a column, in any case: by its own name, else by another name for it."""
    plain = [_plainest(heading) for heading in headings]
    exact = [place for place, heading in enumerate(plain) if heading == _plainest(column.name)]
    return exact or [place for place, heading in enumerate(plain) if heading in column.also]


def _plainest(heading: str) -> str:
    """A heading without case, blanks and underscores: `File_Name ` and `file name` are one."""
    return " ".join(re.split(r"[\s_-]+", unicodedata.normalize("NFKC", heading).casefold().strip()))


def _expected(columns: Sequence[Column]) -> str:
    named = [f"{each.name} (or {', '.join(each.also)})" if each.also else each.name for each in columns if each.required]
    return " and ".join(named)


def _taken(headings: Sequence[str], places: dict[str, int]) -> list[str]:
    others = [
        f"{headings[place]} taken for {name}" for name, place in places.items() if _plainest(headings[place]) != _plainest(name)
    ]
    return [f"the column {', '.join(others)}"] if others else []


def _say(path: Path, guesses: Sequence[str]) -> None:
    if guesses:
        warnings.warn(f"{uri(path)}: {'; '.join(guesses)}", ListGuess, stacklevel=2)


def _parquet(path: Path, columns: Sequence[Column]) -> Listed:
    try:
        here = local(path)
        refuse_bomb(here)
        file = pq.ParquetFile(here)
        headings = file.schema_arrow.names
        places = _places(path, headings, columns)
        _say(path, _taken(headings, places))
        wanted = [headings[place] for place in places.values()]
        for place in places.values():
            _refuse_kind(path, file.schema_arrow.field(place))
        _refuse_large(path, file, wanted)
        rows: list[Row] = []
        # A text that comes again and again is held once.
        file = pq.ParquetFile(here, read_dictionary=wanted)
        for part in file.iter_batches(_PARTS, columns=wanted):
            part.validate(full=True)  # of a damaged file Arrow takes numbers that stand for no text
            texts = {name: _texts(path, headings[place], part.column(headings[place])) for name, place in places.items()}
            for number in range(part.num_rows):
                values = {name: (text[number] or "").strip() for name, text in texts.items()}
                rows.append(Row(f"row {len(rows)}", values))
    except FileNotFoundError as error:
        raise ListError(f"{uri(path)}: no such file; expected a list") from error
    except TemplatesError as error:
        raise ListError(str(error)) from error
    except UNREADABLE as error:
        raise ListError(f"{uri(path)}: cannot be read as a list: {error}") from error
    return Listed(rows, tuple(headings))


def _refuse_large(path: Path, file: pq.ParquetFile, wanted: Sequence[str]) -> None:
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    chunks = [group.column(at) for group in groups for at in range(group.num_columns)]
    size = sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.split(".")[0] in wanted)
    if size > LARGEST:
        raise ListError(f"{uri(path)}: its columns unpack to {size >> 20} MiB, more than {LARGEST >> 20}; cut it in pieces")


def _refuse_kind(path: Path, field: pa.Field) -> None:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise ListError(f"{uri(path)}: the column {field.name} holds {field.type}, expected text or whole numbers")


def _texts(path: Path, heading: str, column: pa.Array) -> list[str | None]:
    values = column.dictionary if pa.types.is_dictionary(column.type) else column
    if any(len(value) > _LONGEST for value in values.cast(pa.string()).to_pylist() if value is not None):
        raise ListError(f"{uri(path)}: a text of more than {_LONGEST:,} letters in the column {heading}")
    return column.cast(pa.string()).to_pylist()
