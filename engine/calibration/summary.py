"""What a gallery knows of strangers, for people and scripts."""

from dataclasses import dataclass

from engine.calibration.calibration import LeftOutPair
from engine.calibration.evidence import Evidence
from engine.statistics.score_tail import Interval

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
    left_out: tuple[LeftOutPair, ...]


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
