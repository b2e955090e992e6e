"""A report in a folder: one page, the same as JSON and CSV, and the raw results that it is made of."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from engine.common.dataclass_json import from_json
from engine.errors import OutputError
from engine.evaluation.figures import CurveWithInterval, Figure
from engine.files.atomic_files import own_folder, refusing, whole_file
from engine.files.outputs import refuse_inputs
from engine.inspection.label_audit import Finding
from engine.reports.evaluation.evaluated import Evaluation
from engine.reports.evaluation.sections import FigureChange, evaluation_page
from engine.reports.evaluation.words import answers
from engine.reports.markup import Markup
from engine.tables.sheets import sheet_file

PAGE, JSON, FIGURES, CURVES = "report.html", "report.json", "figures.csv", "curves.csv"
FORMAT = 1
# The largest earlier report that is read, in bytes.
_LARGEST = 1 << 28
_PACKAGES = ("onek", "numpy", "scipy", "faiss-cpu", "pyarrow", "matplotlib")


def prepare(folder: Path, inputs: Sequence[Path], overwrite: bool) -> dict[str, Any] | None:
    """Make the folder of a report, before any work, and give the report of an earlier run that lies there, if one does.

    Raises:
        OutputError: it is read, or holds what is read; or it holds something else than a report, and `overwrite` is false.
    """
    # A report may be made anew of the raw searches in its own folder.
    refuse_inputs([folder], [path for path in inputs if path.resolve().parent != folder.resolve()])
    with refusing(folder):
        if folder.is_dir() and not folder.is_symlink():
            before = read_report(folder)
            if before is None and any(folder.iterdir()) and not overwrite:
                raise OutputError(
                    f"{folder} holds something else than a report of onek; choose another folder, or pass --overwrite"
                )
            if not os.access(folder, os.W_OK):
                raise OutputError(f"{folder} cannot be written to; choose another folder")
            return before
        folder.parent.mkdir(parents=True, exist_ok=True)
        own_folder(folder)
    return None


def read_report(folder: Path) -> dict[str, Any] | None:
    """The JSON of the report in a folder; None where there is none of ours."""
    path = folder / JSON
    try:
        if path.stat().st_size > _LARGEST:
            return None
        found = from_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format") == FORMAT and "figures" in found else None


def write_evaluation(folder: Path, evaluation: Evaluation, before: Mapping[str, Any] | None, pictures: Markup, made: str) -> None:
    """Write the page, JSON and CSV of an evaluation. `made`: when, in words; `before`: as `prepare` gave it.

    Raises:
        OutputError: a file cannot be written.
    """
    changes = changed(evaluation.figures, before)
    since = "" if before is None else str(before.get("made", "an earlier time"))
    text = json.dumps(to_json(evaluation, changes, made), ensure_ascii=False, indent=1)
    write_text(folder / PAGE, evaluation_page(evaluation, changes, pictures, since))
    with sheet_file(folder / FIGURES, [each.name for each in fields(Figure)]) as sheet:
        for figure in evaluation.figures:
            sheet.write(asdict(figure).values())
    with sheet_file(folder / CURVES, ["system", "k", "name", "x", "y", "low", "high"]) as sheet:
        for curve in evaluation.curves:
            for point in zip(curve.x, curve.y, curve.low, curve.high, strict=True):
                sheet.write([curve.system, curve.k, curve.name, *(f"{value:.6g}" for value in point)])
    write_text(folder / JSON, text)


def write_text(path: Path, text: str) -> None:
    """Write a text, whole or not at all. Raises `OutputError` where that fails."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def to_json(evaluation: Evaluation, changes: Sequence[FigureChange], made: str) -> dict[str, Any]:
    """The report as JSON; docs/formats.md describes it."""
    about = asdict(evaluation.about)
    return {
        "format": FORMAT,
        "kind": "evaluation",
        "made": made,
        "asked": evaluation.asked,
        "answers": dict(answers(evaluation)),
        "about": about,
        "figures": [asdict(each) for each in evaluation.figures],
        "curves": [_curve(each) for each in evaluation.curves],
        "mistakes": [asdict(each) for each in evaluation.mistakes],
        "worst": [asdict(each) for each in evaluation.worst],
        "label_errors": [asdict(each) for each in evaluation.findings if isinstance(each, Finding)],
        "changes": [asdict(each) for each in changes],
    }


def _curve(curve: CurveWithInterval) -> dict[str, Any]:
    lists = {name: [float(f"{value:.6g}") for value in getattr(curve, name)] for name in ("x", "y", "low", "high")}
    return {"system": curve.system, "k": curve.k, "name": curve.name, **lists}


def changed(figures: Sequence[Figure], before: Mapping[str, Any] | None) -> list[FigureChange]:
    """The figures that differ from an earlier report's, are new, or are missing now; the largest differences first."""
    if before is None:
        return []
    earlier: dict[tuple[str, int, str, str], float | None] = {}
    for row in before.get("figures", []):
        if isinstance(row, dict) and isinstance(row.get("k"), int):
            value = row.get("value")
            key = (str(row.get("system")), row["k"], str(row.get("name")), str(row.get("group", "")))
            earlier[key] = float(value) if isinstance(value, int | float) else None
    now = {(each.system, each.k, each.name, each.group): each.value for each in figures}
    found = [
        FigureChange(*key, earlier.get(key), now.get(key))
        for key in dict.fromkeys([*now, *earlier])
        if not _same(earlier.get(key), now.get(key))
    ]
    return sorted(found, key=lambda each: -_size(each))


def _same(one: float | None, two: float | None) -> bool:
    return one == two if one is None or two is None else bool(np.isclose(one, two, rtol=1e-6, atol=1e-12))


def _size(change: FigureChange) -> float:
    return np.inf if change.before is None or change.now is None else abs(change.now - change.before)


def versions() -> dict[str, str]:
    """What an evaluation is made with."""
    return {name: version(name) for name in _PACKAGES}
