"""Identify many probes, from files to a file, without holding them all."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from engine.answers.results import DecisionCounts, Results, problems_in
from engine.answers.results_files import ResultsWriter, results_file, writer_for
from engine.answers.snapshot import Snapshot
from engine.answers.unlike import ProbesSeen
from engine.calibration.thresholds import ThresholdUsed
from engine.common.concurrency import ahead, batched
from engine.errors import GalleryError, PhotographsError
from engine.files.outputs import check_outputs
from engine.gallery.gallery import Gallery
from engine.matching.pair_verifier import PairVerifier
from engine.templates.model import Templates
from engine.templates.parquet import TemplateFile, is_template_file, stream_templates
from engine.templates.problems import ALL_SEEN, Problem, Unseen, problems_path, write_problems
from engine.templates.provenance import PICTURE
from engine.templates.quality import LEAST
from engine.templates.quality.gate import check_least

if TYPE_CHECKING:
    from engine.embedding.embedder import Embedder
    from engine.embedding.photographs import Photograph
    from engine.faces.images import LeftOut
    from engine.workflows.ray_workers import Workers

# How many photographs are identified together; and how many templates, which are small.
BATCH, TEMPLATES = 1024, 4096

Progress = Callable[[int], None]
Identify = Callable[[Iterable[Templates]], Iterator[pa.Table]]


@dataclass(frozen=True)
class Identification:
    """How many probe faces were decided which way, why probes failed, by which threshold, and how many faces of photographs were
    not looked at. `unlike`: that the probes are not like those that the gallery was calibrated for.
    """

    counts: DecisionCounts
    problems: tuple[Problem, ...]
    threshold: ThresholdUsed
    unseen: Unseen = ALL_SEEN
    unlike: str | None = None


@dataclass(frozen=True)
class IdentifySummary:
    """How many probe faces were decided which way, where the reasons of failed photographs lie, by which threshold, and how many
    faces of photographs were not looked at. `unlike`: that the probes are not like those that the gallery was calibrated for.
    """

    counts: DecisionCounts
    problems_file: Path
    threshold: ThresholdUsed
    unseen: Unseen = ALL_SEEN
    unlike: str | None = None


def check_results_output(out: Path, probes: Sequence[Path], overwrite: bool) -> None:
    """Refuse, before any work, results that are an input, exist, cannot be written, or have an ending that no format goes with.

    Raises:
        OutputError: which, and what to pass.
    """
    writer_for(out)
    check_outputs(out, probes, overwrite, [problems_path(out)])


def identify_to_file(
    gallery: Gallery,
    probes: Sequence[Path],
    out: Path,
    *,
    threshold: float | None = None,
    fpir: float | None = None,
    top: int = 5,
    faces: str | None = None,
    encoder: str | None = None,
    weights: Path | None = None,
    projection: Path | None = None,
    runtime: str | None = None,
    head: PairVerifier | None = None,
    quality: float = LEAST,
    calibrate_to: str | None = None,
    overwrite: bool = False,
    workers: "Workers | None" = None,
    annotate: Path | None = None,
    progress: Progress | None = None,
    left_out: "Callable[[LeftOut], None] | None" = None,
) -> IdentifySummary:
    """Identify photographs or one template file into `.parquet`, `.csv`, `.json` or `.jsonl`; arguments as in `identify_into`.

    The problems file beside `out` names each probe that failed, and why.
    `annotate`: a folder for copies of the photographs with boxes, names and scores in them.

    Raises:
        OutputError: `out` exists, cannot be written, or has an ending that no format goes with.
        GalleryError: the gallery cannot be calibrated to the probes; or as `Gallery.identify`.
        OnekError: as `Gallery.identify`.
    """
    check_results_output(out, probes, overwrite)
    with results_file(out) as writer:
        made = identify_into(
            writer,
            gallery,
            probes,
            threshold=threshold,
            fpir=fpir,
            top=top,
            faces=faces,
            encoder=encoder,
            weights=weights,
            projection=projection,
            runtime=runtime,
            head=head,
            quality=quality,
            calibrate_to=calibrate_to,
            workers=workers,
            annotate=annotate,
            overwrite=overwrite,
            progress=progress,
            left_out=left_out,
        )
        write_problems(out, made.problems)
    return IdentifySummary(made.counts, problems_path(out), made.threshold, made.unseen, made.unlike)


def identify_into(
    writer: ResultsWriter,
    gallery: Gallery,
    probes: Sequence[Path],
    *,
    threshold: float | None = None,
    fpir: float | None = None,
    top: int = 5,
    faces: str | None = None,
    encoder: str | None = None,
    weights: Path | None = None,
    projection: Path | None = None,
    runtime: str | None = None,
    head: PairVerifier | None = None,
    quality: float = LEAST,
    calibrate_to: str | None = None,
    workers: "Workers | None" = None,
    annotate: Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    counted: Progress | None = None,
    left_out: "Callable[[LeftOut], None] | None" = None,
) -> Identification:
    """Identify photographs or one template file, and give the results to a writer; arguments as in `Gallery.identify`.

    Templates never load an encoder. Where there are `workers`, they do the work, and the results are the same. `progress` is told
    how many more are done, `counted` how many photographs there are, `left_out` what below a folder is not taken for a
    photograph. With `calibrate_to`, which is `probes`, thresholds are weighted for pictures that are worth what those of a
    template file are; they are not kept. `annotate`: a folder for copies of the photographs with boxes, names and scores in them,
    which `overwrite` may replace.

    Raises:
        GalleryError: the gallery cannot be calibrated to the probes; or as `Gallery.identify`.
        OnekError: as `Gallery.identify`.
    """
    check_least(quality)
    modality = gallery.provenance.modality
    of_templates = any(is_template_file(path, modality) for path in probes)
    if calibrate_to is not None:
        _require_calibratable_to(calibrate_to, of_templates, workers)
    if annotate is not None:
        if modality != PICTURE:
            raise PhotographsError(f"--annotate {annotate} goes with photographs; the probes are {modality}s")
        from engine.reports.annotated import prepare_folder

        prepare_folder(annotate, probes, overwrite)
    # All of the file is answered by the gallery as it is now.
    seen = gallery.snapshot()
    if calibrate_to is not None:
        seen = seen.calibrated_to(np.concatenate([part.qualities for part in stream_templates(probes[0], TEMPLATES)]))
    used = seen.threshold_used(threshold, fpir)
    limit = used.score
    problems: list[Problem] = []
    unseen: list[Unseen] = []
    if of_templates:
        if faces or encoder or weights or projection or runtime:
            raise PhotographsError(
                "--faces, --encoder, --weights, --projection and --runtime go with photographs; the probes are templates already"
            )
        if annotate is not None:
            raise PhotographsError(f"--annotate {annotate} goes with photographs; the probes are templates")
        identify: Identify = partial(_identified, seen, limit, top, head, quality)
        if workers is not None:
            from engine.workflows.ray_workers import spread_identify

            identify = spread_identify(workers, gallery.address, limit, top, head, seen.edition, quality)
        tables = _of_templates(probes, identify, progress)
    else:
        # Late: templates do without what reads pictures.
        from engine.embedding.intake import KINDS
        from engine.embedding.photographs import find_photographs

        photographs = find_photographs(probes, "none", left_out, KINDS[modality])
        count = len(photographs)
        if counted:
            counted(count)
        embedder = gallery.embedder(
            faces, encoder=encoder, weights=weights, projection=projection, runtime=runtime, photographs=count
        )
        if workers is not None:
            from engine.workflows.ray_workers import SpreadEmbedder

            load = gallery.encoder_loader(runtime, count)
            embedder = SpreadEmbedder(embedder, load, workers)
        tables = _of_photographs(seen, photographs, limit, top, head, quality, embedder, unseen, progress, annotate)
    counts, like = DecisionCounts(), ProbesSeen()
    for table in tables:
        writer.write(table)
        counts += Results(table).counts
        problems += problems_in(table)
        like.add(table)
    doubt = like.unlike(seen.calibration, gallery.address) if threshold is None else None
    return Identification(counts, tuple(problems), used, sum(unseen, ALL_SEEN), doubt)


def _require_calibratable_to(what: str, of_templates: bool, workers: "Workers | None") -> None:
    """Check, before any work, that thresholds can be calibrated to these probes. Raises `GalleryError`."""
    if what != "probes":
        raise GalleryError(f"--calibrate-to {what}: expected probes")
    if not of_templates:
        raise GalleryError(
            "--calibrate-to probes looks at all of them before the first is decided, so it takes a template file: onek embed "
            "makes one of the photographs"
        )
    if workers is not None:
        raise GalleryError("--calibrate-to probes is for this run alone, and the processes of --on know nothing of it; say one")


def count_probes(probes: Sequence[Path], gallery: Gallery) -> int | None:
    """How many probes there are, where one template file says so before they are read; otherwise None."""
    one_file = len(probes) == 1 and is_template_file(probes[0], gallery.provenance.modality)
    return TemplateFile(probes[0]).count() if one_file else None


def _of_templates(probes: Sequence[Path], identify: Identify, progress: Progress | None) -> Iterator[pa.Table]:
    if len(probes) > 1:
        raise PhotographsError(
            f"found {len(probes)} inputs with a template file among them; expected one template file, or photographs"
        )
    # Reading, searching and the caller's writing each have a thread.
    for table in ahead(identify(ahead(stream_templates(probes[0], TEMPLATES)))):
        yield table
        if progress:
            progress(table.num_rows)


def _identified(
    seen: Snapshot, limit: float, top: int, head: PairVerifier | None, quality: float, parts: Iterable[Templates]
) -> Iterator[pa.Table]:
    return (seen.identify(part, limit, top, head, quality) for part in parts)


def _of_photographs(
    seen: Snapshot,
    photographs: "Sequence[Photograph]",
    limit: float,
    top: int,
    head: PairVerifier | None,
    quality: float,
    embedder: "Embedder",
    unseen: list[Unseen],
    progress: Progress | None,
    annotate: Path | None,
) -> Iterator[pa.Table]:
    from engine.embedding.outcome import unseen_in

    done = 0
    for outcomes in batched(embedder.stream(photographs, progress), BATCH):
        unseen.append(unseen_in(outcomes))
        table = seen.identify_outcomes(outcomes, embedder, limit, top, head, quality)
        if annotate is not None:
            from engine.reports.annotated import write_annotated

            write_annotated(annotate, outcomes, table, done)
        done += len(outcomes)
        yield table
