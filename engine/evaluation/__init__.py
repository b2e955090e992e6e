"""How well identification did, where the truth is known: searches kept raw, and the rates, intervals and groups made of them."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.evaluation.figures import CurveWithInterval, Figure
    from engine.evaluation.intervals import Resampling, Share
    from engine.evaluation.raw import About, Searched, System, Trial, read_comparisons, read_searches
    from engine.evaluation.truth import DemographicGroups, read_demographic_groups, read_truth

__all__ = [
    "About",
    "CurveWithInterval",
    "DemographicGroups",
    "Figure",
    "Resampling",
    "Searched",
    "Share",
    "System",
    "Trial",
    "read_comparisons",
    "read_demographic_groups",
    "read_searches",
    "read_truth",
]

__getattr__ = late_names(
    __name__,
    {
        "engine.evaluation.figures": ("CurveWithInterval", "Figure"),
        "engine.evaluation.intervals": ("Resampling", "Share"),
        "engine.evaluation.raw": ("About", "Searched", "System", "Trial", "read_comparisons", "read_searches"),
        "engine.evaluation.truth": ("DemographicGroups", "read_demographic_groups", "read_truth"),
    },
)
