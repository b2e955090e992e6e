"""Repairs: whatever can be computed again from a gallery's rows, and nothing else."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import GalleryError
from engine.maintenance.integrity import Fault, check
from engine.storage.catalogue import Catalogue, put_segment, read_catalogue
from engine.storage.segments import added_segment, drop_segment, following, seal, segment_files
from engine.storage.writer_lock import WAIT, Writer
from engine.templates.enrolment import TemplateStream
from engine.templates.model import Templates
from engine.templates.parquet import ROW_GROUP
from indexes.base import Progress
from indexes.planner import check_disk, plan


def repair(folder: Path, progress: Progress | None = None, *, wait: float = WAIT) -> list[Fault]:
    """Where the rows are what was sealed but vectors, index or densities are not: make these anew. What was wrong; none: nothing
    was done.

    Raises:
        GalleryError: something else is wrong, which only a backup brings back; nothing was done.
        GalleryBusy: somebody else was writing all the while.
        OnekError: as `Gallery.build`.
    """
    writer = Writer(folder)
    with writer.holding(wait):
        faults = check(folder, progress)
        if not faults:
            return []
        rows, *others = segment_files(folder, read_catalogue(folder).segments[0].name)
        lost = [fault for fault in faults if fault.file not in others]
        if lost:
            raise GalleryError(f"{lost[0]}; that cannot be made anew, so restore the gallery from a backup; nothing was done")
        _rebuild(writer, rows, read_catalogue(folder), progress)
    writer.close()
    return faults


def _rebuild(writer: Writer, rows: Path, catalogue: Catalogue, progress: Progress | None) -> None:
    (old,), asked, made = catalogue.segments, catalogue.asked, catalogue.provenance
    kind = None if asked.factory else old.kind
    chosen = plan(old.templates, made.dim, recall=asked.recall, kind=kind, factory=asked.factory)
    check_disk(chosen, writer.folder)
    parts = pq.ParquetFile(rows).iter_batches(batch_size=ROW_GROUP)
    stored = (("the gallery", Templates(pa.Table.from_batches([part]), made)) for part in parts)
    scoring = catalogue.scoring
    name, everybody = following(old.name), TemplateStream(made, old.templates, stored)
    with added_segment(writer.folder, name):
        new, _ = seal(writer.folder, name, everybody, chosen, progress, score=scoring.score, fuse=scoring.fuse)
    with writer.changing() as database:
        put_segment(database, old, new)
    drop_segment(writer.folder, old.name)
