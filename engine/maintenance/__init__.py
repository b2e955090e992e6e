"""What keeps a gallery's folder whole: checks, repairs, erasure, copies."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.maintenance.backup import templates_of_galleries
    from engine.maintenance.erasure import erase
    from engine.maintenance.integrity import Fault, check

__all__ = ["Fault", "check", "erase", "templates_of_galleries"]

__getattr__ = late_names(
    __name__,
    {
        "engine.maintenance.backup": ("templates_of_galleries",),
        "engine.maintenance.erasure": ("erase",),
        "engine.maintenance.integrity": ("Fault", "check"),
    },
)
