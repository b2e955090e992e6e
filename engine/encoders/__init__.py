"""The encoders: one file per network, and the registry that finds them by name."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.encoders.base import Card, Encoder
    from engine.encoders.registry import CARDS, DEFAULT, load_encoder, modality_of, runtimes_for

__all__ = ["CARDS", "DEFAULT", "Card", "Encoder", "load_encoder", "modality_of", "runtimes_for"]

__getattr__ = late_names(
    __name__,
    {
        "engine.encoders.base": ("Card", "Encoder"),
        "engine.encoders.registry": ("CARDS", "DEFAULT", "load_encoder", "modality_of", "runtimes_for"),
    },
)
