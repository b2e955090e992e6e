"""What a gallery holds, for people and scripts."""

from dataclasses import dataclass
from pathlib import Path

from engine.calibration import Calibration, LeftOut
from engine.catalogue import FORMAT, Catalogue
from engine.segments import OpenSegment, operating_point
from engine.tail import Interval
from indexes.measure import OperatingPoint

_RATES = (0.001, 0.003, 0.01, 0.03, 0.1)


@dataclass(frozen=True)
class RateInfo:
    """The threshold of a false-alarm rate at the present K. `from_sample`: whether it is a quantile, or of the fitted tail."""

    fpir: float
    threshold: float
    from_sample: bool
    interval: Interval


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
    known of strangers, None where the gallery is too small.
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
    index: str
    exact: bool
    index_bytes_per_template: float
    operating: OperatingPoint | None
    score: str
    fuse: int
    calibration: CalibrationInfo | None
    segments: int
    bytes: int


def describe(path: Path, catalogue: Catalogue, segment: OpenSegment) -> GalleryInfo:
    """What a gallery that lies at `path` holds."""
    made, enrolled = catalogue.provenance, segment.enrolled
    calibration = catalogue.calibration
    return GalleryInfo(
        path=str(path),
        format=FORMAT,
        created=catalogue.created,
        identities=enrolled.members.identities,
        templates=enrolled.index.count,
        dim=made.dim,
        encoder=made.encoder,
        fingerprint=made.fingerprint,
        flip=made.flip,
        alignment=made.alignment,
        threshold=made.threshold,
        index=enrolled.index.kind,
        exact=enrolled.index.traits.exact,
        index_bytes_per_template=enrolled.index.bytes_per_vector,
        operating=operating_point(catalogue.segments[0]),
        score=enrolled.scoring.score,
        fuse=enrolled.scoring.fuse,
        calibration=None if calibration is None else describe_calibration(calibration, enrolled.members.identities),
        segments=len(catalogue.segments),
        bytes=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
    )


def describe_calibration(calibration: Calibration, identities: int) -> CalibrationInfo:
    """What a calibration says at a K, at the usual rates that it supports."""
    thresholds = [calibration.threshold(rate, identities) for rate in _RATES if rate >= calibration.tail.least_rate]
    return CalibrationInfo(
        source=calibration.source,
        identities=calibration.identities,
        searches=calibration.tail.searches,
        smallest_fpir=calibration.tail.least_rate,
        drift=calibration.drift,
        rates=tuple(RateInfo(made.fpir, made.score, made.sampled, made.interval) for made in thresholds),
        left_out=calibration.left_out,
    )
