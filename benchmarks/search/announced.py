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
class Case:
    """`count` templates of `dim` dimensions, `each` of a person."""

    count: int
    dim: int
    each: int = 1

    def __str__(self) -> str:
        several = f", {self.each} each" if self.each > 1 else ""
        return f"{self.count:,} x {self.dim}{several}"


@dataclass(frozen=True)
class Announced:
    """Seconds, and bytes of memory at most, of a `case` in an index of a kind: as they were announced, and as they were taken by
    a process of its own; `looked`: seconds until the announcement.
    """

    case: Case
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


def cases_of(said: list[str] | None) -> list[Case]:
    """Those of texts such as 10000x64 or 60000x128x20; the usual nine where there are none.

    Raises:
        TemplatesError: one is no such text.
    """
    if not said:
        return [Case(count, dim) for count in (10_000, 100_000, 1_000_000) for dim in (64, 128, 512)]
    cases = []
    for text in said:
        numbers = [int(number) if number.isdigit() else 0 for number in text.split("x")]
        if not (2 <= len(numbers) <= 3 and min(numbers) > 0):
            raise TemplatesError(
                f"--case {text}: expected a number of templates and one of dimensions, such as 10000x64, and perhaps how many "
                "each person has, such as 60000x128x20"
            )
        cases.append(Case(*numbers))
    return cases


def measure_announced(cases: list[Case], out: Path, told: Callable[[Announced], None] = lambda _: None) -> list[Announced]:
    """Build a gallery below `out` for each case."""
    out.mkdir(parents=True, exist_ok=True)
    found = []
    for case in cases:
        file = out / "t.parquet"
        _write(file, case)
        made = watched(what="build", templates=str(file), gallery=str(out / "gallery"))
        seconds = (made["announced"], made["looked"], made["taken"])
        found.append(Announced(case, made["kind"], *seconds, made["announced_memory"], made["peak"]))
        told(found[-1])
    return found


def drawn(count: int, dim: int, image: int = 0) -> Iterator[np.ndarray]:
    """The `image`-th template of `count` people in `dim` dimensions, as alike as those of the default encoder, in parts."""
    people = Population(Shape.load())
    several = -(-dim // _DIM)
    parts = [people.batches(_FURTHER * number, count, image) for number in range(several)]
    for together in zip(*parts, strict=True):
        vectors = np.hstack(together)[:, :dim]
        yield np.ascontiguousarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _write(path: Path, case: Case) -> None:
    """One template of each person, then another of each, and so on; of the last round as many as are missing."""
    made = Provenance("drawn", "synthetic", case.dim)
    people = -(-case.count // case.each)
    with TemplateWriter(path, made) as writer:
        for image in range(case.each):
            at = 0
            for vectors in drawn(min(people, case.count - image * people), case.dim, image):
                names = [f"person{number}" for number in range(at, at + len(vectors))]
                ids = pa.array(names if case.each == 1 else [f"{name}:{image}" for name in names])
                writer.write(batch(made, ids, pa.array(names), vectors))
                at += len(vectors)
