"""Threads that search one gallery object side by side."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.data.synthetic_templates import Population, Shape
from engine.gallery.gallery import Gallery
from engine.templates.model import Templates
from indexes.base import Progress


@dataclass(frozen=True)
class SideBySide:
    """Probes a second that one thread got, and those that several got together, in each round."""

    one: tuple[float, ...]
    several: tuple[float, ...]


def measure_threads(
    folder: Path, count: int, batch: int, threads: int, seconds: float, rounds: int, told: Progress | None = None
) -> SideBySide:
    """Identify in a gallery of `count` templates below `folder`, `batch` probes a call, for so many seconds a round."""
    population = Population(Shape.load())
    names = [f"id{number}" for number in range(count)]
    made = Templates.from_vectors(population.templates(0, count), names, names)
    gallery = Gallery.build(made, folder / "gallery", progress=told)
    probes = population.templates(0, 4096, image=1)
    one, several = [], []
    for number in range(rounds):
        one.append(_rate(gallery, probes, batch, 1, seconds))
        several.append(_rate(gallery, probes, batch, threads, seconds))
        if told:
            told("rounds", number + 1, rounds)
    return SideBySide(tuple(one), tuple(several))


def _rate(gallery: Gallery, probes: np.ndarray, batch: int, threads: int, seconds: float) -> float:
    end = time.perf_counter() + seconds

    def search(thread: int) -> int:
        done, at = 0, 997 * thread
        while time.perf_counter() < end:
            at = (at + batch) % (len(probes) - batch)
            gallery.identify(probes[at : at + batch], threshold=0.5)
            done += batch
        return done

    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(search, range(threads)))
    return done / (time.perf_counter() - start)
