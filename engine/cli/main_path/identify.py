"""`identify` and `verify`: who probes are, and whether one is who he is said to be. Parse, call, print."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.completion import complete_people
from engine.cli.options import (
    NOT_THE_SAME,
    PROBLEMS,
    Distance,
    Faces,
    Fmr,
    Fpir,
    GalleryOption,
    Head,
    On,
    Overwrite,
    OwnEncoder,
    OwnProjection,
    Quality,
    Runtime,
    Score,
    Threads,
    Weights,
    Workers,
    limit_threads,
    spread_over,
)
from engine.templates.quality import LEAST


def identify_command(
    probes: Annotated[list[Path], typer.Argument(metavar="PROBES...", help="Photographs as for embed, or one template file.")],
    gallery: GalleryOption,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Results to write: .parquet, .csv, .json or .jsonl; - is CSV on standard output. Default: a table to read.",
        ),
    ] = None,
    candidates: Annotated[bool, typer.Option("--candidates", help="Show the candidates of each face in the table.")] = False,
    fpir: Fpir = None,
    threshold: Score = None,
    top: Annotated[int, typer.Option(min=1, help="Candidates to list for each probe.")] = 5,
    quality: Quality = LEAST,
    calibrate_to: Annotated[
        str | None,
        typer.Option(metavar="probes", help="Weight calibration for pictures that are worth what these probes are, this once."),
    ] = None,
    faces: Faces = None,
    encoder: OwnEncoder = None,
    weights: Weights = None,
    projection: OwnProjection = None,
    runtime: Runtime = None,
    head: Head = None,
    annotate: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Also write copies of the photographs there, with boxes, names and scores."),
    ] = None,
    threads: Threads = None,
    on: On = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Say of each probe who it is, or that it is unknown.

    Photographs without a face say failed.
    """
    limit_threads(threads)
    from engine.cli.console import progress, told_what_is_left_out
    from engine.cli.shell.results import Destination
    from engine.matching.pair_verifier import read_pair_verifier
    from engine.workflows.identify_files import count_probes, identify_into
    from engine.workflows.locations import open_gallery

    destination = Destination(out, candidates)
    destination.check([*probes, *([head] if head else [])], overwrite)
    opened = open_gallery(gallery)
    with (
        told_what_is_left_out() as left_out,
        spread_over(on, workers) as spread,
        progress("identifying", count_probes(probes, opened)) as done,
        destination.opened() as writer,
    ):
        made = identify_into(
            writer,
            opened,
            probes,
            threshold=threshold,
            fpir=fpir,
            top=top,
            faces=faces,
            encoder=encoder,
            weights=weights,
            projection=projection,
            runtime=runtime,
            head=None if head is None else read_pair_verifier(head),
            quality=quality,
            calibrate_to=calibrate_to,
            workers=spread,
            annotate=annotate,
            overwrite=overwrite,
            progress=done,
            counted=done.of,
            left_out=left_out,
        )
        destination.explain(made.problems)
    destination.tell(made)
    if made.counts.failed:
        raise typer.Exit(PROBLEMS)


def verify_command(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO")],
    identity: Annotated[
        str, typer.Argument(metavar="IDENTITY", help="Who the photograph is said to show.", autocompletion=complete_people)
    ],
    gallery: GalleryOption,
    threshold: Distance = None,
    fmr: Fmr = None,
    quality: Quality = LEAST,
    faces: Annotated[str | None, typer.Option(metavar="largest|none", help="none: the photograph is a face crop.")] = None,
    encoder: OwnEncoder = None,
    weights: Weights = None,
    projection: OwnProjection = None,
    head: Head = None,
) -> None:
    """Compare one photograph with one enrolled identity.

    Exit status: 0 the same, 4 not the same.
    """
    from engine.cli.console import answer
    from engine.matching.pair_verifier import read_pair_verifier
    from engine.workflows.locations import open_gallery

    opened = open_gallery(gallery)
    learnt = None if head is None else read_pair_verifier(head)
    found = opened.verify(
        photo,
        identity,
        threshold=threshold,
        fmr=fmr,
        faces=faces,
        encoder=encoder,
        weights=weights,
        projection=projection,
        head=learnt,
        quality=quality,
    )
    said = "the same" if found.same else "not the same"
    limit = str(opened.match_threshold(threshold, fmr)) if learnt is None else f"p(same) {found.probability:.4f} by the head"
    answer(f"{said}: {found.probe} is {found.distance:.4f} from {found.identity}; {limit}", **asdict(found))
    if not found.same:
        raise typer.Exit(NOT_THE_SAME)
