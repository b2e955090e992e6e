"""A client for a service that `onek serve` runs."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.client.answers import Answer, Challenge, Enrolment, Receipt, Verified
    from engine.client.client import Client

__all__ = ["Answer", "Challenge", "Client", "Enrolment", "Receipt", "Verified"]

__getattr__ = late_names(
    __name__,
    {
        "engine.client.answers": ("Answer", "Challenge", "Enrolment", "Receipt", "Verified"),
        "engine.client.client": ("Client",),
    },
)
