"""One trial: a gallery of K identities is searched for people whose truth is known, and what comes out is kept as rows."""

import resource
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.calibration.calibration import LEAST_IDENTITIES as LEAST_CALIBRATED
from engine.calibration.calibration import Calibration, RowNames, calibrate
from engine.calibration.evidence import Evidence, evidence_of
from engine.errors import GalleryError, MetricsError
from engine.evaluation.raw import COMPARISONS, SCHEMA, SEARCHES, About, System, Trial, searches_file, write_comparisons
from engine.evaluation.splits import RATES, sizes
from engine.matching.scoring import PLAIN, SCORES, Candidates, Scoring, SearchableGallery
from engine.templates.provenance import Provenance

# Candidates that are kept of searches of the whole gallery, and so ranks that are known.
TOP = 20
# Probes that are searched for at a time.
BATCH = 4096

Said = Callable[[str], None]


@dataclass(frozen=True)
class TrialGallery:
    """A gallery of K identities that is searched.

    `identities`: what its identities are called, by their numbers; `template_ids`: the same of its rows. `places` int (K,): when
    each identity was enrolled, counted from 0. `evidence`: what the gallery knows of strangers.
    """

    searchable: SearchableGallery
    identities: list[str]
    template_ids: list[str]
    places: np.ndarray
    evidence: Evidence


@dataclass(frozen=True)
class TrialSearches:
    """n searches to be made. `truth` int (n,) is the place of enrolment of who is searched for, -1 where that is nobody enrolled;
    `mated` bool (n,): whether it counts as a search for somebody enrolled. `rows` int (n,) of `vectors` (m, d) and of `qualities`
    (m,); -1 where no template was made of an image.
    """

    names: list[str]
    identities: list[str | None]
    truth: np.ndarray
    mated: np.ndarray
    rows: np.ndarray
    vectors: np.ndarray
    qualities: np.ndarray


def scores_of(wanted: Sequence[str], own: str) -> tuple[str, ...]:
    """The scores to search with: those wanted, or the gallery's own and the plain distance beside it.

    Raises:
        MetricsError: one is none.
    """
    chosen = tuple(dict.fromkeys(wanted or (own, PLAIN)))
    if wrong := [score for score in chosen if score not in SCORES]:
        raise MetricsError(f"--score {wrong[0]}: expected {', '.join(SCORES[:-1])} or {SCORES[-1]}")
    return chosen


def systems_of(called: str, made: Provenance, scores: Sequence[str]) -> list[System]:
    """The systems that search the same templates with one score each."""
    names = [f"{called}, {score}" if len(scores) > 1 else called for score in scores]
    return [
        System(name, called, made.encoder or "", made.fingerprint or "", made.dim, score, made.threshold)
        for name, score in zip(names, scores, strict=True)
    ]


def sizes_for(scoring: Scoring, most: int) -> list[int]:
    """The sizes of the galleries to search, up to `most`; none that is too small to be scored so."""
    return [size for size in sizes(most) if size > scoring.least_identities]


def evidence_for(searchable: SearchableGallery, template_ids: Sequence[str], made: Provenance) -> Evidence:
    """What a gallery of templates that are `made` so knows of strangers: as `Gallery.build` finds it."""
    members, scoring = searchable.members, searchable.scoring
    known: Calibration | None = None
    if members.identities >= max(LEAST_CALIBRATED, scoring.least_identities + 1):
        known = calibrate(searchable, RowNames(pa.chunked_array([pa.array(template_ids, pa.string())])))
    return evidence_of(scoring, known, made, members.identities, len(members.codes))


def try_out(
    system: System, split: int, gallery: Callable[[], TrialGallery], searches: TrialSearches, top: int
) -> tuple[pa.Table, Trial]:
    """Make a gallery and search it; a row of `engine.evaluation.raw.SCHEMA` for each search, with its `top` candidates, and what
    the trial was.
    """
    start = time.perf_counter()
    made = gallery()
    built = time.perf_counter()
    parts = range(0, max(len(searches.names), 1), BATCH)
    table = pa.concat_tables([_rows(system, split, made, searches, slice(at, at + BATCH), top) for at in parts])
    limits, refused = _thresholds(made.evidence)
    members = made.searchable.members
    trial = Trial(
        system=system.name,
        split=split,
        identities=members.identities,
        templates=len(members.codes),
        thresholds=limits,
        refused=refused,
        build_seconds=built - start,
        search_seconds=time.perf_counter() - built,
        searches=int((searches.rows >= 0).sum()),
        peak_mebibytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )
    return table, trial


def keep_trials(
    out: Path, trials: Iterable[tuple[pa.Table, Trial]], systems: Sequence[System], pairs: Sequence[pa.Table], about: About
) -> About:
    """Write the rows of trials as they are made, and pairs of templates beside them, to the folder `out`; what all are of.

    Raises:
        OutputError: the files cannot be written.
    """
    made = []
    with searches_file(out / SEARCHES) as writer:
        for table, trial in trials:
            writer.write(table)
            made.append(trial)
        told = replace(about, systems=tuple(systems), trials=tuple(made))
        writer.finish(told)
    write_comparisons(out / COMPARISONS, pairs)
    return told


def _thresholds(evidence: Evidence) -> tuple[dict[str, float], dict[str, str]]:
    """The thresholds that a gallery gives itself, by rate, and why it gives none for the others."""
    limits, refused = {}, {}
    for rate in RATES:
        try:
            limits[f"{rate:g}"] = float(np.float32(evidence.score_at(rate)))
        except GalleryError as error:
            refused[f"{rate:g}"] = str(error)
    return limits, refused


def _rows(system: System, split: int, gallery: TrialGallery, searches: TrialSearches, part: slice, top: int) -> pa.Table:
    """Search for a part of the probes: their rows, null in what a candidate would say where there is no template."""
    rows, truth = searches.rows[part], searches.truth[part]
    searched = np.flatnonzero(rows >= 0)
    own = rows[searched]
    members = gallery.searchable.members
    each = min(top, members.identities)
    probes = np.ascontiguousarray(searches.vectors[own])
    found = gallery.searchable.candidates(probes, each, qualities=searches.qualities[own])
    codes = members.codes[found.rows]
    right = gallery.places[codes] == truth[searched][:, None]
    count = len(rows)
    ranks = np.zeros(count, np.int32)
    ranks[searched] = np.where(right.any(axis=1) & (truth[searched] >= 0), right.argmax(axis=1) + 1, 0)
    ends = np.cumsum(np.where(rows >= 0, each, 0))
    # Where in what was found each probe is; null where it was not searched for.
    at = pa.array(np.cumsum(rows >= 0) - 1, mask=rows < 0)
    told = gallery.evidence.expected_false_alarms(found.scores[:, 0])
    columns = [
        pa.array([system.name] * count, pa.string()),
        pa.array(np.full(count, split, np.int32)),
        pa.array(np.full(count, members.identities, np.int32)),
        pa.array(searches.names[part], pa.string()),
        pa.array(searches.identities[part], pa.string()),
        pa.array(searches.mated[part]),
        pa.array(rows < 0),
        pa.array(ranks),
        pa.array(gallery.identities, pa.string()).take(pa.array(codes[:, 0])).take(at),
        pa.array(found.distances[:, 0], pa.float32()).take(at),
        pa.array(found.scores[:, 0], pa.float32()).take(at),
        pa.nulls(count, pa.float32()) if told is None else pa.array(told, pa.float32()).take(at),
        pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]), pa.int32()), _listed(gallery, found, codes)),
    ]
    return pa.table(columns, schema=SCHEMA)


def _listed(gallery: TrialGallery, found: Candidates, codes: np.ndarray) -> pa.StructArray:
    """All candidates (n * t,), a probe's behind each other, as they are kept; `codes` int (n, t): their identities' numbers."""
    columns = [
        pa.array(gallery.identities, pa.string()).take(pa.array(codes.ravel())),
        pa.array(gallery.template_ids, pa.string()).take(pa.array(found.rows.ravel())),
        pa.array(gallery.places[codes].ravel(), pa.int32()),
        pa.array(found.distances.ravel(), pa.float32()),
        pa.array(found.scores.ravel(), pa.float32()),
    ]
    return pa.StructArray.from_arrays(columns, fields=list(SCHEMA.field("candidates").type.value_type))
