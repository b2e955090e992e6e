"""Repairs: whatever can be computed again from a gallery's rows, and nothing else."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.errors import GalleryError
from engine.maintenance.integrity import Fault, check
from engine.storage.catalogue import Catalogue, put_segment, read_catalogue
from engine.storage.sealing import rows_of, unnamed
from engine.storage.segments import added_segment, drop_segment, following, seal, segment_files
from engine.storage.writer_lock import WAIT, Writer
from engine.templates.enrolment import TemplateStream
from engine.templates.model import Templates
from indexes.base import Progress
from indexes.planner import check_disk, plan


def repair(folder: Path, progress: Progress | None = None, *, wait: float = WAIT) -> list[Fault]:
    """Where the rows are what was sealed but vectors, index or densities are not: make these anew, of all rows in one segment.
    What was wrong; none: nothing was done.

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
        catalogue = read_catalogue(folder)
        others = {file for segment in catalogue.segments for file in segment_files(folder, segment.name).made}
        lost = [fault for fault in faults if fault.file not in others]
        if lost:
            raise GalleryError(f"{lost[0]}; that cannot be made anew, so restore the gallery from a backup; nothing was done")
        _rebuild(writer, catalogue, progress)
    writer.close()
    return faults


def _rebuild(writer: Writer, catalogue: Catalogue, progress: Progress | None) -> None:
    (base, *tails), asked, made = catalogue.segments, catalogue.asked, catalogue.provenance
    kind, count = None if asked.factory else base.kind, sum(segment.templates for segment in catalogue.segments)
    chosen = plan(count, made.dim, recall=asked.recall, kind=kind, factory=asked.factory)
    check_disk(chosen, writer.folder)
    tables: Iterator[pa.Table] = chain.from_iterable(rows_of(catalogue, writer.folder, segment) for segment in catalogue.segments)
    if tails and catalogue.changes is not None:
        # Who was removed from the base may be in the tail again, under the same id.
        gone = np.zeros(count, bool)
        gone[catalogue.changes.removed] = True
        tables = unnamed(tables, gone)
    stored = (("the gallery", Templates(table, made)) for table in tables)
    scoring = catalogue.scoring
    name, everybody = following(catalogue.segments[-1].name), TemplateStream(made, count, stored)
    with added_segment(writer.folder, name):
        new, _ = seal(writer.folder, name, everybody, chosen, progress, score=scoring.score, fuse=scoring.fuse)
    with writer.changing() as database:
        put_segment(database, catalogue.segments, new)
    for old in catalogue.segments:
        drop_segment(writer.folder, old.name)
