"""What a gallery in Milvus holds, for people and scripts."""

from dataclasses import dataclass

from engine.calibration.evidence import evidence_of
from engine.calibration.thresholds import ThresholdUsed, default_threshold
from engine.milvus.catalogue import MilvusCatalogue
from engine.milvus.connection.client import Client
from engine.milvus.shortlist import Size
from engine.storage.summary import CalibrationInfo, describe_calibration


@dataclass(frozen=True)
class MilvusInfo:
    """As `engine.storage.summary.GalleryInfo`, of a gallery in Milvus.

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


def describe(client: Client, catalogue: MilvusCatalogue, size: Size) -> MilvusInfo:
    """What a gallery holds."""
    made, scoring = catalogue.provenance, catalogue.scoring
    evidence = evidence_of(scoring, catalogue.calibration, made, size.identities, size.templates)
    return MilvusInfo(
        path=str(client.address),
        server=client.version,
        collection=catalogue.collection,
        created=catalogue.created,
        identities=size.identities,
        templates=size.templates,
        dim=made.dim,
        encoder=made.encoder,
        fingerprint=made.fingerprint,
        flip=made.flip,
        alignment=made.alignment,
        threshold=made.threshold,
        runtime=made.runtime,
        index=catalogue.kind.name,
        exact=catalogue.kind.effort is None,
        effort=catalogue.effort,
        recall=catalogue.recall,
        score=scoring.score,
        fuse=scoring.fuse,
        calibration=describe_calibration(evidence),
        decides=default_threshold(evidence),
    )
