"""The gallery that a user holds."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.gallery.backend import Backend, Capabilities, Change
    from engine.gallery.folder import FolderBackend
    from engine.gallery.gallery import Gallery

__all__ = ["Backend", "Capabilities", "Change", "FolderBackend", "Gallery"]

__getattr__ = late_names(
    __name__,
    {
        "engine.gallery.backend": ("Backend", "Capabilities", "Change"),
        "engine.gallery.folder": ("FolderBackend",),
        "engine.gallery.gallery": ("Gallery",),
    },
)
