"""Faces that nobody has named yet, put into groups, one a person: from templates to groups, corrections and what to look at."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.grouping.corrections import join_groups, name_group, part_faces, reject_face
    from engine.grouping.grouping import add_templates, group_templates, regroup
    from engine.grouping.groups import Cut, Groups
    from engine.grouping.groups_file import read_groups, write_groups
    from engine.grouping.suggestions import Suggestion, suggest, write_suggestions

__all__ = [
    "Cut",
    "Groups",
    "Suggestion",
    "add_templates",
    "group_templates",
    "join_groups",
    "name_group",
    "part_faces",
    "read_groups",
    "regroup",
    "reject_face",
    "suggest",
    "write_groups",
    "write_suggestions",
]

__getattr__ = late_names(
    __name__,
    {
        "engine.grouping.corrections": ("join_groups", "name_group", "part_faces", "reject_face"),
        "engine.grouping.grouping": ("add_templates", "group_templates", "regroup"),
        "engine.grouping.groups": ("Cut", "Groups"),
        "engine.grouping.groups_file": ("read_groups", "write_groups"),
        "engine.grouping.suggestions": ("Suggestion", "suggest", "write_suggestions"),
    },
)
