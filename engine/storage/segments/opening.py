"""Opening what is sealed of a gallery: a base, or a base and its tail as one."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.common.dataclass_json import from_json, from_plain
from engine.errors import GalleryError
from engine.files.atomic_files import sha256_file
from engine.matching.densities import reference
from engine.matching.members import Members
from engine.matching.scoring import Scoring, SearchableGallery
from engine.storage.catalogue import Segment
from engine.storage.segments.files import MEND, or_damaged, recorded_files, segment_files
from engine.storage.segments.label_file import map_labels
from engine.storage.segments.labels import Labels, joined_labels, read_labels
from engine.templates.model import vectors_of
from indexes.approximate.ivf import InvertedLists
from indexes.approximate.tail_file import load_tail
from indexes.base import StoredIndex
from indexes.errors import IndexFileError
from indexes.exact.flat import Flat
from indexes.files import open_vectors
from indexes.registry import load_index
from indexes.tuning.operating_point import OperatingPoint

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OpenSegment:
    """What is sealed, as it can be searched: one segment, or a base and its tail. `index` holds its vectors; `enrolled` scores
    them and numbers the `identities`, each of another name; `template_ids` (n,); both are Arrow arrays. An id may come twice: who
    was removed from the base may be in the tail again.

    `measured`: how many of its rows, the first ones, its index was learnt from and densities were measured among.
    """

    index: StoredIndex
    enrolled: SearchableGallery
    identities: pa.Array
    template_ids: pa.ChunkedArray
    measured: int


def operating_point(segment: Segment) -> OperatingPoint | None:
    """What a search of a segment's index spends, and what it was measured to find; None where it is exact.

    Raises:
        GalleryError: the catalogue says something else.
    """
    try:
        return from_plain(OperatingPoint, from_json(segment.operating)) if segment.operating else None
    except ValueError as error:
        raise GalleryError(f"{segment.name}: no operating point: {error}; restore the gallery from a backup") from error


def open_segments(
    folder: Path,
    segments: Sequence[Segment],
    scoring: Scoring,
    measured: int | None,
    renamed: Mapping[str, str] | None = None,
) -> OpenSegment:
    """Open the segments of a gallery that scores so: labels are read, vectors are memory-mapped, and the index is made of the
    plain arrays in their files, each of which is checked; where there is none that is read, every vector is searched.

    Args:
        folder: of the gallery.
        segments: one, or a base and its tail.
        scoring: of the gallery.
        measured: as in the catalogue.
        renamed: what identities of the base are called in the tail.

    Raises:
        GalleryError: a file is missing or is not what was sealed; names it, what was found and what was recorded.
    """
    base, count = segments[0], sum(segment.templates for segment in segments)
    if base.rows_only and len(segments) == 1:
        return or_damaged(lambda: _open_rows(segment_files(folder, base.name).rows, base, scoring))
    for path, recorded, _ in (each for segment in segments for each in recorded_files(folder, segment)):
        if not path.is_file():
            raise GalleryError(f"{path} is missing; {MEND}")
        if (found := path.stat().st_size) != recorded:
            raise GalleryError(f"{path} has {found} bytes, {recorded} were recorded; {MEND}")
    # Of a large gallery either is half a second's work on a core of its own.
    with ThreadPoolExecutor(1) as beside:
        reading = beside.submit(or_damaged, lambda: _labels(folder, segments, renamed or {}))
        index = open_index(folder, segments)
        labels = reading.result()
    codes = labels.codes
    if not index.count == len(codes) == count or (base.indexed and index.kind != base.kind):
        raise GalleryError(
            f"{folder}: found {len(codes)} rows and {index.count} vectors in an index of kind {index.kind}, "
            f"recorded were {count} in {base.kind}; {MEND}"
        )
    density = None
    if scoring.scaled:
        parts = [_density(segment_files(folder, segment.name).density, segment) for segment in segments]
        density = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if measured is not None and not 0 < measured <= len(codes):
        raise GalleryError(f"{folder}: its catalogue is damaged: {measured} of {len(codes)} templates were measured")
    # Where all rows were measured, who counts is not looked up before somebody asks.
    among = None if measured in (None, len(codes)) else _among(codes, measured)
    enrolled = SearchableGallery(index, Members(codes), scoring, density, among, labels.quality)
    return OpenSegment(index, enrolled, labels.identities, labels.template_ids, measured or len(codes))


def open_index(folder: Path, segments: Sequence[Segment]) -> StoredIndex:
    """The index of a segment, or of a base with the entries of its tail in its lists.

    Raises:
        GalleryError: a file is missing or damaged, or they do not belong together.
    """
    base, *tails = segments
    index = or_damaged(lambda: _index(folder, base))
    for tail in tails:
        or_damaged(lambda tail=tail: _appended(index, folder, tail))  # type: ignore[misc]
    return index


def _labels(folder: Path, segments: Sequence[Segment], renamed: Mapping[str, str]) -> Labels:
    base, *tails = [_labels_of(folder, segment) for segment in segments]
    for tail in tails:
        base = joined_labels(base, tail, renamed)
    return base


def _labels_of(folder: Path, segment: Segment) -> Labels:
    files = segment_files(folder, segment.name)
    return map_labels(files.labels, segment.templates) if segment.labels_sha256 else read_labels(files.rows)


def _index(folder: Path, segment: Segment) -> StoredIndex:
    files = segment_files(folder, segment.name)
    index_file, vectors = files.index, open_vectors(files.vectors)
    if segment.indexed:
        return load_index(index_file, vectors)
    if segment.kind != Flat.kind:
        _log.warning(
            "%s is a file of FAISS's, which is not read: every vector is searched until onek compact, or another change of the "
            "gallery, makes the index anew",
            index_file,
        )
    return Flat(vectors)


def _appended(index: StoredIndex, folder: Path, tail: Segment) -> None:
    files = segment_files(folder, tail.name)
    index_file = files.index
    if not isinstance(index, InvertedLists) or tail.kind != index.kind or not tail.indexed:
        raise IndexFileError(f"{index_file}: a second segment, of kind {tail.kind[:60]}, behind an index of kind {index.kind}")
    vectors, entries = open_vectors(files.vectors), load_tail(index_file, index.kind, index.count)
    try:
        index.append(vectors, entries)
    except IndexFileError as error:
        raise IndexFileError(f"{index_file}: {error}") from error


def _density(file: Path, segment: Segment) -> np.ndarray:
    density = or_damaged(lambda: open_vectors(file))
    if density.shape != (segment.templates, 2):
        raise GalleryError(f"{file} has the shape {density.shape}, expected ({segment.templates}, 2); {MEND}")
    return density


def _among(codes: np.ndarray, measured: int) -> np.ndarray:
    """The identities of all rows, bool (K,), that densities were measured among when there were only the `measured` first."""
    present, first = np.unique(codes[:measured], return_inverse=True)
    among = np.zeros(int(codes.max()) + 1, bool)
    among[present[reference(Members(first))]] = True
    return among


def _open_rows(rows_file: Path, segment: Segment, scoring: Scoring) -> OpenSegment:
    if not rows_file.is_file() or sha256_file(rows_file) != segment.rows_sha256:
        raise GalleryError(f"{rows_file} is not what was sealed; {MEND}")
    labels = read_labels(rows_file)
    index = Flat.build(vectors_of(pq.ParquetFile(rows_file).read(columns=["vector"])))
    enrolled = SearchableGallery(index, Members(labels.codes), scoring, quality=labels.quality)
    return OpenSegment(index, enrolled, labels.identities, labels.template_ids, len(labels.codes))
