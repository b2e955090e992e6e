"""No image vanishes: what gave no template is named in a file beside the output, with the reason."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.sheets import sheet_file


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
    with sheet_file(path, ["source", "reason"]) as sheet:
        for problem in problems:
            sheet.write((problem.source, problem.reason))
    return path
