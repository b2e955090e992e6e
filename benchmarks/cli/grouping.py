"""The command `onek benchmark group`: parse, call, print."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from benchmarks.grouping.figures import Figure
    from engine.templates.model import Templates


def group_command(
    templates: Annotated[
        Path | None, typer.Option("--templates", metavar="T.parquet", help="Labelled templates, such as LFW's development split.")
    ] = None,
    halves: Annotated[bool, typer.Option("--halves", help="Of each half of the people instead, the rates alone.")] = False,
    without_peers: Annotated[bool, typer.Option("--no-peers", help="Leave the other methods out.")] = False,
    synthetic: Annotated[
        int | None, typer.Option("--synthetic", metavar="N", min=1000, help="Instead: time and memory of N synthetic templates.")
    ] = None,
) -> None:
    """How right groups of unnamed faces are, beside other methods, what becomes of corrections, and what it costs."""
    from benchmarks.grouping import figures
    from engine.cli.console import err
    from engine.cli.console import out as console
    from engine.errors import TemplatesError
    from engine.templates.parquet import read_templates

    if synthetic is not None:
        _measure_cost(synthetic)
        return
    if templates is None:
        raise TemplatesError("expected --templates T.parquet or --synthetic N")
    made = read_templates(templates)
    if halves:
        people = figures.people_in(made)
        import numpy as np

        side = np.random.default_rng(5).permutation(people.max() + 1)[people] % 2
        for number in (0, 1):
            rows = np.flatnonzero(side == number)
            _print(figures.rates(f"half {number + 1}", figures.part(made, rows), lambda what: err.print(what)))
        return
    _print(figures.rates("all", made, lambda what: err.print(what)))
    if not without_peers:
        _print_peers(made)
    _print(figures.subsets(made, lambda what: err.print(what)))
    _print(figures.lonely(made, lambda what: err.print(what)))
    kept = figures.corrected(made, lambda what: err.print(what))
    console.print(
        f"corrections over {figures.BATCHES} batches and {figures.RUNS} more runs: {kept.violated} violated, "
        f"{kept.renamed} groups renamed; BCubed F {kept.grown.bcubed:.4f} grown from half, {kept.whole.bcubed:.4f} in one run"
    )


def _print(found: "list[Figure]") -> None:
    from rich.table import Table

    from engine.cli.console import out as console

    table = Table("faces", "asked", "BCubed F", "pairwise F", "groups", "wrong", "obtained", "expected", "rule", "seconds")
    for each in found:
        table.add_row(
            each.what,
            "nothing" if each.asked is None else f"{each.asked:.0%}",
            f"{each.found.bcubed:.4f}",
            f"{each.found.pairwise:.4f}",
            str(each.found.groups),
            str(each.found.wrong),
            f"{each.found.rate:.1%}",
            f"{each.expected:.1f}",
            each.rule,
            f"{each.seconds:.0f}",
        )
    console.print(table)


def _print_peers(made: "Templates") -> None:
    from rich.table import Table

    from benchmarks.grouping.figures import people_in
    from benchmarks.grouping.peers import peers
    from engine.cli.console import err
    from engine.cli.console import out as console

    table = Table("method, at its best in hindsight", "with", "BCubed F", "wrong groups", "best pairwise F")
    for each in peers(made.vectors, people_in(made), lambda what: err.print(what)):
        table.add_row(
            each.name,
            each.parameter,
            f"{each.best.bcubed:.4f}",
            f"{each.best.wrong} of {each.best.groups}",
            f"{each.pairwise:.4f}",
        )
    console.print(table)


def _measure_cost(count: int) -> None:
    import os
    import resource

    from benchmarks.grouping.figures import grouped, synthetic
    from engine.cli.console import out as console

    templates = synthetic(count)
    before = resource.getrusage(resource.RUSAGE_SELF)
    figure, _ = grouped(f"{count:,} synthetic", templates)
    after = resource.getrusage(resource.RUSAGE_SELF)
    _print([figure])
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    console.print(
        f"{figure.seconds:.0f} s, of which {os.cpu_count()} cores were busy for {busy:.0f} s together; "
        f"{after.ru_maxrss / (1 << 20):.2f} GiB at most"
    )
