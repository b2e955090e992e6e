"""The command that brings a picture into the style of another: `stylise`. Parse, call, print."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import Overwrite

if TYPE_CHECKING:
    import numpy as np


def stylise_command(
    content: Annotated[Path, typer.Argument(metavar="CONTENT", help="The picture whose content is kept.")],
    style: Annotated[Path, typer.Argument(metavar="STYLE", help="The picture whose style it takes.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="P.png", help="The picture to write.")],
    steps: Annotated[int, typer.Option(min=1, help="Of the optimizer.")] = 150,
    every: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Also write what it is after every N steps: P.0050.png, ...")
    ] = None,
    content_weight: Annotated[float, typer.Option("--content", metavar="WEIGHT", help="Of the content's cost.")] = 10.0,
    style_weight: Annotated[float, typer.Option("--style", metavar="WEIGHT", help="Of the style's cost.")] = 400.0,
    variation: Annotated[float, typer.Option(metavar="WEIGHT", help="Of total variation: how smooth it is.")] = 1e-5,
    noise: Annotated[float, typer.Option(metavar="GREYS", help="How far each pixel is moved at the beginning.")] = 20.0,
    optimizer: Annotated[str, typer.Option(metavar="adam|lbfgs", help="lbfgs: fewer steps, each of a look or two.")] = "adam",
    side: Annotated[int, typer.Option(min=150, max=1110, metavar="PIXELS", help="Of the longer side, about.")] = 342,
    seed: Annotated[int, typer.Option(min=0, help="The same seed, the same picture.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Paint a picture in the style of another.

    By the layers of dlib-resnet, a network of faces.
    """
    from engine.cli.console import progress, tell
    from engine.files.outputs import check_outputs
    from engine.style.pictures import check_picture, read_content, read_style, step_path, write_picture
    from engine.style.transfer import Styling, stylised

    how = Styling(steps, content_weight, style_weight, variation, noise, seed, optimizer)
    how.check()
    check_picture(out)
    between = range(every, steps, every) if every else range(0)
    check_outputs(out, [content, style], overwrite, [step_path(out, number) for number in between])
    picture, painted = read_content(content, side), read_style(style)
    costs: list[float] = []
    with progress("stylising", steps) as done:

        def told(number: int, cost: "np.ndarray", so_far: "Callable[[], np.ndarray]") -> None:
            costs.append(float(cost[0]))
            if number in between:
                write_picture(so_far()[0], step_path(out, number))
            done(1)

        made = stylised(picture[None], painted, how, told)[0]
    write_picture(made, out)
    tell(
        f"{out}: {made.shape[1]} x {made.shape[0]} pixels, cost {costs[0]:.4g} at the first step, {costs[-1]:.4g} at the last",
        picture_file=str(out),
        width=made.shape[1],
        height=made.shape[0],
        cost_before=costs[0],
        cost=costs[-1],
    )
