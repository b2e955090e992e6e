"""Bulk work on Ray: the same calls on many processes or machines, results in order, a lost worker's batch done again."""

import os
import secrets
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.common.concurrency import batched
from engine.embedding.embedder import BATCH, Embedder
from engine.embedding.outcome import Outcome
from engine.embedding.photographs import Photograph
from engine.encoders import Encoder
from engine.errors import GalleryReplaced, OnekError, SpreadError
from engine.matching.pair_verifier import PairVerifier
from engine.templates.model import Templates
from engine.templates.quality import LEAST
from engine.workflows.places import place_of
from engine.workflows.ray_agents import agents_that_end_with_us

# How many batches are sent to a worker: the one it works on, and the next.
_QUEUE = 2
# Finished batches that may wait for an earlier one, for each worker: while one of them starts anew, the others go on.
_AHEAD = 16
# Seconds to find a cluster; to have a first worker. Times that Ray is started here before we give up.
_CONNECT, _START, _STARTS = 10, 600, 3


class EmbeddingWorker:
    """Makes templates of photographs; an encoder of its own."""

    def __init__(self, folder: str, load: Callable[[], Encoder], faces: str) -> None:
        _work_in(folder)
        self._embedder = Embedder(load(), faces)

    def work(self, photographs: Sequence[Photograph]) -> list[Outcome]:
        """Process one batch."""
        return self._embedder.embed_batch(photographs)


class IdentifyingWorker:
    """Identifies templates; a gallery's sealed vectors are memory-mapped, so that workers of one machine share them."""

    def __init__(
        self,
        folder: str,
        gallery: str,
        edition: str | None,
        limit: float,
        top: int,
        head: PairVerifier | None,
        quality: float = LEAST,
    ) -> None:
        _work_in(folder)
        self._seen = place_of(gallery).open().snapshot()
        self._edition = edition
        self._question = (limit, top, head, quality)

    def work(self, probes: Templates) -> pa.Table:
        """As `Snapshot.identify`.

        Raises:
            GalleryReplaced: the gallery is another than the one that the run began with.
        """
        if self._edition not in (None, self._seen.edition):
            raise GalleryReplaced(
                f"{self._seen.called} was built, sealed or calibrated anew while it was being searched; nothing was written, "
                "so run it again"
            )
        return self._seen.identify(probes, *self._question)


class SpreadEmbedder(Embedder):
    """An embedder whose photographs are embedded by workers, which `load` the same encoder, and see the same files."""

    def __init__(self, embedder: Embedder, load: Callable[[], Encoder], workers: "Workers") -> None:
        super().__init__(embedder.encoder, embedder.faces)
        self._map = workers.started(EmbeddingWorker, load, embedder.faces)

    def stream(self, photographs: Iterable[Photograph], progress: Callable[[int], None] | None = None) -> Iterator[Outcome]:
        for outcomes in self._map(batched(photographs, BATCH)):
            yield from outcomes
            if progress:
                progress(len(outcomes))


def spread_identify(
    workers: "Workers",
    gallery: str,
    limit: float,
    top: int,
    head: PairVerifier | None,
    edition: str | None = None,
    quality: float = LEAST,
) -> Callable[[Iterable[Templates]], Iterator[pa.Table]]:
    """A function that maps `Snapshot.identify` over batches, on workers that open the same gallery (this `edition`, if named).

    Raises:
        SpreadError: it is in a milvus-lite, which one process at a time may open.
    """
    if not place_of(gallery).shared:
        raise SpreadError(f"{gallery}: one process at a time may open it, so --on ray cannot; serve it with Milvus")
    return workers.started(IdentifyingWorker, gallery, edition, limit, top, head, quality)


class Workers:
    """A Ray cluster's processes: one for each CPU, or for each GPU where it has some and `gpus` are of use."""

    def __init__(self, ray: Any, count: int | None) -> None:
        self._ray = ray
        self._count = count

    def started(self, worker: type, *arguments: object) -> Callable[[Iterable[Any]], Iterator[Any]]:
        """Start workers of a class, and yield a function that maps its `work` over batches, in order.

        A worker that dies is started again, and its batches are repeated; an error that `work` raises is raised here.
        """
        resources = self._ray.cluster_resources()
        gpus = int(resources.get("GPU", 0)) if worker is EmbeddingWorker else 0
        count = self._count or gpus or max(1, int(resources.get("CPU", 1)))
        remote = self._ray.remote(num_cpus=1, num_gpus=min(1, gpus / count) if gpus else 0, max_restarts=-1, max_task_retries=-1)(
            worker
        )
        actors = [remote.remote(str(Path.cwd()), *arguments) for _ in range(count)]
        return lambda batches: self._map(actors, batches)

    def _map(self, actors: Sequence[Any], batches: Iterable[Any]) -> Iterator[Any]:
        before: dict[Any, int] = dict.fromkeys(range(len(actors)), 0)
        running: dict[Any, int] = {}
        order: deque[Any] = deque()
        for batch in batches:
            while min(before.values()) >= _QUEUE or len(order) >= _AHEAD * len(actors):
                self._collect(running, before)
                while order and order[0] not in running:
                    yield self._result(order.popleft())
            worker = min(before, key=lambda number: before[number])
            reference = actors[worker].work.remote(batch)
            running[reference] = worker
            before[worker] += 1
            order.append(reference)
        while order:
            yield self._result(order.popleft())

    def _collect(self, running: dict[Any, int], before: dict[Any, int]) -> None:
        """Wait until a batch is done."""
        done, _ = self._ray.wait(list(running), num_returns=1, timeout=_START)
        if not done:
            raise SpreadError(f"Ray's workers did nothing for {_START} s; look at the cluster with: ray status")
        for reference in done:
            before[running.pop(reference)] -= 1

    def _result(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference, timeout=_START)
        except self._ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, OnekError) else error) from error
        except self._ray.exceptions.RayError as error:
            raise SpreadError(f"a worker on Ray failed: {str(error).strip().splitlines()[0]}") from error


def _work_in(folder: str) -> None:
    """Make a worker use the user's current folder, since the paths that the user gave may be relative."""
    if Path(folder).is_dir():
        os.chdir(folder)


def _require_listening(where: str, address: str) -> None:
    """Refuse an address where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise SpreadError(f"--on {where}: expected ray, or ray=HOST:PORT of a cluster")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT).close()
    except (OSError, OverflowError) as error:
        raise SpreadError(f"--on {where}: no Ray cluster answers there ({error}); start one, or say --on ray") from error


def _require_token() -> None:
    """Have a Ray that is started here do nothing for anybody else: it listens on every network of the machine, and runs whatever
    code it is sent. The token is this process's, and that of the workers that it starts; one of the user's own is kept.
    """
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)


def _begin(ray: Any, where: str, address: str) -> None:
    options: dict[str, Any] = {"address": address} if address else {"address": "local", "include_dashboard": False}
    for left in reversed(range(1 if address else _STARTS)):
        try:
            ray.init(**options, logging_level="ERROR", log_to_driver=False)
        except Exception as error:  # Ray raises this very class where a busy machine took longer than its half minute
            ray.shutdown()
            if not left:
                what = "no Ray cluster answers there" if address else "Ray does not start on this machine"
                raise SpreadError(f"--on {where}: {what} ({str(error).strip().splitlines()[0]})") from error
        else:
            return


@contextmanager
def workers_on(where: str, count: int | None = None) -> Iterator[Workers]:
    """Workers on `ray`, started on this machine for the time being, or on the cluster at `ray=HOST:PORT` (or `ray=auto`).

    Raises:
        SpreadError: another word, Ray is not installed, or no cluster answers.
    """
    name, _, address = where.partition("=")
    if name != "ray" or (address == "" and "=" in where):
        raise SpreadError(f"--on {where}: expected ray, or ray=HOST:PORT of a cluster")
    # Ray's usage statistics are off unless the user turned them on: nothing is sent anywhere.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if not address:
        _require_token()
    try:
        import ray
    except ImportError as error:
        raise SpreadError(f"--on {where} needs Ray, which is not installed; pip install 'onek[ray]'") from error
    if address and address != "auto":
        _require_listening(where, address)
    _begin(ray, where, address)
    with nullcontext() if address else agents_that_end_with_us():
        try:
            yield Workers(ray, count)
        finally:
            ray.shutdown()
