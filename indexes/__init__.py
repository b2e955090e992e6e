"""Search for the nearest of many vectors. This package knows nothing of faces, photographs or decisions.

`base` says what an index offers, `registry` lists the kinds of index, `planner` chooses one; `exact` and `approximate` hold the
kinds, `composite` combines indexes, `tuning` finds how much a search must examine for a recall, and `files` and `stored` keep an
index on disk.
"""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from indexes.base import Neighbours, SearchableIndex, StoredIndex
    from indexes.errors import IndexFileError, IndexUnsupported, OnekError, PlanError, VectorsError
    from indexes.planner import Plan
    from indexes.registry import KINDS, load_index

__all__ = [
    "KINDS",
    "IndexFileError",
    "IndexUnsupported",
    "Neighbours",
    "OnekError",
    "Plan",
    "PlanError",
    "SearchableIndex",
    "StoredIndex",
    "VectorsError",
    "load_index",
]

__getattr__ = late_names(
    __name__,
    {
        "indexes.base": ("Neighbours", "SearchableIndex", "StoredIndex"),
        "indexes.errors": ("IndexFileError", "IndexUnsupported", "OnekError", "PlanError", "VectorsError"),
        "indexes.planner": ("Plan",),
        "indexes.registry": ("KINDS", "load_index"),
    },
)
