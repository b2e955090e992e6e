"""The rule by which somebody is accepted, the threshold that it uses, and the evidence for that threshold."""

from dataclasses import dataclass

import numpy as np

from engine.calibration.calibration import FPIR, LEAST_LOCAL, Calibration
from engine.calibration.evidence import Evidence, combined_threshold
from engine.errors import GalleryError, require_number
from engine.matching.scoring import PLAIN
from engine.statistics.rates import check_rate, percent
from engine.templates.measured.impostors import impostors_of
from engine.templates.provenance import Provenance

IDENTIFIED, UNKNOWN, FAILED = "identified", "unknown", "failed"


@dataclass(frozen=True)
class ThresholdUsed:
    """The largest score that an identification accepts, and from what it comes; `str` of it says so in one line.

    `fpir`: the share of strangers' searches that get a name, asked for or, of a threshold that was `given`, expected; None where
    nothing is known of strangers. `searches`: of the gallery's own, by the people of `source` (`gallery` or `strangers`), that
    took part; `pairs` and `people`: of the encoder's impostors, where these did. None where they did not.
    """

    score: float
    scoring: str
    fpir: float | None
    given: bool
    identities: int
    templates: int
    source: str | None = None
    searches: int | None = None
    people: int | None = None
    pairs: int | None = None

    def __str__(self) -> str:
        who = []
        if self.searches is not None:
            whose = "strangers given" if self.source == "strangers" else "its own people"
            who.append(f"{self.searches:,} searches of {whose}")
        if self.pairs is not None:
            who.append(f"the encoder's impostors ({_millions(self.pairs)} pairs of {self.people:,} people)")
        size = f"K={self.identities:,}" + ("" if self.templates == self.identities else f" ({self.templates:,} templates)")
        score = f"threshold {self.score:.4g} ({self.scoring})"
        if self.fpir is None:
            return f"{score}: as given; nothing is known of strangers at {size}"
        by = f"by {' and '.join(who)}"
        if self.given:
            return f"{score}: as given; strangers about {percent(self.fpir)} at {size}, {by}"
        return f"{score}: strangers {percent(self.fpir)} at {size}, {by}"


@dataclass(frozen=True)
class MatchThreshold:
    """The largest distance that a verification accepts, and from what it comes; `str` of it says so in one line.

    `fmr`: the share of pairs of two people's templates that are as near; None where nothing is known of them. `source`: `given`,
    `encoder` (its own 1:1 distance), or `rate`. `pairs`: how many say so, None where nobody does.
    """

    distance: float
    fmr: float | None
    source: str
    pairs: int | None

    def __str__(self) -> str:
        where = {"given": "as given", "encoder": "the encoder's 1:1 distance", "rate": "of the rate"}[self.source]
        if self.fmr is None or self.pairs is None:
            return f"threshold {self.distance:.4g}: {where}; nothing is known of impostors"
        return f"threshold {self.distance:.4g}: {where}; impostors {percent(self.fmr)}, by {_millions(self.pairs)} pairs"


def accepts(scores: np.ndarray, threshold: float) -> np.ndarray:
    """The one rule by which anybody is accepted: `score <= threshold`. A score that is NaN is not accepted."""
    return np.asarray(scores) <= np.float32(threshold)


def identify_threshold(threshold: float | None, fpir: float | None, evidence: Evidence) -> ThresholdUsed:
    """The threshold of an identification: the one given, a score; else that of a false-alarm rate, 1 % where none is given.

    Raises:
        GalleryError: both were given, one is out of range, or too little is known of strangers; says what would do.
    """
    if threshold is not None:
        require_number("threshold", threshold, "0.5")
        if fpir is not None:
            require_number("fpir", fpir)
            raise GalleryError(f"threshold {threshold:g} and fpir {fpir:g} were both given; expected one of them")
        score = _checked_score(threshold, evidence.score)
        rates = evidence.rate_at(np.array([score]))
        return _used(score, None if rates is None else float(rates[0]), evidence, given=True)
    if fpir is None and evidence.least_rate > FPIR:
        raise GalleryError(
            f"no default threshold: {evidence.identities} identities are too few for a false-alarm rate of {percent(FPIR)}, "
            f"which takes {LEAST_LOCAL}; {evidence.unsupported()}"
        )
    asked = FPIR if fpir is None else fpir
    return _used(evidence.score_at(asked), asked, evidence, given=False)


def default_threshold(evidence: Evidence) -> ThresholdUsed | None:
    """The threshold of an identification where the user gave neither a threshold nor a rate; None where too little is known of
    strangers.
    """
    try:
        return identify_threshold(None, None, evidence)
    except GalleryError:
        return None


def match_threshold(
    threshold: float | None, fmr: float | None, calibration: Calibration | None, made: Provenance
) -> MatchThreshold:
    """The distance of a verification: the one given; else that of a false-match rate; else the encoder's own.

    Raises:
        GalleryError: both were given, one is out of range, or there is nothing to take a threshold from.
    """
    impostors, pairs = impostors_of(made), None if calibration is None else calibration.pairs
    if fmr is None:
        distance = checked_distance(threshold, made.threshold)
        source = "encoder" if threshold is None else "given"
        if impostors is not None:
            return MatchThreshold(distance, impostors.rate_at(distance), source, impostors.pairs)
        rate = None if pairs is None else float(pairs.rate_at(np.array([distance]))[0])
        return MatchThreshold(distance, rate, source, None if pairs is None else pairs.searches)
    if threshold is not None:
        require_number("threshold", threshold, "0.5")
        require_number("fmr", fmr)
        raise GalleryError(f"threshold {threshold:g} and fmr {fmr:g} were both given; expected one of them")
    check_rate("fmr", fmr)
    known = impostors if impostors is not None and fmr >= impostors.least_rate else None
    if calibration is None or pairs is None or (known is not None and fmr < pairs.least_rate):
        if known is None:
            raise GalleryError(f"fmr {fmr:g}: this gallery is not calibrated, which takes 10 identities; pass threshold=...")
        return MatchThreshold(known.distance_at(fmr), fmr, "rate", known.pairs)
    own = calibration.verify_threshold(fmr)
    if known is None:
        return MatchThreshold(own, fmr, "rate", pairs.searches)
    doubts = pairs.least_rate / fmr, known.least_rate / fmr
    sure = pairs.score_at(pairs.conservative_rate(fmr))
    both = combined_threshold(own, sure, known.distance_at(fmr), doubt=doubts[0], encoders_doubt=doubts[1])
    return MatchThreshold(both, fmr, "rate", known.pairs + pairs.searches)


def checked_distance(threshold: float | None, default: float | None) -> float:
    """A threshold that is a distance: the one given, else the default.

    Raises:
        GalleryError: there is neither, or it is no distance.
    """
    chosen = default if threshold is None else threshold
    if chosen is None:
        raise GalleryError("no default threshold is known for the encoder of this gallery; pass threshold=..., a distance")
    require_number("threshold", chosen, "0.5")
    if not 0 <= chosen <= 2:
        raise GalleryError(f"the threshold is {chosen}; expected a distance of unit vectors, 0 to 2")
    return float(chosen)


def _used(score: float, fpir: float | None, evidence: Evidence, *, given: bool) -> ThresholdUsed:
    own, chances = evidence.speaking(0.0 if fpir is None else fpir)
    return ThresholdUsed(
        score=score,
        scoring=evidence.score,
        fpir=fpir,
        given=given,
        identities=evidence.identities,
        templates=evidence.templates,
        source=None if own is None else own.source,
        searches=None if own is None else own.tail.searches,
        people=None if chances is None else chances.impostors.people,
        pairs=None if chances is None else chances.impostors.pairs,
    )


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} million" if count >= 1_000_000 else f"{count:,}"


def _checked_score(threshold: float, score: str) -> float:
    if score == PLAIN:
        return checked_distance(threshold, None)
    if not 0 <= threshold < float("inf"):
        raise GalleryError(f"the threshold is {threshold}; expected a local score, 0 or more (1 is as near as neighbours are)")
    return float(threshold)
