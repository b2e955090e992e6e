"""Making segments: a new one with its index, one that goes on behind an old one, and a tail behind a base."""

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.calibration.calibration import default_score
from engine.common.concurrency import ahead
from engine.files.atomic_files import sha256_file
from engine.matching.densities import densities
from engine.matching.members import Members
from engine.matching.scoring import Scoring, SearchableGallery
from engine.storage.catalogue import Segment
from engine.storage.segments.files import SegmentFiles, or_damaged, segment_files
from engine.storage.segments.label_file import map_labels, save_labels
from engine.storage.segments.labels import Labels, labels_of, read_labels
from engine.storage.segments.opening import OpenSegment
from engine.templates.enrolment import TemplateStream
from engine.templates.measured.within_identity import within_identity_covariance
from engine.templates.model import Templates
from engine.templates.parquet import TemplateWriter
from engine.templates.provenance import Provenance
from indexes.approximate.faiss_factory import Factory
from indexes.approximate.tail_file import save_tail
from indexes.approximate.two_stage import TwoStageIndex
from indexes.base import BATCH, Progress
from indexes.files import VectorWriter, open_vectors
from indexes.planner import Plan
from indexes.principal_axes import sample_rows
from indexes.registry import KINDS, load_index
from indexes.tuning.operating_point import tune
from indexes.tuning.simulated_probes import second_templates, within_covariance

# Probes that an index's effort is found with, templates that the spread of all is taken from, and identities that of one.
_PROBES, _SAMPLE, MOST_SPREAD = 4096, 50_000, 10_000
# Templates of each of these identities, at most.
SPREAD_OF_EACH = 10


def seal(
    folder: Path,
    name: str,
    templates: TemplateStream,
    plan: Plan,
    progress: Progress | None = None,
    *,
    score: str | None = None,
    fuse: int | None = None,
) -> tuple[Segment, OpenSegment]:
    """Write a segment of templates, build the index that was planned, find the effort that its recall takes, and measure how
    densely the templates lie if the `score` (None: the default for so many identities) needs it; `fuse` is as in `Scoring.of`.
    The segment is open already.

    Raises:
        TemplatesError: as `TemplateStream`.
        GalleryError: as `Scoring.check`.
        OnekError: as `StoredIndex.build` and `indexes.tuning.operating_point.tune`.
    """
    files = segment_files(folder, name)
    said = progress or (lambda *_: None)
    labels = _written(files, templates, said)
    with ThreadPoolExecutor(1) as beside:
        # The large files are whole, and their hashes are reckoned where the work on them leaves a core free.
        large = (files.rows, files.vectors)
        digests = beside.map(sha256_file, large)
        templates.require_each_once(labels.template_ids)
        save_labels(files.labels, labels)
        labels = map_labels(files.labels, len(labels.codes))
        members = Members(labels.codes)
        known = not np.isnan(labels.quality).any()
        scoring = Scoring.of(score or default_score(members.identities, qualities=known), fuse)
        scoring.check(members.identities)
        store = open_vectors(files.vectors)
        index = Factory.build(store, progress, plan.factory) if plan.factory else KINDS[plan.kind].build(store, progress)
        point = None
        if isinstance(index, TwoStageIndex):
            probes, own = mated_probes(store, labels.codes, templates.made.encoder)
            point = tune(index, probes, plan.recall, progress, labels.codes, own)
        index.save(files.index)
        density = densities(index, members, scoring.neighbours, progress) if scoring.scaled else None
        if density is not None:
            np.save(files.density, density, allow_pickle=False)
        operating = json.dumps(asdict(point)) if point else None
        sealed = _recorded(folder, name, index.kind, index.count, operating, dict(zip(large, digests, strict=True)))
    enrolled = SearchableGallery(index, members, scoring, density, quality=labels.quality)
    return sealed, OpenSegment(index, enrolled, labels.identities, labels.template_ids, index.count)


def _written(files: SegmentFiles, templates: TemplateStream, said: Progress) -> Labels:
    """Write the rows and vectors of a segment, and say whose they are."""
    named = []
    with TemplateWriter(files.rows, templates.made) as rows, VectorWriter(files.vectors, templates.made.dim) as vectors:
        for part in ahead(templates):
            vectors.write(part.vectors)
            for batch in part.table.to_batches():
                rows.write(batch)
            named.append(part.table.select(["identity", "template_id", "quality"]))
            said("reading", vectors.count, templates.count)
    return labels_of(pa.concat_tables(named))


def extend(
    folder: Path, old: Segment, name: str, rows: Iterator[pa.Table], recent: Templates, density: np.ndarray | None
) -> Segment:
    """Write a segment of the `rows` of an old one, and the `recent` templates with their `density` (m, 2) behind them.

    Raises:
        GalleryError: the old one is damaged.
    """
    old_files, files = segment_files(folder, old.name), segment_files(folder, name)
    old_vectors = or_damaged(lambda: open_vectors(old_files.vectors))
    with TemplateWriter(files.rows, recent.provenance) as writer, VectorWriter(files.vectors, recent.provenance.dim) as vectors:
        for table in (*rows, recent.table):
            for batch in table.to_batches():
                writer.write(batch)
        for start in range(0, len(old_vectors), BATCH):
            vectors.write(np.asarray(old_vectors[start : start + BATCH]))
        vectors.write(recent.vectors)
    store = open_vectors(files.vectors)
    index = or_damaged(lambda: load_index(old_files.index, old_vectors))
    index.extend(store)
    index.save(files.index)
    save_labels(files.labels, read_labels(files.rows))
    if density is not None:
        old_density = or_damaged(lambda: open_vectors(old_files.density))
        np.save(files.density, np.concatenate([old_density, density]), allow_pickle=False)
    return _recorded(folder, name, old.kind, len(store), old.operating)


def seal_behind(
    folder: Path,
    name: str,
    base: Segment,
    made: Provenance,
    templates: Iterable[Templates],
    entries: dict[str, np.ndarray],
    density: np.ndarray | None,
) -> Segment:
    """Write a tail of `templates` (t in all) behind a base with lists, which is not read: `entries` are what
    `InvertedLists.encoded` made of their vectors, and `density` (t, 2) theirs, None where scores are plain.
    """
    files = segment_files(folder, name)
    with TemplateWriter(files.rows, made) as rows, VectorWriter(files.vectors, made.dim) as vectors:
        for part in templates:
            vectors.write(part.vectors)
            for batch in part.table.to_batches():
                rows.write(batch)
    save_tail(files.index, base.kind, base.templates, entries)
    save_labels(files.labels, read_labels(files.rows))
    if density is not None:
        np.save(files.density, density, allow_pickle=False)
    return _recorded(folder, name, base.kind, vectors.count, None)


def _recorded(
    folder: Path, name: str, kind: str, templates: int, operating: str | None, digests: Mapping[Path, str] | None = None
) -> Segment:
    """What the catalogue says of a segment. `digests`: the SHA-256 of those of its files of which it is known."""
    files = segment_files(folder, name)
    sizes = {file: file.stat().st_size for file in files if file.exists()}
    hashes = {file: sha256_file(file) for file in sizes.keys() - (digests or {}).keys()} | dict(digests or {})
    return Segment(
        name=name,
        kind=kind,
        templates=templates,
        rows_bytes=sizes[files.rows],
        rows_sha256=hashes[files.rows],
        vectors_bytes=sizes[files.vectors],
        vectors_sha256=hashes[files.vectors],
        index_bytes=sizes[files.index],
        index_sha256=hashes[files.index],
        operating=operating,
        density_bytes=sizes.get(files.density),
        density_sha256=hashes.get(files.density),
        labels_bytes=sizes[files.labels],
        labels_sha256=hashes[files.labels],
    )


def mated_probes(store: np.ndarray, codes: np.ndarray, encoder: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Mated probes (n, d) as second templates of a sample of the enrolled would be, and the rows (n,) of these."""
    random = np.random.default_rng(0)
    several = np.flatnonzero(np.bincount(codes) > 1)
    chosen = random.permutation(several)[:MOST_SPREAD]
    rows = np.flatnonzero(np.isin(codes, chosen))
    rows = rows[Members(np.unique(codes[rows], return_inverse=True)[1]).all_rows(np.arange(len(chosen)), SPREAD_OF_EACH)]
    within = within_covariance(np.asarray(store[rows], np.float64), codes[rows]) if len(rows) else None
    if within is None:
        within = within_identity_covariance(encoder)
    sample = np.asarray(store[sample_rows(len(store), _SAMPLE)])
    own = np.sort(random.integers(0, len(store), _PROBES))
    return second_templates(np.asarray(store[own]), sample, within), own
