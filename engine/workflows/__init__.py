"""Jobs from files to files, here or on many machines, and galleries by their addresses."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.workflows.embed_files import EmbedSummary, embed_to_file
    from engine.workflows.identify_files import IdentifySummary, identify_to_file
    from engine.workflows.locations import (
        backup_gallery,
        build_gallery,
        check_gallery,
        merge_galleries,
        open_for_changes,
        open_gallery,
    )
    from engine.workflows.train_encoder import train_to_file

__all__ = [
    "EmbedSummary",
    "IdentifySummary",
    "backup_gallery",
    "build_gallery",
    "check_gallery",
    "embed_to_file",
    "identify_to_file",
    "merge_galleries",
    "open_for_changes",
    "open_gallery",
    "train_to_file",
]

__getattr__ = late_names(
    __name__,
    {
        "engine.workflows.embed_files": ("EmbedSummary", "embed_to_file"),
        "engine.workflows.identify_files": ("IdentifySummary", "identify_to_file"),
        "engine.workflows.locations": (
            "backup_gallery",
            "build_gallery",
            "check_gallery",
            "open_for_changes",
            "merge_galleries",
            "open_gallery",
        ),
        "engine.workflows.train_encoder": ("train_to_file",),
    },
)
