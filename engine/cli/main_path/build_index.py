"""`build-index`: templates in, a gallery out, and doubts about what was enrolled. Parse, call, print."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import Overwrite, Threads, limit_threads
from engine.cli.thresholds import print_calibration, tell_default
from engine.templates.quality import LEAST

if TYPE_CHECKING:
    from engine.gallery.gallery import Gallery
    from engine.templates.enrolment import Source


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
        float,
        typer.Option(metavar="SHARE", help="Of an exhaustive search's identifications, to be the same; 1 is exact."),
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
        point = info.operating
        decides = "" if point.identified is None else f"{100 * point.identified:.2f} % of whom an exhaustive search identifies, "
        tell(
            f"it finds {decides}{100 * point.recall:.2f} % of the exact rank-1 answers, at {point.visits} of "
            f"{point.of_visits} visits and a shortlist of {point.shortlist}"
            + (f"; plain cases stop after {point.first}" if point.first else "")
        )
    _doubt_one_person(built)
    _doubt_quality(built)
    print_calibration(info.calibration, info.score)
    tell_default(built)


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
