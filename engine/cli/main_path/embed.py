"""`embed`: photographs in, templates out. Parse, call, print."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.completion import complete_encoders
from engine.cli.options import PROBLEMS, On, Overwrite, Photos, Quality, Runtime, Weights, Workers, spread_over
from engine.templates.quality import LEAST


def embed_command(
    photos: Photos,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="T.parquet", help="The template file to write.")],
    encoder: Annotated[
        str,
        typer.Option(
            metavar="NAME|PATH", help="See onek encoders; or an .onnx or .keras file.", autocompletion=complete_encoders
        ),
    ] = "sface",
    weights: Weights = None,
    runtime: Runtime = None,
    projection: Annotated[
        Path | None, typer.Option(metavar="P.npz", help="Apply what onek train-projection made, behind the encoder.")
    ] = None,
    flip: Annotated[
        bool | None, typer.Option("--flip/--no-flip", help="Average each face with its mirror image. Default: see onek encoders.")
    ] = None,
    faces: Annotated[
        str, typer.Option(metavar="largest|all|none", help="Which faces; none: the photographs are face crops.")
    ] = "largest",
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="RULE|FILE",
            help="Whose photographs they are: by folder, stem, none, or a list. Default: from the shape of the folder.",
        ),
    ] = None,
    sources: Annotated[
        bool, typer.Option("--source/--no-source", help="Whether templates say which photograph they are of.")
    ] = True,
    quality: Quality = LEAST,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run to the same output.")] = False,
    on: On = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Make templates of photographs.

    Those that gave none are named in T.problems.csv.
    """
    from engine.cli.console import announce_labels, count, progress, tell, told_what_is_left_out
    from engine.embedding.embedder import Embedder
    from engine.embedding.intake import KINDS
    from engine.embedding.photographs import label_photographs
    from engine.encoders import load_encoder, modality_of
    from engine.workflows.embed_files import check_embed_output, embed_to_file

    read = [*photos, Path(encoder), *(Path(each) for each in (labels, weights, projection) if each)]
    check_embed_output(out, overwrite=overwrite, resume=resume, inputs=read)
    kind = KINDS[modality_of(encoder)]
    with told_what_is_left_out() as left_out:
        labelled = label_photographs(photos, labels or ("none" if faces == "all" else None), left_out, kind)
    announce_labels(labelled.labelling, "--labels")
    photographs = labelled.photographs
    load = partial(
        load_encoder,
        encoder,
        flip=flip,
        weights=weights,
        projection=projection,
        runtime=runtime,
        photographs=len(photographs),
    )
    embedder = Embedder(load(), faces)
    with spread_over(on, workers) as spread, progress("embedding", len(photographs)) as done:
        if spread is not None:
            from engine.workflows.ray_workers import SpreadEmbedder

            embedder = SpreadEmbedder(embedder, load, spread)
        made = embed_to_file(
            photographs,
            embedder,
            out,
            overwrite=overwrite,
            resume=resume,
            sources=sources,
            quality=quality,
            progress=done,
        )
    tell(
        f"{count(made.images, kind.noun)}: {count(made.templates, 'template')} in {out}, "
        f"{count(made.problems, 'problem')} in {made.problems_file}",
        images=made.images,
        templates=made.templates,
        templates_file=str(out),
        problems=made.problems,
        problems_file=str(made.problems_file),
        unseen_faces=made.unseen.faces,
    )
    if made.unseen.faces:
        tell(f"{made.unseen}; --faces all looks at them")
    if made.problems:
        raise typer.Exit(PROBLEMS)
