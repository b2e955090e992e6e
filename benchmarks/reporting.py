"""Every benchmark ends the same way: `--report FOLDER` writes what it printed as a page, JSON and CSV, and what has changed."""

import functools
import inspect
import json
import shlex
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

Option = Annotated[
    Path | None,
    typer.Option("--report", metavar="FOLDER", help="Write a report: a page, JSON, CSV. A second run there says what changed."),
]
# Drawings of the benchmark that runs, and what they show.
_shown: list[tuple[Path, str]] = []


def show(drawing: Path, what: str) -> None:
    """Have an SVG in the report of the benchmark that runs, if one is written."""
    _shown.append((drawing, what))


def reporting(command: Callable[..., None], name: str) -> Callable[..., None]:
    """The same command with an option `--report`."""

    @functools.wraps(command)
    def run(*arguments: Any, report: Path | None = None, **options: Any) -> None:
        if report is None:
            command(*arguments, **options)
            return
        from engine.cli.console import out as console
        from engine.reports.evaluation.folder import prepare

        before = prepare(report, [each for each in options.values() if isinstance(each, Path)], overwrite=False)
        _shown.clear()
        console.kept = []
        try:
            command(*arguments, **options)
            _write(report, name, console.kept, before)
        finally:
            console.kept = None
        console.print(f"report in {report / 'report.html'}")

    signature = inspect.signature(command, eval_str=True)
    option = inspect.Parameter("report", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Option)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])  # type: ignore[attr-defined]
    run.__annotations__ = {**inspect.get_annotations(command, eval_str=True), "report": Option}
    return run


def _write(folder: Path, name: str, kept: list[Any], before: dict[str, Any] | None) -> None:
    from engine.reports.evaluation.folder import FORMAT, JSON, PAGE, versions, write_text
    from engine.reports.markup import Markup, drawing, markup, page, table, tag
    from engine.tables.sheets import sheet_file

    command, made = shlex.join(["onek", *sys.argv[1:]]), datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = [each for each in kept if isinstance(each, str)]
    tables = [_plain(each) for each in kept if isinstance(each, Table)]
    figures = [
        {"table": title, "row": f"{number}: {row[0]}", "column": heading, "value": cell}
        for title, headings, rows, _ in tables
        for number, row in enumerate(rows, start=1)
        for heading, cell in zip(headings[1:], row[1:], strict=True)
    ]
    changes = _changes(figures, lines, before)
    parts: list[Markup] = [tag("p", line) for line in lines]
    if before is not None:
        parts.append(tag("h2", f"Since the run of {before.get('made')}"))
        rows = [list(each.values()) for each in changes]
        parts.append(table("What changed", ["where", "row", "column", "before", "now"], rows) if rows else tag("p", "Nothing."))
    for number, (path, what) in enumerate(_shown):
        picture = drawing(path.read_text(encoding="utf-8"), f"drawing{number}", what)
        parts.append(tag("figure", picture, tag("figcaption", what)))
    for number, (title, headings, rows, caption) in enumerate(tables, start=1):
        parts.append(table(title or f"Table {number}", headings, rows))
        parts += [tag("p", caption, class_="dim")] if caption else []
        with sheet_file(folder / f"table{number}.csv", headings) as sheet:
            for row in rows:
                sheet.write(row)
    told = ", ".join(f"{package} {number}" for package, number in versions().items())
    parts.append(
        tag(
            "dl",
            tag("div", tag("dt", "Command"), tag("dd", tag("code", command))),
            tag("div", tag("dt", "Versions"), tag("dd", told)),
            class_="answers",
        )
    )
    write_text(folder / PAGE, page(f"Benchmark: {name}", markup(*parts)))
    values = {"format": FORMAT, "kind": "benchmark", "name": name, "made": made, "command": command, "versions": versions()}
    text = json.dumps({**values, "lines": lines, "figures": figures, "changes": changes}, ensure_ascii=False, indent=1)
    write_text(folder / JSON, text)


def _plain(made: Table) -> tuple[str, list[str], list[list[str]], str]:
    """The title, headings, rows and caption of a table, as texts."""
    cells = [[str(cell) for cell in column.cells] for column in made.columns]
    rows = [list(row) for row in zip(*cells, strict=True)]
    return str(made.title or ""), [str(column.header) or "-" for column in made.columns], rows, str(made.caption or "")


def _changes(figures: list[dict[str, str]], lines: list[str], before: dict[str, Any] | None) -> list[dict[str, str]]:
    if before is None:
        return []
    earlier = {
        (row.get("table"), row.get("row"), row.get("column")): row.get("value")
        for row in before["figures"]
        if isinstance(row, dict)
    }
    found = [
        {"where": row["table"], "row": row["row"], "column": row["column"], "before": str(was), "now": row["value"]}
        for row in figures
        if (was := earlier.get((row["table"], row["row"], row["column"]), "-")) != row["value"]
    ]
    known = before.get("lines")
    old = known if isinstance(known, list) else []
    for number, line in enumerate(lines):
        was = str(old[number]) if number < len(old) else "-"
        if was != line:
            found.append({"where": "printed", "row": f"line {number + 1}", "column": "", "before": was, "now": line})
    return found
