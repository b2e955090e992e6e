"""The figures of an evaluation, as SVG by matplotlib: drawn from its figures and curves alone, the same each time."""

from collections.abc import Callable, Sequence

import numpy as np

from engine.evaluation.figures import Figure
from engine.evaluation.splits import RATES
from engine.reports.evaluation.axes import (
    COLOURS,
    INK,
    MARKS,
    Chart,
    axes_for,
    draw_band,
    draw_points,
    in_percent,
    legend,
    lowest_rate,
    plain_label,
)
from engine.reports.evaluation.evaluated import Evaluation
from engine.reports.evaluation.words import asked_for, share


def charts_of(evaluation: Evaluation) -> list[Chart]:
    """Every figure that the data suffice for."""
    makers: Sequence[Callable[[Evaluation], Chart | None]] = (_sizes, _obtained, _det, _threshold, _cmc, _fixed, _told, _pairs)
    made = [chart for maker in makers if (chart := maker(evaluation)) is not None]
    return made + [chart for column in evaluation.columns if (chart := _groups(evaluation, column)) is not None]


def _sizes(evaluation: Evaluation) -> Chart | None:
    lines = [
        (rate, own)
        for rate in sorted({*RATES, evaluation.asked}, reverse=True)
        if len(own := [each for each in evaluation.of(f"fnir@fpir={rate:g}") if each.value is not None]) > 1
    ]
    if not lines:
        return None
    with axes_for("sizes", "How many are missed as the gallery grows") as (axes, done):
        for at, (rate, own) in enumerate(lines):
            draw_points(axes, [each.k for each in own], own, f"FPIR {asked_for(rate)}", at)
        axes.set(xscale="log", xlabel="people enrolled, K", ylabel="FNIR")
        axes.set_ylim(0, min(1, 1.15 * max(each.high or 0 for _, own in lines for each in own)))
        in_percent(axes.yaxis)
        legend(axes)
    own = next((own for rate, own in lines if rate == evaluation.asked), lines[0][1])
    rate = evaluation.asked if any(rate == evaluation.asked for rate, _ in lines) else lines[0][0]
    first, last = own[0], own[-1]
    return done(
        f"{evaluation.main}: at FPIR {asked_for(rate)}, {_rate(first)} of mated searches miss among {first.k:,} people and "
        f"{_rate(last)} among {last.k:,}; bars are 95 % intervals."
    )


def _obtained(evaluation: Evaluation) -> Chart | None:
    found = {
        rate: [each for each in evaluation.of(f"fpir@asked={rate:g}") if each.value is not None]
        for rate in sorted({*RATES, evaluation.asked})
    }
    sizes = sorted({each.k for own in found.values() for each in own})[-4:]
    if not sizes:
        return None
    with axes_for("obtained", "False alarms: obtained against asked for") as (axes, done):
        axes.plot([RATES[0] / 2, 0.2], [RATES[0] / 2, 0.2], color=INK, lw=0.8, ls=":", label="as asked for")
        for at, size in enumerate(reversed(sizes)):
            own = [(rate, each) for rate, line in found.items() for each in line if each.k == size and each.value]
            if own:
                shift = 1 + 0.06 * (at - 1.5)
                draw_points(axes, [rate * shift for rate, _ in own], [each for _, each in own], f"K = {size:,}", at)
        axes.set(xscale="log", yscale="log", xlabel="FPIR asked for", ylabel="FPIR obtained")
        in_percent(axes.xaxis)
        in_percent(axes.yaxis)
        legend(axes)
    figure = evaluation.figure(f"fpir@asked={evaluation.asked:g}")
    said = (
        f"asked for {asked_for(evaluation.asked)}, the whole gallery gave {_rate(figure)}"
        if figure and figure.value is not None
        else ""
    )
    return done(
        f"{evaluation.main}, at the thresholds that galleries give themselves: "
        f"{said or 'what lies above the dotted line lets in more than was asked for'}."
    )


def _det(evaluation: Evaluation) -> Chart | None:
    curves = [each for each in evaluation.curves if each.name == "det"]
    if not curves:
        return None
    with axes_for("det", "Detection error trade-off") as (axes, done):
        floor = lowest_rate(curves)
        for at, curve in enumerate(curves):
            draw_band(axes, curve, curve.system, at, floor)
        axes.set(xscale="log", yscale="log", xlabel="FPIR", ylabel="FNIR")
        in_percent(axes.xaxis)
        in_percent(axes.yaxis)
        legend(axes)
    curve = curves[0]
    figure = evaluation.figure(f"fnir@fpir={evaluation.asked:g}", curve.system)
    misses = "" if figure is None or figure.value is None else f" misses {_rate(figure)} at FPIR {asked_for(evaluation.asked)}"
    return done(
        f"K = {curve.k:,}: {curve.system}{misses or ' and the others, as far as was measured'}; curves end on the left at FPIR "
        f"{share(float(curve.x[0]))}, below which the strangers are too few."
    )


def _threshold(evaluation: Evaluation) -> Chart | None:
    curves = [each for each in evaluation.curves if each.name in ("fpir", "fnir") and each.system == evaluation.main]
    if len(curves) < 2 or not all(len(curve.x) for curve in curves):
        return None
    with axes_for("threshold", "Both errors against the threshold") as (axes, done):
        floor = lowest_rate(curves)
        for at, curve in enumerate(curves):
            draw_band(axes, curve, curve.name.upper(), at, floor)
        axes.set(yscale="log", xlabel="threshold (score, small is alike)", ylabel="share of searches")
        in_percent(axes.yaxis)
        legend(axes)
    return done(
        f"{evaluation.main}, K = {curves[0].k:,}: a laxer threshold (to the right) misses fewer, and gives more strangers a name."
    )


def _cmc(evaluation: Evaluation) -> Chart | None:
    curves = [each for each in evaluation.curves if each.name == "cmc"]
    if not curves:
        return None
    from matplotlib.ticker import MaxNLocator

    with axes_for("cmc", "Cumulative match characteristic") as (axes, done):
        for at, curve in enumerate(curves):
            draw_band(axes, curve, curve.system, at, 0)
        least = min(float(curve.low.min()) for curve in curves)
        axes.set(xlabel="rank", ylabel="found within the rank", xlim=(1, max(float(curve.x.max()) for curve in curves)))
        axes.set_ylim(max(0, least - 0.01), 1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        in_percent(axes.yaxis)
        legend(axes)
    curve = curves[0]
    return done(
        f"K = {curve.k:,}, whatever the threshold: {curve.system} has the right one first in {share(float(curve.y[0]))} of mated "
        f"searches, and among {len(curve.y)} candidates in {share(float(curve.y[-1]))}."
    )


def _fixed(evaluation: Evaluation) -> Chart | None:
    systems = list(dict.fromkeys(each.system for each in evaluation.figures if each.name == "fpir@fixed"))
    found = [(system, evaluation.of("fpir@fixed", system), evaluation.of("law@fixed", system)) for system in systems]
    found = [each for each in found if len(each[1]) > 1 and each[2]]
    if not found:
        return None
    with axes_for("fixed", "One fixed 1:1 distance, and the K-fold law") as (axes, done):
        for at, (system, seen, law) in enumerate(found):
            draw_points(axes, [each.k for each in seen], seen, f"{system}, measured", at)
            axes.plot([each.k for each in law], [each.value for each in law], color=COLOURS[at], ls="--", label="1 - (1 - FMR)^K")
        axes.set(xscale="log", xlabel="people enrolled, K", ylabel="FPIR", ylim=(0, 1))
        in_percent(axes.yaxis)
        legend(axes)
    system, seen, law = found[0]
    return done(
        f"{system}: a threshold fit for comparing two photographs gives {_rate(seen[-1])} of strangers a name "
        f"among {seen[-1].k:,} people; "
        f"were searches independent, the law would make it {_rate(law[-1])}."
    )


def _told(evaluation: Evaluation) -> Chart | None:
    curves = [each for each in evaluation.curves if each.name == "told"]
    if not curves:
        return None
    with axes_for("told", "Expected false alarms: told against happened") as (axes, done):
        x = curves[0].x
        axes.plot(x, 1 - np.exp(-x), color=INK, lw=0.8, ls=":", label="as told")
        for at, curve in enumerate(curves):
            draw_band(axes, curve, curve.system, at, lowest_rate(curves))
        axes.set(xscale="log", yscale="log", xlabel="expected false alarms, at most", ylabel="share of strangers' searches")
        in_percent(axes.yaxis)
        legend(axes)
    curve = curves[0]
    at = min(int(np.searchsorted(curve.x, evaluation.asked)), len(curve.x) - 1)
    return done(
        f"{curve.system}: {share(float(curve.y[at]))} of strangers' searches were told {curve.x[at]:.2g} "
        f"expected false alarms or fewer, "
        f"which should be {share(float(1 - np.exp(-curve.x[at])))}; above the dotted line evidence looks better than it is."
    )


def _pairs(evaluation: Evaluation) -> Chart | None:
    curves = [each for each in evaluation.curves if each.name == "verification"]
    if not curves:
        return None
    with axes_for("pairs", "Verification: FNMR over FMR") as (axes, done):
        for at, curve in enumerate(curves):
            draw_band(axes, curve, curve.system, at, lowest_rate(curves))
        axes.set(xscale="log", yscale="log", xlabel="FMR", ylabel="FNMR")
        in_percent(axes.xaxis)
        in_percent(axes.yaxis)
        legend(axes)
    figure = evaluation.figure("eer", curves[0].system, 0)
    equal = "" if figure is None or figure.value is None else f"; both are {_rate(figure)} where they are equal (EER)"
    return done(f"{curves[0].system}, two templates compared, nobody searched for: the plain distance{equal}.")


def _groups(evaluation: Evaluation, column: str) -> Chart | None:
    own = [
        each
        for each in evaluation.figures
        if each.group.startswith(f"{column}=") and each.value is not None and each.name.partition("@asked")[0] in ("fpir", "fnir")
    ]
    if not own:
        return None
    groups = list(dict.fromkeys(each.group for each in own))
    systems = list(dict.fromkeys(each.system for each in own))
    number = evaluation.columns.index(column)
    with axes_for(f"group{number}", f"By {column}", height=max(3.4, 0.45 * len(groups) + 1.6), panels=2) as (panels, done):
        for axes, name in zip(panels, ("fpir", "fnir"), strict=True):
            for at, system in enumerate(systems):
                found = {each.group: each for each in own if each.system == system and each.name.startswith(f"{name}@")}
                places = [place + 0.18 * (at - (len(systems) - 1) / 2) for place, group in enumerate(groups) if group in found]
                shown_ = [found[group] for group in groups if group in found]
                values = np.array([each.value for each in shown_], float)
                reach = np.abs(np.array([(each.low, each.high) for each in shown_], float).T.reshape(2, -1) - values)
                axes.errorbar(
                    values,
                    places,
                    xerr=np.maximum(reach, 0),
                    fmt=MARKS[at % 5],
                    color=COLOURS[at % 5],
                    ms=4,
                    label=plain_label(system),
                )
            axes.set_yticks(range(len(groups)), [plain_label(group.partition("=")[2])[:24] for group in groups])
            axes.set_ylim(-0.6, len(groups) - 0.4)
            axes.set(xlabel=name.upper(), xlim=(0, None))
            in_percent(axes.xaxis)
        panels[1].tick_params(labelleft=False)
        legend(panels[0])
    said = []
    for name in ("fpir", "fnir"):
        those = [each for each in own if each.system == evaluation.main and each.name.startswith(f"{name}@")]
        if those:
            worst = max(those, key=lambda each: each.value or 0)
            said.append(f"{name.upper()} is worst for {worst.group.partition('=')[2]} ({_rate(worst)})")
    return done(f"{evaluation.main} by {column}, at the threshold in force for everybody: {' and '.join(said)}.")


def _rate(figure: Figure | None) -> str:
    return "nothing" if figure is None or figure.value is None else share(figure.value)
