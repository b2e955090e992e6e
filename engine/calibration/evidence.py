"""What is known of strangers at a gallery: what it measured itself, what its encoder's impostors say, and both together.

What the gallery measured enters where it supports the rate, with the weight 1 - least / rate: nothing where half a search speaks
for the rate, half at twice as many searches, nearly all at twenty times as many. The stricter of both decides then; where the
gallery's own threshold is the laxer one, it takes over as far as it is sure of itself. What the encoder says fades likewise,
towards the smallest rate that its table supports. So there is no jump where one takes over from the other.

A gallery whose people are more alike than those of the table, by more than chance, shows that in its pairs from ten people on.
The table's distances shrink then, and the more often its people come near, the more has what it measured itself to say, be it
little: thresholds from few searches keep out more than was asked for.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from engine.calibration.calibration import LEAST_IDENTITIES, LEAST_LOCAL, Calibration
from engine.errors import GalleryError
from engine.matching.scoring import PLAIN, QUALITY, Scoring
from engine.statistics.rates import at_least, check_rate
from engine.templates.measured.impostors import Chances, impostors_of
from engine.templates.provenance import Provenance

# Rates at which the threshold of both together is computed; between them it is interpolated, so that it rises with the rate.
_RATES = np.concatenate([np.geomspace(1e-9, 0.5, 210), 1 - np.geomspace(0.49, 1e-3, 24)])
# Of these, so many make a decade.
_DECADE = 24


@dataclass(frozen=True)
class Evidence:
    """What is known of strangers at a gallery of K `identities` with so many `templates`, that scores by `score`: its own
    `calibration`, the `chances` by its encoder's impostors, both, or nothing.
    """

    score: str
    calibration: Calibration | None
    chances: Chances | None
    identities: int
    templates: int

    @property
    def least_rate(self) -> float:
        """The smallest false-alarm rate that it supports; infinite where nothing is known."""
        return min(_least(self.calibration), _least(self.chances))

    def speaking(self, fpir: float) -> tuple[Calibration | None, Chances | None]:
        """Which of the two speak about a rate, None for the other. Where neither does, the one that supports smaller rates."""
        chances = self.chances if fpir >= _least(self.chances) else None
        contradicts = chances is not None and chances.trust < 1
        own = self.calibration if contradicts or fpir >= _least(self.calibration) else None
        if own is None and chances is None:
            ours = _least(self.calibration) < _least(self.chances)
            return (self.calibration, None) if ours else (None, self.chances)
        return own, chances

    def score_at(self, fpir: float) -> float:
        """The threshold of a false-alarm rate.

        Raises:
            GalleryError: it is no rate, or nothing that is known supports it; says the smallest that will do.
        """
        check_rate("fpir", fpir)
        if fpir < self.least_rate:
            raise GalleryError(f"fpir {fpir:g}: {self.unsupported()}")
        if self.calibration is not None and fpir >= self.calibration.least_rate:
            self.calibration.threshold(fpir, self.identities)  # which refuses a rate that no threshold gives
        if self.calibration is None or self.chances is None:
            return self._score_at(fpir)
        return float(np.exp(np.interp(np.log(fpir), np.log(_RATES), _log_thresholds(self))))

    def unsupported(self) -> str:
        """Why a rate is not supported, and what would do."""
        strangers = "calibrate with strangers (onek calibrate GALLERY --strangers T.parquet)"
        if self.least_rate == np.inf:
            return (
                f"{self.identities} identities say nothing of strangers, and nothing is known of the {self.score} scores of "
                f"their encoder's impostors; enrol {LEAST_IDENTITIES} or more (1 % takes {LEAST_LOCAL}), {strangers}, or pass "
                "threshold=..."
            )
        known = [] if self.calibration is None else [f"{self.calibration.tail.searches:,} searches of strangers"]
        if self.chances is not None:
            known.append(f"{self.chances.impostors.pairs:,} pairs of impostors at {self.chances.templates:,} templates")
        least = at_least(self.least_rate)
        return f"{' and '.join(known)} support {least} at the least; ask for that, {strangers}, or pass threshold=..."

    def rate_at(self, scores: np.ndarray) -> np.ndarray | None:
        """The share of strangers' searches that find somebody with at most each score (n,); None where nothing is known."""
        if self.chances is None:
            return None if self.calibration is None else self.calibration.rate_at(scores, self.identities)
        levels = np.log(np.maximum(np.asarray(scores, np.float64), 1e-6))
        thresholds, rates = _log_thresholds(self), np.log(_RATES)
        # Below the smallest, the last decade is continued, so that a smaller score still means a smaller rate.
        slope = (rates[_DECADE] - rates[0]) / max(thresholds[_DECADE] - thresholds[0], 1e-3)
        below = rates[0] + slope * (levels - thresholds[0])
        return np.exp(np.where(levels < thresholds[0], below, np.interp(levels, thresholds, rates)))

    def expected_false_alarms(self, scores: np.ndarray) -> np.ndarray | None:
        """How many of the enrolled a stranger is expected to match with at most these scores (n,): float32, at most K.

        The mean of a Poisson count that is 0 in a share 1 - FPIR of searches, -log(1 - FPIR); for small rates it is FPIR itself.
        None where nothing is known of strangers.
        """
        rates = self.rate_at(scores)
        if rates is None:
            return None
        with np.errstate(divide="ignore"):
            return np.minimum(-np.log1p(-rates), self.identities).astype(np.float32)

    def _score_at(self, fpir: float) -> float:
        """The same for any rate, be it supported or not."""
        own, chances = self.speaking(fpir)
        if own is None or chances is None:
            return (
                own.score_at(fpir, self.identities) if own is not None else chances.score_at(fpir) if chances is not None else 0
            )
        mine, sure = (own.score_at(rate, self.identities) for rate in (fpir, own.tail.conservative_rate(fpir)))
        doubt = min(own.least_rate / fpir, 1) * chances.trust
        return combined_threshold(mine, sure, chances.score_at(fpir), doubt=doubt, encoders_doubt=chances.least_rate / fpir)


def combined_threshold(own: float, sure: float, encoders: float, *, doubt: float, encoders_doubt: float) -> float:
    """The threshold that a gallery's own and its encoder's give.

    Args:
        own: the gallery's own one.
        sure: one that the gallery is sure gives no more than the rate that was asked for.
        encoders: the one by the encoder's impostors.
        doubt: the smallest rate that the gallery supports, in units of the one asked for; 1 at most.
        encoders_doubt: the same of the encoder's impostors.
    """
    stricter = min(own, max(encoders, sure))
    by_both = stricter ** (1 - encoders_doubt) * own**encoders_doubt
    return float(encoders**doubt * by_both ** (1 - doubt))


def evidence_of(scoring: Scoring, calibration: Calibration | None, made: Provenance, identities: int, templates: int) -> Evidence:
    """What is known of strangers at a gallery of K `identities` with so many `templates`.

    `made`: how the templates were made; `calibration`: None where the gallery has none.
    """
    impostors = impostors_of(made)
    unit = calibration.unit if calibration is not None and scoring.scaled else None
    known = impostors is not None and (scoring.score == PLAIN or unit is not None)
    if impostors is None or not known:
        return Evidence(scoring.score, calibration, None, identities, templates)
    likeness = (1.0, 1.0) if calibration is None else impostors.likeness(calibration.pairs)
    chances = Chances(impostors, templates, unit, *likeness, graded=scoring.score == QUALITY)
    return Evidence(scoring.score, calibration, chances, identities, templates)


def _least(known: Calibration | Chances | None) -> float:
    return np.inf if known is None else known.least_rate


@lru_cache(maxsize=16)
def _log_thresholds(evidence: Evidence) -> np.ndarray:
    """The logarithms of the thresholds of `_RATES`, none above that of a larger rate: what speaks for a rate may be stricter than
    what speaks for a smaller one, and whoever asks for fewer false alarms never gets more.
    """
    thresholds = np.array([evidence._score_at(float(rate)) for rate in _RATES])
    return np.log(np.minimum.accumulate(np.maximum(thresholds, 1e-6)[::-1])[::-1])
