"""A gallery as it was at one moment: all that one answer is made of, wherever the gallery lies."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from engine.answers.results import failed_result, make_results, refused_results
from engine.answers.verification import Verification
from engine.calibration.calibration import Calibration
from engine.calibration.evidence import Evidence, evidence_of
from engine.calibration.thresholds import MatchThreshold, ThresholdUsed, accepts, identify_threshold, match_threshold
from engine.common.late import pc
from engine.errors import GalleryError, NotEnrolled
from engine.matching.pair_verifier import PairVerifier
from engine.matching.scoring import Candidates, Scoring
from engine.templates.model import Templates
from engine.templates.provenance import Provenance, require_same
from engine.templates.quality import LEAST
from engine.templates.quality.gate import check_least, refused, why_refused
from indexes.base import Progress, distances_to

if TYPE_CHECKING:
    from engine.embedding.embedder import Embedder
    from engine.embedding.outcome import Outcome

# The probability from which on a head says "the same".
_EVEN = 0.5


@dataclass(frozen=True)
class FoundCandidates:
    """The `candidates` of n probes, t of each, and what their `identities` and `template_ids` (n * t,) are called, a probe's
    behind each other. `identities_enrolled`: the K that they were found among. `qualities` float32 (n, t): what the candidates'
    templates are worth, NaN where nobody knows.
    """

    candidates: Candidates
    identities: pa.Array
    template_ids: pa.Array
    identities_enrolled: int
    qualities: np.ndarray


class Snapshot(ABC):
    """What a call takes of a gallery at its beginning: threshold, scoring, calibration, K, templates and names that belong
    together.

    It never changes, so that any number of threads may ask it, whatever becomes of the gallery meanwhile.
    """

    @property
    @abstractmethod
    def called(self) -> str:
        """What the gallery is called in messages."""

    @property
    @abstractmethod
    def edition(self) -> str:
        """Another one where another gallery has taken its place, or thresholds were learnt anew; the same while people join and
        leave. It tells in another process as well.
        """

    @property
    @abstractmethod
    def provenance(self) -> Provenance:
        """How its templates were made."""

    @property
    @abstractmethod
    def scoring(self) -> Scoring:
        """How it scores."""

    @property
    @abstractmethod
    def calibration(self) -> Calibration | None:
        """What it knows of strangers; None where it has too few identities."""

    @property
    @abstractmethod
    def template_count(self) -> int:
        """How many templates are enrolled."""

    @property
    @abstractmethod
    def identity_count(self) -> int:
        """K."""

    @abstractmethod
    def find(
        self, probes: np.ndarray, top: int, head: PairVerifier | None, qualities: np.ndarray | None = None
    ) -> FoundCandidates:
        """The `top` candidates of each probe (n, d), as of `SearchableGallery`, or the first in a head's order. `qualities`
        (n,): what the probes are worth, NaN where nobody knows; by default of none of them.

        Raises:
            GalleryReplaced: another gallery took its place, and it is gone.
        """

    @abstractmethod
    def templates_of(self, identity: str) -> tuple[list[str], np.ndarray]:
        """The ids and vectors (m, d) of an identity's templates. Raises `GalleryError` where nobody is called that."""

    def enrols(self, identity: str) -> bool:
        """Whether somebody is called that."""
        try:
            self.templates_of(identity)
        except NotEnrolled:
            return False
        return True

    @abstractmethod
    def templates_by_identity(self) -> Iterator[tuple[str, int]]:
        """Every identity, in the order of their names, and how many templates it has."""

    def threshold(self, threshold: float | None = None, fpir: float | None = None) -> float:
        """The largest score that is accepted: the one given, else that of a false-alarm rate, else the default.

        Raises:
            GalleryError: as `engine.calibration.thresholds.identify_threshold`.
        """
        return self.threshold_used(threshold, fpir).score

    def threshold_used(self, threshold: float | None = None, fpir: float | None = None) -> ThresholdUsed:
        """As `threshold`, with the rate that it is for and from how much evidence."""
        return identify_threshold(threshold, fpir, self.evidence)

    @abstractmethod
    def calibrated_to(self, qualities: np.ndarray, progress: Progress | None = None) -> "Snapshot":
        """The same, calibrated for probes that are worth so much, (n,), by searches of its own people, weighted to be such.

        Raises:
            GalleryError: nobody knows what the probes or its own people's templates are worth, or too few of these are such as
                the probes are.
        """

    @property
    def evidence(self) -> Evidence:
        """What is known of strangers: by the gallery's own calibration, and by its encoder's impostors."""
        return self._evidence_at(self.identity_count)

    def match_threshold(self, threshold: float | None = None, fmr: float | None = None) -> MatchThreshold:
        """The largest distance that `verify` accepts: the one given, else that of a false-match rate, else the encoder's own.

        Raises:
            GalleryError: as `engine.calibration.thresholds.match_threshold`.
        """
        return match_threshold(threshold, fmr, self.calibration, self.provenance)

    def _evidence_at(self, identities: int) -> Evidence:
        return evidence_of(self.scoring, self.calibration, self.provenance, identities, self.template_count)

    def identify(
        self, probes: Templates, limit: float, top: int, head: PairVerifier | None = None, quality: float = LEAST
    ) -> pa.Table:
        """Who each of some templates is at a threshold that `threshold` gave, as an Arrow table.

        A probe is called by its source, or else by its template id. What is worth less than `quality`, a share of ordinary
        photographs, is not searched for, and fails.

        Raises:
            EncoderMismatch: the probes, or the head's templates, were made by another encoder; names both.
            GalleryError: `top` is below 1; or as `find`.
            TemplatesError: `quality` is no share.
        """
        require_same(self.provenance, probes.provenance, self.called, "the probe file")
        if top < 1:
            raise GalleryError(f"{top} candidates were asked for; expected at least 1")
        if head is not None:
            head.check(self.provenance, self.called)
        below = refused(probes.qualities, check_least(quality))
        if not below.any():
            return self._identified(probes, limit, top, head)
        kept, left = (Templates(probes.table.filter(pa.array(which)), probes.provenance) for which in (~below, below))
        words = zip(left.table["quality"].to_pylist(), left.table["reasons"].to_pylist(), strict=True)
        failed = refused_results(
            left.table, _names(left), limit, [why_refused(worth, reasons, quality) for worth, reasons in words]
        )
        both = pa.concat_tables([self._identified(kept, limit, top, head), failed]) if len(kept) else failed
        return both.take(pa.array(np.argsort(np.concatenate([np.flatnonzero(~below), np.flatnonzero(below)]))))

    def _identified(self, probes: Templates, limit: float, top: int, head: PairVerifier | None) -> pa.Table:
        found = self.find(probes.vectors, top, head, probes.qualities)
        evidence = self._evidence_at(found.identities_enrolled)
        return make_results(
            probes=_names(probes),
            faces=probes.table["face"],
            boxes=probes.table["box"],
            threshold=limit,
            candidates=found.candidates,
            identities=found.identities,
            template_ids=found.template_ids,
            expected_false_alarms=evidence.expected_false_alarms(found.candidates.scores[:, 0]),
            quality=probes.table["quality"],
            reasons=probes.table["reasons"],
            candidate_quality=found.qualities,
        )

    def identify_outcomes(
        self,
        outcomes: Sequence["Outcome"],
        embedder: "Embedder",
        limit: float,
        top: int,
        head: PairVerifier | None = None,
        quality: float = LEAST,
    ) -> pa.Table:
        """As `identify`, for photographs that were embedded: a failed one has its row where it stood."""
        from engine.embedding.outcome import to_batch

        rows = pa.Table.from_batches([to_batch(outcomes, embedder.provenance)])
        found = self.identify(Templates(rows, embedder.provenance), limit, top, head, quality)
        tables, at = [], 0
        for outcome in outcomes:
            faces = len(outcome.faces)
            tables.append(found.slice(at, faces) if faces else failed_result(outcome.photograph.source, limit, outcome.problem))
            at += faces
        return pa.concat_tables(tables) if tables else found

    def claim(self, identity: str, threshold: float | None, fmr: float | None, head: PairVerifier | None) -> "Claim":
        """What a probe that is said to show `identity` is compared with; as `Gallery.verify`.

        Raises:
            GalleryError: as `Gallery.verify`.
        """
        if head is not None:
            head.check(self.provenance, self.called)
            if threshold is not None or fmr is not None:
                raise GalleryError("a head decides by its probability; expected neither threshold=... nor fmr=... beside it")
        limit = 0.0 if head else self.match_threshold(threshold, fmr).distance
        return Claim(identity, *self.templates_of(identity), limit, head)


def _names(probes: Templates) -> pa.ChunkedArray:
    return pc.coalesce(probes.table["source"], probes.table["template_id"])


@dataclass(frozen=True)
class Claim:
    """That a probe shows an `identity`, whose templates are called `template_ids` and have these `vectors` (m, d): true within a
    distance `limit`, or as a `head` says.
    """

    identity: str
    template_ids: list[str]
    vectors: np.ndarray
    limit: float
    head: PairVerifier | None

    def verified(self, name: str, vector: np.ndarray) -> Verification:
        """Whether it is true of the probe of this name and template (d,)."""
        distances = distances_to(vector[None], self.vectors, np.arange(len(self.vectors))[None])[0]
        best = int(np.argmin(distances))
        same, sure = bool(accepts(distances[best], self.limit)), None
        if self.head is not None:
            sure = self.head.probability(float(self.head.scores(vector[None], self.vectors).min()))
            same = sure >= _EVEN
        return Verification(name, self.identity, same, float(distances[best]), self.limit, self.template_ids[best], sure)
