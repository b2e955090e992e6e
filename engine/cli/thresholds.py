"""What the commands say of thresholds, and the option of a rate."""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.statistics.rates import read_rate, read_share

if TYPE_CHECKING:
    from engine.gallery.gallery import Gallery

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


def default_line(gallery: "Gallery") -> str:
    """The default threshold of a gallery in one line, or why it has none."""
    from engine.errors import GalleryError

    try:
        return str(gallery.threshold_used())
    except GalleryError as error:
        return str(error)


def tell_threshold(gallery: "Gallery", before: str) -> None:
    """Say the default threshold of a gallery that was changed, and in a line of its own what it was before, if it has changed."""
    from engine.cli.console import out as console

    now = default_line(gallery)
    console.print(now)
    if now.partition(":")[0] != before.partition(":")[0]:
        console.print(f"that has changed; before: {before}")
