"""A gallery in a folder: its files, its transactions, its snapshots."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.storage.catalogue.reader import read_catalogue
    from engine.storage.catalogue.records import BuildRequest, Catalogue, Segment
    from engine.storage.changes import EnrolmentResult
    from engine.storage.folder_snapshot import FolderSnapshot, open_snapshot
    from engine.storage.summary import GalleryInfo
    from engine.storage.writer_lock import Writer, locked

__all__ = [
    "BuildRequest",
    "Catalogue",
    "EnrolmentResult",
    "FolderSnapshot",
    "GalleryInfo",
    "Segment",
    "Writer",
    "locked",
    "open_snapshot",
    "read_catalogue",
]

__getattr__ = late_names(
    __name__,
    {
        "engine.storage.catalogue.reader": ("read_catalogue",),
        "engine.storage.catalogue.records": ("BuildRequest", "Catalogue", "Segment"),
        "engine.storage.changes": ("EnrolmentResult",),
        "engine.storage.folder_snapshot": ("FolderSnapshot", "open_snapshot"),
        "engine.storage.summary": ("GalleryInfo",),
        "engine.storage.writer_lock": ("Writer", "locked"),
    },
)
