"""Searches whose truth is known, made and kept: of a gallery and its probes, or of one labelled set split again and again.

Galleries of 10, 30, 100, ... identities are searched inside the whole one: the first K of one random order of enrolment, so that
a smaller gallery is part of every larger one. All together cost about one and a half times the largest.
"""

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.calibration.calibration import LEAST_IDENTITIES as LEAST_CALIBRATED
from engine.calibration.calibration import Calibration, Names, calibrate
from engine.calibration.evidence import Evidence, evidence_of
from engine.calibration.impostor_searches import subsample
from engine.errors import GalleryError, MetricsError
from engine.evaluation.raw import COMPARISONS, PAIRS, SCHEMA, SEARCHES, About, System, Trial, searches_file, write_comparisons
from engine.evaluation.splits import RATES, require_people, sizes, split
from engine.evaluation.truth import Labelled, Probes
from engine.gallery.gallery import Gallery
from engine.matching.nearest_identities import Members
from engine.matching.scoring import PLAIN, SCORES, Scoring, SearchableGallery, densities
from engine.templates.provenance import Provenance
from indexes.exact.flat import Flat

# Candidates that are kept of searches of the whole gallery, and so ranks that are known.
TOP = 20
# People whose templates are compared in pairs, and templates of each that are compared with each other.
PAIRED, OWN = 1000, 5
# Probes that are searched for at a time.
BATCH = 4096

Said = Callable[[str], None]


@dataclass(frozen=True)
class _Enrolled:
    """A gallery that is searched: what its identities, in their order of enrolment, and the templates of its rows are called."""

    searchable: SearchableGallery
    identities: list[str]
    template_ids: list[str]
    provenance: Provenance

    def evidence(self) -> Evidence:
        """What it knows of strangers."""
        members = self.searchable.members
        scoring = self.searchable.scoring
        least = max(LEAST_CALIBRATED, scoring.least_identities + 1)
        known: Calibration | None = None
        if members.identities >= least:
            known = calibrate(self.searchable, Names(pa.chunked_array([pa.array(self.template_ids, pa.string())])))
        return evidence_of(scoring, known, self.provenance, members.identities, len(members.codes))


def search_labelled(
    people: Labelled, out: Path, *, scores: Sequence[str], splits: int, about: About, said: Said | None = None
) -> About:
    """Split labelled people into enrolled, mated and strangers, search, and keep what came out in a folder.

    Every system enrols, and searches for, the same photographs.

    Raises:
        MetricsError: too few identities.
        OutputError: the files cannot be written.
    """
    require_people(len(people.names), about.source)
    placed = people.codes >= 0
    systems, trials, pairs = [], [], []
    with searches_file(out / SEARCHES) as writer:
        for number in range(splits):
            parts = split(people.codes[placed], number, able=people.able[placed])
            back = np.flatnonzero(placed)
            enrolled, mated, strangers = back[parts.enrolled], back[parts.mated], back[parts.strangers]
            for called, templates, rows in zip(people.called, people.templates, people.rows, strict=True):
                lost = np.flatnonzero(~placed)
                ids = templates.table["template_id"].to_pylist()
                place = np.full(len(people.names), -1)
                place[people.codes[enrolled]] = np.arange(len(enrolled))
                if not number:
                    pairs.append(_pairs_of(called, templates.vectors, people, rows))
                for score in scores:
                    system = _system(called, templates.provenance, score, len(scores) > 1)
                    if not number:
                        systems.append(system)
                    for size in sizes(len(enrolled)):
                        if size < Scoring.of(score).least_identities + 1:
                            continue
                        if said:
                            said(f"{system.name}, split {number + 1} of {splits}, K = {size:,}")
                        start = time.perf_counter()
                        own = enrolled[:size]
                        gallery = _Enrolled(
                            _enrol(templates.vectors[rows[own]], templates.qualities[rows[own]], Scoring.of(score)),
                            [people.names[code] for code in people.codes[own]],
                            [ids[row] for row in rows[own]],
                            templates.provenance,
                        )
                        theirs = place[people.codes]
                        here = mated[theirs[mated] < size]
                        images = np.concatenate([here, lost, strangers])
                        truth = np.concatenate([theirs[here], np.full(len(lost), -1), np.full(len(strangers), -1)])
                        probes = _Searches(
                            [people.images[image] for image in images],
                            [people.names[code] if code >= 0 else None for code in people.codes[images]],
                            truth,
                            np.arange(len(images)) < len(here) + len(lost),
                            rows[images],
                        )
                        top = TOP if size == len(enrolled) else 1
                        table, trial = _searched(
                            system, number, gallery, templates.vectors, templates.qualities, probes, top, start
                        )
                        writer.write(table)
                        trials.append(trial)
        told = replace(about, systems=tuple(systems), trials=tuple(trials))
        writer.finish(told)
    write_comparisons(out / COMPARISONS, pairs)
    return told


def search_gallery(
    gallery: Gallery, probes: Probes, out: Path, *, scores: Sequence[str], about: About, seed: int = 0, said: Said | None = None
) -> About:
    """Search a gallery, and smaller ones of its people inside it, for probes whose truth is known, and keep what came out.

    Of the whole gallery, the answers of its own score are those that `Gallery.identify` gives.

    Raises:
        GalleryError: it lies in Milvus, where not every template is at hand.
        MetricsError: it has too few identities.
        OutputError: the files cannot be written.
    """
    enrolled, seen = gallery.enrolled, gallery.snapshot()
    members, names = enrolled.members, gallery.identity_names.to_pylist()
    ids = gallery.template_ids.to_pylist()
    require_people(members.identities, gallery.address)
    order = np.random.default_rng(seed).permutation(members.identities)
    place_of = np.empty(members.identities, np.int64)
    place_of[order] = np.arange(len(order))
    number = {name: code for code, name in enumerate(names)}
    truth = np.array([place_of[number[who]] if who in number else -1 for who in probes.identities], np.int64)
    made = seen.provenance
    called = made.encoder or "vectors"
    systems = [_system(Path(called).name, made, score, len(scores) > 1) for score in scores]
    trials = []
    with searches_file(out / SEARCHES) as writer:
        for system in systems:
            own = system.score == enrolled.scoring.score
            scoring = enrolled.scoring if own else Scoring.of(system.score, enrolled.scoring.fuse)
            for size in sizes(members.identities):
                if size < scoring.least_identities + 1:
                    continue
                if said:
                    said(f"{system.name}, K = {size:,}")
                start = time.perf_counter()
                whole = size == members.identities
                if whole:
                    density = enrolled.density if own else None
                    if scoring.scaled and density is None:
                        density = densities(enrolled.index, members, scoring.neighbours)
                    searchable = enrolled if own else replace(enrolled, scoring=scoring, density=density)
                    evidence = seen.evidence if own else _Enrolled(searchable, names, ids, made).evidence()
                    held = _Enrolled(searchable, names, ids, made)
                    places = place_of
                else:
                    searchable = subsample(replace(enrolled, scoring=scoring), order[:size])
                    rows = members.rows(order[:size])
                    held = _Enrolled(
                        searchable, [names[code] for code in order[:size]], [ids[row] for row in rows[rows >= 0]], made
                    )
                    evidence, places = held.evidence(), np.arange(size)
                here = np.where((truth >= 0) & (truth < size), truth, -1)
                # Of somebody who is enrolled later the smaller gallery knows nothing; strangers are those of every size.
                keep = np.flatnonzero((truth < size) | probes.unplaced)
                mated = (here >= 0) | probes.unplaced
                wanted = _Searches(
                    [probes.names[at] for at in keep],
                    [probes.identities[at] for at in keep],
                    here[keep],
                    mated[keep],
                    probes.rows[keep],
                )
                top = TOP if whole else 1
                table, trial = _searched(
                    system, 0, held, probes.vectors, probes.qualities, wanted, top, start, evidence=evidence, places=places
                )
                writer.write(table)
                trials.append(trial)
        told = replace(about, systems=tuple(systems), trials=tuple(trials))
        writer.finish(told)
    write_comparisons(out / COMPARISONS, [_pairs_with(Path(called).name, enrolled, names, probes, number)])
    return told


@dataclass(frozen=True)
class _Searches:
    """Searches to be made: `truth` (n,) is the place of enrolment of who is searched for, -1 where that is nobody enrolled."""

    names: list[str]
    identities: list[str | None]
    truth: np.ndarray
    mated: np.ndarray
    rows: np.ndarray


def _searched(
    system: System,
    number: int,
    enrolled: _Enrolled,
    vectors: np.ndarray,
    qualities: np.ndarray,
    probes: _Searches,
    top: int,
    start: float,
    evidence: Evidence | None = None,
    places: np.ndarray | None = None,
) -> tuple[pa.Table, Trial]:
    """Make the searches. `places` (K,): the place of enrolment of each identity's number; the same where it is not given."""
    members = enrolled.searchable.members
    known = enrolled.evidence() if evidence is None else evidence
    built = time.perf_counter()
    tables = []
    for at in range(0, max(len(probes.names), 1), BATCH):
        part = slice(at, at + BATCH)
        tables.append(_part(system, number, enrolled, vectors, qualities, probes, part, top, known, places))
    limits, refused = _thresholds(known)
    trial = Trial(
        system=system.name,
        split=number,
        identities=members.identities,
        templates=len(members.codes),
        thresholds=limits,
        refused=refused,
        build_seconds=built - start,
        search_seconds=time.perf_counter() - built,
        searches=int((probes.rows >= 0).sum()),
        peak_mebibytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )
    return pa.concat_tables(tables), trial


def _part(
    system: System,
    number: int,
    enrolled: _Enrolled,
    vectors: np.ndarray,
    qualities: np.ndarray,
    probes: _Searches,
    part: slice,
    top: int,
    evidence: Evidence,
    places: np.ndarray | None,
) -> pa.Table:
    rows, truth = probes.rows[part], probes.truth[part]
    made = np.flatnonzero(rows >= 0)
    count, members = len(rows), enrolled.searchable.members
    each = min(top, members.identities)
    own = rows[made]
    found = enrolled.searchable.candidates(np.ascontiguousarray(vectors[own]), each, qualities=qualities[own])
    codes = members.codes[found.rows]
    place = codes if places is None else places[codes]
    right = place == truth[made][:, None]
    ranks = np.zeros(count, np.int32)
    ranks[made] = np.where(right.any(axis=1) & (truth[made] >= 0), right.argmax(axis=1) + 1, 0)
    told = evidence.expected_false_alarms(found.scores[:, 0])
    names, ids = pa.array(enrolled.identities, pa.string()), pa.array(enrolled.template_ids, pa.string())
    listed = pa.StructArray.from_arrays(
        [
            names.take(pa.array(codes.ravel())),
            ids.take(pa.array(found.rows.ravel())),
            pa.array(place.ravel(), pa.int32()),
            pa.array(found.distances.ravel(), pa.float32()),
            pa.array(found.scores.ravel(), pa.float32()),
        ],
        fields=list(SCHEMA.field("candidates").type.value_type),
    )
    lengths = np.zeros(count, np.int32)
    lengths[made] = each
    at = np.full(count, -1)
    at[made] = np.arange(len(made))

    def spread(values: np.ndarray | pa.Array, kind: pa.DataType) -> pa.Array:
        whole = values.cast(kind) if isinstance(values, pa.Array) else pa.array(values, kind)
        return whole.take(pa.array(at, mask=at < 0))

    firsts = codes[:, 0]
    columns = [
        pa.array([system.name] * count, pa.string()),
        pa.array(np.full(count, number, np.int32)),
        pa.array(np.full(count, members.identities, np.int32)),
        pa.array(probes.names[part], pa.string()),
        pa.array(probes.identities[part], pa.string()),
        pa.array(probes.mated[part]),
        pa.array(rows < 0),
        pa.array(ranks),
        spread(names.take(pa.array(firsts)), pa.string()),
        spread(found.distances[:, 0], pa.float32()),
        spread(found.scores[:, 0], pa.float32()),
        pa.nulls(count, pa.float32()) if told is None else spread(told, pa.float32()),
        pa.ListArray.from_arrays(pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32()), listed),
    ]
    return pa.table(columns, schema=SCHEMA)


def _enrol(vectors: np.ndarray, qualities: np.ndarray, scoring: Scoring) -> SearchableGallery:
    """One template (n, d) of each identity, worth `qualities` (n,), searched exactly."""
    index, members = Flat.build(np.ascontiguousarray(vectors)), Members(np.arange(len(vectors)))
    density = densities(index, members, scoring.neighbours) if scoring.scaled else None
    return SearchableGallery(index, members, scoring, density, quality=qualities)


def _system(called: str, made: Provenance, score: str, several: bool) -> System:
    name = f"{called}, {score}" if several else called
    return System(name, called, made.encoder or "", made.fingerprint or "", made.dim, score, made.threshold)


def _thresholds(evidence: Evidence) -> tuple[dict[str, float], dict[str, str]]:
    """The thresholds that a gallery gives itself, by rate, and why it gives none for the others."""
    limits, refused = {}, {}
    for rate in RATES:
        try:
            limits[f"{rate:g}"] = float(np.float32(evidence.score_at(rate)))
        except GalleryError as error:
            refused[f"{rate:g}"] = str(error)
    return limits, refused


def _pairs_of(called: str, vectors: np.ndarray, people: Labelled, rows: np.ndarray) -> pa.Table:
    """Pairs of one template of each of up to 1,000 people, and pairs of each person's own."""
    random = np.random.default_rng(0)
    there = np.flatnonzero((rows >= 0) & (people.codes >= 0))
    mixed = random.permutation(there)
    first = mixed[np.unique(people.codes[mixed], return_index=True)[1]]
    first = np.sort(random.permutation(first)[:PAIRED])
    names = np.array(people.names, dtype=object)
    tables = [_impostors(called, vectors[rows[first]], names[people.codes[first]])]
    order = there[np.argsort(people.codes[there], kind="stable")]
    same = [
        (own[a], own[b])
        for own in np.split(order, np.flatnonzero(np.diff(people.codes[order])) + 1)
        for a in range(min(len(own), OWN))
        for b in range(a)
    ]
    if same:
        one, two = np.array(same).T
        distances = np.linalg.norm(vectors[rows[one]] - vectors[rows[two]], axis=1)
        tables.append(_pairs(called, names[people.codes[one]], names[people.codes[two]], True, distances))
    return pa.concat_tables(tables)


def _pairs_with(called: str, enrolled: SearchableGallery, names: list[str], probes: Probes, number: dict[str, int]) -> pa.Table:
    """Pairs of one enrolled template of each of up to 1,000 people, and of mated probes with their own nearest template."""
    members, index = enrolled.members, enrolled.index
    chosen = np.sort(np.random.default_rng(0).permutation(members.identities)[:PAIRED])
    labels = np.array(names, dtype=object)
    tables = [_impostors(called, index.vectors(members.rows(chosen)[:, 0]), labels[chosen])]
    mated = [at for at, who in enumerate(probes.identities) if who in number and probes.rows[at] >= 0]
    if mated:
        codes = np.array([number[str(probes.identities[at])] for at in mated])
        own = members.rows(codes)
        distances = np.empty(len(mated))
        for at, (row, theirs) in enumerate(zip(probes.rows[mated], own, strict=True)):
            others = index.vectors(theirs[theirs >= 0])
            distances[at] = np.linalg.norm(others - probes.vectors[row], axis=1).min()
        tables.append(_pairs(called, labels[codes], labels[codes], True, distances))
    return pa.concat_tables(tables)


def _impostors(called: str, vectors: np.ndarray, names: np.ndarray) -> pa.Table:
    one, two = np.triu_indices(len(vectors), 1)
    squares = np.maximum(2 - 2 * (vectors.astype(np.float64) @ vectors.T.astype(np.float64)), 0)
    return _pairs(called, names[one], names[two], False, np.sqrt(squares[one, two]))


def _pairs(called: str, one: np.ndarray, two: np.ndarray, mated: bool, distances: np.ndarray) -> pa.Table:
    columns = [
        pa.array([called] * len(distances), pa.string()),
        pa.array(one, pa.string()),
        pa.array(two, pa.string()),
        pa.array(np.full(len(distances), mated)),
        pa.array(distances, pa.float32()),
    ]
    return pa.table(columns, schema=PAIRS)


def scores_of(wanted: Sequence[str], own: str) -> tuple[str, ...]:
    """The scores to search with: those wanted, or the gallery's own and the plain distance beside it.

    Raises:
        MetricsError: one is none.
    """
    chosen = tuple(dict.fromkeys(wanted or (own, PLAIN)))
    if wrong := [score for score in chosen if score not in SCORES]:
        raise MetricsError(f"--score {wrong[0]}: expected {', '.join(SCORES[:-1])} or {SCORES[-1]}")
    return chosen
