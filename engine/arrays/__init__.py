"""From a file of numbers to what an encoder sees of it: signals, which have one axis, and volumes, which have three."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.arrays.files import SIGNALS, VOLUMES, read_named
    from engine.arrays.sampled import Sampled
    from engine.arrays.shapes import Cube, Window
    from engine.arrays.signals import windows_of
    from engine.arrays.volumes import cube_of

__all__ = ["SIGNALS", "VOLUMES", "Cube", "Sampled", "Window", "cube_of", "read_named", "windows_of"]

__getattr__ = late_names(
    __name__,
    {
        "engine.arrays.files": ("SIGNALS", "VOLUMES", "read_named"),
        "engine.arrays.sampled": ("Sampled",),
        "engine.arrays.shapes": ("Cube", "Window"),
        "engine.arrays.signals": ("windows_of",),
        "engine.arrays.volumes": ("cube_of",),
    },
)
