"""The commands `onek benchmark accuracy`, `shift` and `lfw`: parse, call, print."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np

Photos = Annotated[Path | None, typer.Option("--photos", metavar="FOLDER", help="Labelled photographs, such as LFW.")]
TemplateFiles = Annotated[
    list[Path], typer.Option("--templates", metavar="T.parquet", help="Labelled templates instead; give it several times.")
]
Encoders = Annotated[list[str], typer.Option("--encoder", help="For photographs; give it several times.")]
Scores = Annotated[list[str], typer.Option("--score", metavar="plain|local|quality", help="Give it several times.")]
WithoutOption = Annotated[
    Path | None,
    typer.Option("--without", metavar="AUDIT.csv", help="Leave out what onek audit calls more likely wrong than not."),
]


def accuracy_command(
    photos: Photos = None,
    templates: TemplateFiles = [],  # noqa: B006
    encoders: Encoders = ["sface"],  # noqa: B006
    scores: Scores = ["plain", "local"],  # noqa: B006
    splits: Annotated[int, typer.Option(min=1, help="How often people are split into enrolled and strangers.")] = 10,
    without: WithoutOption = None,
    distractors: Annotated[
        str | None,
        typer.Option(
            metavar="N|T.parquet", help="Enrol further people behind all others: N synthetic ones, or templates. In one split."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Raw scores and curves; a run resumes.")] = Path(
        "accuracy-benchmark"
    ),
) -> None:
    """How accuracy changes as the gallery grows: rank-1, TPIR at FPIR, and the FPIR that is really obtained."""
    from benchmarks.accuracy.curves import accuracy_table, alarms_table, draw, fixed_table
    from benchmarks.accuracy.sweep import Without, line, people_of, rows_of, sweep
    from benchmarks.data.labelled_templates import labelled
    from benchmarks.reporting import show
    from engine.cli.console import err
    from engine.cli.console import out as console
    from engine.evaluation.splits import LEAST_IDENTITIES

    left_out = None if without is None else Without.read(without)
    for made in labelled(photos, templates, encoders, out, least=LEAST_IDENTITIES):
        people = people_of(made, left_out)
        times = sweep(
            people,
            scores,
            out,
            splits=splits,
            distractors=_distractors(distractors, people.vectors.shape[1]),
            said=lambda what: err.print(what),
        )
        took = "everything was there already" if times is None else f"the whole sweep took {times:.2f} times its largest K"
        console.print(f"{people.encoder}: {took}")
    rows = rows_of(out)
    console.print(accuracy_table(rows))
    console.print(alarms_table(rows, "obtained", "FPIR obtained / asked for, the gallery's own threshold"))
    console.print(alarms_table(rows, "foretold", "The same with the threshold that a gallery a tenth as large foretold"))
    console.print(fixed_table(rows))
    for encoder, score in dict.fromkeys((row.encoder, row.score) for row in rows):
        own = [row for row in rows if (row.encoder, row.score) == (encoder, score)]
        for name in ("rank1", "tpir@fpir=0.01"):
            if fitted := line(own, name):
                console.print(
                    f"{encoder}, {score}: {name} moves by {100 * fitted[0]:.1f} points a tenfold of K (R2 {fitted[1]:.3f})"
                )
    drawn = draw(rows, out / "accuracy")
    show(drawn[-1], "Accuracy, false alarms and the fixed threshold against K")
    console.print(f"curves in {', '.join(map(str, drawn))}, raw scores beside them")


def _distractors(given: str | None, dim: int) -> "np.ndarray | None":
    from benchmarks.data.synthetic_templates import Population, Shape
    from engine.errors import TemplatesError
    from engine.templates.parquet import read_templates

    if given is None:
        return None
    vectors = Population(Shape.load(), seed=1).templates(0, int(given)) if given.isdigit() else read_templates(given).vectors
    if vectors.shape[1] != dim:
        raise TemplatesError(f"the distractors have {vectors.shape[1]} dimensions, the templates {dim}")
    return vectors


def shift_command(
    photos: Annotated[Path, typer.Option("--photos", metavar="FOLDER", help="Labelled photographs, such as LFW.")],
    encoder: Annotated[str, typer.Option(metavar="NAME|PATH")] = "sface",
    scores: Scores = ["plain", "local"],  # noqa: B006
    identities: Annotated[int, typer.Option(min=50, help="To enrol; the others are strangers.")] = 1000,
    splits: Annotated[int, typer.Option(min=1)] = 10,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Templates are kept here.")] = Path("shift-benchmark"),
) -> None:
    """False alarms when probes are blurred, small, recompressed or dark and the enrolled pictures are not, and the reverse."""
    from rich.table import Table

    from benchmarks.accuracy.domain_shift import CLEAN, measure_shifts
    from benchmarks.data.degraded_photographs import DEGRADATIONS
    from benchmarks.data.labelled_templates import embedded
    from engine.cli.console import out as console
    from engine.embedding.photographs import find_photographs

    photographs = find_photographs([photos], "folder")
    kinds = {CLEAN: embedded(photographs, encoder, out / f"{encoder}-clean.parquet")}
    for kind, degrade in DEGRADATIONS.items():
        kinds[kind] = embedded(photographs, encoder, out / f"{encoder}-{kind}.parquet", degrade)
    for score in scores:
        table = Table("enrolled", "probes", "0.3%", "1%", "3%", "10%", "cohort 1%", "3%", "10%", "found at 1%")
        table.title = f"FPIR obtained / asked for: {score} score, K = {identities:,}"
        for row in measure_shifts(kinds, score, identities=identities, splits=splits):
            own = [f"{row.obtained[rate].mean:.2f}" if rate in row.obtained else "" for rate in (0.003, 0.01, 0.03, 0.1)]
            given = [f"{row.cohort[rate].mean:.2f}" if rate in row.cohort else "" for rate in (0.01, 0.03, 0.1)]
            table.add_row(row.enrolled, row.probes, *own, *given, f"{100 * row.found.mean:.1f}%")
        console.print(table)


def lfw_command(
    photos: Annotated[Path, typer.Option("--photos", metavar="LFW", help="LFW's folder: one folder for each identity.")],
    pairs: Annotated[
        Path | None, typer.Option(metavar="pairs.txt", help="A list as LFW ships it. Default: the one beside the photographs.")
    ] = None,
    encoders: Encoders = ["sface"],  # noqa: B006
    scores: Scores = ["plain", "local"],  # noqa: B006
    fuse: Annotated[list[int], typer.Option(help="Nearest templates of an identity that are averaged; several times.")] = [1, 3],  # noqa: B006
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Templates are kept here.")] = Path("lfw-benchmark"),
) -> None:
    """LFW's protocols: verification in ten folds, and open-set identification O1, O2, O3; encoders side by side."""
    from rich.table import Table

    from benchmarks.accuracy.verification import of_vectors, require_both_kinds
    from benchmarks.data.labelled_templates import embedded
    from benchmarks.data.lfw import ENROLLED, PEOPLE, RATES, find_list, known_pairs, open_set, read_lfw_pairs
    from engine.cli.console import err
    from engine.cli.console import out as console
    from engine.embedding.photographs import find_photographs

    photographs = find_photographs([photos], "folder")
    listed = pairs or find_list(photos)
    there = []
    if listed is None:
        console.print(f"verification: no pairs.txt in {photos} or beside it, and no --pairs, so it was left out")
    else:
        wanted = read_lfw_pairs(listed)
        there = known_pairs(photos, wanted)
        require_both_kinds(there)
    names = ["rank1", *(f"tpir@fpir={rate:g}" for rate in RATES)]
    heads = (
        "encoder",
        "score",
        "fused",
        "rank-1",
        *(f"TPIR {rate:.1%}" for rate in RATES),
        *(f"got {rate:.1%}" for rate in RATES),
    )
    table = Table("", *heads, title="95 % intervals by identity")
    table.caption = "-: the gallery's own searches say too little of the rate, so that it gives no threshold"
    for encoder in encoders:
        templates = embedded(photographs, encoder, out / f"templates-{encoder}.parquet")
        if listed is not None:
            accuracy = of_vectors(photos, there, templates)
            console.print(
                f"{encoder}: verification, {len(there):,} of the {len(wanted):,} pairs of {listed.name}: "
                f"{100 * accuracy.mean:.2f} % +- {100 * accuracy.standard_error:.2f}, threshold {accuracy.threshold:.3f}"
            )
        for score in scores:
            for nearest in fuse:
                for row in open_set(templates, score, nearest, said=lambda what: err.print(what)):
                    figures = [row.figures[name] for name in names]
                    shown = [f"{100 * one.mean:.1f} ({100 * one.low:.1f}-{100 * one.high:.1f})" for one in figures]
                    got = [row.figures.get(f"obtained@fpir={rate:g}") for rate in RATES]
                    obtained = (f"{one.mean:.2%}" if one else "-" for one in got)
                    table.add_row(row.protocol, encoder, score, str(nearest), *shown, *obtained)
                    sizes = f"{row.identities:,} identities, {ENROLLED} images each; {row.mated:,} mated probes"
        missing = PEOPLE - len(set(templates.table["identity"].to_pylist()))
        console.print(
            f"{encoder}: {sizes}" + (f"; not the whole protocol, {missing:,} of LFW's people are not here" if missing > 0 else "")
        )
    console.print(table)


def audit_command(
    templates: Annotated[Path, typer.Option("--templates", metavar="T.parquet", help="Labelled templates, such as LFW's.")],
    rounds: Annotated[int, typer.Option(min=1)] = 3,
) -> None:
    """Plant 50 mistakes of each kind, and see how many `onek audit` lists among its 100 worst."""
    import tempfile

    from benchmarks.data.planted_errors import measure_audit, measure_merged
    from engine.cli.console import out as console
    from engine.templates.parquet import read_templates

    read = read_templates(templates)
    for seed in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            made = measure_audit(read, Path(folder, "gallery"), seed)
        console.print(
            f"of {made.planted} people under two names {made.names} are among the {made.listed} worst "
            f"(the last at {made.last_name}), of {made.planted} wrong images {made.images} (the last at {made.last_image})"
        )
        with tempfile.TemporaryDirectory() as folder:
            merged = measure_merged(read, Path(folder, "gallery"), seed)
        console.print(
            f"of {merged.planted} identities that are two people each {merged.groups} are among the {merged.listed} worst of two "
            f"groups (the last at {merged.last}), and of {merged.images} an image is among the worst wrong images"
        )
