"""What it costs to seal a twentieth that joined a large gallery: in a tail behind its base, and with all of it written again."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.data.synthetic_templates import Population, Shape
from engine.errors import OnekError
from engine.gallery.gallery import Gallery
from engine.storage import sealing
from engine.storage.folder_snapshot import open_snapshot
from engine.storage.segments import segment_files
from engine.storage.writer_lock import Writer
from engine.templates.model import Templates
from indexes.approximate.ivf import InvertedLists
from indexes.base import Progress

# People who join: none of the first million million is one of them.
_NEW = 1 << 32


@dataclass(frozen=True)
class Sealed:
    """How one way of sealing did: `written` bytes, and the median `seconds` to seal, to open the gallery until it has answered a
    probe, and to identify 1,024 probes.
    """

    written: int
    seconds: float
    opening: float
    identifying: float


def measure_tails(out: Path, count: int, rounds: int, progress: Progress | None = None) -> tuple[int, Sealed, Sealed]:
    """Build a gallery of `count` synthetic identities below `out`; how many joined it, and what sealing them in a tail and with
    all the others cost, in turns.

    Raises:
        OnekError: the two galleries answer differently.
    """
    people = Population(Shape.load())
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    joining = max(count // 20, 1)
    gallery = Gallery.build(_templates(people, 0, count), out / "base", index="ivf", progress=progress)
    before, sealing.SEAL_AT = sealing.SEAL_AT, count
    try:
        for start in range(0, joining, 9_500):
            gallery.enroll(_templates(people, _NEW + start, min(9_500, joining - start)), on_match="ignore")
    finally:
        sealing.SEAL_AT = before
    gallery.close()
    probes = np.concatenate([people.templates(0, 512, 1), people.templates(_NEW, 512, 1)])
    ways: dict[str, list[float]] = {"tail": [], "whole": []}
    written = {}
    for _ in range(rounds):
        for way, seconds in ways.items():
            folder = out / way
            shutil.rmtree(folder, ignore_errors=True)
            gallery.backup(folder)
            took, written[way] = _seal(folder, whole=way == "whole")
            seconds.append(took)
    opening = {way: [] for way in ways}  # type: dict[str, list[float]]
    for _ in range(max(rounds, 5)):
        for way, seconds in opening.items():
            seconds.append(_seconds(lambda way=way: Gallery.open(out / way).identify(probes[:1], threshold=0.3)))  # type: ignore[misc]
    opened = {way: Gallery.open(out / way) for way in ways}
    answers = [each.identify(probes, threshold=0.3).table for each in opened.values()]
    if not answers[0].equals(answers[1]):
        raise OnekError("a gallery with a tail answered otherwise than one that was written whole")
    identifying = {way: [] for way in ways}  # type: dict[str, list[float]]
    for _ in range(max(rounds, 5)):
        for way, seconds in identifying.items():
            seconds.append(_seconds(partial(opened[way].identify, probes, threshold=0.3)))
    tail, whole = (
        Sealed(written[way], median(ways[way]), median(opening[way]), median(identifying[way])) for way in ("tail", "whole")
    )
    return joining, tail, whole


def _seal(folder: Path, *, whole: bool) -> tuple[float, int]:
    """The seconds that sealing took, densities being known, and the bytes of the segment that it wrote."""
    view, writer = open_snapshot(folder), Writer(folder)
    index = view.segment.index
    if not isinstance(index, InvertedLists):
        raise OnekError(f"{folder} has an index of kind {index.kind}; expected lists")
    view.enrolled.all_densities()
    with writer.holding():
        work = partial(sealing._extend, view, writer) if whole else partial(sealing._seal_tail, view, index, writer)
        took = _seconds(work)
    writer.close()
    last = open_snapshot(folder).catalogue.segments[-1]
    return took, sum(file.stat().st_size for file in segment_files(folder, last.name) if file.exists())


def _templates(people: Population, first: int, count: int) -> Templates:
    vectors = people.templates(first, count)
    names = [f"person{number}" for number in range(first, first + count)]
    return Templates.from_vectors(vectors, names, [f"{name}:0" for name in names])


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
