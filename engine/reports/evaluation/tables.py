"""The tables of an evaluation: rates by the size of the gallery, what thresholds gave, 1:1 comparison, and pairs of systems."""

from collections.abc import Sequence

from engine.evaluation.figures import Figure
from engine.evaluation.splits import RATES
from engine.reports.evaluation.evaluated import Evaluation
from engine.reports.evaluation.words import amount, asked_for, between, told
from engine.reports.markup import Markup, table, tag


def cell(figure: Figure | None) -> str:
    """What a cell says of a figure: its value and interval, or that there is none."""
    if figure is None:
        return "-"
    return (
        f"{amount(figure)} ({between(figure)})"
        if figure.value is not None
        else "too few"
        if "too few" in figure.reason
        else "none"
    )


def reasons(figures: Sequence[Figure]) -> list[Markup]:
    """Why cells are empty: one sentence for each reason."""
    why = dict.fromkeys(f"{each.reason}." for each in figures if each.value is None and each.reason)
    return [tag("p", f"Not told: {' '.join(why)}", class_="dim")] if why else []


def rate_tables(evaluation: Evaluation) -> list[Markup]:
    """Rank-1, and FNIR at rates of FPIR, by the size of the gallery; one table a system."""
    made: list[Markup] = []
    rates = _rates(evaluation)
    for system in evaluation.about.systems:
        names = ["rank1", *(f"fnir@fpir={rate:g}" for rate in rates)]
        by_name = {name: {each.k: each for each in evaluation.of(name, system.name)} for name in names}
        sizes = sorted({size for found in by_name.values() for size in found})
        rows = [[f"{size:,}", *(cell(by_name[name].get(size)) for name in names)] for size in sizes]
        caption = f"{system.name}: rank-1, and FNIR at FPIR ... (95 % intervals)"
        made.append(table(caption, ["K", "rank-1", *(f"FPIR {asked_for(rate)}" for rate in rates)], rows))
        made += reasons([each for name in names for each in by_name[name].values()])
    return made


def asked_tables(evaluation: Evaluation) -> list[Markup]:
    """What came of thresholds that galleries gave themselves, and what the searches took of time and memory."""
    made = [part for system in evaluation.about.systems for part in _obtained(evaluation, system.name)]
    return [*made, _whole_gallery(evaluation), _time_and_memory(evaluation)]


def _obtained(evaluation: Evaluation, system: str) -> list[Markup]:
    rates = _rates(evaluation)
    sizes = sorted({each.k for rate in rates for each in evaluation.of(f"fpir@asked={rate:g}", system)})
    found = {size: [evaluation.figure(f"fpir@asked={rate:g}", system, size) for rate in rates] for size in sizes}
    caption = f"{system}: FPIR obtained where the gallery's own threshold was asked for ..."
    rows = [[f"{size:,}", *map(cell, figures)] for size, figures in found.items()]
    figures = [each for of_size in found.values() for each in of_size if each is not None]
    return [table(caption, ["K", *map(asked_for, rates)], rows), *reasons(figures)]


def _whole_gallery(evaluation: Evaluation) -> Markup:
    rows = []
    for system in evaluation.about.systems:
        for rate in _rates(evaluation):
            alarms, missed, within = (
                evaluation.figure(f"{name}{rate:g}", system.name, _largest(evaluation, system.name))
                for name in ("fpir@asked=", "fnir@asked=", "told@")
            )
            rows.append([system.name, asked_for(rate), cell(alarms), cell(missed), cell(within)])
    headings = ["system", "asked for", "FPIR obtained", "FNIR", "told so many false alarms or fewer"]
    return table("The whole gallery at its own thresholds, and what strangers' searches were told", headings, rows)


def _time_and_memory(evaluation: Evaluation) -> Markup:
    rows = [
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
    headings = ["system", "K", "built and calibrated, s", "a search, ms", "memory so far, MiB"]
    return table("Time and memory (first split)", headings, rows)


def _rates(evaluation: Evaluation) -> list[float]:
    """The rates of strangers' false alarms that are told of, the laxest first."""
    return sorted({*RATES, evaluation.asked}, reverse=True)


def _largest(evaluation: Evaluation, system: str) -> int:
    return max(trial.identities for trial in evaluation.about.trials if trial.system == system)


def verification_tables(evaluation: Evaluation) -> list[Markup]:
    """1:1 comparison: the equal error rate, and FNMR at rates of FMR; one table for each kind of templates."""
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
                rows.append([f"FMR {asked_for(rate)}", cell(figure), cell(missed)])
        made.append(table(f"{templates}: 1:1 verification by the distance", ["at", "distance", "FNMR"], rows))
        made += reasons(own)
    return made


def paired_tables(evaluation: Evaluation) -> list[Markup]:
    """How pairs of systems differ, and whose mistakes the other does not make."""
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
    made += reasons(found)
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
