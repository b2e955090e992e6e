"""Building a gallery in a folder: planned, sealed, calibrated, and renamed into place when it is whole."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from engine.calibration.calibration import LEAST_IDENTITIES, RowNames, calibrate
from engine.files.atomic_files import check_output, whole_folder
from engine.files.outputs import refuse_inputs, require_local
from engine.matching.by_name import by_name
from engine.storage.catalogue import BuildRequest, Catalogue, read_catalogue, write_catalogue
from engine.storage.foretelling import foretold
from engine.storage.segments import seal
from engine.storage.writer_lock import locked
from engine.templates.enrolment import Source, enrolment
from indexes.base import Progress
from indexes.planner import Plan, check_disk, plan


class BuildOptions(TypedDict, total=False):
    """Optional arguments of `Gallery.build`, where they are described."""

    index: str | None
    memory: int | None
    recall: float
    score: str | None
    fuse: int | None
    planned: Callable[[Plan], None] | None
    progress: Progress | None


class BuildAsked(BuildOptions, total=False):
    """All of them, for a gallery in a folder."""

    overwrite: bool
    factory: str | None


def build_folder(
    templates: Source,
    path: Path,
    asked: BuildRequest,
    *,
    overwrite: bool = False,
    memory: int | None = None,
    planned: Callable[[Plan], None] | None = None,
    progress: Progress | None = None,
) -> None:
    """Make the gallery in a folder, as it is `asked` for; other arguments and errors as of `Gallery.build`."""
    require_local(path, "where Gallery.build makes one")
    check_output(path, overwrite)
    if path.exists():
        read_catalogue(path)  # only a gallery is ever replaced, never another folder
    enrolled = enrolment(templates)
    refuse_inputs([path], enrolled.files)
    chosen = plan(enrolled.count, enrolled.made.dim, memory=memory, recall=asked.recall, kind=asked.index, factory=asked.factory)
    check_disk(chosen, path.absolute().parent)
    if planned:
        start = time.perf_counter()
        part, enrolled = enrolled.peeked()
        if part is not None:
            chosen = foretold(chosen, part, time.perf_counter() - start, enrolled.count, asked.score)
        planned(chosen)
    with locked(path) if path.exists() else nullcontext(), whole_folder(path) as folder:
        segment, opened = seal(folder, "segment-000001", enrolled, chosen, progress, score=asked.score, fuse=asked.fuse)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        calibrated = None
        if opened.enrolled.members.identities >= LEAST_IDENTITIES:
            people = by_name(opened.enrolled, opened.identities, opened.template_ids)
            calibrated = calibrate(people, RowNames(opened.template_ids), progress)
        scoring = opened.enrolled.scoring
        write_catalogue(folder, Catalogue(enrolled.made, created, (segment,), scoring, calibrated, asked=asked))
