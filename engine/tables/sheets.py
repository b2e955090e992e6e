"""CSV that onek writes: it reads back to the letter, and runs nothing in a spreadsheet."""

import csv
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from engine.files.atomic_files import whole_file
from engine.files.escaping import harmless


class Sheet:
    """Rows of CSV on their way to a stream. None is an empty cell; a text that a spreadsheet would run gets an apostrophe."""

    def __init__(self, stream: IO[str], headings: Sequence[str]) -> None:
        self._plain = csv.writer(stream, lineterminator="\n")
        # What begins a new line for some reader is quoted, which csv leaves undone where it is not the end of its own lines.
        self._quoted = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
        if headings:
            self._plain.writerow(headings)

    def write(self, row: Iterable[object]) -> None:
        """Append a row."""
        cells = ["" if value is None else harmless(value) for value in row]
        breaks = any(isinstance(cell, str) and len(cell.splitlines()) > 1 for cell in cells)
        (self._quoted if breaks else self._plain).writerow(cells)


@contextmanager
def sheet_file(path: Path, headings: Sequence[str]) -> Iterator[Sheet]:
    """A sheet whose file appears when the block ends well. Raises `OutputError` where it cannot be written."""
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        yield Sheet(stream, headings)


@contextmanager
def longer_sheet_file(path: Path) -> Iterator[Sheet]:
    """The sheet that a file holds, for further rows. Raises `OutputError` where it cannot be written."""
    with whole_file(path) as temporary:
        shutil.copyfile(path, temporary)
        with temporary.open("a", newline="", encoding="utf-8") as stream:
            yield Sheet(stream, ())
