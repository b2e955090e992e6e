"""Sealing: templates that joined a gallery go from the catalogue into a segment, a new one or an extended one."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.calibration.calibration import LEAST_IDENTITIES, RowNames, calibrate
from engine.common.late import pc
from engine.matching.by_name import by_name
from engine.matching.scoring import Scoring
from engine.storage.catalogue import put_extended, put_measured
from engine.storage.folder_snapshot import FolderSnapshot
from engine.storage.segments import added_segment, drop_segment, extend, following, seal, segment_files
from engine.storage.writer_lock import Writer
from engine.templates.enrolment import TemplateStream
from engine.templates.model import Templates, vectors_of
from engine.templates.parquet import ROW_GROUP, in_current_format
from indexes.base import Progress
from indexes.planner import check_disk, fewest, plan

# Up to so many templates all is sealed anew: it takes seconds.
SMALL = 200_000
# Recent templates that are sealed; the part of a small gallery, and of a large one, that they may be if that is more. When K has
# changed by that part, a small one is calibrated anew.
SEAL_AT, PART, _LARGE_PART = 50_000, 0.25, 0.05
# A large gallery is sealed anew when it has grown to so many times what its index was built of.
_GROWN = 2


def due(view: FolderSnapshot, since: int = 0) -> bool:
    """Whether enough has changed since the last sealing; or may have, if up to `since` templates changed since the view."""
    sealed = len(view.segment.enrolled.members.codes)
    recent = int((~view.gone[sealed:]).sum())
    small = view.enrolled.index.count <= SMALL
    if recent + since >= max(SEAL_AT, (PART if small else _LARGE_PART) * sealed):
        return True
    calibration, now = view.catalogue.calibration, view.enrolled.members.identities
    # What was learnt from strangers is not learnt anew, only the densities are.
    own = calibration is not None and calibration.source == "gallery"
    before = calibration.identities if calibration is not None and own else view.segment.enrolled.members.identities
    changed = abs(now - before) + since >= max(1, PART * before) and (own or now + since >= LEAST_IDENTITIES)
    return changed and small and bool(since or recent or view.gone.any())


def reseal(view: FolderSnapshot, writer: Writer, progress: Progress | None = None) -> None:
    """Make one segment of all that is enrolled, its densities and its calibration anew, and drop what was removed.

    A calibration on a cohort of strangers is kept, and the score that it is for: the cohort is not.
    """
    catalogue, folder = view.catalogue, writer.folder
    calibration, identities = catalogue.calibration, view.enrolled.members.identities
    cohort = calibration is not None and calibration.source == "strangers" and identities >= catalogue.scoring.least_identities
    score = catalogue.scoring.score if cohort else catalogue.asked.score
    fuse = catalogue.scoring.fuse if cohort else catalogue.asked.fuse
    if score is not None and Scoring.of(score).least_identities > identities:
        score = None  # so few do without what was asked for, until they are more
    asked, old = catalogue.asked, catalogue.segments[0]
    count = view.enrolled.index.count
    dim = catalogue.provenance.dim
    # Of too few for the index that was asked for, every vector is searched, until there are enough again.
    few = count < fewest(asked.index, asked.factory, dim)
    wanted = ("flat", None) if few else (asked.index, asked.factory)
    chosen = plan(count, dim, recall=asked.recall, kind=wanted[0], factory=wanted[1])
    check_disk(chosen, folder)
    name = following(old.name)
    everybody = TemplateStream(catalogue.provenance, count, (("the gallery", part) for part in stored(view, folder)))
    with added_segment(folder, name):
        made, opened = seal(folder, name, everybody, chosen, progress, score=score, fuse=fuse)
    if cohort and calibration is not None:
        calibration = replace(calibration, left_out=())  # it may name people who were removed
    elif identities >= max(LEAST_IDENTITIES, opened.enrolled.scoring.least_identities + 1):
        people = by_name(opened.enrolled, opened.identities, opened.template_ids)
        calibration = calibrate(people, RowNames(opened.template_ids), progress)
    else:
        calibration = None
    with writer.changing() as database:
        put_measured(database, (made,), opened.enrolled.scoring, calibration)
        database.execute("DELETE FROM recent")
    drop_segment(folder, old.name)


def seal_recent(view: FolderSnapshot, writer: Writer, progress: Progress | None = None) -> None:
    """Seal what is due: a small gallery, or one that has doubled, anew; a large one behind what it has sealed."""
    count = view.enrolled.index.count
    if count <= SMALL or count >= _GROWN * view.segment.measured:
        reseal(view, writer, progress)
    else:
        _extend(view, writer)


def _extend(view: FolderSnapshot, writer: Writer) -> None:
    """Put recent templates behind the sealed ones, whose index takes them in its lists. Rows that were removed stay in the files
    until all is sealed anew, under ids of their own, since whoever took their place has theirs; the calibration follows K by its
    law.
    """
    old, folder = view.catalogue.segments[0], writer.folder
    sealed = len(view.segment.enrolled.members.codes)
    recent = Templates(view.recent.table.filter(pa.array(~view.gone[sealed:])), view.catalogue.provenance)
    density = view.enrolled.all_densities()
    name = following(old.name)
    with added_segment(folder, name):
        rows = _unnamed((part.table for part in _sealed(view, folder, kept=None)), view.gone[:sealed])
        new = extend(folder, old, name, rows, recent, None if density is None else density[-len(recent) :])
    with writer.changing() as database:
        put_extended(database, old, new, view.segment.measured)
        database.execute("DELETE FROM recent")
    drop_segment(folder, old.name)


def stored(view: FolderSnapshot, folder: Path) -> Iterator[Templates]:
    """All that is enrolled, as tables of templates, with the names of now."""
    sealed = len(view.segment.enrolled.members.codes)
    yield from _sealed(view, folder, ~view.gone[:sealed])
    yield Templates(view.recent.table.filter(pa.array(~view.gone[sealed:])), view.catalogue.provenance)


def _sealed(view: FolderSnapshot, folder: Path, kept: np.ndarray | None) -> Iterator[Templates]:
    """The rows of the segment, or those that are `kept` bool (n,), called as they are called now."""
    made = view.catalogue.provenance
    renamed = view.catalogue.changes.renamed if view.catalogue.changes else {}
    start = 0
    for part in pq.ParquetFile(segment_files(folder, view.catalogue.segments[0].name)[0]).iter_batches(batch_size=ROW_GROUP):
        table = in_current_format(pa.Table.from_batches([part]), made)
        if kept is not None:
            table = table.filter(pa.array(kept[start : start + len(part)]))
        start += len(part)
        yield Templates(_called(table, renamed), made)


def _unnamed(tables: Iterator[pa.Table], gone: np.ndarray) -> Iterator[pa.Table]:
    """The same rows; those that are `gone`, bool (n,), get ids that no template has."""
    key, start = uuid4().hex, 0
    for table in tables:
        leaving = gone[start : start + len(table)]
        names = pa.array([f"{key}:{start + row}" for row in np.flatnonzero(leaving)], pa.string())
        ids = pc.replace_with_mask(table["template_id"].combine_chunks(), pa.array(leaving), names)
        column = table.schema.get_field_index("template_id")
        yield table.set_column(column, table.schema.field(column), ids)
        start += len(table)


def removed_vectors(view: FolderSnapshot) -> np.ndarray:
    """Vectors (m, d) that were removed and that the view still knows."""
    index, sealed = view.segment.index, len(view.segment.enrolled.members.codes)
    recent = vectors_of(view.recent.table.filter(pa.array(view.gone[sealed:])))
    return np.concatenate([index.vectors(np.flatnonzero(view.gone[:sealed])), recent])


def _called(table: pa.Table, renamed: dict[str, str]) -> pa.Table:
    if not renamed:
        return table
    at = pc.index_in(table["identity"], value_set=pa.array(renamed, pa.string()))
    names = pc.coalesce(pa.array(renamed.values(), pa.string()).take(at.combine_chunks()), table["identity"].combine_chunks())
    column = table.schema.get_field_index("identity")
    return table.set_column(column, table.schema.field(column), names)
