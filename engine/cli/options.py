"""What commands share: their options, and their exit statuses."""

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import SpreadError
from engine.statistics.rates import read_rate, read_share

if TYPE_CHECKING:
    from engine.workflows.ray_workers import Workers as SpreadWorkers

# Exit statuses.
PROBLEMS, CHANGE_SOMETHING, NOT_THE_SAME, INTERRUPTED = 3, 2, 4, 130

Photos = Annotated[
    list[Path], typer.Argument(metavar="PHOTOS...", help="Folders, image files, or CSV/Parquet lists with path and identity.")
]
GalleryOption = Annotated[
    str, typer.Option("--gallery", "-g", metavar="GALLERY", help="The gallery to search: a folder, or milvus://HOST:PORT/NAME.")
]
Fpir = Annotated[
    float | None,
    typer.Option(
        "--fpir",
        metavar="RATE",
        parser=read_rate,
        help="The share of strangers' searches that may get a name, such as 0.003 or 0.3%. Default: 1%.",
    ),
]
Fmr = Annotated[
    float | None,
    typer.Option(
        "--fmr",
        metavar="RATE",
        parser=read_rate,
        help="Instead: the share of pairs of different people that may be called the same, such as 0.1%.",
    ),
]
Quality = Annotated[
    float,
    typer.Option(
        "--quality",
        metavar="SHARE",
        parser=read_share,
        help="The share of ordinary photographs that must be worse, such as 1%; what is worth less is a problem. 0 takes all.",
        show_default="0.1%",
    ),
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
OwnWeights = Annotated[Path | None, typer.Option("--weights", metavar="FOLDER|FILE", help="The same for its weights.")]
OwnProjection = Annotated[
    Path | None, typer.Option("--projection", metavar="P.npz", help="The same for the projection behind it.")
]
Weights = Annotated[
    Path | None, typer.Option(metavar="FOLDER|FILE", help="The encoder's weights, where they do not come with onek.")
]
Runtime = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What runs the encoder: opencv, openvino or openvino-half. Default: OpenVINO, where it is, for 100 and more.",
    ),
]
On = Annotated[
    str | None,
    typer.Option("--on", metavar="ray[=HOST:PORT]", help="Do the work on Ray, here or on a cluster that sees the same files."),
]
Workers = Annotated[int | None, typer.Option(min=1, help="With --on: processes. Default: one for each CPU, or GPU.")]
Head = Annotated[Path | None, typer.Option("--head", metavar="H.npz", help="What onek train-head made.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
Wait = Annotated[
    float | None,
    typer.Option(min=0, metavar="SECONDS", help="How long to wait for another writer. Default: 10.", show_default=False),
]


def spread_over(on: str | None, workers: int | None) -> AbstractContextManager["SpreadWorkers | None"]:
    """The workers that `--on` and `--workers` ask for, while the block lasts; None: the work is done here."""
    if on is None:
        if workers is not None:
            raise SpreadError(f"--workers {workers} goes with --on ray; --threads says how many threads search here")
        return nullcontext()
    from engine.workflows.ray_workers import workers_on

    return workers_on(on, workers)


def limit_threads(threads: int | None) -> None:
    """Before NumPy and FAISS are loaded: they read these once."""
    if threads:
        os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
