"""The page of an evaluation: five lines, figures, tables, mistakes, what changed, and how it was measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.evaluation.intervals import LEAST_EVENTS
from engine.reports.evaluation.charts import charts_of
from engine.reports.evaluation.evaluated import Evaluation
from engine.reports.evaluation.group_tables import group_tables
from engine.reports.evaluation.tables import asked_tables, paired_tables, rate_tables, verification_tables
from engine.reports.evaluation.words import answers, described
from engine.reports.markup import Markup, markup, page, table, tag

METHOD = (
    "Rates are those of ISO/IEC 19795-1. FPIR: the share of searches for people who are not enrolled that give a name. FNIR: the "
    "share of searches for enrolled people whose true identity does not come first within the threshold; "
    "images of which no template "
    "was made are searches that failed: they miss, and give no name.",
    "FNIR at an FPIR takes the threshold from the strangers that were searched for. Obtained, and everything by group, is at the "
    "threshold that the gallery gives itself from its own people, as onek identify does.",
    "Galleries of 10, 30, 100, ... people lie inside each other: the first K in one random order of "
    "enrolment. Strangers are the same "
    "at each K.",
    "Intervals hold with 95 %: people are drawn anew with replacement, with all of their searches, 1,000 times (bootstrap over "
    "identities); the interval of a rate p with variance v is Wilson's at p (1 - p) / v searches. That "
    "of a difference is between "
    "percentiles, the same people being drawn for both systems. They hold for the people who were enrolled: among others a small "
    "gallery may fare otherwise, which splits show.",
    f"A rate is not told where fewer than {LEAST_EVENTS} of the strangers (counted as people) would be expected to reach it.",
    "The K-fold law is FPIR = 1 - (1 - FMR)^K: what independence of comparisons would make of the false match rate. It is beside "
    "what was measured because searches are not independent.",
)


@dataclass(frozen=True)
class FigureChange:
    """A figure that another run into the same folder gave otherwise."""

    system: str
    k: int
    name: str
    group: str
    before: float | None
    now: float | None


def evaluation_page(evaluation: Evaluation, changes: Sequence[FigureChange], pictures: Markup, since: str = "") -> str:
    """The whole page."""
    lines = [tag("div", tag("dt", label), tag("dd", text)) for label, text in answers(evaluation)]
    parts = [tag("dl", *lines, class_="answers")]
    if since:
        parts += _changes(changes, since)
    charts = [tag("figure", chart.drawing, tag("figcaption", chart.sentence)) for chart in charts_of(evaluation)]
    parts += [tag("h2", "Figures"), tag("div", *charts, class_="figures")] if charts else []
    parts.append(tag("h2", "Tables"))
    for tables in (rate_tables, asked_tables, verification_tables, paired_tables):
        parts += tables(evaluation)
    parts += group_tables(evaluation)
    parts += _mistakes(evaluation, pictures)
    parts += _method(evaluation)
    return page(f"Evaluation of {evaluation.about.source}", *parts)


def _mistakes(evaluation: Evaluation, pictures: Markup) -> list[Markup]:
    made = [tag("h2", "Mistakes to look at")]
    rows = [
        [
            each.kind,
            each.probe,
            each.identity or "nobody knows",
            each.named or "-",
            "" if each.score is None else f"{each.score:.3f}",
            str(each.rank or "-"),
            "" if each.expected_false_alarms is None else f"{each.expected_false_alarms:.2g}",
        ]
        for each in evaluation.worst
    ]
    headings = ["mistake", "probe", "who it is", "first candidate", "score", "rank", "expected false alarms"]
    if rows:
        made.append(table(f"{evaluation.main}, K = {evaluation.k:,}: the worst", headings, rows, numbers=4))
        made.append(tag("p", "A false alarm that is very sure is often one person under two names.", class_="dim"))
    else:
        made.append(tag("p", "There was none."))
    if pictures:
        made.append(pictures)
    likely = [each for each in evaluation.findings if each.likely]
    if likely:
        rows = [
            [each.kind, each.identity, each.other or "", _said(each.distance, ".3f"), _said(each.expected_false_alarms, ".2g")]
            for each in likely[:30]
        ]
        headings = ["likely mistake of the labels", "identity", "other", "distance", "so bad by chance"]
        made.append(table(f"{len(likely)} likely label errors (onek audit), the worst first", headings, rows, numbers=3))
    return made


def _changes(changes: Sequence[FigureChange], since: str) -> list[Markup]:
    rows = [
        [each.system, f"{each.k:,}" if each.k else "", each.name, each.group, _value(each.before), _value(each.now)]
        for each in changes[:40]
    ]
    made = [tag("h2", f"Since the run of {since}")]
    if not rows:
        return [*made, tag("p", "Every figure is as it was.")]
    more = f" (40 of {len(changes)}; all in report.json)" if len(changes) > len(rows) else ""
    return [*made, table(f"Figures that changed{more}", ["system", "K", "figure", "group", "before", "now"], rows, numbers=4)]


def _value(value: float | None) -> str:
    return "not told" if value is None else f"{value:.4g}"


def _method(evaluation: Evaluation) -> list[Markup]:
    about = evaluation.about
    facts = [
        ("Command", tag("code", about.command)),
        ("Systems", markup("; ".join(described(system) for system in about.systems))),
        ("Versions", markup(", ".join(f"{name} {version}" for name, version in about.versions.items()))),
        (
            "Raw searches",
            markup("searches.parquet and comparisons.parquet beside this page: onek report makes figures of them again"),
        ),
    ]
    notes = [tag("p", note) for note in about.notes]
    lines = [tag("div", tag("dt", label), tag("dd", text)) for label, text in facts]
    return [tag("h2", "How it was measured"), *(tag("p", line) for line in METHOD), *notes, tag("dl", *lines, class_="answers")]


def _said(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
