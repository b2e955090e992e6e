"""Where `onek identify` puts its results: a file, standard output, one JSON object, or a table to read."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from engine.answers.results_files import TEXT, ResultsWriter, results_file, rows_of
from engine.calibration.thresholds import IDENTIFIED
from engine.errors import OutputError
from engine.templates.problems import Problem, problems_path, write_problems
from engine.workflows.identify_files import check_results_output

if TYPE_CHECKING:
    from engine.workflows.identify_files import Identification

# What stands for standard output.
STANDARD_OUTPUT = ("-", "/dev/stdout")
# Rows of the table that people read; `--out` writes all.
SHOWN = 50


class Destination:
    """Where results go; `candidates`: whether the table for people lists them too."""

    def __init__(self, out: Path | None, candidates: bool) -> None:
        from engine.cli.console import for_programs

        self.out = out
        self._candidates = candidates
        self._kept = _Kept(None if for_programs() else SHOWN)
        self._problems: Sequence[Problem] = ()

    @property
    def streams(self) -> bool:
        """Whether standard output has the results themselves."""
        return self.out is not None and str(self.out) in STANDARD_OUTPUT

    def check(self, read: Sequence[Path], overwrite: bool) -> None:
        """Refuse, before any work, what cannot be written. Raises `OutputError`."""
        from engine.cli.console import for_programs

        if self.streams and for_programs():
            raise OutputError(f"--out {self.out} and --json both ask for standard output; expected one of them")
        if self.out is not None and self._candidates:
            raise OutputError("--candidates goes with the table on the terminal; results files have them always")
        if self.out is not None and not self.streams:
            check_results_output(self.out, read, overwrite)

    @contextmanager
    def opened(self) -> Iterator[ResultsWriter]:
        """What takes the results."""
        if self.out is None:
            yield self._kept
        elif self.streams:
            with TEXT[".csv"](sys.stdout) as writer:
                yield writer
        else:
            with results_file(self.out) as file:
                yield file

    def explain(self, problems: Sequence[Problem]) -> None:
        """Say why probes failed, before the results are complete."""
        if self.out is not None and not self.streams:
            write_problems(self.out, problems)
        self._problems = problems

    def tell(self, made: "Identification") -> None:
        """Say what was found: all of it, where there is no file that has it."""
        from engine.cli.console import err, tell

        counts, unseen = made.counts, made.unseen
        told = {"threshold": asdict(made.threshold), "probes": counts.probes, **asdict(counts), "unseen_faces": unseen.faces}
        told |= {"unlike": made.unlike}
        lines = [str(made.threshold), str(counts)]
        if self.out is None:
            self._show()
            told |= {"results": self._kept.rows, "problems": [asdict(each) for each in self._problems]}
        elif not self.streams:
            told |= {"results_file": str(self.out), "problems_file": str(problems_path(self.out))}
            lines[-1] += f", in {self.out}" + (f"; reasons in {problems_path(self.out)}" if counts.failed else "")
        if unseen.faces:
            lines.append(f"{unseen}; --faces all looks at them")
        if made.unlike:
            lines.append(f"warning: {made.unlike}")
        if self.streams:
            for problem in self._problems:
                err.print(f"failed: {problem.source}: {problem.reason}")
            for line in lines:
                err.print(line)
            return
        for line in lines:
            tell(line, **told)

    def _show(self) -> None:
        from engine.cli.console import answer, columns

        rows = [_row(row) for row in self._kept.rows[:SHOWN]]
        if not rows:
            return
        heading, *lines = columns([HEADINGS, *rows])
        answer(heading)
        for row, line in zip(self._kept.rows, lines, strict=False):
            answer(line)
            for each in row["candidates"] if self._candidates else ():
                answer(f"  {each['distance']:.4f}  {each['identity']}")
        if self._kept.more:
            answer(f"and {self._kept.more:,} more; --out FILE has all of them")
        for problem in self._problems[:SHOWN]:
            answer(f"failed: {problem.source}: {problem.reason}")


class _Kept:
    """Keeps the first rows, or all where there is no limit, and counts the rest."""

    def __init__(self, most: int | None) -> None:
        self.rows: list[dict[str, Any]] = []
        self.more = 0
        self._most = most

    def write(self, table: pa.Table) -> None:
        room = table.num_rows if self._most is None else max(0, self._most - len(self.rows))
        self.rows += rows_of(table.slice(0, room))
        self.more += max(0, table.num_rows - room)


HEADINGS = ("picture", "face", "who", "distance", "by chance")


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    """A result as people read it."""
    who = row["identity"] if row["decision"] == IDENTIFIED else row["decision"]
    distance = "" if row["distance"] is None else f"{row['distance']:.4f}"
    return row["probe"], _place(row), who, distance, _chance(row["expected_false_alarms"])


def _place(row: dict[str, Any]) -> str:
    """Which face, and where: `0 at 34,50 80x90`, in pixels."""
    if row["box"] is None:
        return "" if row["face"] is None else str(row["face"])
    x, y, width, height = (round(each) for each in row["box"])
    return f"{row['face']} at {x},{y} {width}x{height}"


def _chance(expected: float | None) -> str:
    """How many of the enrolled a stranger would be expected to match at least this well."""
    if expected is None:
        return ""
    return "under 0.0001" if expected < 1e-4 else f"{expected:.2g}"
