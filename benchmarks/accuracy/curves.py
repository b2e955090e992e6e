"""Tables and curves of how accuracy changes with K, drawn from rows of figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.accuracy.sweep import Row, Summary
from engine.evaluation.splits import RATES

_SHARES = [f"{rate:.1%}".replace(".0%", "%") for rate in RATES]


def accuracy_table(rows: Sequence[Row]) -> Table:
    """Rank-1, rank-5, and TPIR at FPIRs that were set on the strangers, in percent."""
    names = ["rank1", "rank5", *(f"tpir@fpir={rate:g}" for rate in RATES)]
    why = "-: strangers are too few to see the rate (0.1 % takes 1,000), or nobody has a second image"
    return _table("Found: rank-1, rank-5, TPIR at FPIR ... (in %)", rows, names, ["r-1", "r-5", *_SHARES], _percent, why)


def alarms_table(rows: Sequence[Row], name: str, title: str) -> Table:
    """The FPIR that was obtained, in units of the one asked for."""
    names = {f"{name}@fpir={rate:g}": rate for rate in RATES}
    smaller = ", or no gallery a tenth as large was measured" if name == "foretold" else ""
    why = f"-: the gallery's own searches say too little of the rate, so that it gives no threshold{smaller}"
    return _table(title, rows, [*names], _SHARES, lambda figure, of: _shown(figure, 1 / names[of], 2), why)


def fixed_table(rows: Sequence[Row]) -> Table:
    """The FPIR of one fixed 1:1 threshold, and what independence of searches would make of its FMR, in percent."""
    own = [row for row in rows if row.score == rows[0].score]
    title = "FPIR of the encoder's 1:1 threshold (in %)"
    why = "none: nothing says a 1:1 threshold of these templates"
    return _table(title, own, ["fixed", "law"], ["obtained", "1 - (1 - FMR)^K"], _percent, why)


def draw(rows: Sequence[Row], path: Path) -> list[Path]:
    """Accuracy, false alarms and the fixed threshold against K, as PNG and SVG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 4.5), layout="constrained")
    accuracy, alarms, fixed = figure.subplots(1, 3)
    for encoder, score in dict.fromkeys((row.encoder, row.score) for row in rows):
        own = [row for row in rows if (row.encoder, row.score) == (encoder, score)]
        _line(accuracy, own, "tpir@fpir=0.01", f"{encoder}, {score}, TPIR", "o-")
        _line(accuracy, own, "rank1", f"{encoder}, {score}, rank-1", "x:")
        for rate, mark in ((0.01, "o-"), (0.1, "s--")):
            _line(alarms, own, f"obtained@fpir={rate:g}", f"{encoder}, {score}, asked {rate:.0%}", mark)
        if score == rows[0].score:
            _line(fixed, own, "fixed", f"{encoder}, obtained", "o-")
            _line(fixed, own, "law", f"{encoder}, 1 - (1 - FMR)^K", "--")
    accuracy.set(ylabel="share of mated searches", title="found at FPIR 1 %")
    # Where no stranger got a name, there is nothing to see on a logarithmic scale.
    seen = any(np.max(line.get_ydata(), initial=0) > 0 for line in alarms.lines)
    alarms.set(yscale="log" if seen else "linear", ylabel="share of strangers who get a name", title="own thresholds")
    fixed.set(ylabel="share of strangers who get a name", title="a fixed 1:1 threshold")
    for axes in (accuracy, fixed):
        axes.set_ylim(top=1)  # no share is more
    for axes in (accuracy, alarms, fixed):
        axes.set(xscale="log", xlabel="identities enrolled")
        if axes.has_data():
            axes.legend(fontsize=7)
    paths = [path.with_suffix(ending) for ending in (".png", ".svg")]
    for each in paths:
        figure.savefig(each, dpi=120)
    return paths


def _line(axes: Any, rows: Sequence[Row], name: str, label: str, style: str) -> None:
    own = [(row.identities, row.figures[name]) for row in rows if name in row.figures]
    if own:
        means = np.array([figure.mean for _, figure in own])
        reach = np.nan_to_num([[figure.mean - figure.low, figure.high - figure.mean] for _, figure in own]).T
        reach[0] = np.minimum(reach[0], means)
        axes.errorbar([size for size, _ in own], means, yerr=reach, fmt=style, label=label)


def _table(title: str, rows: Sequence[Row], names: Sequence[str], heads: Sequence[str], shown: Any, why: str) -> Table:
    """`why`: what a cell without a figure means, which is said where there is one."""
    table = Table(title=title)
    for head in ("encoder, score", "K", *heads):
        table.add_column(head, overflow="fold")
    lacking = False
    for row in rows:
        cells = [shown(row.figures[name], name) if name in row.figures else "-" for name in names]
        lacking |= "-" in cells
        table.add_row(f"{row.encoder}, {row.score}", f"{row.identities:,}", *cells)
    table.caption = why if lacking else None
    return table


def _percent(figure: Summary, _: str) -> str:
    return _shown(figure, 100, 1)


def _shown(figure: Summary, times: float, digits: int) -> str:
    low, mean, high = (f"{each * times:.{digits}f}" for each in (figure.low, figure.mean, figure.high))
    return mean if np.isnan(figure.low) else f"{mean} ({low}-{high})"
