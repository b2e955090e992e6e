"""Galleries over HTTP: who may ask, what is answered, and the page of a door."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.service.access.tokens import add_token, read_tokens, withdraw_token
    from engine.service.application import make_application
    from engine.service.server import serve
    from engine.service.settings import Settings

__all__ = ["Settings", "add_token", "make_application", "read_tokens", "serve", "withdraw_token"]

__getattr__ = late_names(
    __name__,
    {
        "engine.service.access.tokens": ("add_token", "read_tokens", "withdraw_token"),
        "engine.service.application": ("make_application",),
        "engine.service.server": ("serve",),
        "engine.service.settings": ("Settings",),
    },
)
