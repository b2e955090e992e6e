"""What a report of a million searches costs: raw searches that nobody made, and `onek report` on them in a process of its own."""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.evaluation.raw import SCHEMA, SEARCHES, About, System, Trial, searches_file
from engine.evaluation.searching.trials import TOP
from engine.evaluation.splits import RATES, sizes
from engine.reports.evaluation.folder import versions

_PART = 65_536
# Searches of each smaller gallery, as a share of those of the whole one; images of a person.
_SMALLER, _EACH = 0.1, 4


@dataclass(frozen=True)
class Cost:
    """`searches` of the whole gallery and `others` of smaller ones in it, up to K `identities`; what a report of them took, `cpu`
    in seconds of one core.
    """

    searches: int
    others: int
    identities: int
    seconds: float
    cpu: float
    mebibytes: float


def measure_report(folder: Path, searches: int = 1_000_000, identities: int = 1_000_000) -> Cost:
    """Draw searches, half of them mated, four for each person, and have their report made."""
    folder.mkdir(parents=True, exist_ok=True)
    steps = sizes(identities)
    many = {size: searches if size == identities else int(_SMALLER * searches) for size in steps}
    system = System("drawn", "drawn", "drawn", "f" * 64, 128, "plain")
    limits = {f"{rate:g}": float(0.6 + 0.1 * np.log10(rate)) for rate in RATES}
    trials = tuple(Trial("drawn", 0, size, size, limits, searches=many[size]) for size in steps)
    with searches_file(folder / SEARCHES) as writer:
        for size, count in many.items():
            for table in _drawn(size, count, TOP if size == identities else 1):
                writer.write(table)
        writer.finish(About((system,), trials, "drawn searches", "onek benchmark report", versions(), identities, searches, 0))
    start = time.perf_counter()
    program = "from engine.cli.app import main; main()"
    arguments = [sys.executable, "-c", program, "report", str(folder / SEARCHES), "--out", str(folder / "report"), "--overwrite"]
    child = os.posix_spawn(sys.executable, arguments, {**os.environ})
    _, status, usage = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"the report ended with status {os.waitstatus_to_exitcode(status)}")
    seconds, cpu = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
    return Cost(searches, sum(many.values()) - searches, identities, seconds, cpu, usage.ru_maxrss / 1024)


def _drawn(size: int, count: int, top: int) -> Iterator[pa.Table]:
    random = np.random.default_rng(size)
    for start in range(0, count, _PART):
        rows = np.arange(start, min(start + _PART, count))
        mated = rows < count // 2
        scores = (
            np.where(mated, random.normal(0.3, 0.1, len(rows)), random.normal(0.7, 0.08, len(rows))).clip(0).astype(np.float32)
        )
        right = mated & (random.random(len(rows)) < 0.98)
        person = rows // _EACH
        names = pa.array(np.char.add("id", person.astype(str)))
        others = pa.array(np.char.add("id", random.integers(0, size, len(rows)).astype(str)))
        named = pc.if_else(pa.array(right), names, others)
        listed = _candidates(scores, top, size, random)
        columns = [
            pa.array(["drawn"] * len(rows)),
            pa.array(np.zeros(len(rows), np.int32)),
            pa.array(np.full(len(rows), size, np.int32)),
            pa.array(np.char.add("photographs/of/somebody/", rows.astype(str))),
            names,
            pa.array(mated),
            pa.array(np.zeros(len(rows), bool)),
            pa.array(right.astype(np.int32)),
            named,
            pa.array(scores),
            pa.array(scores),
            pa.array(random.exponential(1, len(rows)).astype(np.float32)),
            listed,
        ]
        yield pa.table(columns, schema=SCHEMA)


def _candidates(scores: np.ndarray, top: int, size: int, random: np.random.Generator) -> pa.Array:
    count = len(scores)
    places = random.integers(0, size, (count, top)).astype(np.int32)
    spread = pa.array((scores[:, None] + np.arange(top, dtype=np.float32) * 0.01).astype(np.float32).ravel())
    who = pa.array(np.char.add("id", places.ravel().astype(str)))
    fields = list(SCHEMA.field("candidates").type.value_type)
    listed = pa.StructArray.from_arrays([who, who, pa.array(places.ravel()), spread, spread], fields=fields)
    return pa.ListArray.from_arrays(pa.array(np.arange(count + 1) * top, pa.int32()), listed)
