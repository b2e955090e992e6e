"""The rule by which somebody is accepted, and the threshold that it uses."""

import numpy as np

from engine.calibration import FPIR, Calibration
from engine.errors import GalleryError
from engine.scores import PLAIN, Scoring

IDENTIFIED, UNKNOWN, FAILED = "identified", "unknown", "failed"


def accepts(scores: np.ndarray, threshold: float) -> np.ndarray:
    """The one rule by which anybody is accepted: `score <= threshold`. A score that is NaN is not accepted."""
    return np.asarray(scores) <= np.float32(threshold)


def identify_threshold(
    threshold: float | None,
    fpir: float | None,
    *,
    scoring: Scoring,
    calibration: Calibration | None,
    identities: int,
    encoders: float | None,
) -> float:
    """The threshold of an identification: the one given; else that of a false-alarm rate; else that of a rate of 1 %, or the
    encoder's own distance in a gallery so small that it supports no such rate.

    Args:
        threshold: a score, or None.
        fpir: a rate, or None.
        scoring: how the gallery scores.
        calibration: what it knows of strangers, if it does.
        identities: K.
        encoders: the encoder's own threshold, a distance, or None.

    Raises:
        GalleryError: both were given, one is out of range, or there is nothing to take a threshold from.
    """
    if threshold is not None:
        if fpir is not None:
            raise GalleryError(f"--threshold {threshold:g} and --fpir {fpir:g} were both given; expected one of them")
        return _checked_score(threshold, scoring)
    if fpir is not None and calibration is None:
        raise GalleryError(
            f"--fpir {fpir:g}: this gallery of {identities} identities is not calibrated, which takes 10; pass --threshold, "
            "or calibrate it with strangers (onek calibrate GALLERY --strangers T.parquet)"
        )
    if calibration is not None and (fpir is not None or calibration.tail.least_rate <= FPIR):
        return calibration.threshold(FPIR if fpir is None else fpir, identities).score
    if scoring.score == PLAIN and encoders is not None:
        return checked_distance(encoders, None)
    rate = f"--fpir {calibration.tail.least_rate:.2g} or more, or " if calibration is not None else ""
    raise GalleryError(
        f"no default threshold is known: {identities} identities are too few for a false-alarm rate of {FPIR:g}, "
        f"and none is known for the encoder of this gallery; pass {rate}--threshold SCORE"
    )


def verify_threshold(
    threshold: float | None, fmr: float | None, calibration: Calibration | None, encoders: float | None
) -> float:
    """The distance of a verification: the one given; else that of a false-match rate; else the encoder's own.

    Raises:
        GalleryError: both were given, one is out of range, or there is nothing to take a threshold from.
    """
    if fmr is None:
        return checked_distance(threshold, encoders)
    if threshold is not None:
        raise GalleryError(f"--threshold {threshold:g} and --fmr {fmr:g} were both given; expected one of them")
    if calibration is None:
        raise GalleryError(f"--fmr {fmr:g}: this gallery is not calibrated, which takes 10 identities; pass --threshold")
    return calibration.verify_threshold(fmr)


def checked_distance(threshold: float | None, default: float | None) -> float:
    """A threshold that is a distance: the one given, else the default.

    Raises:
        GalleryError: there is neither, or it is no distance.
    """
    chosen = default if threshold is None else threshold
    if chosen is None:
        raise GalleryError("no default threshold is known for the encoder of this gallery; pass --threshold DISTANCE")
    if not 0 <= chosen <= 2:
        raise GalleryError(f"the threshold is {chosen}; expected a distance of unit vectors, 0 to 2")
    return float(chosen)


def _checked_score(threshold: float, scoring: Scoring) -> float:
    if scoring.score == PLAIN:
        return checked_distance(threshold, None)
    if not 0 <= threshold < float("inf"):
        raise GalleryError(f"the threshold is {threshold}; expected a local score, 0 or more (1 is as near as neighbours are)")
    return float(threshold)
