"""What change costs: enrolling one by one and in batches, removing, and searching beside templates that joined lately."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.data.synthetic_templates import Population, Shape
from engine.errors import OnekError
from engine.gallery.folder import FolderBackend
from engine.gallery.gallery import Gallery
from engine.templates.model import Templates
from indexes.base import Progress

# People who join: none of the first million million is one of them.
_NEW = 1 << 32


@dataclass(frozen=True)
class Living:
    """Templates a second, without and with a look whether each face is enrolled under another name; seconds; and how much
    longer a search takes beside `recent` templates: 0.1 is a tenth longer.
    """

    singles_per_second: float
    batches_per_second: float
    singles_looked_per_second: float
    batches_looked_per_second: float
    recent: int
    slower: float
    slower_low: float
    slower_high: float
    removed: int
    remove_seconds: float
    reopen_seconds: float


def measure_living(out: Path, count: int, rounds: int, progress: Progress | None = None) -> Living:
    """Build a gallery of `count` synthetic identities below `out`, and change it."""
    people = Population(Shape.load())
    if out.exists():
        shutil.rmtree(out)
    before = Gallery.build(_templates(people, 0, count), out, progress=progress)
    probes = np.concatenate([people.templates(0, 1024, 1), people.templates(_NEW * 2, 1024, 0)])
    gallery = Gallery.open(out)
    gallery.enroll(_templates(people, _NEW, 1))
    rates = []
    for turn, on_match in enumerate(("ignore", "warn")):
        first = _NEW + 100_000 * turn
        joining = _templates(people, first + 1, 500)
        singles = [replace(joining, table=joining.table.slice(number, 1)) for number in range(500)]
        batches = [_templates(people, first + 10_000 * number, size) for number, size in enumerate((9_500, 9_500, 1_200), 1)]
        for parts in (singles, batches):
            enroll = partial(gallery.enroll, on_match=on_match)
            rates.append(sum(map(len, parts)) / _seconds(lambda parts=parts, enroll=enroll: list(map(enroll, parts))))  # type: ignore[misc]
    recent = FolderBackend(out).info().recent
    slower = sorted(_slower(before, gallery, probes, rounds))
    gallery.close()
    leaving = [f"person{number}" for number in range(0, count, max(1, count // 1000))][:1000]
    gallery = Gallery.open(out)
    removing = _seconds(lambda: gallery.remove(leaving))
    found = Gallery.open(out)
    opening = _seconds(lambda: Gallery.open(out).identify(probes[:1], threshold=0.3))
    if any(result.identity in leaving for result in found.identify(probes, threshold=2.0)):
        raise OnekError("somebody who was removed was found")
    one, many, one_looked, many_looked = rates
    return Living(
        one, many, one_looked, many_looked, recent, median(slower), slower[0], slower[-1], len(leaving), removing, opening
    )


def _templates(people: Population, first: int, count: int) -> Templates:
    vectors = people.templates(first, count)
    names = [f"person{number}" for number in range(first, first + count)]
    return Templates.from_vectors(vectors, names, [f"{name}:0" for name in names])


def _slower(before: Gallery, after: Gallery, probes: np.ndarray, rounds: int) -> list[float]:
    """In turns, after one search of each that counts for nothing."""
    questions = [partial(each.identify, probes, threshold=0.3) for each in (before, after)]
    for question in questions:
        question()
    pairs = [[_seconds(question) for question in questions] for _ in range(rounds)]
    return [theirs / ours - 1 for ours, theirs in pairs]


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
