"""The commands `onek benchmark styles` and `style-augment`: parse, call, print."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from engine.training.validation import Figures


def styles_command(
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where they go: learnt/ and aside/.")] = Path("styles"),
) -> None:
    """Draw pictures in styles: four to train with, and four that are kept aside to measure with."""
    from benchmarks.style.drawn_styles import ASIDE, LEARNT, write_styles
    from engine.cli.console import out as console

    for part, hands in (("learnt", LEARNT), ("aside", ASIDE)):
        written = write_styles(out / part, hands)
        console.print(f"{out / part}: {', '.join(path.stem for path in written)}")


def style_augment_command(
    photos: Annotated[Path, typer.Option("--photos", metavar="FOLDER", help="Labelled photographs, such as LFW.")],
    people: Annotated[int, typer.Option(min=10, help="Mated probes, and strangers, that are brought into styles.")] = 50,
    seeds: Annotated[int, typer.Option(min=1, help="How often two networks are trained.")] = 2,
    epochs: Annotated[int, typer.Option(min=1, help="Of 55 steps of 96 photographs.")] = 5,
    steps: Annotated[int, typer.Option(min=1, help="Of style transfer.")] = 15,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="What is made is kept, and taken again, here.")] = Path(
        "style-augment-benchmark"
    ),
) -> None:
    """Whether training with some styles helps against others, on people that were not trained on."""
    from rich.table import Table

    from benchmarks.style.augmentation import compared, measure_style_augmentation
    from engine.cli.console import err
    from engine.cli.console import out as console
    from engine.embedding.photographs import find_photographs

    photographs = find_photographs([photos], "folder")
    made = measure_style_augmentation(photographs, out, people=people, seeds=seeds, epochs=epochs, steps=steps, said=err.print)
    shown: Mapping[str, Callable[[Figures], float]] = {
        "rank-1": lambda each: each.rank1,
        "TPIR at FPIR 1 %": lambda each: each.tpir,
        "EER": lambda each: each.eer,
    }
    for name, of in shown.items():
        table = Table("probes in the style", "strength", "without", "with styles", "difference, seed by seed")
        table.title = f"{name}, per cent"
        for style, strength, without, styled, differences in compared(made, of):
            said = ", ".join(f"{100 * each:+.1f}" for each in differences)
            table.add_row(style, str(strength or ""), f"{100 * without:.1f}", f"{100 * styled:.1f}", said)
        console.print(table)
