"""Lists that people hand over, and sheets that they are given: one reader, one writer."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.tables.frames import Tabular
    from engine.tables.lists import Listed, Row, read_list, read_names
    from engine.tables.sheets import Sheet, sheet_file

__all__ = ["Listed", "Row", "Sheet", "Tabular", "read_list", "read_names", "sheet_file"]

__getattr__ = late_names(
    __name__,
    {
        "engine.tables.frames": ("Tabular",),
        "engine.tables.lists": ("Listed", "Row", "read_list", "read_names"),
        "engine.tables.sheets": ("Sheet", "sheet_file"),
    },
)
