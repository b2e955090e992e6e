"""Tables of onek's in other people's hands: as a data frame, through Arrow's own interface, and as a cell of a notebook."""

import html
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from engine.errors import MissingPackage
from engine.files.escaping import shown

if TYPE_CHECKING:
    import pandas
    import polars

# Rows that a notebook shows, and letters of a cell.
SHOWN = 10
_LONGEST = 60


class Tabular:
    """What an Arrow `table` stands behind. pandas, polars and DuckDB take it as it is, by Arrow's PyCapsule interface; a notebook
    shows its first ten rows, those of the columns `_shown`, with the faces.
    """

    table: pa.Table
    _shown: ClassVar[tuple[str, ...]] = ()
    # The column that names photographs, whose faces a notebook shows where they are at hand.
    _photographs: ClassVar[str] = "source"

    def to_pandas(self) -> "pandas.DataFrame":
        """The table as a pandas data frame; whole numbers that may be missing are pandas' `Int32`.

        Raises:
            MissingPackage: pandas is not installed.
        """
        pandas = _package("pandas")
        return self.table.to_pandas(types_mapper={pa.int32(): pandas.Int32Dtype()}.get)

    def to_polars(self) -> "polars.DataFrame":
        """The table as a polars data frame.

        Raises:
            MissingPackage: polars is not installed.
        """
        return _package("polars").DataFrame(self.table)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)

    def _repr_html_(self) -> str:
        from engine.tables.thumbnails import thumbnail  # late: it loads what decodes pictures

        names = [name for name in self._shown if name in self.table.column_names]
        asked = [name for name in dict.fromkeys([*names, self._photographs, "box"]) if name in self.table.column_names]
        rows = self.table.select(asked).slice(0, SHOWN).to_pylist()
        faces = [thumbnail(row.get(self._photographs), row.get("box")) for row in rows]
        return html_table(repr(self), names, [[row[name] for name in names] for row in rows], self.table.num_rows, faces)


def html_table(
    caption: str, headings: Sequence[str], rows: Sequence[Sequence[object]], total: int, faces: Sequence[str | None] = ()
) -> str:
    """The first of `total` rows as HTML: every cell is text, whatever it says, and no cell is long. `faces`: a picture for each
    row, as `engine.tables.thumbnails` makes them, before its cells.
    """
    head = "".join(f"<th>{_cell(each)}</th>" for each in headings)
    cells = ["".join(f"<td>{_cell(each)}</td>" for each in row) for row in rows]
    if any(faces):
        head = f"<th></th>{head}"
        cells = [f"<td>{face or ''}</td>{row}" for face, row in zip(faces, cells, strict=True)]
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    more = f"<p>and {total - len(rows):,} more</p>" if total > len(rows) else ""
    title = f"<caption>{html.escape(shown(caption))}</caption>"
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(value: object) -> str:
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else shown(str(value))
    return html.escape(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingPackage(f"a data frame of {name}'s needs {name}, which is not installed; pip install {name}") from error
