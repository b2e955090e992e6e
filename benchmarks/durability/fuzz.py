"""Damaged files, by the thousand: every reader gives an answer or one of our errors, quickly and in bounded memory."""

import contextlib
import io
import json
import resource
import shutil
import subprocess
import sys
import time
import warnings
from dataclasses import astuple, dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.durability.whole_files import READERS
from engine.errors import OnekError

# Longest that one file may take, and most that reading may add to the memory, in seconds and bytes.
SECONDS, BYTES = 20.0, 1 << 30
# What is written over a place: values that lengths and offsets do not expect.
_EXTREMES = [
    value.to_bytes(size, "little", signed=True)
    for size in (4, 8)
    for value in (-1, 0, 1 << 30, (1 << (8 * size - 1)) - 1, -(1 << (8 * size - 1)))
]


@dataclass(frozen=True)
class Fuzzed:
    """`files` damaged ones were read; `refused` of them with an error of ours; bytes of memory that it added at most."""

    reader: str
    files: int
    refused: int
    memory: int


_place = st.one_of(
    st.integers(0, 200), st.integers(-600, -1), st.floats(0, 1, exclude_max=True)
)  # headers lie at the beginning, Parquet's at the end
_mutation = st.one_of(
    st.tuples(st.just("flip"), _place, st.integers(0, 7)),
    st.tuples(st.just("write"), _place, st.binary(min_size=1, max_size=16)),
    st.tuples(st.just("write"), _place, st.sampled_from(_EXTREMES)),
    st.tuples(st.just("cut"), _place, st.just(0)),
    st.tuples(st.just("insert"), _place, st.binary(min_size=1, max_size=64)),
    st.tuples(st.just("repeat"), _place, st.integers(1, 4096)),
    st.tuples(st.just("erase"), _place, st.integers(1, 4096)),
)
mutations = st.lists(_mutation, min_size=1, max_size=5)


def mutated(data: bytes, changes: list[tuple[str, int | float, int | bytes]]) -> bytes:
    """`data` with some places changed."""
    held = bytearray(data)
    for what, place, value in changes:
        at = int(place * len(held)) if isinstance(place, float) else place % max(len(held), 1)
        if what == "flip" and held and isinstance(value, int):
            held[at] ^= 1 << value
        elif what == "cut":
            del held[at:]
        elif isinstance(value, bytes):
            held[at : at + (len(value) if what == "write" else 0)] = value
        elif what == "repeat":
            held[at:at] = held[at : at + value]
        elif what == "erase":
            del held[at : at + value]
    return bytes(held)


def fuzz(name: str, count: int, folder: Path, start: int = 0) -> Fuzzed:
    """Let a reader of `READERS` read `count` damaged files below `folder`.

    Raises:
        AssertionError: it failed with another error than ours, or took too long or too much memory; the smallest case found.
    """
    reader = READERS[name]
    whole, broken = folder / "whole", folder / "broken"
    whole.mkdir(parents=True)
    files = reader.seeds(whole)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for file in files:
            reader.read(whole, file)
    tally = {"files": 0, "refused": 0}
    before = _memory()

    @seed(start)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, len(files) - 1), mutations)
    def one(number: int, changes: list[tuple[str, int | float, int | bytes]]) -> None:
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(whole, broken)
        file = broken / files[number].relative_to(whole)
        file.write_bytes(mutated(file.read_bytes(), changes))
        began = time.perf_counter()
        try:
            reader.read(broken, file)
        except OnekError:
            tally["refused"] += 1
        tally["files"] += 1
        took = time.perf_counter() - began
        if took > SECONDS:
            raise AssertionError(f"{file.name} took {took:.1f} s to read")

    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one()
    added = _memory() - before
    if added > BYTES:
        raise AssertionError(f"{name}: reading damaged files took {added >> 20} MiB more than before")
    return Fuzzed(name, tally["files"], tally["refused"], added)


def fuzz_apart(name: str, count: int, folder: Path, start: int = 0) -> Fuzzed:
    """As `fuzz`, in a process of its own, so that the crash of a library is seen as well.

    Raises:
        OnekError: the reader failed, or the process died; says how.
    """
    job = [sys.executable, "-m", __name__, name, str(count), str(folder), str(start)]
    done = subprocess.run(job, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OnekError(f"{name} failed ({done.returncode}): {done.stderr.strip()[-1500:]}")
    return Fuzzed(*json.loads(done.stdout.splitlines()[-1]))


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    found = fuzz(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
    sys.stdout.write(json.dumps(astuple(found)) + "\n")
