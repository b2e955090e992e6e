"""The page of an evaluation: five lines, figures, tables, mistakes, what changed, and how it was measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.evaluation.figures import Figure
from engine.evaluation.intervals import LEAST_EVENTS
from engine.evaluation.splits import RATES
from engine.reports.charts import charts_of
from engine.reports.evaluated import Evaluation
from engine.reports.markup import Markup, markup, page, table, tag
from engine.reports.words import amount, answers, asked_for, between, described, told

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
GROUP_METHOD = (
    "Groups are those of the list that was given; nothing of the kind is inferred from a face. FPIR by "
    "the group of who was searched "
    "for; who is taken for whom by that of the name given too. Gini's coefficient is G = n / (n - 1) * "
    "sum |x_i - x_j| / (2 n^2 mean) "
    "(NIST IR 8429 and arXiv 2203.05051): 0 where all groups fare alike; chance alone makes it larger "
    "than 0, the more so the fewer "
    "errors there are."
)


@dataclass(frozen=True)
class Change:
    """A figure that another run into the same folder gave otherwise."""

    system: str
    k: int
    name: str
    group: str
    before: float | None
    now: float | None


def evaluation_page(evaluation: Evaluation, changes: Sequence[Change], pictures: Markup, since: str = "") -> str:
    """The whole page."""
    lines = [tag("div", tag("dt", label), tag("dd", text)) for label, text in answers(evaluation)]
    parts = [tag("dl", *lines, class_="answers")]
    if since:
        parts += _changes(changes, since)
    charts = [tag("figure", chart.drawing, tag("figcaption", chart.sentence)) for chart in charts_of(evaluation)]
    parts += [tag("h2", "Figures"), tag("div", *charts, class_="figures")] if charts else []
    parts += [tag("h2", "Tables"), *_rates(evaluation), *_asked(evaluation), *_one_to_one(evaluation), *_paired(evaluation)]
    parts += _by_group(evaluation)
    parts += _mistakes(evaluation, pictures)
    parts += _method(evaluation)
    return page(f"Evaluation of {evaluation.about.source}", *parts)


def _cells(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    return (
        f"{amount(figure)} ({between(figure)})"
        if figure.value is not None
        else "too few"
        if "too few" in figure.reason
        else "none"
    )


def _reasons(figures: Sequence[Figure]) -> list[Markup]:
    """Why cells are empty: one sentence for each reason."""
    why = dict.fromkeys(f"{each.reason}." for each in figures if each.value is None and each.reason)
    return [tag("p", f"Not told: {' '.join(why)}", class_="dim")] if why else []


def _rates(evaluation: Evaluation) -> list[Markup]:
    made: list[Markup] = []
    rates = sorted({*RATES, evaluation.asked}, reverse=True)
    for system in evaluation.about.systems:
        names = ["rank1", *(f"fnir@fpir={rate:g}" for rate in rates)]
        by_name = {name: {each.k: each for each in evaluation.of(name, system.name)} for name in names}
        sizes = sorted({size for found in by_name.values() for size in found})
        rows = [[f"{size:,}", *(_cells(by_name[name].get(size)) for name in names)] for size in sizes]
        caption = f"{system.name}: rank-1, and FNIR at FPIR ... (95 % intervals)"
        made.append(table(caption, ["K", "rank-1", *(f"FPIR {asked_for(rate)}" for rate in rates)], rows))
        made += _reasons([each for name in names for each in by_name[name].values()])
    return made


def _asked(evaluation: Evaluation) -> list[Markup]:
    made: list[Markup] = []
    rates = sorted({*RATES, evaluation.asked}, reverse=True)
    for system in evaluation.about.systems:
        sizes = sorted({each.k for rate in rates for each in evaluation.of(f"fpir@asked={rate:g}", system.name)})
        rows, told_all = [], []
        for size in sizes:
            found = [evaluation.figure(f"fpir@asked={rate:g}", system.name, size) for rate in rates]
            told_all += [each for each in found if each is not None]
            rows.append([f"{size:,}", *map(_cells, found)])
        made.append(
            table(
                f"{system.name}: FPIR obtained where the gallery's own threshold was asked for ...",
                ["K", *map(asked_for, rates)],
                rows,
            )
        )
        made += _reasons(told_all)
    rows = []
    for system in evaluation.about.systems:
        for rate in rates:
            alarms, missed, within = (
                evaluation.figure(f"{name}{rate:g}", system.name, _largest(evaluation, system.name))
                for name in ("fpir@asked=", "fnir@asked=", "told@")
            )
            rows.append([system.name, asked_for(rate), _cells(alarms), _cells(missed), _cells(within)])
    headings = ["system", "asked for", "FPIR obtained", "FNIR", "told so many false alarms or fewer"]
    made.append(table("The whole gallery at its own thresholds, and what strangers' searches were told", headings, rows))
    trials = [
        [
            trial.system,
            f"{trial.identities:,}",
            f"{trial.build_seconds:.2f}",
            f"{1e3 * trial.search_seconds / max(trial.searches, 1):.2f}",
            f"{trial.peak_mebibytes:,.0f}",
        ]
        for trial in evaluation.about.trials
        if trial.split == 0
    ]
    made.append(
        table(
            "Time and memory (first split)",
            ["system", "K", "built and calibrated, s", "a search, ms", "memory so far, MiB"],
            trials,
        )
    )
    return made


def _largest(evaluation: Evaluation, system: str) -> int:
    return max(trial.identities for trial in evaluation.about.trials if trial.system == system)


def _one_to_one(evaluation: Evaluation) -> list[Markup]:
    made: list[Markup] = []
    for templates in dict.fromkeys(system.templates for system in evaluation.about.systems):
        own = [each for each in evaluation.figures if each.system == templates and each.k == 0]
        if not own:
            continue
        equal = next((each for each in own if each.name == "eer"), None)
        rows = [["EER", "", told(equal)]]
        for figure in own:
            if figure.name.startswith("distance@"):
                rate = float(figure.name.partition("=")[2])
                missed = next((each for each in own if each.name == f"fnmr@fmr={rate:g}"), None)
                rows.append([f"FMR {asked_for(rate)}", _cells(figure), _cells(missed)])
        made.append(table(f"{templates}: 1:1 verification by the distance", ["at", "distance", "FNMR"], rows))
        made += _reasons(own)
    return made


def _paired(evaluation: Evaluation) -> list[Markup]:
    found = [each for each in evaluation.figures if each.name.startswith("difference:")]
    if not found:
        return []
    rows = [
        [each.group, f"FPIR {asked_for(float(each.name.rpartition('=')[2]))}", _signed(each), f"{each.people:,}"]
        for each in found
        if each.value is not None
    ]
    made = [
        table(
            "Paired differences of FNIR, in points: below 0 the first misses fewer",
            ["systems", "at", "difference", "people"],
            rows,
        )
    ]
    made += _reasons(found)
    counts = [
        [
            f"{each.one} / {each.other}",
            each.kind,
            f"{each.both:,}",
            f"{each.only_one:,}",
            f"{each.only_other:,}",
            f"{each.neither:,}",
        ]
        for each in evaluation.mistakes
    ]
    headings = ["systems", f"at FPIR {asked_for(evaluation.asked)}", "both", "only the first", "only the second", "neither"]
    if counts:
        made.append(table("Whose mistakes the other does not make", headings, counts))
    return made


def _signed(figure: Figure) -> str:
    if figure.value is None or figure.low is None or figure.high is None:
        return ""
    return f"{100 * figure.value:+.2f} ({100 * figure.low:+.2f} to {100 * figure.high:+.2f})"


def _by_group(evaluation: Evaluation) -> list[Markup]:
    if not evaluation.columns:
        return []
    made = [tag("h2", "Groups of people"), tag("p", GROUP_METHOD)]
    for column in evaluation.columns:
        own = [each for each in evaluation.figures if each.group == column or each.group.startswith(f"{column}=")]
        made.append(tag("h3", column))
        names = {"fpir": "FPIR", "fnir": "FNIR"}
        rows = []
        for figure in own:
            kind = figure.name.partition("@")[0]
            if figure.value is not None and kind in names:
                rows.append(
                    [figure.group, names[kind], figure.system, _cells(figure), f"{figure.searches:,}", f"{figure.people:,}"]
                )
        made.append(
            table(f"By {column}", ["group", "rate", "system", "share of searches", "searches", "people"], rows, numbers=3)
        )
        words = {"ratio": "worst against best", "gini": "Gini"}
        apart = [
            [names[rate], words[kind], each.system, each.group, told(each)]
            for each in own
            if "." in (what := each.name.partition("@")[0])
            for rate, kind in [what.split(".")]
        ]
        made.append(
            table(f"How far groups of {column} are apart", ["rate", "measure", "system", "of", "so much"], apart, numbers=5)
        )
        made += _taken(evaluation, column, own)
        made += _reasons([each for each in own if each.name.partition("@")[0] in names])
        unsaid = next((each for each in own if each.name == "unsaid"), None)
        if unsaid is not None:
            made.append(
                tag("p", f"{unsaid.searches:,} searches are for people of whom the list does not say {column}.", class_="dim")
            )
    return made


def _taken(evaluation: Evaluation, column: str, own: Sequence[Figure]) -> list[Markup]:
    taken = [each for each in own if each.name.startswith("taken@") and each.system == evaluation.main]
    pairs = {tuple(each.group.removeprefix(f"{column}=").rsplit(" > ", 1)): each for each in taken}
    ours, theirs = (list(dict.fromkeys(pair[side] for pair in pairs)) for side in (0, 1))
    if not pairs:
        return []
    rows = [[one, *(_cells(pairs.get((one, other))) for other in theirs)] for one in ours]
    return [
        table(
            f"{evaluation.main} by {column}: strangers of a group (rows) that get the name of somebody of another",
            [column, *theirs],
            rows,
        )
    ]


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


def _changes(changes: Sequence[Change], since: str) -> list[Markup]:
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
