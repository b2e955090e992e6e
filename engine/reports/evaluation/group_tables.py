"""The tables of groups of people: how each fares, how far they are apart, and who is taken for whom."""

from collections.abc import Sequence

from engine.evaluation.figures import Figure
from engine.reports.evaluation.evaluated import Evaluation
from engine.reports.evaluation.tables import cell, reasons
from engine.reports.evaluation.words import told
from engine.reports.markup import Markup, table, tag

GROUP_METHOD = (
    "DemographicGroups are those of the list that was given; nothing of the kind is inferred from a face. FPIR by "
    "the group of who was searched "
    "for; who is taken for whom by that of the name given too. Gini's coefficient is G = n / (n - 1) * "
    "sum |x_i - x_j| / (2 n^2 mean) "
    "(NIST IR 8429 and arXiv 2203.05051): 0 where all groups fare alike; chance alone makes it larger "
    "than 0, the more so the fewer "
    "errors there are."
)


def group_tables(evaluation: Evaluation) -> list[Markup]:
    """For each column of the list of groups what there is to say, under a heading of its own."""
    if not evaluation.columns:
        return []
    made = [tag("h2", "DemographicGroups of people"), tag("p", GROUP_METHOD)]
    for column in evaluation.columns:
        own = [each for each in evaluation.figures if each.group == column or each.group.startswith(f"{column}=")]
        made.append(tag("h3", column))
        names = {"fpir": "FPIR", "fnir": "FNIR"}
        rows = []
        for figure in own:
            kind = figure.name.partition("@")[0]
            if figure.value is not None and kind in names:
                rows.append(
                    [figure.group, names[kind], figure.system, cell(figure), f"{figure.searches:,}", f"{figure.people:,}"]
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
        made += reasons([each for each in own if each.name.partition("@")[0] in names])
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
    rows = [[one, *(cell(pairs.get((one, other))) for other in theirs)] for one in ours]
    return [
        table(
            f"{evaluation.main} by {column}: strangers of a group (rows) that get the name of somebody of another",
            [column, *theirs],
            rows,
        )
    ]
