"""What `embed` says that the rest will take, after a second of work, beside what it then takes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.cli.shell.lines import Task
from engine.embedding.embedder import Embedder
from engine.embedding.photographs import Photograph
from engine.encoders import load_encoder
from engine.errors import PhotographsError
from engine.workflows.embed_files import embed_to_file


@dataclass(frozen=True)
class AnnouncedEmbedding:
    """Seconds: `announced` after `looked` of work on `photographs`, and what was `taken` from then on."""

    photographs: int
    announced: float
    looked: float
    taken: float


def measure_embedding(files: Sequence[Path], count: int, out: Path) -> AnnouncedEmbedding:
    """Embed `count` photographs, the files over and over, into a template file below `out`.

    Raises:
        PhotographsError: there are none, or too few for anything to be announced.
    """
    if not files:
        raise PhotographsError("no photographs to measure with")
    out.mkdir(parents=True, exist_ok=True)
    photographs = [Photograph(str(at), files[at % len(files)], None) for at in range(count)]
    embedder = Embedder(load_encoder(photographs=count))
    task, said = Task("embedding", count), list[tuple[float, float]]()

    def told(more: int) -> None:
        nonlocal task
        now = time.perf_counter()
        task = task.moved(task.done + more, now)
        if not said and (left := task.left(now)) is not None:
            said.append((now, left))

    start = time.perf_counter()
    embed_to_file(photographs, embedder, out / "announced.parquet", overwrite=True, progress=told)
    ended = time.perf_counter()
    if not said:
        raise PhotographsError(f"{count} photographs are embedded in {ended - start:.1f} s, too little to announce; take more")
    at, announced = said[0]
    return AnnouncedEmbedding(count, announced, at - start, ended - at)
