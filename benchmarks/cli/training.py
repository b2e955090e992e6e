"""The commands `onek benchmark learned`, `robustness`, `training` and `signals`: parse, call, print."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from benchmarks.training.robustness import Robustness

Photos = Annotated[Path, typer.Option("--photos", metavar="FOLDER", help="Labelled photographs, such as LFW.")]


def learned_command(
    templates: Annotated[Path, typer.Option("--templates", metavar="T.parquet", help="Labelled templates, such as LFW's.")],
    splits: Annotated[int, typer.Option(min=1)] = 10,
) -> None:
    """Projections and heads learnt on half of the people, on the other half: TPIR at FPIR 1 % and rank-1."""
    from rich.table import Table

    from benchmarks.training.learned import METRICS, measure_learned
    from engine.cli.console import out as console
    from engine.cli.console import stages
    from engine.templates.parquet import read_templates

    with stages() as told:
        rows = measure_learned(read_templates(templates), splits=splits, progress=told)
    table = Table("learnt", "score", "TPIR at FPIR 1 %", "rank-1", title=f"{splits} splits, 95 %")
    for row in rows:
        shown = [
            f"{100 * one.mean:.1f} ({100 * one.low:.1f}-{100 * one.high:.1f})" for one in map(row.figures.get, METRICS) if one
        ]
        table.add_row(row.name, row.score, *shown)
    console.print(table)


def robustness_command(
    photos: Photos,
    encoders: Annotated[list[str], typer.Option("--encoder", metavar="NAME|PATH", help="Give it several times.")] = [  # noqa: B006
        "sface"
    ],
    score: Annotated[str, typer.Option(metavar="plain|local|quality")] = "local",
    people: Annotated[int, typer.Option(min=10, help="Identities to enrol, at most.")] = 500,
    faces: Annotated[str, typer.Option(metavar="largest|none")] = "largest",
    style: Annotated[
        Path | None,
        typer.Option("--style", metavar="FOLDER", help="Probes in the style of its pictures too: seconds a chip."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Of the style's.")] = 60,
    corruptions: Annotated[bool, typer.Option(help="Not in styles alone.")] = True,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Chips are kept, and curves drawn, here.")] = Path(
        "robustness-benchmark"
    ),
) -> None:
    """Accuracy under blur, JPEG, noise, darkness, occlusion, resolution, rotation, grey and styles, in five strengths each."""
    from rich.table import Table

    from benchmarks.data.corrupted_chips import CORRUPTIONS, STRENGTHS
    from benchmarks.training.robustness import CLEAN, draw, measure_robustness
    from engine.cli.console import out as console
    from engine.cli.console import stages
    from engine.embedding.photographs import find_photographs
    from engine.encoders import load_encoder
    from engine.style.pictures import read_styles
    from engine.style.transfer import Styling

    styles = {} if style is None else read_styles(style)
    kinds = tuple(CORRUPTIONS) if corruptions else ()
    with stages() as told:
        rows = measure_robustness(
            find_photographs([photos], "folder"),
            [load_encoder(name) for name in encoders],
            out,
            faces=faces,
            score=score,
            people=people,
            styles=styles,
            how=Styling(steps=steps),
            corruptions=kinds,
            progress=told,
        )
    for encoder in encoders:
        own = {(row.kind, row.strength): row for row in rows if row.encoder == encoder}
        clean = own[CLEAN, 0]
        table = Table("", *(f"{strength}" for strength in STRENGTHS))
        table.title = (
            f"{encoder}, {score}: TPIR at FPIR 1 % (rank-1; FPIR obtained / asked at 1 %, by the gallery's own threshold); "
            f"clean {_cell(clean)}"
        )
        for kind in (*kinds, *styles):
            table.add_row(kind, *(_cell(own[kind, strength]) for strength in STRENGTHS))
        console.print(table)
    draw(rows, out / "robustness.png")
    console.print(f"curves in {out / 'robustness.png'}")


def _cell(row: "Robustness") -> str:
    return f"{100 * row.tpir:.1f} ({100 * row.rank1:.1f}; {row.obtained:.1f})"


def training_command(rounds: Annotated[int, typer.Option(min=1)] = 5, steps: Annotated[int, typer.Option(min=1)] = 30) -> None:
    """Training throughput beside a bare Keras train_on_batch loop over chips in memory, in turns."""
    from benchmarks.training.throughput import measure_training
    from engine.cli.console import out as console
    from engine.cli.console import stages

    with stages() as told:
        made = measure_training(rounds, steps, told)
    console.print(
        f"{made.ours:.0f} images/s, a bare train_on_batch loop {made.bare:.0f}: {100 * made.ratio:.0f} % of it "
        f"({100 * made.low:.0f} to {100 * made.high:.0f} in single rounds)"
    )


def signals_command(
    splits: Annotated[int, typer.Option(min=2, help="How often those measured on are split into enrolled and strangers.")] = 10,
    only: Annotated[str | None, typer.Option(metavar="hearts|solids", help="Default: both.")] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Recordings, scans and networks go here.")] = Path(
        "signals-benchmark"
    ),
) -> None:
    """Made-up hearts and solids: networks on identities that they were not trained on, raw arrays and spectra beside them."""
    from rich.table import Table

    from benchmarks.signals.measured import FIGURES, HEARTS, SOLIDS, measure_signals
    from engine.cli.console import err
    from engine.cli.console import out as console
    from engine.errors import TrainingError

    known = {made_up.called: made_up for made_up in (HEARTS, SOLIDS)}
    if only not in (None, *known):
        raise TrainingError(f"--only {only}: expected {' or '.join(known)}")
    for made_up in known.values() if only is None else [known[only]]:
        rows = measure_signals(made_up, out, splits=splits, said=err.print)
        table = Table("", *FIGURES)
        table.title = f"{made_up.called}, {made_up.measured} not trained on, K = {made_up.enrolled}, local score"
        for row in rows:
            shown = [row.figures[name] for name in FIGURES]
            table.add_row(row.how, *(f"{one.mean:.3g} ({one.low:.3g}-{one.high:.3g})" for one in shown))
        table.caption = f"means of {splits} splits and where these lie with 95 %; rates in per cent"
        console.print(table)
