"""Whether a gallery is whole: every byte, every count, every vector, and whether its index finds what its rows say."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.common.late import pc
from engine.errors import GalleryError, IndexFileError, OnekError, TemplatesError
from engine.files.atomic_files import UNREADABLE, sha256_file
from engine.files.budgets import refuse_bomb
from engine.storage.catalogue import NAME, Catalogue, Segment, read_catalogue, read_only, read_version
from engine.storage.catalogue.digest import DIGEST, matches_digest
from engine.storage.folder_snapshot import MOST_SEGMENTS, open_snapshot
from engine.storage.segments import open_index, recorded_files, segment_files
from engine.storage.segments.files import SegmentFiles
from engine.storage.segments.label_file import map_labels
from engine.storage.segments.labels import Labels
from engine.storage.summary import describe
from engine.storage.writer_lock import HOLDER, LOCK
from engine.templates.model import qualities_of, vectors_of
from engine.templates.parquet import ROW_GROUP, has_template_columns
from engine.templates.provenance import Provenance
from indexes.base import Progress
from indexes.files import open_vectors

# How far a unit vector's length may be from 1; rows that the index is asked for, and the share of them that it must find.
NORM, _PROBES, _FOUND = 1e-3, 512, 0.98
# How often a gallery is looked at again that changes meanwhile.
_LOOKS = 3


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file of a gallery, or with one in Milvus."""

    file: Path | str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


def check(folder: Path, progress: Progress | None = None) -> list[Fault]:
    """Everything that is wrong with a gallery; readers and writers go on meanwhile.

    Raises:
        GalleryError: there is no gallery.
    """
    if not (folder / NAME).is_file():
        read_catalogue(folder)
    for _ in range(_LOOKS):
        before = _version(folder)
        faults = list(_faults(folder, progress)) or list(_guarded(folder / NAME, lambda: _opens(folder)))
        if not faults or before is None or before == _version(folder):
            break
    return faults


def _version(folder: Path) -> tuple[str, int] | None:
    """The version; None where the catalogue cannot be read at all."""
    try:
        return read_version(folder)
    except GalleryError:
        return None


def _faults(folder: Path, progress: Progress | None) -> Iterator[Fault]:
    try:
        catalogue = read_catalogue(folder)
    except OnekError as error:
        yield Fault(folder / NAME, str(error))
        return
    yield from _catalogue_faults(folder)
    segments = catalogue.segments
    if not 1 <= len(segments) <= MOST_SEGMENTS:
        yield Fault(folder / NAME, f"it names {len(segments)} segments, expected 1 or {MOST_SEGMENTS}")
        return
    yield from _strays(folder, segments)
    ids = []
    for segment in segments:
        yield from _byte_faults(folder, segment)
        files = segment_files(folder, segment.name)
        rows = _Rows(files.rows, catalogue.provenance, segment, progress)
        try:
            yield from rows.faults(files)
        except (*UNREADABLE, IndexFileError, TemplatesError) as error:
            yield Fault(files.rows, f"cannot be read: {error}")
        ids.append(rows.template_ids)
    yield from _guarded(folder / NAME, lambda: _change_faults(folder / NAME, catalogue, ids))
    if segments[0].indexed:
        yield from _guarded(segment_files(folder, segments[0].name).index, lambda: _index_faults(folder, segments, progress))
    for segment in segments:
        if segment.density_sha256 is not None:
            file = segment_files(folder, segment.name).density
            yield from _guarded(file, lambda file=file, segment=segment: _density_faults(file, segment))  # type: ignore[misc]


def _opens(folder: Path) -> Iterator[Fault]:
    """The errors that a user would meet who opens the gallery and reads from it."""
    describe(folder, open_snapshot(folder))
    yield from ()


def _guarded(file: Path, faults: Callable[[], Iterator[Fault]]) -> Iterator[Fault]:
    try:
        yield from faults()
    except (OSError, OnekError) as error:
        yield Fault(file, str(error))


def _catalogue_faults(folder: Path) -> Iterator[Fault]:
    with closing(read_only(folder)) as database:
        try:
            for (said,) in database.execute("PRAGMA integrity_check(10)"):
                if said != "ok":
                    yield Fault(folder / NAME, f"SQLite finds: {said}")
        except sqlite3.Error as error:  # such as a value beyond the budget of a catalogue's
            yield Fault(folder / NAME, f"SQLite finds: {error}")
        if matches_digest(folder, database) is False:
            yield Fault(folder / NAME, f"its bytes are not those that {DIGEST} was made of")


def _strays(folder: Path, segments: tuple[Segment, ...]) -> Iterator[Fault]:
    """Files that do not belong in the gallery. Parts of other segments are no fault: an interrupted change leaves them, and the
    next change removes them.
    """
    known = {NAME, f"{NAME}-wal", f"{NAME}-shm", DIGEST, LOCK, HOLDER}
    known |= {file.name for segment in segments for file in segment_files(folder, segment.name)}
    for file in sorted(folder.iterdir()):
        if segments[0].rows_only and file.name == f"{segments[0].name}.faiss":
            continue
        if file.name not in known and not file.name.startswith(("segment-", f".{DIGEST}.")):
            yield Fault(file, "it is no file of the gallery's")


def _byte_faults(folder: Path, segment: Segment) -> Iterator[Fault]:
    for file, size, digest in recorded_files(folder, segment):
        if not file.is_file():
            yield Fault(file, "it is missing")
        elif (found := file.stat().st_size) != size:
            yield Fault(file, f"it has {found} bytes, {size} were recorded")
        elif (now := sha256_file(file)) != digest:
            yield Fault(file, f"its bytes have the SHA-256 {now[:12]}, {digest[:12]} was recorded")


class _Rows:
    """A segment's rows, read once from beginning to end."""

    def __init__(self, file: Path, made: Provenance, segment: Segment, progress: Progress | None) -> None:
        self._file, self._progress = file, progress
        self._made, self._segment = made, segment
        self.template_ids = pa.chunked_array([], pa.string())

    def faults(self, files: SegmentFiles) -> Iterator[Fault]:
        vectors_file = files.vectors
        refuse_bomb(self._file)
        parquet = pq.ParquetFile(self._file)
        if not has_template_columns(parquet.schema_arrow, self._made):
            yield Fault(self._file, "its columns are not those of a template file")
            return
        vectors = np.empty((0, self._made.dim), np.float32)
        if not self._segment.rows_only:
            try:
                vectors = open_vectors(vectors_file)
            except IndexFileError as error:
                yield Fault(vectors_file, str(error))
        said = None
        if self._segment.labels_sha256:
            try:
                said = map_labels(files.labels, self._segment.templates)
            except (*UNREADABLE, IndexFileError, GalleryError) as error:
                yield Fault(files.labels, str(error))
        start, nameless, long, other, others = 0, 0, 0, 0, 0
        ids = []
        for part in parquet.iter_batches(batch_size=ROW_GROUP):
            table = pa.Table.from_batches([part])
            ours = vectors_of(table)
            theirs = vectors[start : start + len(ours)]
            nameless += table["identity"].null_count
            long += _not_unit(ours)
            other += len(theirs) if theirs.shape != ours.shape else int((theirs != ours).any(axis=1).sum())
            others += 0 if said is None else _other_labels(said, start, part)
            ids.append(part["template_id"])
            start += len(ours)
            if self._progress:
                self._progress("rows", start, self._segment.templates)
        self.template_ids = pa.chunked_array(ids, pa.string())
        if start != self._segment.templates:
            yield Fault(self._file, f"it has {start} rows, {self._segment.templates} were recorded")
        if (count := pc.count_distinct(self.template_ids).as_py()) != start:
            yield Fault(self._file, f"{start - count} template ids come twice")
        if nameless:
            yield Fault(self._file, f"{nameless} templates have no identity")
        if long:
            yield Fault(self._file, f"{long} vectors have not the norm 1")
        if not self._segment.rows_only and (other or len(vectors) != start):
            yield Fault(vectors_file, f"{max(other, abs(len(vectors) - start))} vectors are not those of {self._file.name}")
        if others:
            yield Fault(files.labels, f"{others} labels are not those of {self._file.name}")


def _other_labels(labels: Labels, start: int, part: pa.RecordBatch) -> int:
    """How many rows, of those from `start` on, have other names or ids than the labels say, or are worth something else."""
    here = slice(start, start + len(part))
    names = labels.identities.take(pa.array(labels.codes[here]))
    ids = labels.template_ids.slice(start, len(part)).combine_chunks()
    if not len(names) == len(ids) == len(part):
        return len(part)
    same = pc.and_(pc.equal(names, part["identity"]), pc.equal(ids, part["template_id"]))
    worth = qualities_of(pa.Table.from_batches([part])) if "quality" in part.schema.names else np.float32(np.nan)
    equal = np.isclose(labels.quality[here], worth, rtol=0, atol=0, equal_nan=True)
    return len(part) - int((pc.fill_null(same, False).to_numpy(zero_copy_only=False) & equal).sum())


def _not_unit(vectors: np.ndarray) -> int:
    return int((~(np.abs(np.linalg.norm(vectors, axis=1) - 1) < NORM)).sum())


def _change_faults(file: Path, catalogue: Catalogue, ids: list[pa.ChunkedArray]) -> Iterator[Fault]:
    """`ids`: the template ids of each segment. Whoever has the id of somebody before must have taken his place."""
    changes = catalogue.changes
    if changes is None:
        return
    rows = changes.removed
    outside = (rows < 0) | (rows >= sum(segment.templates for segment in catalogue.segments))
    if outside.any():
        yield Fault(file, f"{outside.sum()} removed rows do not exist")
        return
    if [len(sealed) for sealed in ids] != [segment.templates for segment in catalogue.segments]:
        return  # which is said of the rows
    live = np.ones(sum(map(len, ids)), bool)
    live[rows] = False
    before, start = pa.chunked_array([], pa.string()), 0
    for sealed in ids:
        if count := _again(sealed, before):
            yield Fault(file, f"{count} template ids of the tail are those of sealed ones before it")
        staying = sealed.filter(pa.array(live[start : start + len(sealed)]))
        before, start = pa.chunked_array([*before.chunks, *staying.chunks], pa.string()), start + len(sealed)
    if count := _again(changes.recent.table["template_id"], before):
        yield Fault(file, f"{count} template ids of recent templates are those of sealed ones")


def _again(ids: pa.ChunkedArray, before: pa.ChunkedArray) -> int:
    return pc.sum(pc.is_in(ids, value_set=before)).as_py() or 0


def _index_faults(folder: Path, segments: tuple[Segment, ...], progress: Progress | None) -> Iterator[Fault]:
    """Search the index for some of its own rows: each must be found at distance 0, perhaps as another row of the same vector."""
    index, index_file = open_index(folder, segments), segment_files(folder, segments[0].name).index
    kind, templates = segments[0].kind, sum(segment.templates for segment in segments)
    if (index.kind, index.count) != (kind, templates):
        yield Fault(index_file, f"it is {index.kind} of {index.count}, recorded were {kind} and {templates} templates")
        return
    rows = np.unique(np.random.default_rng(0).integers(0, index.count, _PROBES))
    found = index.search(index.vectors(rows), 1).distances[:, 0] < NORM
    if progress:
        progress("searching", len(rows), len(rows))
    if found.mean() < (1 if index.exact else _FOUND):
        yield Fault(index_file, f"it finds {found.sum()} of {len(rows)} templates that were searched for themselves")


def _density_faults(file: Path, segment: Segment) -> Iterator[Fault]:
    density = open_vectors(file)
    if density.shape != (segment.templates, 2):
        yield Fault(file, f"it has the shape {density.shape}, expected ({segment.templates}, 2)")
    elif not (np.isfinite(density).all() and (density >= 0).all() and (density[:, 0] <= density[:, 1] + NORM).all()):
        yield Fault(file, "some densities are impossible")
