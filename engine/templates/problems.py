"""No image vanishes: what gave no template is named in a file beside the output, with the reason."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.errors import OutputError
from engine.tables.sheets import longer_sheet_file, sheet_file

_COLUMNS = ("source", "reason")


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
    with sheet_file(path, _COLUMNS) as sheet:
        for problem in problems:
            sheet.write((problem.source, problem.reason))
    return path


def require_problems(out: Path) -> None:
    """Refuse, before any work, to add to a file that is not of problems.

    Raises:
        OutputError: what is called so beside `out` is something else.
    """
    path = problems_path(out)
    if path.exists() and not _begins_as_ours(path):
        raise OutputError(f"{path} is no list of problems of onek's, which are added to it; move it elsewhere")


def add_problems(out: Path, problems: Iterable[Problem]) -> Path:
    """Add problems to those of earlier runs, behind them.

    Raises:
        OutputError: the file cannot be written, or is something else.
    """
    require_problems(out)
    path = problems_path(out)
    if not path.exists():
        return write_problems(out, problems)
    with longer_sheet_file(path) as sheet:
        for problem in problems:
            sheet.write((problem.source, problem.reason))
    return path


def _begins_as_ours(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.readline() == (",".join(_COLUMNS) + "\n").encode()


@dataclass(frozen=True)
class Unseen:
    """How many `faces` there are beside those that were taken, in how many `photographs`: at least so many, since the copy of a
    photograph on which its largest face is found does not show the smallest ones.
    """

    faces: int = 0
    photographs: int = 0

    def __add__(self, other: "Unseen") -> "Unseen":
        return Unseen(self.faces + other.faces, self.photographs + other.photographs)

    def __str__(self) -> str:
        more = "1 more face" if self.faces == 1 else f"{self.faces:,} more faces"
        where = "1 photograph" if self.photographs == 1 else f"{self.photographs:,} photographs"
        return f"at least {more} in {where} {'was' if self.faces == 1 else 'were'} not looked at"


ALL_SEEN = Unseen()
