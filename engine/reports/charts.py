"""The figures of an evaluation, as SVG by matplotlib: drawn from its figures and curves alone, the same each time."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.evaluation.figures import Curve, Figure
from engine.evaluation.splits import RATES
from engine.files.escaping import shown
from engine.reports.evaluated import Evaluation
from engine.reports.markup import Markup, drawing
from engine.reports.words import asked_for, share

# Colours that show on white and on black; lines differ in their marks as well.
_COLOURS = ("#2f7fd6", "#d1662b", "#2c9c69", "#a35bc4", "#b08a12")
_MARKS = ("o", "s", "^", "D", "v")
_DASHES = ("-", "--", "-.", ":", (0, (3, 1, 1, 1)))
# What is black in a drawing becomes the ink of the page, dark or light.
_INK = "#010203"


@dataclass(frozen=True)
class Chart:
    """A drawing, and the sentence that says what one sees."""

    drawing: Markup
    sentence: str


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
    with _axes("sizes", "How many are missed as the gallery grows") as (axes, done):
        for at, (rate, own) in enumerate(lines):
            _points(axes, [each.k for each in own], own, f"FPIR {asked_for(rate)}", at)
        axes.set(xscale="log", xlabel="people enrolled, K", ylabel="FNIR")
        axes.set_ylim(0, min(1, 1.15 * max(each.high or 0 for _, own in lines for each in own)))
        _percent(axes.yaxis)
        _legend(axes)
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
    with _axes("obtained", "False alarms: obtained against asked for") as (axes, done):
        axes.plot([RATES[0] / 2, 0.2], [RATES[0] / 2, 0.2], color=_INK, lw=0.8, ls=":", label="as asked for")
        for at, size in enumerate(reversed(sizes)):
            own = [(rate, each) for rate, line in found.items() for each in line if each.k == size and each.value]
            if own:
                shift = 1 + 0.06 * (at - 1.5)
                _points(axes, [rate * shift for rate, _ in own], [each for _, each in own], f"K = {size:,}", at)
        axes.set(xscale="log", yscale="log", xlabel="FPIR asked for", ylabel="FPIR obtained")
        _percent(axes.xaxis)
        _percent(axes.yaxis)
        _legend(axes)
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
    with _axes("det", "Detection error trade-off") as (axes, done):
        floor = _floor(curves)
        for at, curve in enumerate(curves):
            _band(axes, curve, curve.system, at, floor)
        axes.set(xscale="log", yscale="log", xlabel="FPIR", ylabel="FNIR")
        _percent(axes.xaxis)
        _percent(axes.yaxis)
        _legend(axes)
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
    with _axes("threshold", "Both errors against the threshold") as (axes, done):
        floor = _floor(curves)
        for at, curve in enumerate(curves):
            _band(axes, curve, curve.name.upper(), at, floor)
        axes.set(yscale="log", xlabel="threshold (score, small is alike)", ylabel="share of searches")
        _percent(axes.yaxis)
        _legend(axes)
    return done(
        f"{evaluation.main}, K = {curves[0].k:,}: a laxer threshold (to the right) misses fewer, and gives more strangers a name."
    )


def _cmc(evaluation: Evaluation) -> Chart | None:
    curves = [each for each in evaluation.curves if each.name == "cmc"]
    if not curves:
        return None
    from matplotlib.ticker import MaxNLocator

    with _axes("cmc", "Cumulative match characteristic") as (axes, done):
        for at, curve in enumerate(curves):
            _band(axes, curve, curve.system, at, 0)
        least = min(float(curve.low.min()) for curve in curves)
        axes.set(xlabel="rank", ylabel="found within the rank", xlim=(1, max(float(curve.x.max()) for curve in curves)))
        axes.set_ylim(max(0, least - 0.01), 1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _percent(axes.yaxis)
        _legend(axes)
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
    with _axes("fixed", "One fixed 1:1 distance, and the K-fold law") as (axes, done):
        for at, (system, seen, law) in enumerate(found):
            _points(axes, [each.k for each in seen], seen, f"{system}, measured", at)
            axes.plot(
                [each.k for each in law], [each.value for each in law], color=_COLOURS[at], ls="--", label="1 - (1 - FMR)^K"
            )
        axes.set(xscale="log", xlabel="people enrolled, K", ylabel="FPIR", ylim=(0, 1))
        _percent(axes.yaxis)
        _legend(axes)
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
    with _axes("told", "Expected false alarms: told against happened") as (axes, done):
        x = curves[0].x
        axes.plot(x, 1 - np.exp(-x), color=_INK, lw=0.8, ls=":", label="as told")
        for at, curve in enumerate(curves):
            _band(axes, curve, curve.system, at, _floor(curves))
        axes.set(xscale="log", yscale="log", xlabel="expected false alarms, at most", ylabel="share of strangers' searches")
        _percent(axes.yaxis)
        _legend(axes)
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
    with _axes("pairs", "Verification: FNMR over FMR") as (axes, done):
        for at, curve in enumerate(curves):
            _band(axes, curve, curve.system, at, _floor(curves))
        axes.set(xscale="log", yscale="log", xlabel="FMR", ylabel="FNMR")
        _percent(axes.xaxis)
        _percent(axes.yaxis)
        _legend(axes)
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
    with _axes(f"group{number}", f"By {column}", height=max(3.4, 0.45 * len(groups) + 1.6), panels=2) as (panels, done):
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
                    fmt=_MARKS[at % 5],
                    color=_COLOURS[at % 5],
                    ms=4,
                    label=_plain(system),
                )
            axes.set_yticks(range(len(groups)), [_plain(group.partition("=")[2])[:24] for group in groups])
            axes.set_ylim(-0.6, len(groups) - 0.4)
            axes.set(xlabel=name.upper(), xlim=(0, None))
            _percent(axes.xaxis)
        panels[1].tick_params(labelleft=False)
        _legend(panels[0])
    said = []
    for name in ("fpir", "fnir"):
        those = [each for each in own if each.system == evaluation.main and each.name.startswith(f"{name}@")]
        if those:
            worst = max(those, key=lambda each: each.value or 0)
            said.append(f"{name.upper()} is worst for {worst.group.partition('=')[2]} ({_rate(worst)})")
    return done(f"{evaluation.main} by {column}, at the threshold in force for everybody: {' and '.join(said)}.")


@contextmanager
def _axes(name: str, title: str, height: float = 3.4, panels: int = 1) -> Iterator[tuple[Any, Callable[[str], Chart]]]:
    """Axes to draw on; when the block ends, what it gives makes a chart of the drawing and a sentence."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Canvas

    held: list[str] = []

    def done(sentence: str) -> Chart:
        return Chart(drawing(held[0], name, f"{title}. {sentence}"), sentence)

    style: Any = {
        "text.parse_math": False,
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "font.family": "sans-serif",
        "font.size": 9,
        "axes.edgecolor": _INK,
        "axes.labelcolor": _INK,
        "text.color": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "legend.frameon": False,
    }
    with mpl.rc_context(style):
        canvas = Canvas(figsize=(4.9, height), layout="constrained")
        FigureCanvasSVG(canvas)
        canvas.patch.set_alpha(0)
        axes = canvas.subplots(1, panels)
        for each in np.atleast_1d(axes):
            each.patch.set_alpha(0)
            each.grid(visible=True, color="#888888", alpha=0.25, lw=0.6)
        canvas.suptitle(_plain(title), fontsize=10, fontweight="bold")
        yield axes, done
        stream = io.StringIO()
        canvas.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
        held.append(stream.getvalue().replace(_INK, "currentColor"))


def _points(axes: Any, x: Sequence[float], own: Sequence[Figure], label: str, at: int) -> None:
    values = np.array([each.value for each in own], float)
    low, high = (np.array([getattr(each, name) for each in own], float) for name in ("low", "high"))
    reach = np.maximum([values - low, high - values], 0)
    style = {"fmt": _MARKS[at % 5], "ls": _DASHES[at % 5], "color": _COLOURS[at % 5], "ms": 4, "lw": 1.2, "elinewidth": 0.8}
    axes.errorbar(x, values, yerr=reach, label=_plain(label), **style)


def _band(axes: Any, curve: Curve, label: str, at: int, floor: float) -> None:
    low, y = np.maximum(curve.low, floor), np.where(curve.y > 0, curve.y, np.nan)  # what is 0 has no place on these axes
    axes.plot(curve.x, y, color=_COLOURS[at % 5], ls=_DASHES[at % 5], lw=1.4, label=_plain(label))
    axes.fill_between(curve.x, low, np.maximum(curve.high, floor), color=_COLOURS[at % 5], alpha=0.18, lw=0)


def _floor(curves: Sequence[Curve]) -> float:
    """The smallest rate that some curves show: what is 0 lies there on a logarithmic axis."""
    above = [value for curve in curves for value in (*curve.y[curve.y > 0], *curve.low[curve.low > 0])]
    return max(min(above, default=1e-4), 1e-5)


def _legend(axes: Any) -> None:
    axes.legend(fontsize=7.5)


def _percent(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    axis.set_minor_formatter(NullFormatter())


def _plain(text: str) -> str:
    """A text from outside as matplotlib may show it: no mathematics, no control characters, and no label that it hides."""
    return shown(text).lstrip("_") or "(no name)"


def _rate(figure: Figure | None) -> str:
    return "nothing" if figure is None or figure.value is None else share(figure.value)
