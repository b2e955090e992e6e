"""Analyses that change nothing: likely label errors, and what a decision hangs on."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.inspection.channels import most_activating_chips
    from engine.inspection.label_audit import Finding, audit, write_audit
    from engine.inspection.occlusion import Explanation, explain

__all__ = ["Explanation", "Finding", "audit", "explain", "most_activating_chips", "write_audit"]

__getattr__ = late_names(
    __name__,
    {
        "engine.inspection.channels": ("most_activating_chips",),
        "engine.inspection.label_audit": ("Finding", "audit", "write_audit"),
        "engine.inspection.occlusion": ("Explanation", "explain"),
    },
)
