"""The threshold that gives a false-alarm rate at this K, and what a score is worth: learnt from the gallery itself."""

import json
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from engine.calibration.impostor_searches import NonMatedSearches, drift, impostor_distances, left_out_searches, search_strangers
from engine.calibration.probes import Kind, weighted
from engine.common.dataclass_json import from_plain
from engine.errors import GalleryError
from engine.matching.densities import densities
from engine.matching.scoring import LOCAL, PLAIN, QUALITY, Scoring, SearchableGallery
from engine.statistics.rates import at_least, check_rate, percent
from engine.statistics.score_tail import ScoreTail, outliers, tail_of
from indexes.base import Progress

FPIR = 0.01
"""The false-alarm rate that is asked for where nobody says otherwise."""

# With fewer identities than this nothing can be said of strangers.
LEAST_IDENTITIES = 10
# Identities from which on the default false-alarm rate is supported, and so the local score is the default.
LEAST_LOCAL = 50
# A stranger nearer than this to an enrolled template is that template.
_THE_SAME = 1e-3
# Where this many times more strangers than asked for reach a threshold, many of their scores must be equal.
_TIED = 1.5
# How many pairs of templates that are too much alike are kept by name.
_MOST_NAMED = 1000


class RowNames:
    """Template ids of rows."""

    def __init__(self, template_ids: pa.ChunkedArray) -> None:
        self._template_ids = template_ids

    def __call__(self, rows: np.ndarray) -> list[str]:
        """Of some rows (n,)."""
        return [str(self._template_ids[int(row)]) for row in rows]


@dataclass(frozen=True)
class LeftOutPair:
    """Two templates of two identities, so much alike that they are probably one person: they took no part in the calibration."""

    template_id: str
    other: str
    distance: float


@dataclass(frozen=True)
class Threshold:
    """The largest score that is accepted so that a share `fpir` of strangers' searches gets a name.

    `sampled`: it is a quantile of searches that were made; otherwise it comes from the fitted tail.
    """

    score: float
    fpir: float
    sampled: bool


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a gallery knows of strangers.

    `identities`: the K that it was made at. `source`: `gallery`, or `strangers` where a cohort was given. `tail`: of the best
    scores of strangers' searches. `pairs`: of the distances of two people's templates. `drift`: how the logarithm of scores moves
    with `Scoring.growth`. `left_out`: the pairs that `left_out_count` searches were left out for, the worst thousand. `unit`: the
    squared distance that a scaled score of 1 usually stands for in this gallery; None for plain scores, and where an older onek
    calibrated. `made_for`: what was searched for; None where an older onek calibrated.
    """

    identities: int
    source: str
    scoring: Scoring
    tail: ScoreTail
    pairs: ScoreTail
    drift: float
    left_out: tuple[LeftOutPair, ...]
    left_out_count: int
    unit: float | None = None
    made_for: Kind | None = None

    @property
    def least_rate(self) -> float:
        """The smallest false-alarm rate that it supports."""
        return self.tail.least_rate

    def threshold(self, fpir: float, identities: int) -> Threshold:
        """The threshold that holds a false-alarm rate at a K, the present one or a larger one.

        Raises:
            GalleryError: the rate is none, or smaller than the calibration supports; says the smallest that it does.
        """
        check_rate("fpir", fpir)
        if fpir < self.least_rate:
            raise GalleryError(
                f"fpir {fpir:g}: {self.tail.searches:,} searches of strangers were "
                f"sampled for this gallery, which support {at_least(self.least_rate)} at the least; ask for that, or calibrate "
                "with more strangers (onek calibrate GALLERY --strangers T.parquet)"
            )
        score = self.tail.score_at(fpir)
        if (rate := float(self.tail.rate_at(np.array([score]))[0])) > _TIED * fpir:
            raise GalleryError(
                f"fpir {fpir:g}: no threshold gives this rate, since {percent(rate)} of "
                f"strangers' searches have one and the same score, {score:.4g}: these templates do not tell people apart. Look "
                "for templates enrolled many times, or pass threshold=..."
            )
        return Threshold(self.score_at(fpir, identities), fpir, self.tail.is_sampled(fpir))

    def score_at(self, fpir: float, identities: int) -> float:
        """The threshold of any rate at a K, be it supported or not."""
        return self.tail.score_at(fpir) * self._moved(identities)

    def rate_at(self, scores: np.ndarray, identities: int) -> np.ndarray:
        """The share of strangers' searches that reach each score (n,) at a K: the inverse of `score_at`."""
        return self.tail.rate_at(np.asarray(scores, np.float64) / self._moved(identities))

    def verify_threshold(self, fmr: float) -> float:
        """The distance within which a share `fmr` of pairs of two people's templates lies.

        Raises:
            GalleryError: the rate is none, or smaller than the gallery's pairs support.
        """
        check_rate("fmr", fmr)
        if fmr < self.pairs.least_rate:
            raise GalleryError(
                f"fmr {fmr:g}: {self.pairs.searches:,} pairs of this gallery's identities support "
                f"{at_least(self.pairs.least_rate)} at the least; ask for that, or pass threshold=..."
            )
        return self.pairs.score_at(fmr)

    def _moved(self, identities: int) -> float:
        """The factor that takes a score at the K of the calibration to one at another K."""
        return float(np.exp(self.drift * (self.scoring.growth(identities) - self.scoring.growth(self.identities))))

    def to_json(self) -> str:
        """For the catalogue."""
        values = asdict(self)
        return json.dumps({**values, "tail": self.tail.to_json(), "pairs": self.pairs.to_json()})

    @classmethod
    def from_json(cls, text: str) -> "Calibration":
        """Read back what `to_json` wrote. Raises `ValueError`, `KeyError` or `TypeError` where it is something else."""
        values = json.loads(text)
        values["scoring"] = from_plain(Scoring, values["scoring"])
        values["left_out"] = tuple(from_plain(LeftOutPair, pair) for pair in values["left_out"])
        if not (int(values["identities"]) > 0 and np.isfinite(float(values["drift"]))):
            raise ValueError(f"a calibration at {values['identities']} identities, drifting by {values['drift']}")
        if values.get("made_for") is not None:
            values["made_for"] = Kind.from_plain(values["made_for"])
        if (unit := values.get("unit")) is not None and not 0 < float(unit) < np.inf:
            raise ValueError(f"a calibration in units of {unit}")
        return cls(**{**values, "tail": ScoreTail.from_json(values["tail"]), "pairs": ScoreTail.from_json(values["pairs"])})


def default_score(identities: int, *, qualities: bool = False) -> str:
    """The score of a gallery of K identities where nobody chose: plain where too few support the default false-alarm rate, else
    quality where of all templates it is known what they are worth, else local.
    """
    if identities < LEAST_LOCAL:
        return PLAIN
    return QUALITY if qualities else LOCAL


def calibrate(
    enrolled: SearchableGallery, names: RowNames, progress: Progress | None = None, probes: np.ndarray | None = None
) -> Calibration:
    """Calibrate a gallery on itself: enrolled people are searched for as if they had never been enrolled.

    Args:
        enrolled: the gallery.
        names: of its rows.
        progress: told how far it has come.
        probes: what the probes that it is for are worth, (n,); by default they are as its own people's templates are.

    Raises:
        GalleryError: too few identities, or too few of the kind that `probes` are.
    """
    identities = enrolled.members.identities
    require_calibratable(identities, enrolled.scoring)
    found = left_out_searches(enrolled, progress=progress)
    return calibration_of(enrolled, found, "gallery", 2, names, names, identities, probes, progress)


def calibrate_on_strangers(
    enrolled: SearchableGallery,
    vectors: np.ndarray,
    names: RowNames,
    stranger_names: RowNames,
    progress: Progress | None = None,
    qualities: np.ndarray | None = None,
) -> Calibration:
    """Calibrate a gallery on templates (n, d) of people who are not enrolled; `qualities` (n,): what these are worth.

    Raises:
        GalleryError: too few, or one of them is enrolled: it is the very template.
    """
    identities = enrolled.members.identities
    require_strangers(len(vectors), identities, enrolled.scoring)
    found = search_strangers(enrolled, vectors, np.arange(len(vectors)), qualities=qualities, progress=progress)
    return calibration_of(enrolled, found, "strangers", 1, names, stranger_names, identities, None, progress)


def require_calibratable(identities: int, scoring: Scoring) -> None:
    """Refuse K identities that are too few for one of them to be left out. Raises `GalleryError`."""
    least = max(LEAST_IDENTITIES, scoring.least_identities + 1)
    if identities < least:
        raise GalleryError(f"a gallery of {identities} identities cannot say how strangers score; expected at least {least}")


def require_strangers(count: int, identities: int, scoring: Scoring) -> None:
    """Refuse too few strangers, or K identities that are too few to search for them. Raises `GalleryError`."""
    if count < LEAST_IDENTITIES:
        raise GalleryError(f"{count} templates of strangers were given; expected at least {LEAST_IDENTITIES}")
    if identities < max(2, scoring.least_identities):
        raise GalleryError(f"the gallery has {identities} identities; expected at least 2")


def _refuse_the_same(found: NonMatedSearches, names: RowNames, stranger_names: RowNames) -> None:
    same = np.flatnonzero(found.distances < _THE_SAME)
    if len(same):
        stranger, template = stranger_names(found.probes[same[:1]])[0], names(found.rows[same[:1]])[0]
        raise GalleryError(
            f"{len(same)} of the strangers are enrolled: {stranger} is {template}; expected templates of people who are not"
        )


def calibration_of(
    enrolled: SearchableGallery,
    found: NonMatedSearches,
    source: str,
    design_effect: int,
    names: RowNames,
    probe_names: RowNames,
    identities: int,
    like: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """What searches of strangers say.

    Args:
        enrolled: the gallery, or a sample of its identities.
        found: the searches.
        source: `gallery` or `strangers`.
        design_effect: how many of the searches say as much as one independent search.
        names: of the searches' rows.
        probe_names: of their probes.
        identities: the K that they were made at.
        like: what the probes that they are to speak for are worth, (n,); by default they are like those of the searches.
        progress: told how far the smaller galleries have come, by which growth is foretold.

    Raises:
        GalleryError: a stranger is enrolled, or too few of the searches are like the probes.
    """
    if source == "strangers":
        _refuse_the_same(found, names, probe_names)
    suspects = outliers(found.scores)
    suspected, kept = found.only(suspects), found.only(~suspects)
    nearest = np.argsort(suspected.scores, kind="stable")[:_MOST_NAMED]
    ids = zip(probe_names(suspected.probes[nearest]), names(suspected.rows[nearest]), suspected.distances[nearest], strict=True)
    pairs = {frozenset((one, other)): LeftOutPair(one, other, round(float(distance), 6)) for one, other, distance in ids}
    return Calibration(
        identities=identities,
        source=source,
        scoring=enrolled.scoring,
        tail=tail_of(kept.scores if like is None else weighted(kept.scores, kept.qualities, like), design_effect),
        pairs=tail_of(impostor_distances(enrolled), 2),
        drift=drift(enrolled, progress=progress),
        left_out=tuple(pairs.values()),
        left_out_count=int(suspects.sum()),
        unit=_unit(enrolled),
        made_for=Kind.of(kept.qualities if like is None else like, None if like is not None else kept.seconds),
    )


def _unit(enrolled: SearchableGallery) -> float | None:
    """The squared distance that a scaled score of 1 usually stands for, the median density; None for plain scores."""
    if not enrolled.scoring.scaled:
        return None
    density = enrolled.density
    if density is None:  # a sample of a gallery that lies elsewhere
        density = densities(enrolled.index, enrolled.members, enrolled.scoring.neighbours)
    return max(float(np.nanmedian(density[:, 0])), 1e-8)
