"""The main path: `embed`, `build-index`, `identify`, `verify`. Parse, call, print."""

from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    Photos,
    Quality,
    Runtime,
    Score,
    Threads,
    Weights,
    Workers,
    limit_threads,
    spread_over,
)
from engine.cli.thresholds import print_calibration, tell_default
from engine.templates.quality import LEAST

if TYPE_CHECKING:
    from engine.gallery.gallery import Gallery
    from engine.templates.enrolment import Source


def embed_command(
    photos: Photos,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="T.parquet", help="The template file to write.")],
    encoder: Annotated[str, typer.Option(metavar="NAME|PATH", help="See onek encoders; or an .onnx or .keras file.")] = "sface",
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


def build_index_command(
    templates: Annotated[
        list[Path], typer.Argument(metavar="T.parquet...", help="Template files; or Parquet/NumPy vectors from elsewhere.")
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="GALLERY", help="The gallery to create: a folder, or milvus://HOST:PORT/NAME.")
    ],
    names: Annotated[
        Path | None,
        typer.Option("--names", metavar="FILE", help="Whose the vectors are: a list with one name for each, in order."),
    ] = None,
    index: Annotated[
        str | None,
        typer.Option("--index", metavar="KIND", help="flat, flat-codes, ivf, ivf-sq8, in Milvus hnsw, diskann, gpu-..."),
    ] = None,
    factory: Annotated[str | None, typer.Option(metavar="STRING", help="An index of FAISS's own, such as IVF1024,SQ8.")] = None,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="What building and searching may take, such as 6GiB. Default: half the free."),
    ] = None,
    recall: Annotated[
        float, typer.Option(metavar="SHARE", help="Of exact rank-1 answers, for mated probes; 1 is an exact search.")
    ] = 0.998,
    score: Annotated[
        str | None,
        typer.Option(
            metavar="plain|local|quality",
            help="The distance, the locally scaled one, or by what pictures are worth too. Default: by what is known.",
        ),
    ] = None,
    fuse: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="M", help="An identity is as far as the mean of its M nearest templates; 0: as one fused of all."
        ),
    ] = None,
    milvus: Annotated[
        str | None,
        typer.Option(metavar="replicas=2,shards=8,...", help="Also resource-groups=A+B, mmap=yes, consistency=bounded."),
    ] = None,
    threads: Threads = None,
    overwrite: Overwrite = False,
) -> None:
    """Build a gallery of templates.

    It holds them, the index that suits their number, what it knows of strangers, and its catalogue.
    """
    limit_threads(threads)
    from engine.cli.console import announce, bytes_of, count, stages, tell
    from engine.workflows.locations import build_gallery

    people: Source = templates
    if names is not None:
        from engine.workflows.named_vectors import named

        people = named(templates, names)
    with stages() as told:
        built = build_gallery(
            people,
            out,
            overwrite=overwrite,
            index=index,
            factory=factory,
            milvus=milvus,
            memory=bytes_of(memory),
            recall=recall,
            score=score,
            fuse=fuse,
            planned=partial(announce, local=score != "plain"),
            progress=told,
        )
    from engine.storage.summary import GalleryInfo

    info = built.info()
    tell(
        f"{count(info.templates, 'template')} of {count(info.identities, 'identity', 'identities')} in {out} "
        f"({info.index} index, {count(info.dim, 'dimension')})",
        gallery=out,
        templates=info.templates,
        identities=info.identities,
        index=info.index,
        dim=info.dim,
    )
    if isinstance(info, GalleryInfo) and info.operating:
        tell(
            f"it finds {100 * info.operating.recall:.2f} % of the exact rank-1 answers, at {info.operating.visits} of "
            f"{info.operating.of_visits} visits and a shortlist of {info.operating.shortlist}"
        )
    _doubt_one_person(built)
    _doubt_quality(built)
    print_calibration(info.calibration, info.score)
    tell_default(built)


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
    from engine.matching.pair_verifier import read_head
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
            head=None if head is None else read_head(head),
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
    identity: Annotated[str, typer.Argument(metavar="IDENTITY", help="Who the photograph is said to show.")],
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
    from engine.matching.pair_verifier import read_head
    from engine.workflows.locations import open_gallery

    opened = open_gallery(gallery)
    learnt = None if head is None else read_head(head)
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


def _doubt_one_person(built: "Gallery") -> None:
    """Warn of a gallery whose templates are nearly all of one identity. Of one in Milvus every row would be asked for."""
    from engine.cli.console import err
    from engine.templates.names import one_person

    if built.capabilities.files and (doubt := one_person(Counter(dict(built.templates_by_identity())), "templates")):
        err.print(f"warning: {doubt}; onek embed --labels says otherwise")


def _doubt_quality(built: "Gallery") -> None:
    """Warn of a gallery most of which is worth little, and of templates below the gate. Of one in Milvus every row would be asked
    for.
    """
    if not built.capabilities.files:
        return
    import numpy as np

    from engine.calibration.probes import badly_enrolled
    from engine.cli.console import err, thousands
    from engine.templates.quality.gate import refused

    qualities = built.enrolled.qualities(np.arange(len(built)))
    if doubt := badly_enrolled(qualities):
        err.print(f"warning: {doubt}")
    if below := int(refused(qualities, LEAST).sum()):
        err.print(f"{thousands(below)} templates are below the gate of --quality; onek audit lists them")
