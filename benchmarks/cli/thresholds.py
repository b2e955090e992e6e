"""The commands `onek benchmark impostors`, `small-galleries`, `fit-quality` and `quality`: parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

TemplateFile = Annotated[
    Path, typer.Option("--templates", metavar="T.parquet", help="Labelled templates of thousands of people.")
]


def impostors_command(
    templates: TemplateFile,
    whose: Annotated[str, typer.Option(help="Who these people are, for the record.")] = "people of LFW's development split",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the table beside the encoders, for the encoder's card.")] = False,
    resamples: Annotated[int, typer.Option(min=20, help="How often people are drawn anew for the uncertainty.")] = 200,
) -> None:
    """How often two people's templates come as near as a distance, from 1 in 10 to 1 in 100,000, and how sure that is."""
    from benchmarks.accuracy.impostors import keep as keep_table
    from benchmarks.accuracy.impostors import measure_impostors
    from engine.cli.console import out as console
    from engine.templates.parquet import read_templates

    made = measure_impostors(read_templates(templates), whose, resamples=resamples)
    console.print(f"{made.encoder}: {made.pairs:,} pairs of {made.people:,} people, one template each")
    for rate, square, deviation in zip(made.rates, made.squares, made.deviations, strict=True):
        console.print(
            f"  FMR {rate:<7g} squared distance {square:.4f} (distance {square**0.5:.4f}), {rate * made.pairs:,.0f} pairs, "
            f"the rate +- {100 * deviation:.0f} %"
        )
    if keep:
        console.print(f"kept in {keep_table(made)}")


def small_galleries_command(
    templates: TemplateFile,
    draws: Annotated[int, typer.Option(min=1, help="Galleries of each size, from each split.")] = 25,
    splits: Annotated[int, typer.Option(min=1, help="How often people are split in two halves.")] = 4,
    walks: Annotated[int, typer.Option(min=0, help="Walks from 100 people to 5 and up again.")] = 8,
    each: Annotated[int, typer.Option(min=1, help="Templates of every enrolled identity.")] = 1,
    shipped: Annotated[
        bool, typer.Option("--shipped", help="Decide by the table that comes with onek, not by one of the other half.")
    ] = False,
) -> None:
    """FPIR and TPIR of galleries of 1 to 200 people at the default threshold, and after each step of walks between 100 and 5."""
    from rich.table import Table

    from benchmarks.accuracy.small_galleries import measure_small, measure_walks
    from engine.cli.console import out as console
    from engine.cli.console import stages
    from engine.templates.parquet import read_templates

    read = read_templates(templates)
    with stages() as told:
        drawn = measure_small(read, draws=draws, splits=splits, each=each, shipped=shipped, progress=told)
        walked = measure_walks(read, walks=walks, shipped=shipped, progress=told) if walks else []
    for title, rows in (("K", drawn), ("K after a step", walked)):
        table = Table(title, "galleries", "FPIR", "from gallery to gallery", "TPIR")
        for row in rows:
            size = f"{row.least}" if row.least == row.most else f"{row.least} to {row.most}"
            table.add_row(size, str(row.galleries), f"{row.fpir:.2%}", f"+- {row.spread:.2%}", f"{row.tpir:.1%}")
        if rows:
            console.print(table)


Photos = Annotated[Path, typer.Option("--photos", metavar="FOLDER", help="Labelled photographs of thousands of people.")]
Chips = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Chips and templates; a run goes on with them.")]


def fit_quality_command(
    photos: Photos,
    out: Chips = Path("quality-benchmark"),
    encoder: Annotated[str, typer.Option(help="See onek encoders.")] = "sface",
    flip: Annotated[bool | None, typer.Option("--flip/--no-flip", help="Default: see onek encoders.")] = None,
    whose: Annotated[str, typer.Option(help="Who these people are, for the record.")] = "people of LFW's development split",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the table beside the others, for the encoder's card.")] = False,
) -> None:
    """How an encoder's confidence is distributed over ordinary photographs, by half of the people."""
    from benchmarks.quality.fit import fit_quality
    from benchmarks.quality.fit import keep as keep_scale
    from engine.cli.console import out as console
    from engine.cli.console import stages
    from engine.embedding.photographs import find_photographs
    from engine.encoders import load_encoder

    photographs = find_photographs([photos], "folder")
    loaded = load_encoder(encoder, flip=flip, photographs=len(photographs))
    with stages() as told:
        made = fit_quality(photographs, loaded, whose, out / f"chips-{loaded.card.chip.size}", told)
    console.print(f"{made.encoder}: {made.photographs:,} photographs of {made.people:,} people. {made.means}")
    for share, confidence in zip(made.shares, made.confidences, strict=True):
        console.print(f"  {share:<6g} of them below {confidence:.3f}")
    if keep:
        console.print(f"kept in {keep_scale(made)}")


def quality_command(
    photos: Photos,
    splits: Annotated[int, typer.Option(min=2, help="How often people are split into enrolled and strangers.")] = 10,
    without: Annotated[
        Path | None,
        typer.Option("--without", metavar="AUDIT.csv", help="Leave out what onek audit calls more likely wrong than not."),
    ] = None,
    out: Chips = Path("quality-benchmark"),
    encoder: Annotated[str, typer.Option(help="See onek encoders.")] = "sface",
) -> None:
    """What the quality score, the gate, fused templates and calibration for probes bring, on people nothing was fitted on."""
    import numpy as np
    from rich.table import Table

    from benchmarks.accuracy.sweep import Without
    from benchmarks.quality.measured import measure, pictures_of
    from engine.cli.console import out as console
    from engine.cli.console import stages
    from engine.embedding.photographs import find_photographs
    from engine.encoders import load_encoder
    from engine.training.chips import cut_chips

    photographs = find_photographs([photos], "folder")
    loaded = load_encoder(encoder, photographs=len(photographs))
    folder = out / f"chips-{loaded.card.chip.size}"
    folder.mkdir(parents=True, exist_ok=True)
    chips = cut_chips(photographs, loaded.card.chip, "largest", folder)
    failed = {problem.source for problem in chips.problems}
    sources = [photograph.source for photograph in photographs if photograph.source not in failed]
    keep = np.ones(len(sources), bool)
    if without is not None:
        keep = Without.read(without).keeps_pictures(chips.names, sources)
    with stages() as told:
        figures = measure(pictures_of(chips, loaded, keep, out, told), splits, told)
    table = Table("what", "mean", "95 %")
    for figure in figures:
        table.add_row(figure.what, f"{figure.value.mean:.2f}", f"{figure.value.low:.2f} to {figure.value.high:.2f}")
    console.print(table)
