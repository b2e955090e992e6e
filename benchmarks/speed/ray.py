"""What Ray costs: the same work by two of its workers and by one process with two threads, on one machine."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.data.synthetic_templates import Population, Shape
from engine.answers.results_files import results_file
from engine.common.concurrency import ahead
from engine.embedding.embedder import Embedder
from engine.embedding.photographs import find_photographs
from engine.encoders import load_encoder
from engine.gallery.gallery import Gallery
from engine.templates.model import Templates
from engine.templates.parquet import TemplateWriter, stream_templates
from engine.workflows.embed_files import embed_to_file
from engine.workflows.identify_files import TEMPLATES, Identify
from engine.workflows.ray_workers import SpreadEmbedder, spread_identify, workers_on
from indexes.base import Progress


@dataclass(frozen=True)
class RayCost:
    """Items per second, medians over rounds, of one process and on Ray; the ratio's `low` and `high` in single rounds; and
    whether the outputs are the same, value for value.
    """

    here: float
    on_ray: float
    low: float
    high: float
    same: bool


def embedding_on_ray(photos: Path, count: int, rounds: int, folder: Path, progress: Progress | None = None) -> RayCost:
    """Photographs to a template file. Both have begun before they are timed."""
    photographs = find_photographs([photos], "none")[:count]
    load = partial(load_encoder)
    here = Embedder(load())
    with workers_on("ray", 2) as workers:
        there = SpreadEmbedder(here, load, workers)
        for each in (here, there):
            list(each.stream(photographs[:256]))
        outs = [folder / "here.parquet", folder / "there.parquet"]
        work = [
            partial(embed_to_file, photographs, each, out, overwrite=True) for each, out in zip((here, there), outs, strict=True)
        ]
        seconds = _rounds(work, rounds, "embedding", progress)
    return _cost(seconds, len(photographs), pq.read_table(outs[0]).equals(pq.read_table(outs[1])))


def identifying_on_ray(count: int, probes: int, rounds: int, folder: Path, progress: Progress | None = None) -> RayCost:
    """Templates to a results file, in a gallery of `count` synthetic templates."""
    people = Population(Shape.load())
    names = [f"id{at}" for at in range(count)]
    gallery = Gallery.build(Templates.from_vectors(people.templates(0, count), names, names), folder / "g", progress=progress)
    asked = Templates.from_vectors(people.templates(count // 2, probes, 1))
    with TemplateWriter(folder / "p.parquet", asked.provenance) as writer:
        for batch in asked.table.to_batches():
            writer.write(batch)
    limit = gallery.threshold()
    outs = [folder / "here.results.parquet", folder / "there.results.parquet"]
    with workers_on("ray", 2) as workers:
        spread = spread_identify(workers, str(gallery.path), limit, 5, None)
        list(spread(stream_templates(folder / "p.parquet", TEMPLATES)))

        def identify(out: Path, mapped: Identify) -> None:
            with results_file(out) as results:
                for table in ahead(mapped(ahead(stream_templates(folder / "p.parquet", TEMPLATES)))):
                    results.write(table)

        def local(parts: Iterable[Templates]) -> Iterator[pa.Table]:
            return (gallery.snapshot().identify(part, limit, 5) for part in parts)

        seconds = _rounds(
            [partial(identify, outs[0], local), partial(identify, outs[1], spread)], rounds, "identifying", progress
        )
    return _cost(seconds, probes, pq.read_table(outs[0]).equals(pq.read_table(outs[1])))


def _rounds(work: Sequence[Callable[[], object]], rounds: int, what: str, progress: Progress | None) -> np.ndarray:
    """Seconds (rounds, 2), the two taking turns."""
    seconds = np.empty((rounds, len(work)))
    for number in range(rounds):
        for which, each in enumerate(work):
            start = time.perf_counter()
            each()
            seconds[number, which] = time.perf_counter() - start
        if progress:
            progress(what, number + 1, rounds)
    return seconds


def _cost(seconds: np.ndarray, items: int, same: bool) -> RayCost:
    here, there = items / np.median(seconds, axis=0)
    ratios = seconds[:, 0] / seconds[:, 1]
    return RayCost(float(here), float(there), float(ratios.min()), float(ratios.max()), same)
