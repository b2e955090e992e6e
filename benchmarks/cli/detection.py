"""The command `onek benchmark detection`: parse, call, print."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.faces.detection import Row
    from benchmarks.faces.tilted import Tilt


def detection_command(
    photos: Annotated[Path, typer.Option("--photos", metavar="FOLDER", help="Photographs of single faces, such as LFW.")],
    count: Annotated[int, typer.Option(min=1, help="How many of them, taken at random.")] = 200,
    seed: int = 0,
) -> None:
    """Faces found that are small, turned, covered, huge or many; and what is taken for a face where nobody is."""
    from benchmarks.faces.detection import measure_detection
    from benchmarks.faces.tilted import ANGLES, measure_tilts
    from engine.cli.console import out as console
    from engine.cli.console import progress
    from engine.faces.images import find_images

    with progress("pictures", None) as done:
        rows = measure_detection(find_images(photos), count=count, seed=seed, progress=done)
    for task in dict.fromkeys(row.task for row in rows):
        own = [row for row in rows if row.task == task]
        console.print(_recall(task, own) if any(row.faces for row in own) else _alarms(task, own))
    files = find_images(photos)
    with progress("tilts", len(ANGLES)) as done:
        console.print(_tilts(measure_tilts(files[:: max(1, len(files) // count)][:count], done)))


def _tilts(rows: Sequence["Tilt"]) -> "Table":
    from rich.table import Table

    table = Table("degrees", "photographs", "found", "median", "90 %", title="landmarks of turned photographs, off by")
    for row in rows:
        table.add_row(f"{row.degrees}", f"{row.photographs:,}", f"{row.found:,}", f"{row.median:.3f}", f"{row.ninetieth:.3f}")
    table.caption = "root mean square against the upright picture, in distances of the eyes"
    return table


def _recall(task: str, rows: Sequence["Row"]) -> "Table":
    from rich.table import Table

    from engine.faces.alignment import SURE

    table = Table("", "faces", "largest (95 %)", "sure", "all (95 %)", "sure", "twice", "false", title=f"{task}: found")
    for largest, everybody in _pairs(rows):
        one, several = ((_share(len(row.found), row.faces), f"{_over(row.found, SURE):,}") for row in (largest, everybody))
        # Of several faces `largest` is not asked for more than one.
        asked = one if largest.faces == largest.pictures else ("", "")
        false = len(largest.false) + len(everybody.false)
        table.add_row(largest.case, f"{largest.faces:,}", *asked, *several, f"{everybody.twice:,}", f"{false:,}")
    table.caption = f"sure: with a confidence of {SURE} or more"
    return table


def _alarms(task: str, rows: Sequence["Row"]) -> "Table":
    from rich.table import Table

    levels = (0.7, 0.8, 0.9)
    table = Table("", "pictures", "largest (95 %)", "sure", "all", "sure", title=f"{task}: found all the same")
    for largest, everybody in _pairs(rows):
        one, several = (" ".join(f"{_over(row.false, level):,}" for level in levels) for row in (largest, everybody))
        share = _share(len(largest.false), largest.pictures)
        table.add_row(largest.case, f"{largest.pictures:,}", share, one, f"{len(everybody.false):,}", several)
    table.caption = f"sure: with a confidence of {', '.join(map(str, levels))} or more"
    return table


def _pairs(rows: Sequence["Row"]) -> Iterator[tuple["Row", "Row"]]:
    """What `largest` and `all` made of each case, in the order of the cases."""
    by_case = {(row.case, row.finder): row for row in rows}
    for case in dict.fromkeys(row.case for row in rows):
        yield by_case[case, "largest"], by_case[case, "all"]


def _over(qualities: Sequence[float], least: float) -> int:
    return sum(quality >= least for quality in qualities)


def _share(hits: int, total: int) -> str:
    from benchmarks.faces.detection import interval

    low, high = interval(hits, total)
    return f"{hits:,}: {hits / total:.1%} ({100 * low:.0f}-{100 * high:.0f})"
