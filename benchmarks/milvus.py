"""What the engine adds to a Milvus search, and whether it decides in Milvus as it does in a folder."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.synthetic_templates import Population, Shape
from engine.gallery import Gallery
from engine.milvus.address import parse
from engine.milvus.building import build
from engine.milvus.collection import ENTITY, search_settings
from engine.milvus.gallery import MilvusGallery
from engine.templates import Templates
from indexes.base import Progress

# Probes of one bare search: as many as the engine asks for at a time.
_BATCH = 1024


@dataclass(frozen=True)
class MilvusCost:
    """Probes per second, medians over rounds: through `identify`; of `MilvusClient.search` as it comes, which in milvus-lite
    brings all fields back; and asked for the fields alone that `identify` needs. `low`, `high`: identify against the first, in
    single rounds. `equal`: the share of decisions that are those of a gallery in a folder, of `probes`; `unlike`: of the others,
    those whose candidate Milvus did not find.
    """

    identify: float
    bare: float
    bare_fields: float
    low: float
    high: float
    built_seconds: float
    probes: int
    equal: float
    unlike: int


def measure_milvus(
    folder: Path, count: int, probes: int, rounds: int, index: str | None = None, progress: Progress | None = None
) -> MilvusCost:
    """Build the same gallery of `count` synthetic templates in a milvus-lite and in a folder, and search both: half of the probes
    are mated.
    """
    people = Population(Shape.load())
    names = [f"id{at}" for at in range(count)]
    templates = Templates.from_vectors(people.templates(0, count), names, names)
    asked = np.concatenate([people.templates(0, probes // 2, 1), people.templates(count, probes - probes // 2, 1)])
    start = time.perf_counter()
    gallery = build(templates, parse(f"milvus-lite:{folder / 'm.db'}/g"), index=index, progress=progress)
    built = time.perf_counter() - start
    local = Gallery.build(templates, folder / "g", progress=progress)
    seconds: dict[str, list[float]] = {"identify": [], "bare": [], "fields": []}
    for number in range(rounds):
        seconds["bare"].append(_timed(lambda: _search(gallery, asked, None)))
        seconds["identify"].append(_timed(lambda: gallery.identify(asked)))
        seconds["fields"].append(_timed(lambda: _search(gallery, asked, list(ENTITY))))
        if progress:
            progress("rounds", number + 1, rounds)
    ours, theirs = gallery.identify(asked), local.identify(asked)
    unlike = [(a, b) for a, b in zip(ours, theirs, strict=True) if (a.decision, a.identity) != (b.decision, b.identity)]
    missed = sum(b.candidates[0].identity not in {each.identity for each in a.candidates} for a, b in unlike)
    ratios = np.array(seconds["bare"]) / np.array(seconds["identify"])
    middle = {name: len(asked) / float(np.median(values)) for name, values in seconds.items()}
    return MilvusCost(
        middle["identify"],
        middle["bare"],
        middle["fields"],
        float(ratios.min()),
        float(ratios.max()),
        built,
        len(asked),
        1 - len(unlike) / len(asked),
        missed,
    )


def _search(gallery: MilvusGallery, probes: np.ndarray, fields: list[str] | None) -> None:
    """The same collection through `MilvusClient.search` alone, for as many hits as `identify` needs."""
    client, catalogue = gallery.connection, gallery.catalogue
    for start in range(0, len(probes), _BATCH):
        client.call(
            "search",
            catalogue.collection,
            data=list(probes[start : start + _BATCH]),
            limit=catalogue.scoring.shortlist,
            output_fields=fields,
            search_params=search_settings(catalogue.kind, catalogue.effort),
        )


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
