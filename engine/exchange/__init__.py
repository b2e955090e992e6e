"""Templates of other tools, by the tools' names, and tables in folders: what comes in and goes out."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.exchange.importing import Imported, foreign_templates, import_templates
    from engine.exchange.parquet_folders import export_folder
    from engine.exchange.tools import TOOLS, Tool

__all__ = ["TOOLS", "Imported", "Tool", "export_folder", "foreign_templates", "import_templates"]

__getattr__ = late_names(
    __name__,
    {
        "engine.exchange.importing": ("Imported", "foreign_templates", "import_templates"),
        "engine.exchange.parquet_folders": ("export_folder",),
        "engine.exchange.tools": ("TOOLS", "Tool"),
    },
)
