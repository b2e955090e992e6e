"""Sealed segments: the rows as Parquet, the vectors to be memory-mapped, the index; and what is needed of them in memory.

A gallery has one, the *base*, which its index was learnt from; or two, when templates joined a large one: a *tail* then has the
rows behind those of the base, and of its index only what the base's lists do not have, so that the base is not written again.
"""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.storage.segments.files import added_segment, drop_segment, following, recorded_files, segment_files
    from engine.storage.segments.labels import read_sources
    from engine.storage.segments.making import extend, mated_probes, seal, seal_behind
    from engine.storage.segments.opening import OpenSegment, open_index, open_segments, operating_point

__all__ = [
    "OpenSegment",
    "added_segment",
    "drop_segment",
    "extend",
    "following",
    "mated_probes",
    "open_index",
    "open_segments",
    "operating_point",
    "read_sources",
    "recorded_files",
    "seal",
    "seal_behind",
    "segment_files",
]

__getattr__ = late_names(
    __name__,
    {
        "engine.storage.segments.files": ("added_segment", "drop_segment", "following", "recorded_files", "segment_files"),
        "engine.storage.segments.labels": ("read_sources",),
        "engine.storage.segments.making": ("extend", "mated_probes", "seal", "seal_behind"),
        "engine.storage.segments.opening": ("OpenSegment", "open_index", "open_segments", "operating_point"),
    },
)
