"""What `build-index` announces before it begins beside what it then takes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.data.synthetic_templates import Population, Shape
from benchmarks.speed.whole_gallery import watched
from engine.errors import TemplatesError
from engine.templates.model import batch
from engine.templates.parquet import TemplateWriter
from engine.templates.provenance import Provenance

# Of other dimensions, people have several vectors of 128 side by side, or the first of one.
_DIM = 128
# The first of the identities that further vectors are of.
_FURTHER = 1 << 28


@dataclass(frozen=True)
class Announced:
    """Seconds, and bytes of memory at most, of `count` templates of `dim` dimensions in an index of a kind: as they were
    announced, and as they were taken by a process of its own; `looked`: seconds until the announcement.
    """

    count: int
    dim: int
    kind: str
    announced: float
    looked: float
    taken: float
    announced_memory: int
    taken_memory: int

    @property
    def factor(self) -> float:
        """By how much the announced seconds are larger than those taken or the other way round, at least 1."""
        return max(self.announced / self.taken, self.taken / self.announced)

    @property
    def memory_factor(self) -> float:
        """The same of memory."""
        return max(self.announced_memory / self.taken_memory, self.taken_memory / self.announced_memory)


def cases_of(said: list[str] | None) -> list[tuple[int, int]]:
    """Pairs of a count and a dimension, from texts such as 10000x64; the usual nine where there are none.

    Raises:
        TemplatesError: one is no such text.
    """
    if not said:
        return [(count, dim) for count in (10_000, 100_000, 1_000_000) for dim in (64, 128, 512)]
    cases = []
    for text in said:
        count, _, dim = text.partition("x")
        if not (count.isdigit() and dim.isdigit() and int(count) and int(dim)):
            raise TemplatesError(f"--case {text}: expected a number of templates and one of dimensions, such as 10000x64")
        cases.append((int(count), int(dim)))
    return cases


def measure_announced(
    cases: list[tuple[int, int]], out: Path, told: Callable[[Announced], None] = lambda _: None
) -> list[Announced]:
    """Build a gallery below `out` for each (count, dim)."""
    out.mkdir(parents=True, exist_ok=True)
    found = []
    for count, dim in cases:
        file = out / "t.parquet"
        _write(file, count, dim)
        made = watched(what="build", templates=str(file), gallery=str(out / "gallery"))
        seconds = (made["announced"], made["looked"], made["taken"])
        found.append(Announced(count, dim, made["kind"], *seconds, made["announced_memory"], made["peak"]))
        told(found[-1])
    return found


def drawn(count: int, dim: int) -> Iterator[np.ndarray]:
    """Templates of `count` people in `dim` dimensions, as alike as those of the default encoder, in parts."""
    people = Population(Shape.load())
    several = -(-dim // _DIM)
    parts = [people.batches(_FURTHER * number, count) for number in range(several)]
    for together in zip(*parts, strict=True):
        vectors = np.hstack(together)[:, :dim]
        yield np.ascontiguousarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _write(path: Path, count: int, dim: int) -> None:
    made = Provenance("drawn", "synthetic", dim)
    at = 0
    with TemplateWriter(path, made) as writer:
        for vectors in drawn(count, dim):
            names = pa.array([f"person{number}" for number in range(at, at + len(vectors))])
            writer.write(batch(made, names, names, vectors))
            at += len(vectors)
