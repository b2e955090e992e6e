"""What a gallery holds, for people and scripts."""

from dataclasses import dataclass
from pathlib import Path

from engine.answers.summary import facts_of
from engine.calibration.summary import CalibrationInfo
from engine.calibration.thresholds import ThresholdUsed
from engine.storage.folder_snapshot import FolderSnapshot
from engine.storage.segments import operating_point
from indexes.tuning.operating_point import OperatingPoint


@dataclass(frozen=True)
class GalleryInfo:
    """What a gallery holds, for people and scripts.

    `segments`: 2 where a tail stands behind what was sealed first, else 1. `bytes` counts all its files,
    `index_bytes_per_template` the memory of the index; `operating` is what an approximate index spends on a search and the recall
    that it was measured to have, None where the index is exact. `calibration` says what is known of strangers, None where the
    gallery is too small. `recent` templates joined since the last sealing; `awaiting_erasure` were removed, and `onek compact`
    takes their bytes out of the files. `runtime` ran the encoder when the gallery was built; others may have run it for templates
    that joined. `threshold` is the encoder's, a distance of 1:1; `decides` the default threshold of an identification and from
    what it comes, None where too little is known of strangers.
    """

    path: str
    format: int
    created: str
    identities: int
    templates: int
    dim: int
    encoder: str | None
    fingerprint: str | None
    flip: bool
    alignment: str | None
    threshold: float | None
    runtime: str | None
    index: str
    exact: bool
    index_bytes_per_template: float
    operating: OperatingPoint | None
    score: str
    fuse: int
    calibration: CalibrationInfo | None
    decides: ThresholdUsed | None
    segments: int
    recent: int
    awaiting_erasure: int
    bytes: int


def describe(path: Path, view: FolderSnapshot) -> GalleryInfo:
    """What a gallery that lies at `path` holds."""
    catalogue, sealed, changes = view.catalogue, view.segment.index, view.catalogue.changes
    return GalleryInfo(
        path=str(path),
        format=catalogue.format,
        created=catalogue.created,
        index=sealed.kind,
        exact=sealed.exact,
        index_bytes_per_template=sealed.bytes_per_vector,
        operating=operating_point(catalogue.segments[0]) if catalogue.segments[0].indexed else None,
        segments=len(catalogue.segments),
        recent=len(changes.numbers) if changes else 0,
        awaiting_erasure=view.awaiting_erasure,
        bytes=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        **facts_of(view),
    )
