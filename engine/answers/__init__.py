"""What a gallery answers, wherever it lies: a snapshot of it, and the rows of its results."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.answers.results import Candidate, DecisionCounts, Result, Results
    from engine.answers.snapshot import FoundCandidates, Snapshot
    from engine.answers.summary import Info
    from engine.answers.verification import Verification

__all__ = ["Candidate", "DecisionCounts", "FoundCandidates", "Info", "Result", "Results", "Snapshot", "Verification"]

__getattr__ = late_names(
    __name__,
    {
        "engine.answers.results": ("Candidate", "DecisionCounts", "Result", "Results"),
        "engine.answers.snapshot": ("FoundCandidates", "Snapshot"),
        "engine.answers.summary": ("Info",),
        "engine.answers.verification": ("Verification",),
    },
)
