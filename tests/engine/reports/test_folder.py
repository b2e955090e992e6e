"""A report in a folder: what it holds, what its JSON means, what a second run says, what is never replaced or run."""

import json
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from engine.errors import OutputError
from engine.evaluation.figures import Figure
from engine.evaluation.raw import PAIRS
from engine.evaluation.truth import DemographicGroups
from engine.reports.evaluation.evaluated import Evaluation, evaluate
from engine.reports.evaluation.folder import changed, prepare, read_report, to_json, write_evaluation
from engine.reports.evaluation.words import advice, share
from engine.reports.markup import Markup, markup, table, tag
from tests.support.searches import drawn, together

NOTHING = Markup("")
HOSTILE = "<script>alert(1)</script>\"' $x^2$ \x1b[31m \u202e"
ROOT = Path(__file__).parents[3]


def hostile() -> Evaluation:
    """Names that would run, format or hide something, wherever names go."""
    searched = together(drawn(people=60, each=1, system=HOSTILE), drawn(people=60, each=1, system="b", shift=0.1))
    groups = DemographicGroups(
        "identity", {HOSTILE: {f"{kind}{at}": HOSTILE if at % 2 else "a & b" for kind in "ps" for at in range(60)}}
    )
    about = replace(searched.about, source=HOSTILE, command=HOSTILE)
    return evaluate(replace(searched, about=about), PAIRS.empty_table(), asked=0.1, groups=groups)


def test_text_from_outside_is_text() -> None:
    assert markup("<b>&", Markup("<i>")) == "&lt;b&gt;&amp;<i>"
    assert tag("p", "x", title='"><script>') == '<p title="&quot;&gt;&lt;script&gt;">x</p>'
    assert "<script" not in table("<script>", ["<script>"], [["<script>"]])
    assert "\x1b" not in markup("\x1b[31m")


def test_a_page_runs_nothing_fetches_nothing_and_shows_hostile_names_as_they_are(tmp_path: Path) -> None:
    write_evaluation(tmp_path, hostile(), None, NOTHING, "now")
    text = (tmp_path / "report.html").read_text()
    assert not re.search(r"<script|javascript:|\son\w+=", text)
    assert "&lt;script&gt;alert(1)" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    # No address but the names of XML's spaces, which nobody fetches.
    assert set(re.findall(r"https?://[\w./-]+", text)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r"<(link|iframe|img|object|embed|base)\b", text)
    assert "default-src 'none'" in text
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_the_same_searches_make_the_same_page(tmp_path: Path) -> None:
    made = evaluate(drawn(), PAIRS.empty_table())
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_evaluation(tmp_path / name, made, None, NOTHING, "now")
    for file in ("report.html", "report.json", "figures.csv", "curves.csv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_json_is_as_the_documentation_says() -> None:
    made = json.loads(json.dumps(to_json(hostile(), [], "now")))
    page = (ROOT / "docs" / "formats.md").read_text()
    section = page.split("## What `onek evaluate` writes")[1].split("\n## ")[0]
    described = set(re.findall(r"`([a-z0-9_]+)`", section))
    assert set(made) <= described
    assert {field.name for field in fields(Figure)} <= described
    for name in ("about", "curves", "mistakes", "worst"):
        row = made[name] if isinstance(made[name], dict) else made[name][0]
        assert set(row) <= described, name
    assert set(made["about"]["systems"][0]) | set(made["about"]["trials"][0]) <= described
    assert list(made["answers"]) == ["People", "Asked for", "Obtained", "Missed", "What to change"]
    # Every figure is told, or says why not.
    assert all(row["value"] is not None or row["reason"] for row in made["figures"])
    rates = [row for row in made["figures"] if row["name"].startswith(("fnir@", "fpir@")) and row["value"] is not None]
    assert all(0 <= row["low"] <= row["value"] <= row["high"] <= 1 for row in rates)


def test_a_second_run_says_what_changed(tmp_path: Path) -> None:
    assert prepare(tmp_path / "r", [], overwrite=False) is None
    write_evaluation(tmp_path / "r", evaluate(drawn(), PAIRS.empty_table()), None, NOTHING, "Monday")
    before = prepare(tmp_path / "r", [], overwrite=False)
    assert before is not None
    write_evaluation(tmp_path / "r", evaluate(drawn(), PAIRS.empty_table()), before, NOTHING, "Tuesday")
    assert "Since the run of Monday" in (tmp_path / "r" / "report.html").read_text()
    assert "Every figure is as it was." in (tmp_path / "r" / "report.html").read_text()
    worse = evaluate(drawn(shift=0.1), PAIRS.empty_table())
    changes = changed(worse.figures, read_report(tmp_path / "r"))
    names = {change.name for change in changes}
    assert "fnir@fpir=0.1" in names
    assert "rank1" not in names
    assert "fpir@asked=0.01" not in names


def test_a_folder_of_something_else_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "report.json").write_text('{"mine": 1}')
    with pytest.raises(OutputError, match="holds something else than a report of onek"):
        prepare(tmp_path / "mine", [], overwrite=False)
    assert prepare(tmp_path / "mine", [], overwrite=True) is None
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "t.parquet").touch()
    with pytest.raises(OutputError, match="is read"):
        prepare(tmp_path / "in", [tmp_path / "in"], overwrite=True)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 %"), (0.0123, "1.23 %"), (0.9917, "99.17 %"), (0.123, "12.3 %"), (0.0001, "0.01 %"), (1, "100.00 %")],
)
def test_rates_read_well(value: float, text: str) -> None:
    assert share(value) == text


def test_advice_follows_from_what_was_measured() -> None:
    assert "More strangers get a name than was asked for" in advice(evaluate(drawn(), PAIRS.empty_table(), asked=0.001))
    assert "Fewer strangers" in advice(evaluate(drawn(), PAIRS.empty_table(), asked=0.1))
    pair = together(drawn(shift=0.15, system="a"), drawn(system="b"))
    assert "b misses" in advice(evaluate(pair, PAIRS.empty_table(), asked=0.1))
