"""Sealed segments: the rows as Parquet, the vectors to be memory-mapped, the index; and what is needed of them in memory."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.calibration.calibration import default_score
from engine.common.dataclass_json import from_json, from_plain
from engine.errors import GalleryError, TemplatesError
from engine.files.atomic_files import UNREADABLE, keep_private, refusing, sha256_file, sync_file
from engine.files.budgets import refuse_bomb
from engine.matching.densities import densities, reference
from engine.matching.nearest_identities import Members
from engine.matching.scoring import Scoring, SearchableGallery
from engine.storage.catalogue import Segment
from engine.templates.enrolment import TemplateStream
from engine.templates.measured.within_identity import within_identity_covariance
from engine.templates.model import Templates, qualities_of, vectors_of
from engine.templates.parquet import TemplateWriter
from indexes.approximate.faiss_factory import Factory
from indexes.approximate.two_stage import TwoStageIndex
from indexes.base import BATCH, Progress, StoredIndex
from indexes.errors import IndexFileError
from indexes.exact.flat import Flat
from indexes.files import VectorWriter, open_vectors
from indexes.planner import Plan
from indexes.principal_axes import sample_rows
from indexes.registry import KINDS, load_index
from indexes.tuning.operating_point import OperatingPoint, tune
from indexes.tuning.simulated_probes import second_templates, within_covariance

Read = TypeVar("Read")
_log = logging.getLogger(__name__)
_MEND = "say onek check --repair, or restore the gallery from a backup"

# Probes that an index's effort is found with, templates that the spread of all is taken from, and identities that of one.
_PROBES, _SAMPLE, _IDENTITIES = 4096, 50_000, 10_000


@dataclass(frozen=True)
class OpenSegment:
    """A segment that can be searched. `index` holds its vectors; `enrolled` scores them and numbers the `identities`;
    `template_ids` (n,); both are Arrow arrays.

    `measured`: how many of its rows, the first ones, its index was learnt from and densities were measured among.
    """

    index: StoredIndex
    enrolled: SearchableGallery
    identities: pa.Array
    template_ids: pa.ChunkedArray
    measured: int


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
    rows_file, vectors_file, index_file, density_file = segment_files(folder, name)
    said = progress or (lambda *_: None)
    with TemplateWriter(rows_file, templates.made) as rows, VectorWriter(vectors_file, templates.made.dim) as vectors:
        for part in templates:
            vectors.write(part.vectors)
            for batch in part.table.to_batches():
                rows.write(batch)
            said("reading", vectors.count, templates.count)
    labels = _labels(rows_file)
    templates.require_each_once(labels.template_ids)
    members = Members(labels.codes)
    known = not np.isnan(labels.quality).any()
    scoring = Scoring.of(score or default_score(members.identities, qualities=known), fuse)
    scoring.check(members.identities)
    store = open_vectors(vectors_file)
    index = Factory.build(store, progress, plan.factory) if plan.factory else KINDS[plan.kind].build(store, progress)
    point = None
    if isinstance(index, TwoStageIndex):
        probes, own = mated_probes(store, labels.codes, templates.made.encoder)
        point = tune(index, probes, plan.recall, progress, labels.codes, own)
    index.save(index_file)
    density = densities(index, members, scoring.neighbours, progress) if scoring.scaled else None
    if density is not None:
        np.save(density_file, density, allow_pickle=False)
    sealed = _recorded(folder, name, index.kind, index.count, json.dumps(asdict(point)) if point else None)
    enrolled = SearchableGallery(index, members, scoring, density, quality=labels.quality)
    return sealed, OpenSegment(index, enrolled, labels.identities, labels.template_ids, index.count)


def extend(
    folder: Path, old: Segment, name: str, rows: Iterator[pa.Table], recent: Templates, density: np.ndarray | None
) -> Segment:
    """Write a segment of the `rows` of an old one, and the `recent` templates with their `density` (m, 2) behind them.

    Raises:
        GalleryError: the old one is damaged.
    """
    old_files, (rows_file, vectors_file, index_file, density_file) = segment_files(folder, old.name), segment_files(folder, name)
    old_vectors = _or_damaged(lambda: open_vectors(old_files[1]))
    with TemplateWriter(rows_file, recent.provenance) as writer, VectorWriter(vectors_file, recent.provenance.dim) as vectors:
        for table in (*rows, recent.table):
            for batch in table.to_batches():
                writer.write(batch)
        for start in range(0, len(old_vectors), BATCH):
            vectors.write(np.asarray(old_vectors[start : start + BATCH]))
        vectors.write(recent.vectors)
    store = open_vectors(vectors_file)
    index = _or_damaged(lambda: load_index(old_files[2], old_vectors))
    index.extend(store)
    index.save(index_file)
    if density is not None:
        old_density = _or_damaged(lambda: open_vectors(old_files[3]))
        np.save(density_file, np.concatenate([old_density, density]), allow_pickle=False)
    return _recorded(folder, name, old.kind, len(store), old.operating)


def _recorded(folder: Path, name: str, kind: str, templates: int, operating: str | None) -> Segment:
    rows_file, vectors_file, index_file, density_file = segment_files(folder, name)
    return Segment(
        name=name,
        kind=kind,
        templates=templates,
        rows_bytes=rows_file.stat().st_size,
        rows_sha256=sha256_file(rows_file),
        vectors_bytes=vectors_file.stat().st_size,
        vectors_sha256=sha256_file(vectors_file),
        index_bytes=index_file.stat().st_size,
        index_sha256=sha256_file(index_file),
        operating=operating,
        density_bytes=density_file.stat().st_size if density_file.exists() else None,
        density_sha256=sha256_file(density_file) if density_file.exists() else None,
    )


def _among(codes: np.ndarray, measured: int) -> np.ndarray:
    """The identities of all rows, bool (K,), that densities were measured among when there were only the `measured` first."""
    present, first = np.unique(codes[:measured], return_inverse=True)
    among = np.zeros(int(codes.max()) + 1, bool)
    among[present[reference(Members(first))]] = True
    return among


def operating_point(segment: Segment) -> OperatingPoint | None:
    """What a search of a segment's index spends, and what it was measured to find; None where it is exact.

    Raises:
        GalleryError: the catalogue says something else.
    """
    try:
        return from_plain(OperatingPoint, from_json(segment.operating)) if segment.operating else None
    except ValueError as error:
        raise GalleryError(f"{segment.name}: no operating point: {error}; restore the gallery from a backup") from error


def open_segment(folder: Path, segment: Segment, scoring: Scoring, measured: int | None) -> OpenSegment:
    """Open a segment of a gallery that scores so: labels are read, vectors are memory-mapped, and the index is made of the plain
    arrays in its file, each of which is checked; where there is none that is read, every vector is searched. `measured` as in the
    catalogue.

    Raises:
        GalleryError: a file is missing or is not what was sealed; names it, what was found and what was recorded.
    """
    rows_file, vectors_file, index_file, density_file = segment_files(folder, segment.name)
    if segment.rows_only:
        return _or_damaged(lambda: _open_rows(rows_file, segment, scoring))
    for path, recorded, _ in recorded_files(folder, segment):
        if not path.is_file():
            raise GalleryError(f"{path} is missing; {_MEND}")
        if (found := path.stat().st_size) != recorded:
            raise GalleryError(f"{path} has {found} bytes, {recorded} were recorded; {_MEND}")
    index = _or_damaged(lambda: _index(index_file, open_vectors(vectors_file), segment))
    labels = _or_damaged(lambda: _labels(rows_file))
    codes = labels.codes
    if not index.count == len(codes) == segment.templates or (segment.indexed and index.kind != segment.kind):
        raise GalleryError(
            f"{folder}: found {len(codes)} rows and {index.count} vectors in an index of kind {index.kind}, "
            f"recorded were {segment.templates} in {segment.kind}; {_MEND}"
        )
    density = _or_damaged(lambda: open_vectors(density_file)) if scoring.scaled else None
    if density is not None and density.shape != (index.count, 2):
        raise GalleryError(f"{density_file} has the shape {density.shape}, expected ({index.count}, 2); {_MEND}")
    if measured is not None and not 0 < measured <= len(codes):
        raise GalleryError(f"{folder}: its catalogue is damaged: {measured} of {len(codes)} templates were measured")
    # Where all rows were measured, who counts is not looked up before somebody asks.
    among = None if measured in (None, len(codes)) else _among(codes, measured)
    enrolled = SearchableGallery(index, Members(codes), scoring, density, among, labels.quality)
    return OpenSegment(index, enrolled, labels.identities, labels.template_ids, measured or len(codes))


def _index(index_file: Path, vectors: np.ndarray, segment: Segment) -> StoredIndex:
    if segment.indexed:
        return load_index(index_file, vectors)
    if segment.kind != Flat.kind:
        _log.warning(
            "%s is a file of FAISS's, which is not read: every vector is searched until onek compact, or another change of the "
            "gallery, makes the index anew",
            index_file,
        )
    return Flat(vectors)


def _open_rows(rows_file: Path, segment: Segment, scoring: Scoring) -> OpenSegment:
    if not rows_file.is_file() or sha256_file(rows_file) != segment.rows_sha256:
        raise GalleryError(f"{rows_file} is not what was sealed; {_MEND}")
    labels = _labels(rows_file)
    index = Flat.build(vectors_of(pq.ParquetFile(rows_file).read(columns=["vector"])))
    enrolled = SearchableGallery(index, Members(labels.codes), scoring, quality=labels.quality)
    return OpenSegment(index, enrolled, labels.identities, labels.template_ids, len(labels.codes))


def read_sources(folder: Path, segment: Segment) -> pa.ChunkedArray:
    """Where each template of a segment came from, (n,); nulls where nobody said."""
    return _or_damaged(lambda: pq.ParquetFile(segment_files(folder, segment.name)[0]).read(columns=["source"])["source"])


def segment_files(folder: Path, name: str) -> tuple[Path, Path, Path, Path]:
    """Where a segment's rows, vectors, index and densities lie."""
    return folder / f"{name}.parquet", folder / f"{name}.vectors.npy", folder / f"{name}.index", folder / f"{name}.density.npy"


def recorded_files(folder: Path, segment: Segment) -> list[tuple[Path, int, str]]:
    """The files that a segment has, with the size and the SHA-256 that were recorded of each."""
    recorded = (
        (segment.rows_bytes, segment.rows_sha256),
        (segment.vectors_bytes, segment.vectors_sha256),
        (segment.index_bytes, segment.index_sha256),
        (segment.density_bytes, segment.density_sha256),
    )
    files = zip(segment_files(folder, segment.name), recorded, strict=True)
    return [(path, size, digest) for path, (size, digest) in files if size and digest]


def following(name: str) -> str:
    """The name of the segment that follows one."""
    return f"segment-{int(name.split('-')[1]) + 1:06d}"


@contextmanager
def added_segment(folder: Path, name: str) -> Iterator[None]:
    """Around `seal` in a gallery that lives: what it writes is on the disk when the block ends; of a failed one nothing stays.

    Raises:
        OutputError: the system refused a write.
    """
    with refusing(folder):
        try:
            yield
            for file in segment_files(folder, name):
                if file.exists():
                    keep_private(file)
                    sync_file(file)
            sync_file(folder)
        except BaseException:
            drop_segment(folder, name)
            raise


def drop_segment(folder: Path, name: str) -> None:
    """Remove the files of a segment that no catalogue names; what cannot be removed, the next writer removes."""
    for file in folder.glob(f"{name}.*"):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            _log.info("%s stays: %s", file, error)


def _or_damaged(read: Callable[[], Read]) -> Read:
    try:
        return read()
    except (*UNREADABLE, IndexFileError, TemplatesError) as error:
        raise GalleryError(f"{error}; {_MEND}") from error


@dataclass(frozen=True)
class _Labels:
    """The identity of each row as a number, int32 (n,), the identities' names, and the template ids; no Python strings. `quality`
    float32 (n,): what each is worth, NaN where nobody said.
    """

    codes: np.ndarray
    identities: pa.Array
    template_ids: pa.ChunkedArray
    quality: np.ndarray


def _labels(rows_file: Path) -> _Labels:
    refuse_bomb(rows_file)
    # Not pq.read_table, which loads pyarrow.dataset and pandas, where that is installed: a third of what `onek list` takes.
    rows = pq.ParquetFile(rows_file, read_dictionary=["identity"])
    # Rows that an older onek sealed call the detector's confidence so.
    known = ["quality"] if "detection" in rows.schema_arrow.names else []
    table = rows.read(columns=["identity", "template_id", *known])
    # Of a damaged file Arrow takes numbers that stand for no name, and reads what lies behind the names.
    table["identity"].validate(full=True)
    identities = table["identity"].unify_dictionaries().combine_chunks()
    if isinstance(identities, pa.ChunkedArray):  # of no rows at all
        identities = identities.chunk(0)
    # The numbers as they lie in memory: `to_numpy` would load pandas.
    indices = identities.indices
    codes = np.frombuffer(indices.buffers()[1], np.int32, len(indices), 4 * indices.offset)
    quality = qualities_of(table) if known else np.full(len(codes), np.nan, np.float32)
    return _Labels(codes, identities.dictionary, table["template_id"], quality)


def mated_probes(store: np.ndarray, codes: np.ndarray, encoder: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Mated probes (n, d) as second templates of a sample of the enrolled would be, and the rows (n,) of these."""
    random = np.random.default_rng(0)
    several = np.flatnonzero(np.bincount(codes) > 1)
    chosen = random.permutation(several)[:_IDENTITIES]
    rows = np.flatnonzero(np.isin(codes, chosen))
    within = within_covariance(np.asarray(store[rows], np.float64), codes[rows]) if len(rows) else None
    if within is None:
        within = within_identity_covariance(encoder)
    sample = np.asarray(store[sample_rows(len(store), _SAMPLE)])
    own = np.sort(random.integers(0, len(store), _PROBES))
    return second_templates(np.asarray(store[own]), sample, within), own
