"""From pictures and vectors of many requests to answers: templates are made in shared batches, and searched in shared batches."""

import asyncio
import os
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from engine.answers.snapshot import Snapshot
from engine.calibration.thresholds import ThresholdUsed
from engine.common.opencv import one_thread_each
from engine.embedding.embedder import Embedder
from engine.embedding.outcome import Outcome
from engine.embedding.photographs import Photograph
from engine.faces.images import ImageBytes
from engine.service.batching import Batches
from engine.service.galleries import Served
from engine.service.measured import Numbers
from engine.service.settings import Settings
from engine.templates.model import Templates
from engine.templates.provenance import Provenance
from indexes.threads import faiss_threads

# Pictures that a thread takes at a time. With 8, as `Embedder.stream` has, 16 clients on two cores leave none to take while their
# answers are on the way: 83 % of the library's speed, 90 % with 4, 80 % with 2.
PICTURES = 4
# Probes that are searched for together.
PROBES = 1024
_CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Question:
    """What is asked of a gallery: everything that two searches must have in common to share a batch."""

    served: Served
    fpir: float | None
    threshold: float | None
    top: int


@dataclass(frozen=True)
class Found:
    """Rows of `engine.answers.results.SCHEMA` for the probes of one request, in order, and the threshold used."""

    rows: list[dict[str, Any]]
    used: ThresholdUsed


@dataclass(frozen=True)
class _Key:
    """Searches of templates that were made alike, for one question."""

    question: Question
    made: Provenance


class _UnderWay:
    """Counts how many threads are inside the block; entered, it says how many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def __enter__(self) -> int:
        with self._lock:
            self._count += 1
            return self._count

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            self._count -= 1


class Recognition:
    """The threads that do all of that for one process."""

    def __init__(self, settings: Settings, numbers: Numbers) -> None:
        self._settings = settings
        self._embedding, self._searching = _UnderWay(), _UnderWay()
        self._embedders: dict[tuple[Provenance, str | None], Embedder] = {}
        shared: dict[str, Any] = {"waiting": settings.waiting, "longest_wait": settings.longest_wait, "told": numbers.told_batch}
        shared["threads"] = _CORES
        self._pictures: Batches[Photograph, Outcome] = Batches("pictures", self._embed, most=PICTURES, **shared)
        self._searches: Batches[Any, Found] = Batches("search", self._search, most=PROBES, **shared)

    def embedder(self, served: Served, faces: str | None) -> Embedder:
        """What makes templates as the gallery's were made; loaded once.

        Raises:
            EncoderMismatch: the gallery was made of vectors, or its encoder is not at hand.
        """
        made = served.gallery.provenance
        if (made, faces) not in self._embedders:
            settings = self._settings
            ready = served.gallery.embedder(
                faces,
                encoder=settings.encoder,
                weights=settings.weights,
                projection=settings.projection,
                runtime=settings.runtime,
            )
            self._embedders[made, faces] = Embedder(ready.encoder, ready.faces, settings.faces)
        return self._embedders[made, faces]

    async def embedded(self, embedder: Embedder, pictures: Sequence[bytes], identity: str | None = None) -> list[Outcome]:
        """What became of each picture; their templates share batches with those of other requests.

        Raises:
            Full: too much waits already.
        """
        photographs = [
            Photograph(f"picture:{number}", ImageBytes(data, self._settings.megapixels), identity)
            for number, data in enumerate(pictures)
        ]
        return await asyncio.gather(*[self._pictures.submit(embedder, each) for each in photographs])

    async def identified(self, question: Question, outcomes: list[Outcome], embedder: Embedder) -> Found:
        """Who is in pictures, a row for each face, and one for each picture without any.

        Raises:
            Full: too much waits already.
            OnekError: as `Gallery.identify`.
        """
        faces = sum(max(1, len(outcome.faces)) for outcome in outcomes)
        return await self._searches.submit(_Key(question, embedder.provenance), (outcomes, embedder), faces)

    async def searched(self, question: Question, probes: Templates) -> Found:
        """Who vectors are, a row for each. Raises as `identified`."""
        return await self._searches.submit(_Key(question, probes.provenance), probes, len(probes))

    def warm(self, served: Served) -> None:
        """Load what the first request would otherwise have to wait for.

        Raises:
            OnekError: the gallery takes no pictures.
        """
        black = np.zeros((64, 64, 3), np.uint8)
        embedder = self.embedder(served, None)
        self._embed(embedder, [Photograph("warm", black, None)])
        chip = embedder.encoder.card.chip
        embedder.encoder.encode(np.zeros((1, *chip.shape), chip.dtype))

    def close(self) -> None:
        """Finish what waits."""
        self._pictures.close()
        self._searches.close()

    def _embed(self, embedder: Embedder, photographs: Sequence[Photograph]) -> list[Outcome]:
        """Embed photographs. A request that is alone may use every core; otherwise each thread uses one."""
        with self._embedding as threads, one_thread_each if threads > 1 else nullcontext():
            return embedder.embed_batch(photographs)

    def _search(self, key: _Key, items: Sequence[Any]) -> list[Found | Exception]:
        """Search for what several requests ask. A search that is alone may use every core; others share them, since the threads
        of a search wait for each other while another search has their core.
        """
        question = key.question
        gallery = question.served.gallery

        def ask(seen: Snapshot) -> list[Found | Exception]:
            used = seen.threshold_used(question.threshold, question.fpir)
            if isinstance(items[0], Templates):
                probes = Templates(pa.concat_tables([item.table for item in items]), key.made)
                table = seen.identify(probes, used.score, question.top)
                sizes = [len(item) for item in items]
            else:
                outcomes = [outcome for item, _ in items for outcome in item]
                table = seen.identify_outcomes(outcomes, items[0][1], used.score, question.top)
                sizes = [sum(max(1, len(outcome.faces)) for outcome in item) for item, _ in items]
            rows, made, at = table.to_pylist(), list[Found | Exception](), 0
            for size in sizes:
                made.append(Found(rows[at : at + size], used))
                at += size
            return made

        with self._searching as searches, faiss_threads(max(1, _CORES // searches)):
            return gallery.answered(ask, question.threshold)
