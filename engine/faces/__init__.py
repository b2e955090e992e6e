"""From an image file to a face brought to an encoder's chip."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.faces.alignment import AlignedFace, Face, aligner
    from engine.faces.chip import Chip
    from engine.faces.images import LeftOut, decode, find_images

__all__ = ["AlignedFace", "Chip", "Face", "LeftOut", "aligner", "decode", "find_images"]

__getattr__ = late_names(
    __name__,
    {
        "engine.faces.alignment": ("AlignedFace", "Face", "aligner"),
        "engine.faces.chip": ("Chip",),
        "engine.faces.images": ("LeftOut", "decode", "find_images"),
    },
)
