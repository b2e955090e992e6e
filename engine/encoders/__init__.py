"""The encoders: one file per network, and the registry that finds them by name."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.encoders.base import Card, Encoder
    from engine.encoders.registry import CARDS, DEFAULT, load_encoder, runtimes_for

__all__ = ["CARDS", "DEFAULT", "Card", "Encoder", "load_encoder", "runtimes_for"]

_BASE = ("Card", "Encoder")


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: what a gallery of vectors needs of this package loads no network's library."""
    if name in __all__:
        return getattr(importlib.import_module(f"{__name__}.{'base' if name in _BASE else 'registry'}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
