"""Attacks by the thousand, each in a process of its own: an answer or one line of ours, and nothing else."""

import gc
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path

from benchmarks.attacks.bombs import Bombs
from benchmarks.attacks.case import Attack, Place
from benchmarks.attacks.catalogues import Catalogues
from benchmarks.attacks.encoders import Encoders
from benchmarks.attacks.indexes import Indexes
from benchmarks.attacks.links import Links
from benchmarks.attacks.names import Names
from benchmarks.attacks.payloads import Payloads
from benchmarks.attacks.pictures import Pictures
from benchmarks.durability.isolated import Ended, apart, isolated
from engine.errors import OnekError

ATTACKS: Mapping[str, type[Attack]] = {
    "indexes": Indexes,
    "payloads": Payloads,
    "catalogues": Catalogues,
    "links": Links,
    "bombs": Bombs,
    "pictures": Pictures,
    "encoders": Encoders,
    "names": Names,
}
SHARES = {"indexes": 5, "payloads": 3, "catalogues": 4, "links": 2, "bombs": 2, "pictures": 2, "encoders": 1, "names": 1}
"""Of 20 cases, so many are of each kind."""


@dataclass(frozen=True)
class Attacked:
    """`cases` were tried, by `sorts`, and `refused` of them with an error of ours; `memory` is the most that one added, in bytes,
    and `seconds` the longest that one computed. `faults` says of each that went wrong its number, sort and how.
    """

    kind: str
    cases: int
    refused: int
    memory: int
    seconds: float
    sorts: Mapping[str, int]
    faults: tuple[str, ...]


def attack(kind: str, count: int, folder: Path, start: int = 0) -> Attacked:
    """Try `count` cases of a kind below `folder`, from the number `start` on. The same number is the same case."""
    made = ATTACKS[kind](folder / "whole")
    place = Place(folder / "work", folder / "canary")
    temporary = folder / "tmp"
    for each in (place.canary / "folder", temporary):
        each.mkdir(parents=True)
    (place.canary / "precious").write_bytes(b"dear diary" * 2000)
    (place.canary / "folder" / "inside").write_text("precious")
    sorts, faults, ended = Counter[str](), list[str](), list[Ended]()
    before, tempfile.tempdir = tempfile.tempdir, str(temporary)
    try:
        for number in range(start, start + count):
            sort, found = _case(made, f"{kind} {number}", place)
            sorts[sort] += 1
            ended.append(found)
            if found.fault:
                faults.append(f"{kind} {number} ({sort}): {found.fault}")
    finally:
        tempfile.tempdir = before
    return Attacked(
        kind,
        count,
        sum(each.refused is not None for each in ended),
        max((each.memory for each in ended), default=0),
        max((each.seconds for each in ended), default=0.0),
        dict(sorts),
        tuple(faults),
    )


def _case(made: Attack, name: str, place: Place) -> tuple[str, Ended]:
    """Of what sort a case is, and how it ended."""
    shutil.rmtree(place.work, ignore_errors=True)
    place.work.mkdir()
    try:
        sort = apart(lambda: made.lay(place, random.Random(name)))
    except OnekError as error:
        raise OnekError(f"{name} could not be made: {error}") from error
    folder = place.work.parent
    before = _looks(folder)

    def ask() -> None:
        made.ask(place, random.Random(f"{name} asked"))

    found = isolated(ask, folder, place.canary, made.most)
    changed = before ^ _looks(folder)
    if changed and not found.fault:
        first = min(changed)[0]
        found = Ended(found.refused, f"{first} was written: {found.refused}", found.memory, found.seconds)
    return sort, found


def _looks(folder: Path) -> set[tuple[str, int, int, int]]:
    """What would show that something was written, in all but the folder that a case lies in; of that of temporary files, that one
    is left.
    """
    return {
        (str(file), found.st_size, found.st_mtime_ns, found.st_mode)
        for each in folder.iterdir()
        if each.name != "work"
        for file in (*([each] if each.name != "tmp" else []), *each.rglob("*"))
        if (found := file.lstat()) is not None
    }


def attack_apart(kind: str, count: int, folder: Path, start: int = 0) -> Attacked:
    """As `attack`, in a process of its own with one thread, which can be forked.

    Raises:
        OnekError: that process died; says how.
    """
    alone = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "TF_INTRAOP", "TF_INTEROP")}
    job = [sys.executable, "-m", __name__, kind, str(count), str(folder), str(start)]
    done = subprocess.run(job, capture_output=True, text=True, check=False, env={**_environment(), **alone})
    if done.returncode:
        raise OnekError(f"{kind} failed ({done.returncode}): {done.stderr.strip()[-1500:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return Attacked(**{**found, "faults": tuple(found["faults"])})


def _environment() -> dict[str, str]:
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONDONTWRITEBYTECODE": "1"}


# So many cases one process tries: what they share is made for these, and its own memory does not grow without end.
_PART = 250


def attack_all(count: int, start: int, jobs: int, done: Callable[[int], None]) -> Iterator[Attacked]:
    """Try `count` cases, shared among the kinds by `SHARES`, in so many processes side by side; gives each kind once it is done.
    `done` is told how many more were tried.

    Raises:
        OnekError: a process died; says how.
    """

    def part(kind: str, first: int, size: int) -> Attacked:
        with tempfile.TemporaryDirectory() as folder:
            found = attack_apart(kind, size, Path(folder) / kind, start + first)
        done(size)
        return found

    with ThreadPoolExecutor(jobs) as workers:
        waiting = {
            kind: [workers.submit(part, kind, first, min(_PART, whole - first)) for first in range(0, whole, _PART)]
            for kind, share in SHARES.items()
            if (whole := -(-count * share // sum(SHARES.values())))
        }
        try:
            for parts in waiting.values():
                yield reduce(_together, (each.result() for each in parts))
        finally:
            workers.shutdown(cancel_futures=True)


def _together(one: Attacked, other: Attacked) -> Attacked:
    """Two runs of one kind as one."""
    return Attacked(
        one.kind,
        one.cases + other.cases,
        one.refused + other.refused,
        max(one.memory, other.memory),
        max(one.seconds, other.seconds),
        dict(Counter(one.sorts) + Counter(other.sorts)),
        one.faults + other.faults,
    )


def _main(kind: str, count: str, folder: str, start: str) -> None:
    here = Path(folder, "here")
    here.mkdir(parents=True, exist_ok=True)
    os.chdir(here)  # watched as all around a case is
    gc.freeze()
    sys.stdout.write(json.dumps(asdict(attack(kind, int(count), Path(folder), int(start)))) + "\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
