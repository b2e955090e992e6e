"""What the engine adds to a Milvus search, and whether it decides in Milvus as it does in a folder."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.data.synthetic_templates import Population, Shape
from engine.gallery.gallery import Gallery
from engine.milvus.building.build import build
from engine.milvus.collection import ENTITY, search_settings
from engine.milvus.connection.address import parse
from engine.milvus.connection.client import MilvusConnection
from engine.milvus.snapshot import MilvusSnapshot, look
from engine.templates.model import Templates, vectors_of
from indexes.base import Progress
from indexes.exact.flat import Flat
from indexes.registry import KINDS

# Probes of one bare search: as many as the engine asks for at a time.
_BATCH = 1024


@dataclass(frozen=True)
class MilvusCost:
    """Probes per second, medians over rounds: through `identify`; of `MilvusClient.search` as it comes, which in milvus-lite
    brings all fields back; and asked for the fields alone that `identify` needs. `low`, `high`: identify against the first, in
    single rounds. `equal`: the share of decisions that are those of a gallery in a folder, of `probes`. Of the others: for
    `short_milvus` Milvus's shortlist, and for `short_folder` the folder's, was not that of an exact search.
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
    short_milvus: int
    short_folder: int


def measure_milvus(
    folder: Path, count: int, probes: int, rounds: int, index: str | None = None, progress: Progress | None = None
) -> MilvusCost:
    """Build the same gallery of `count` synthetic templates in a milvus-lite and in a folder, and search both: half of the probes
    are mated. Both have the same `index` where a folder has such a kind: another kind is calibrated to another threshold.
    """
    people = Population(Shape.load())
    names = [f"id{at}" for at in range(count)]
    templates = Templates.from_vectors(people.templates(0, count), names, names)
    asked = np.concatenate([people.templates(0, probes // 2, 1), people.templates(count, probes - probes // 2, 1)])
    start = time.perf_counter()
    address = parse(f"milvus-lite:{folder / 'm.db'}/g")
    gallery = build(templates, address, index=index, progress=progress)
    built = time.perf_counter() - start
    seen = look(MilvusConnection(address))
    local = Gallery.build(templates, folder / "g", index=index if index in KINDS else None, progress=progress)
    seconds: dict[str, list[float]] = {"identify": [], "bare": [], "fields": []}
    for number in range(rounds):
        seconds["bare"].append(_timed(lambda: _search(seen, asked, None)))
        seconds["identify"].append(_timed(lambda: gallery.identify(asked)))
        seconds["fields"].append(_timed(lambda: _search(seen, asked, list(ENTITY))))
        if progress:
            progress("rounds", number + 1, rounds)
    ours, theirs = gallery.identify(asked), local.identify(asked)
    unlike = np.flatnonzero([(a.decision, a.identity) != (b.decision, b.identity) for a, b in zip(ours, theirs, strict=True)])
    exact = _exact(templates, asked[unlike], gallery.scoring.shortlist)
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
        len(unlike),
        _other_than(exact, gallery, asked[unlike]),
        _other_than(exact, local, asked[unlike]),
    )


def _exact(templates: Templates, probes: np.ndarray, k: int) -> list[set[str]]:
    """The identities of the k templates that are nearest to each probe (n, d)."""
    index = Flat(vectors_of(templates.table))
    names = templates.table["identity"]
    return [set(names.take(pa.array(row)).to_pylist()) for row in index.search(probes, k).rows] if len(probes) else []


def _other_than(exact: list[set[str]], gallery: Gallery, probes: np.ndarray) -> int:
    """For how many probes (n, d) a gallery has not the candidates that an exact search has."""
    found = gallery.identify(probes, top=len(exact[0])) if exact else []
    return sum(want != {each.identity for each in one.candidates} for want, one in zip(exact, found, strict=True))


def _search(seen: MilvusSnapshot, probes: np.ndarray, fields: list[str] | None) -> None:
    """The same collection through `MilvusClient.search` alone, for as many hits as `identify` needs."""
    client, catalogue = seen.client, seen.catalogue
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
