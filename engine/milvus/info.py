"""What a gallery in Milvus holds, for people and scripts."""

from dataclasses import dataclass

from engine.answers.summary import facts_of
from engine.calibration.summary import CalibrationInfo
from engine.calibration.thresholds import ThresholdUsed
from engine.milvus.snapshot import MilvusSnapshot


@dataclass(frozen=True)
class MilvusInfo:
    """As `engine.storage.GalleryInfo`, of a gallery in Milvus.

    `server` is its version, `collection` where it keeps the templates. `index` is its name for the index, `effort` what a search
    spends on it (nprobe or ef; None where it is exact), `recall` the share of exact answers that it found when it was built.
    """

    path: str
    server: str
    collection: str
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
    effort: int | None
    recall: float
    score: str
    fuse: int
    calibration: CalibrationInfo | None
    decides: ThresholdUsed | None


def describe(seen: MilvusSnapshot) -> MilvusInfo:
    """What a gallery holds."""
    client, catalogue = seen.client, seen.catalogue
    return MilvusInfo(
        path=str(client.address),
        server=client.version,
        collection=catalogue.collection,
        created=catalogue.created,
        index=catalogue.kind.name,
        exact=catalogue.kind.effort is None,
        effort=catalogue.effort,
        recall=catalogue.recall,
        **facts_of(seen),
    )
