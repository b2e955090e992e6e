"""What a gallery holds, for people and scripts."""

from dataclasses import dataclass
from pathlib import Path

from engine.calibration.calibration import LeftOut
from engine.calibration.evidence import Evidence, evidence_of
from engine.calibration.thresholds import ThresholdUsed, default_threshold
from engine.statistics.score_tail import Interval
from engine.storage.folder_snapshot import FolderSnapshot
from engine.storage.segments import operating_point
from indexes.tuning.operating_point import OperatingPoint

_RATES = (0.001, 0.003, 0.01, 0.03, 0.1)


@dataclass(frozen=True)
class RateInfo:
    """The threshold of a false-alarm rate at the present K. `from_sample`: whether it is a quantile of the gallery's own
    searches, or of a tail fitted to them. `interval`: between what the rate truly lies; None where the encoder's impostors took
    part.
    """

    fpir: float
    threshold: float
    from_sample: bool
    interval: Interval | None


@dataclass(frozen=True)
class CalibrationInfo:
    """What is known of strangers: from `searches` of them at `identities`, the `smallest_fpir` that this supports, and pairs of
    templates that are too much alike for strangers and were left out.
    """

    source: str
    identities: int
    searches: int
    smallest_fpir: float
    drift: float
    rates: tuple[RateInfo, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class GalleryInfo:
    """What a gallery holds, for people and scripts.

    `bytes` counts all its files, `index_bytes_per_template` the memory of the index; `operating` is what an approximate index
    spends on a search and the recall that it was measured to have, None where the index is exact. `calibration` says what is
    known of strangers, None where the gallery is too small. `recent` templates joined since the last sealing; `awaiting_erasure`
    were removed, and `onek compact` takes their bytes out of the files. `runtime` ran the encoder when the gallery was built;
    others may have run it for templates that joined. `threshold` is the encoder's, a distance of 1:1; `decides` the default
    threshold of an identification and from what it comes, None where too little is known of strangers.
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
    catalogue, enrolled = view.catalogue, view.enrolled
    made, sealed, changes = catalogue.provenance, view.segment.index, catalogue.changes
    templates, scoring = enrolled.index.count, enrolled.scoring
    evidence = evidence_of(scoring, catalogue.calibration, made, enrolled.members.identities, templates)
    return GalleryInfo(
        path=str(path),
        format=catalogue.format,
        created=catalogue.created,
        identities=enrolled.members.identities,
        templates=templates,
        dim=made.dim,
        encoder=made.encoder,
        fingerprint=made.fingerprint,
        flip=made.flip,
        alignment=made.alignment,
        threshold=made.threshold,
        runtime=made.runtime,
        index=sealed.kind,
        exact=sealed.exact,
        index_bytes_per_template=sealed.bytes_per_vector,
        operating=operating_point(catalogue.segments[0]) if catalogue.segments[0].indexed else None,
        score=scoring.score,
        fuse=scoring.fuse,
        calibration=describe_calibration(evidence),
        decides=default_threshold(evidence),
        segments=len(catalogue.segments),
        recent=len(changes.numbers) if changes else 0,
        awaiting_erasure=len(changes.removed) + changes.erasable if changes else 0,
        bytes=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
    )


def describe_calibration(evidence: Evidence) -> CalibrationInfo | None:
    """What a gallery's calibration says, with the thresholds of the usual rates as they are used; None where it has none."""
    calibration = evidence.calibration
    if calibration is None:
        return None
    return CalibrationInfo(
        source=calibration.source,
        identities=calibration.identities,
        searches=calibration.tail.searches,
        smallest_fpir=calibration.least_rate,
        drift=calibration.drift,
        rates=tuple(_rate(evidence, rate) for rate in _RATES if rate >= calibration.least_rate),
        left_out=calibration.left_out,
    )


def _rate(evidence: Evidence, rate: float) -> RateInfo:
    own, chances = evidence.speaking(rate)
    tail = own.tail if own is not None and chances is None else None
    return RateInfo(
        rate,
        evidence.score_at(rate),
        tail is not None and tail.is_sampled(rate),
        None if tail is None else tail.interval(rate),
    )
