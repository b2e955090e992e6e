"""What the commands print: progress while they work, one line at the end, errors in one line."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from textwrap import fill
from typing import TYPE_CHECKING, Any

import humanfriendly
import typer
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from engine.cli.shell.lines import Lines
from engine.files.escaping import shown
from engine.files.object_storage import as_given
from indexes.errors import PlanError

if TYPE_CHECKING:
    from engine.faces.images import LeftOut
    from engine.storage.changes import EnrolmentResult
    from engine.templates.names import Labelling
    from indexes.planner import Plan


class _Plain(Console):
    """A console that prints texts literally, so that nothing in a name is taken for markup. What it prints is also put into
    `kept`, where that is a list. On a terminal lines end between words; where there is none they are whole, and a table is as
    wide as it needs to be, so that no name is cut.
    """

    kept: list[Any] | None = None

    def print(self, *objects: Any, **options: Any) -> None:
        if self.kept is not None:
            self.kept.extend(objects)
        texts = [self._fitted(shown(as_given(each))) if isinstance(each, str) else each for each in objects]
        if self.is_terminal or not any(isinstance(each, Table) for each in objects):
            super().print(*texts, **options)
            return
        own, self._width = self._width, _WIDEST
        try:
            super().print(*texts, **options)
        finally:
            self._width = own

    def _fitted(self, text: str) -> str:
        """A text in lines of the terminal's width; a word that is longer, such as a path, stays whole."""
        if not self.is_terminal or cell_len(text) <= self.width:
            return text
        indent = " " * (len(text) - len(text.lstrip()) + 2)
        return fill(text, self.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


# Letters of a line that are room enough for any table.
_WIDEST = 400
# Matches of an enrolment that are told one by one.
_TOLD = 5

out = _Plain(highlight=False, soft_wrap=True, markup=False, emoji=False)
err = _Plain(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


class _Spoken:
    """How this command tells: `quiet` leaves out what was not asked for, with `as_json` the `fields` are told, no lines."""

    def __init__(self) -> None:
        self.quiet = self.as_json = False
        self.fields: dict[str, Any] = {}


_spoken = _Spoken()


@contextmanager
def telling(quiet: bool, as_json: bool) -> Iterator[None]:
    """While a command runs: whether it is quiet, and whether it ends with one JSON object, unless an error ends it."""
    before = _spoken.__dict__.copy()
    _spoken.quiet, _spoken.as_json, _spoken.fields = quiet, as_json, {}
    err.quiet, out.quiet = quiet, as_json
    try:
        try:
            yield
        except typer.Exit:
            _end()
            raise
        _end()
    finally:
        err.quiet = out.quiet = False
        _spoken.__dict__.update(before)


def _end() -> None:
    if _spoken.as_json:
        import json

        typer.echo(json.dumps(_spoken.fields, ensure_ascii=False))


def tell(line: str, **fields: Any) -> None:
    """Say in one line what a command did: not at all with --quiet, and with --json as `fields` of the object at the end."""
    _spoken.fields.update(fields)
    if not _spoken.quiet:
        out.print(line)


def answer(line: str, **fields: Any) -> None:
    """As `tell`, for the answer that the user asked for, which --quiet does not suppress."""
    _spoken.fields.update(fields)
    out.print(line)


def for_programs() -> bool:
    """Whether --json was given, so that the command ends with one JSON object."""
    return _spoken.as_json


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows as lines whose cells begin below each other; no line is broken, and no cell is cut."""
    cells = [[shown(as_given(each)) for each in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(each + " " * (width - cell_len(each)) for each, width in zip(row, widths, strict=True)).rstrip()


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 problem`, `2 problems`, `1,234,567 identities`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _bar() -> "Progress | Lines":
    if not err.is_terminal:
        return Lines(err.print)
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=err, disable=err.quiet)


@contextmanager
def progress(what: str, total: int | None) -> Iterator["Bar"]:
    """A progress bar on standard error, `total` None if it is not known yet; what it gives is told how many more are done."""
    with _bar() as bar:
        yield Bar(bar, bar.add_task(what, total=total))


class Bar:
    """A bar of progress: called with how many more are done; told by `of` how many there are."""

    def __init__(self, bar: "Progress | Lines", task: TaskID) -> None:
        self._bar, self._task = bar, task

    def __call__(self, more: int) -> None:
        self._bar.advance(self._task, more)

    def of(self, total: int) -> None:
        """How many there are, once that is known."""
        self._bar.update(self._task, total=total)


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar for each stage of a build, as it begins; what it gives is told the stage, what is done, and of how much."""
    with _bar() as bar:
        tasks: dict[str, TaskID] = {}

        def told(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage)
            bar.update(tasks[stage], completed=done, total=total)

        yield told


@contextmanager
def training(photographs: int) -> Iterator[tuple[Callable[[int], None], Callable[[int, int, float, float, float], None]]]:
    """Bars for a training run: one of photographs, told how many more are cut; one of an epoch's steps, told how many are done,
    of how many, the loss, the active share, and images a second.
    """
    with _bar() as bar:
        chips, epoch = bar.add_task("chips", total=photographs), bar.add_task("training", total=None)

        def told(done: int, total: int, loss: float, share: float, rate: float) -> None:
            said = f"loss {loss:.3f} {share:4.0%} {rate:.0f}/s"
            bar.update(epoch, completed=done, total=total, description=said)

        yield lambda more: bar.advance(chips, more), told


def announce(plan: "Plan", local: bool) -> None:
    """Say what will be built and why, what it will take, before the work begins; `local`: whether local scores may follow."""
    memory, cached, disk = (humanfriendly.format_size(size, binary=True) for size in (plan.memory, plan.cached, plan.disk))
    cache = f" (and {cached} of file cache, if there is room)" if plan.cached else ""
    err.print(f"{plan.factory or plan.kind} index: {plan.why}.")
    seconds = humanfriendly.format_timespan(round(plan.seconds)) if plan.seconds >= 1 else "a second"
    err.print(f"about {seconds}, {memory} of memory{cache}, {disk} of disk")
    if local:
        err.print("each template is searched for once in that time, for how densely they lie (--score plain does without)")


def bytes_of(size: str | None, option: str = "--memory") -> int | None:
    """6GiB, 500MB or 1.5G as a number of bytes (G is GiB), as an option says it. Raises `PlanError` where it is none."""
    if size is None:
        return None
    try:
        return int(humanfriendly.parse_size(size, binary=True))
    except humanfriendly.InvalidSize as error:
        raise PlanError(f"{option} {size}: found no size, expected one such as 6GiB") from error


def thousands(number: int) -> str:
    """1234567 as 1,234,567."""
    return f"{number:,}"


def announce_labels(labelling: "Labelling", otherwise: str) -> None:
    """Say how many photographs there are, whose they are taken to be, what looks wrong with that, and what says `otherwise`."""
    if labelling.images:
        err.print(str(labelling))
    for doubt in labelling.doubts:
        err.print(f"warning: {doubt}; {otherwise} says otherwise")


def announce_enrolled(done: "EnrolmentResult", looked: bool) -> None:
    """Say of an enrolment what its counts do not; `looked`: whether faces of other names were to be looked for."""
    from engine.answers.already_enrolled import told

    announce_labels(done.labelling, "--identity, or a list of path and identity,")
    if done.unseen.faces:
        err.print(f"{done.unseen}: of each photograph the largest face is enrolled")
    matches = done.matches
    if matches.found and matches.threshold is not None:
        for match in matches.found[:_TOLD]:
            err.print(f"warning: {told(match, matches.threshold)}")
        more = f"{thousands(len(matches.found) - _TOLD)} more such; " if len(matches.found) > _TOLD else ""
        err.print(f"{more}some new faces look so by chance; --on-match refuse enrols none, onek remove takes one back")
    elif looked and matches.threshold is None and done.templates:
        err.print("whether a face is enrolled under another name was not looked at: no threshold is known for this gallery")
    if matches.again:
        err.print(f"{thousands(matches.again)} of them are enrolled a second time, under other template ids")


@contextmanager
def told_what_is_left_out() -> "Iterator[Callable[[LeftOut], None]]":
    """Collects files that are not taken for photographs, and says at the end how many there were, and why."""
    from engine.faces.images import summary

    left: list[LeftOut] = []
    yield left.append
    if left:
        err.print(summary(left))
