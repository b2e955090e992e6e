"""Figures and pages that people read, made out of raw results."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.reports.evaluation.evaluated import Evaluation, evaluate
    from engine.reports.evaluation.folder import read_report, write_evaluation
    from engine.reports.sheets.results import read_results

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
        "engine.reports.sheets.results": ("read_results",),
        "engine.reports.evaluation.evaluated": ("Evaluation", "evaluate"),
        "engine.reports.evaluation.folder": ("read_report", "write_evaluation"),
    },
)
