"""No image vanishes: what gave no template is named in a file beside the output, with the reason."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.files import whole_file
from engine.harmless import harmless


@dataclass(frozen=True)
class Problem:
    """One image that gave no template, and why."""

    source: str
    reason: str


def problems_path(out: Path) -> Path:
    """`NAME.problems.csv` beside `NAME.parquet`."""
    return out.with_name(f"{out.stem}.problems.csv")


def write_problems(out: Path, problems: Iterable[Problem]) -> Path:
    """Write the problems of the run that made `out`, in the order given; a run without any gets a file with the header alone.

    Raises:
        OutputError: the file cannot be written.
    """
    path = problems_path(out)
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(["source", "reason"])
        rows.writerows((harmless(problem.source), harmless(problem.reason)) for problem in problems)
    return path
