"""Sealing: templates that joined a gallery go from the catalogue into a segment: a new one, an extended one, or a tail."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa

from engine.calibration.calibration import LEAST_IDENTITIES, RowNames, calibrate
from engine.common.late import pc
from engine.matching.by_name import by_name
from engine.matching.scoring import Scoring
from engine.storage.catalogue import Catalogue, Segment, put_behind, put_extended, put_measured
from engine.storage.folder_snapshot import FolderSnapshot
from engine.storage.segments import added_segment, drop_segment, extend, following, seal, seal_behind, segment_files
from engine.storage.segments.files import or_damaged
from engine.storage.segments.labels import opened_rows
from engine.storage.writer_lock import Writer
from engine.templates.enrolment import TemplateStream
from engine.templates.model import Templates, vectors_of
from engine.templates.parquet import ROW_GROUP, in_current_format
from indexes.approximate.ivf import InvertedLists
from indexes.approximate.tail_file import load_tail
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
    asked = catalogue.asked
    count = view.enrolled.index.count
    dim = catalogue.provenance.dim
    # Of too few for the index that was asked for, every vector is searched, until there are enough again. A recall of 1 could
    # once be asked of any kind, and only an exact search has it.
    few = count < fewest(asked.index, asked.factory, dim)
    wanted = ("flat", None) if few or asked.recall == 1 else (asked.index, asked.factory)
    chosen = plan(count, dim, recall=asked.recall, kind=wanted[0], factory=wanted[1])
    check_disk(chosen, folder)
    name = following(catalogue.segments[-1].name)
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
    for old in catalogue.segments:
        drop_segment(folder, old.name)


def seal_recent(view: FolderSnapshot, writer: Writer, progress: Progress | None = None) -> None:
    """Seal what is due. A small gallery, or one that has doubled, anew, which learns all of it again. A large one whose index has
    lists: in a tail, so that only what has joined since it was last sealed anew is written, and never the base. With a twentieth
    a time that is fourteen tails until it has doubled, which together are 6.6 times what there was; written whole each time, they
    would be 20.6 times. Another large one: whole, behind what it has sealed.
    """
    count = view.enrolled.index.count
    if count <= SMALL or count >= _GROWN * view.segment.measured:
        reseal(view, writer, progress)
    elif isinstance(view.segment.index, InvertedLists):
        _seal_tail(view, view.segment.index, writer)
    else:
        _extend(view, writer)


def _seal_tail(view: FolderSnapshot, index: InvertedLists, writer: Writer) -> None:
    """Put recent templates into a tail behind the base, and what an earlier tail still has before them. Rows that were removed
    from the base stay in its files until all is sealed anew, those of the earlier tail do not; the calibration follows K by its
    law.
    """
    (base, *former), folder = view.catalogue.segments, writer.folder
    sealed = len(view.segment.enrolled.members.codes)
    recent = _recent(view)
    entries, density = index.encoded(recent.vectors), view.enrolled.all_densities()
    staying, before = ~view.gone[base.templates : sealed], []
    for old in former:
        held = or_damaged(lambda old=old: load_tail(segment_files(folder, old.name).index, old.kind, base.templates))  # type: ignore[misc]
        entries = {name: np.concatenate([held[name][staying], array]) for name, array in entries.items()}
        before.append(_rows(view, folder, old, staying))
    density = None if density is None else density[-len(entries["lists"]) :]
    name = following(view.catalogue.segments[-1].name)
    with added_segment(folder, name):
        new = seal_behind(folder, name, base, recent.provenance, chain(*before, [recent]), entries, density)
    with writer.changing() as database:
        put_behind(database, view.catalogue.segments, new, view.segment.measured)
        database.execute("DELETE FROM recent")
    for old in former:
        drop_segment(folder, old.name)


def _extend(view: FolderSnapshot, writer: Writer) -> None:
    """Put recent templates behind the sealed ones, all of which are written again with their index. Rows that were removed stay
    in the files until all is sealed anew, under ids of their own, since whoever took their place has theirs; the calibration
    follows K by its law.
    """
    old, folder = view.catalogue.segments[0], writer.folder
    sealed = len(view.segment.enrolled.members.codes)
    recent = _recent(view)
    density = view.enrolled.all_densities()
    name = following(old.name)
    with added_segment(folder, name):
        rows = unnamed((part.table for part in _rows(view, folder, old)), view.gone[:sealed])
        new = extend(folder, old, name, rows, recent, None if density is None else density[-len(recent) :])
    with writer.changing() as database:
        put_extended(database, old, new, view.segment.measured)
        database.execute("DELETE FROM recent")
    drop_segment(folder, old.name)


def _recent(view: FolderSnapshot) -> Templates:
    """The templates that joined since the last sealing and did not leave."""
    live = ~view.gone[len(view.segment.enrolled.members.codes) :]
    return Templates(view.recent.table.filter(pa.array(live)), view.catalogue.provenance)


def stored(view: FolderSnapshot, folder: Path) -> Iterator[Templates]:
    """All that is enrolled, as tables of templates, with the names of now."""
    start = 0
    for segment in view.catalogue.segments:
        yield from _rows(view, folder, segment, ~view.gone[start : start + segment.templates])
        start += segment.templates
    yield _recent(view)


def _rows(view: FolderSnapshot, folder: Path, segment: Segment, kept: np.ndarray | None = None) -> Iterator[Templates]:
    """The rows of a segment, or those that are `kept` bool (n,), called as they are called now."""
    renamed = view.catalogue.changes.renamed if view.catalogue.changes else {}
    start = 0
    for table in rows_of(view.catalogue, folder, segment):
        stay = table if kept is None else table.filter(pa.array(kept[start : start + len(table)]))
        start += len(table)
        yield Templates(_called(stay, renamed), view.catalogue.provenance)


def rows_of(catalogue: Catalogue, folder: Path, segment: Segment) -> Iterator[pa.Table]:
    """The rows of a segment, called as they are called in the last one."""
    last = segment == catalogue.segments[-1]
    renamed = {} if last or catalogue.changes is None else catalogue.changes.renamed_before
    rows = or_damaged(lambda: opened_rows(segment_files(folder, segment.name).rows))
    for part in rows.iter_batches(batch_size=ROW_GROUP):
        yield _called(in_current_format(pa.Table.from_batches([part]), catalogue.provenance), renamed)


def unnamed(tables: Iterator[pa.Table], gone: np.ndarray) -> Iterator[pa.Table]:
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
