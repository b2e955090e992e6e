"""Figures and pages that people read, made out of raw results."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.reports.contact_sheet import read_results
    from engine.reports.evaluated import Evaluation, evaluate
    from engine.reports.folder import read_report, write_evaluation

__all__ = [
    "Evaluation",
    "evaluate",
    "read_report",
    "read_results",
    "write_evaluation",
]

__getattr__ = late_names(
    __name__,
    {
        "engine.reports.contact_sheet": ("read_results",),
        "engine.reports.evaluated": ("Evaluation", "evaluate"),
        "engine.reports.folder": ("read_report", "write_evaluation"),
    },
)
