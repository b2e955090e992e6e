"""The command `onek`: parse, call the library, print. Exit status: 0 all well, 3 done with problems, 2 the user must change
something, 4 not the same person (`verify`), 1 a defect of ours.
"""

import os
import signal
import sys
import warnings
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.calibration import audit_command, calibrate_command, print_calibration
from engine.cli.enrolment import compact_command, enroll_command, list_command, remove_command, rename_command
from engine.cli.inspection import explain_command, explain_encoder_command
from engine.cli.maintenance import Overwrite, backup_command, check_command, merge_command
from engine.cli.reports import encoders_command, info_command
from engine.cli.serving.serve import serve_command
from engine.cli.serving.tokens import token
from engine.cli.thresholds import Fmr, Fpir, default_line
from engine.cli.training import project_command, train_command, train_head_command, train_projection_command
from engine.common.allocator import give_large_blocks_back
from engine.errors import ListGuess, OnekError, SpreadError

if TYPE_CHECKING:
    from engine.gallery.gallery import Gallery
    from engine.templates.enrolment import Source
    from engine.workflows.ray_workers import Workers as SpreadWorkers

# Exit statuses.
PROBLEMS, CHANGE_SOMETHING, NOT_THE_SAME, INTERRUPTED = 3, 2, 4, 130

app = typer.Typer(
    name="onek",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Recognise one in K: photographs or vectors in, names or 'unknown' out.",
)

Photos = Annotated[
    list[Path], typer.Argument(metavar="PHOTOS...", help="Folders, image files, or CSV/Parquet lists with path and identity.")
]
GalleryOption = Annotated[
    str, typer.Option("--gallery", "-g", metavar="GALLERY", help="The gallery to search: a folder, or milvus://HOST:PORT/NAME.")
]
Score = Annotated[float | None, typer.Option("--threshold", metavar="SCORE", help="Largest score that is accepted, instead.")]
Distance = Annotated[
    float | None,
    typer.Option("--threshold", metavar="DISTANCE", help="Largest distance that is accepted, 0 to 2. Default: the encoder's."),
]
Faces = Annotated[
    str | None,
    typer.Option(
        metavar="largest|all|none", help="Which faces of a photograph; none: it is a face crop. Default: as the gallery was made."
    ),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of the search. Default: one a core.")]
OwnEncoder = Annotated[
    str | None, typer.Option(metavar="PATH", help="The gallery's encoder, where that is a file: none is loaded unasked.")
]
OwnProjection = Annotated[
    Path | None, typer.Option("--projection", metavar="P.npz", help="The same for the projection behind it.")
]
Weights = Annotated[
    Path | None, typer.Option(metavar="FOLDER|FILE", help="The encoder's weights, where they do not come with onek.")
]
Runtime = Annotated[
    str | None,
    typer.Option(
        metavar="opencv|openvino|openvino-half", help="What runs the encoder. Default: OpenVINO, where it is, for 100 and more."
    ),
]

On = Annotated[
    str | None,
    typer.Option("--on", metavar="ray[=HOST:PORT]", help="Do the work on Ray, here or on a cluster that sees the same files."),
]
Workers = Annotated[int | None, typer.Option(min=1, help="With --on: processes. Default: one for each CPU, or GPU.")]
Head = Annotated[Path | None, typer.Option("--head", metavar="H.npz", help="What onek train-head made.")]


@app.callback(invoke_without_command=True)
def _root(show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if show_version:
        typer.echo(f"onek {version('onek')}")
        raise typer.Exit
    _say_guesses()


@app.command()
def embed(
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
        typer.Option(metavar="folder|stem|none|FILE", help="Whose photographs they are. Default: from the shape of the folder."),
    ] = None,
    sources: Annotated[
        bool, typer.Option("--source/--no-source", help="Whether templates say which photograph they are of.")
    ] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run to the same output.")] = False,
    on: On = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Make templates of photographs, and name those that gave none in T.problems.csv."""
    from engine.cli.console import announce_labels, progress, thousands, told_what_is_left_out
    from engine.cli.console import out as console
    from engine.embedding.embedder import Embedder
    from engine.embedding.photographs import label_photographs
    from engine.encoders import load_encoder
    from engine.workflows.embed_files import check_embed_output, embed_to_file

    read = [*photos, Path(encoder), *(Path(each) for each in (labels, weights, projection) if each)]
    check_embed_output(out, overwrite=overwrite, resume=resume, inputs=read)
    with told_what_is_left_out() as left_out:
        labelled = label_photographs(photos, labels or ("none" if faces == "all" else None), left_out)
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
    with _spread(on, workers) as spread, progress("embedding", len(photographs)) as done:
        if spread is not None:
            from engine.workflows.ray_workers import SpreadEmbedder

            embedder = SpreadEmbedder(embedder, load, spread)
        made = embed_to_file(photographs, embedder, out, overwrite=overwrite, resume=resume, sources=sources, progress=done)
    console.print(
        f"{thousands(made.images)} images: {thousands(made.templates)} templates in {out}, "
        f"{thousands(made.problems)} problems in {made.problems_file}"
    )
    if made.unseen.faces:
        console.print(f"{made.unseen}; --faces all looks at them")
    if made.problems:
        raise typer.Exit(PROBLEMS)


@app.command("build-index")
def build_index(
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
            metavar="plain|local", help="The distance, or the locally scaled one. Default: local from 50 identities on."
        ),
    ] = None,
    fuse: Annotated[
        int, typer.Option(min=1, metavar="M", help="An identity is as far as the mean of its M nearest templates.")
    ] = 1,
    milvus: Annotated[
        str | None,
        typer.Option(metavar="replicas=2,shards=8,...", help="Also resource-groups=A+B, mmap=yes, consistency=bounded."),
    ] = None,
    threads: Threads = None,
    overwrite: Overwrite = False,
) -> None:
    """Build a gallery: the templates, the index that suits their number, what it knows of strangers, and its catalogue."""
    _limit_threads(threads)
    from engine.cli.console import announce, bytes_of, stages, thousands
    from engine.cli.console import out as console
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
    console.print(
        f"{thousands(info.templates)} templates of {thousands(info.identities)} identities in {out} "
        f"({info.index} index, {info.dim} dimensions)"
    )
    if isinstance(info, GalleryInfo) and info.operating:
        console.print(
            f"it finds {100 * info.operating.recall:.2f} % of the exact rank-1 answers, at {info.operating.visits} of "
            f"{info.operating.of_visits} visits and a shortlist of {info.operating.shortlist}"
        )
    _doubt_one_person(built)
    print_calibration(info.calibration, info.score)
    console.print(default_line(built))


@app.command()
def identify(
    probes: Annotated[list[Path], typer.Argument(metavar="PROBES...", help="Photographs as for embed, or one template file.")],
    gallery: GalleryOption,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="R.parquet|.csv|.jsonl", help="The results file to write.")],
    fpir: Fpir = None,
    threshold: Score = None,
    top: Annotated[int, typer.Option(min=1, help="Candidates to list for each probe.")] = 5,
    faces: Faces = None,
    encoder: OwnEncoder = None,
    weights: Weights = None,
    projection: OwnProjection = None,
    runtime: Runtime = None,
    head: Head = None,
    threads: Threads = None,
    on: On = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Say of each probe who it is, or that it is unknown. Photographs without a face say failed."""
    _limit_threads(threads)
    from engine.cli.console import out as console
    from engine.cli.console import progress, thousands, told_what_is_left_out
    from engine.matching.pair_verifier import read_head
    from engine.workflows.identify_files import check_results_output, count_probes, identify_to_file
    from engine.workflows.locations import open_gallery

    check_results_output(out, [*probes, *([head] if head else [])], overwrite)
    opened = open_gallery(gallery)
    with (
        told_what_is_left_out() as left_out,
        _spread(on, workers) as spread,
        progress("identifying", count_probes(probes)) as done,
    ):
        made = identify_to_file(
            opened,
            probes,
            out,
            threshold=threshold,
            fpir=fpir,
            top=top,
            faces=faces,
            encoder=encoder,
            weights=weights,
            projection=projection,
            runtime=runtime,
            head=None if head is None else read_head(head),
            overwrite=overwrite,
            workers=spread,
            progress=done,
            left_out=left_out,
        )
    counts = made.counts
    problems = f"; reasons in {made.problems_file}" if counts.failed else ""
    console.print(str(made.threshold))
    console.print(
        f"{thousands(counts.probes)} probe faces: {thousands(counts.identified)} identified, "
        f"{thousands(counts.unknown)} unknown, {thousands(counts.failed)} failed, in {out}{problems}"
    )
    if made.unseen.faces:
        console.print(f"{made.unseen}; --faces all looks at them")
    if counts.failed:
        raise typer.Exit(PROBLEMS)


@app.command()
def verify(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO")],
    identity: Annotated[str, typer.Argument(metavar="IDENTITY", help="Who the photograph is said to show.")],
    gallery: GalleryOption,
    threshold: Distance = None,
    fmr: Fmr = None,
    faces: Annotated[str | None, typer.Option(metavar="largest|none", help="none: the photograph is a face crop.")] = None,
    encoder: OwnEncoder = None,
    weights: Weights = None,
    projection: OwnProjection = None,
    head: Head = None,
) -> None:
    """Compare one photograph with one enrolled identity. Exit status: 0 the same, 4 not the same."""
    from engine.cli.console import out as console
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
    )
    answer = "the same" if found.same else "not the same"
    limit = str(opened.match_threshold(threshold, fmr)) if learnt is None else f"p(same) {found.probability:.4f} by the head"
    console.print(f"{answer}: {found.probe} is {found.distance:.4f} from {found.identity}; {limit}")
    if not found.same:
        raise typer.Exit(NOT_THE_SAME)


app.command("info")(info_command)
app.command("encoders")(encoders_command)
app.command("enroll")(enroll_command)
app.command("remove")(remove_command)
app.command("rename")(rename_command)
app.command("list")(list_command)
app.command("compact")(compact_command)
app.command("backup")(backup_command)
app.command("merge")(merge_command)
app.command("check")(check_command)
app.command("train")(train_command)
app.command("train-projection")(train_projection_command)
app.command("train-head")(train_head_command)
app.command("project")(project_command)
app.command("explain")(explain_command)
app.command("explain-encoder")(explain_encoder_command)
app.command("calibrate")(calibrate_command)
app.command("audit")(audit_command)
app.command("serve")(serve_command)
app.add_typer(token, name="token")


def _doubt_one_person(built: "Gallery") -> None:
    """Warn of a gallery whose templates are nearly all of one identity. Of one in Milvus every row would be asked for."""
    from engine.cli.console import err
    from engine.templates.names import one_person

    if built.capabilities.files and (doubt := one_person(Counter(dict(built.templates_by_identity())), "templates")):
        err.print(f"warning: {doubt}; onek embed --labels says otherwise")


def _say_guesses() -> None:
    """Print what is guessed of a list as a line of its own; other warnings go their way."""
    others = warnings.showwarning

    def say(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, ListGuess):
            from engine.cli.console import err

            err.print(str(message))
        else:
            others(message, category, *where, **more)

    warnings.simplefilter("always", ListGuess)
    warnings.showwarning = say


def _tidy_at_the_end() -> None:
    """Whoever ends this process politely (`kill`, a closed terminal) is heard as Ctrl-C is, so that nothing is left half made."""
    for name in ("SIGTERM", "SIGHUP"):
        asked = getattr(signal, name, None)
        if asked is not None and signal.getsignal(asked) == signal.SIG_DFL:
            signal.signal(asked, signal.default_int_handler)


def _spread(on: str | None, workers: int | None) -> AbstractContextManager["SpreadWorkers | None"]:
    if on is None:
        if workers is not None:
            raise SpreadError(f"--workers {workers} goes with --on ray; --threads says how many threads search here")
        return nullcontext()
    from engine.workflows.ray_workers import workers_on

    return workers_on(on, workers)


def _limit_threads(threads: int | None) -> None:
    """Before NumPy and FAISS are loaded: they read these once."""
    if threads:
        os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(threads)


def main() -> None:
    """Run the command line; every error that the user can mend ends in one line and exit status 2."""
    _tidy_at_the_end()
    give_large_blocks_back()
    for command in entry_points(group="onek.commands"):
        loaded = command.load()
        if isinstance(loaded, typer.Typer):
            app.add_typer(loaded, name=command.name)
        else:
            app.command(command.name)(loaded)
    try:
        app()
    except OnekError as error:
        from engine.files.escaping import shown
        from engine.files.object_storage import as_given

        typer.echo(f"onek: {shown(as_given(str(error)))}", err=True)
        sys.exit(CHANGE_SOMETHING)
    except SystemExit as end:  # Typer turns Ctrl-C into this one, and says nothing
        if end.code == INTERRUPTED:
            typer.echo(f"onek: interrupted; {_left()}", err=True)
        raise


def _left() -> str:
    """What an interrupted command has left, as far as it came."""
    from engine.files.atomic_files import outputs_finished
    from engine.files.escaping import shown
    from engine.files.object_storage import uri

    if not (finished := outputs_finished()):
        return (
            "nothing was left under its final name (embed goes on with --resume); "
            "a gallery that was being changed is as before the change, or after it"
        )
    return f"{shown(', '.join(uri(path) for path in finished))}: finished, and whole"
