"""How charts are drawn: axes by matplotlib as SVG, the same each time, points and bands with their intervals."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.evaluation.figures import CurveWithInterval, Figure
from engine.files.escaping import shown
from engine.reports.markup import Markup, drawing

# Colours that show on white and on black; lines differ in their marks as well.
COLOURS = ("#2f7fd6", "#d1662b", "#2c9c69", "#a35bc4", "#b08a12")
MARKS = ("o", "s", "^", "D", "v")
_DASHES = ("-", "--", "-.", ":", (0, (3, 1, 1, 1)))
# This colour is replaced by the page's own text colour, which is dark or light as the reader's system is.
INK = "#010203"


@dataclass(frozen=True)
class Chart:
    """A drawing, and the sentence that says what one sees."""

    drawing: Markup
    sentence: str


@contextmanager
def axes_for(name: str, title: str, height: float = 3.4, panels: int = 1) -> Iterator[tuple[Any, Callable[[str], Chart]]]:
    """Axes to draw on, and a function to call after the block: it makes a `Chart` of the drawing and a sentence."""
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
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
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
        canvas.suptitle(plain_label(title), fontsize=10, fontweight="bold")
        yield axes, done
        stream = io.StringIO()
        canvas.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
        held.append(stream.getvalue().replace(INK, "currentColor"))


def draw_points(axes: Any, x: Sequence[float], own: Sequence[Figure], label: str, at: int) -> None:
    """Figures at places `x` (n,), with their intervals; `at` counts the lines of a chart."""
    values = np.array([each.value for each in own], float)
    low, high = (np.array([getattr(each, name) for each in own], float) for name in ("low", "high"))
    reach = np.maximum([values - low, high - values], 0)
    style = {"fmt": MARKS[at % 5], "ls": _DASHES[at % 5], "color": COLOURS[at % 5], "ms": 4, "lw": 1.2, "elinewidth": 0.8}
    axes.errorbar(x, values, yerr=reach, label=plain_label(label), **style)


def draw_band(axes: Any, curve: CurveWithInterval, label: str, at: int, floor: float) -> None:
    """A curve inside the band of its intervals, which is cut off at `floor`."""
    low, y = np.maximum(curve.low, floor), np.where(curve.y > 0, curve.y, np.nan)  # what is 0 has no place on these axes
    axes.plot(curve.x, y, color=COLOURS[at % 5], ls=_DASHES[at % 5], lw=1.4, label=plain_label(label))
    axes.fill_between(curve.x, low, np.maximum(curve.high, floor), color=COLOURS[at % 5], alpha=0.18, lw=0)


def lowest_rate(curves: Sequence[CurveWithInterval]) -> float:
    """The smallest rate in some curves above 0. On a logarithmic axis, 0 is drawn there."""
    above = [value for curve in curves for value in (*curve.y[curve.y > 0], *curve.low[curve.low > 0])]
    return max(min(above, default=1e-4), 1e-5)


def legend(axes: Any) -> None:
    """Say which line is which."""
    axes.legend(fontsize=7.5)


def in_percent(axis: Any) -> None:
    """Write the shares along an axis in per cent."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    axis.set_minor_formatter(NullFormatter())


def plain_label(text: str) -> str:
    """A text from outside made safe for matplotlib: no control characters, and no `_` at the beginning, which hides a label."""
    return shown(text).lstrip("_") or "(no name)"
