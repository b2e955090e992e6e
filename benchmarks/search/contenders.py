"""Indexes of other people's to search the same vectors with: each is built, and set to efforts; what it finds are rows."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.environment import KINDS, Peer, peer_python, running
from engine.errors import IndexUnsupported
from engine.milvus.collection import IndexKind, efforts, index_kind, search_settings
from engine.milvus.connection.address import parse
from engine.milvus.connection.client import LONG, MilvusConnection
from indexes.late import faiss
from indexes.principal_axes import sample_rows

# Vectors that FAISS's indexes are trained on, at most; rows of one insertion into Milvus.
_MOST_TRAINED, _ROWS = 1 << 18, 5000
# What a graph may look at for each probe, from the least that is worth a try.
_WIDTHS = tuple(int(16 * 2 ** (step / 2)) for step in range(17))
_COLLECTION, _ENTRY = "peers", "number"


@dataclass(frozen=True)
class Vectors:
    """What all search: enrolled `vectors` (K, d), and `probes` (n, d), of which the first `batch` are timed; both are in `folder`
    as `vectors.npy` and `probes.npy`, too.
    """

    vectors: np.ndarray
    probes: np.ndarray
    batch: int
    folder: Path

    @property
    def behind(self) -> np.ndarray:
        """The probes that are not timed."""
        return self.probes[self.batch :]


class Contender(ABC):
    """An index that was built, in `build_seconds`, and can be set to an effort. Raises errors of onek's where there is none."""

    build_seconds: float

    @abstractmethod
    def efforts(self) -> Iterator[str]:
        """Set it to one effort after the other, the least first, and say which."""

    @abstractmethod
    def found(self, part: slice) -> np.ndarray:
        """The nearest row that it finds for each of a part of the probes behind the batch, int (n,); -1 for none."""

    @abstractmethod
    def once(self) -> float:
        """Seconds that it takes for the batch."""


class OfFaiss(Contender):
    """What FAISS builds of a factory string; its AutoTune says which efforts are worth a try, by `tuning` probes (m, d) and the
    `rows` (m,) that are nearest to them.
    """

    def __init__(self, factory: str, given: Vectors, tuning: np.ndarray, rows: np.ndarray) -> None:
        count, dim = given.vectors.shape
        start = time.perf_counter()
        try:
            self._index: Any = faiss.index_factory(dim, factory.format(lists=isqrt(count), parts=dim // 2))
        except RuntimeError as error:
            raise IndexUnsupported(f"FAISS {faiss.__version__} as it is installed has none") from error
        self._index.train(np.ascontiguousarray(given.vectors[sample_rows(count, _MOST_TRAINED)]))
        self._index.add(given.vectors)
        self.build_seconds = time.perf_counter() - start
        self._given, self._tuning, self._rows = given, tuning, rows

    def efforts(self) -> Iterator[str]:
        space = faiss.ParameterSpace()
        space.initialize(self._index)
        space.verbose = 0
        criterion = faiss.OneRecallAtRCriterion(len(self._tuning), 1)
        criterion.set_groundtruth(None, self._rows[:, None])
        explored = space.explore(self._index, self._tuning, criterion)  # what it owns goes with it
        points = [explored.optimal_pts.at(place) for place in range(explored.optimal_pts.size())]
        # The first of them is none that was tried.
        for _, key in sorted((point.t, point.key) for point in points if point.key):
            space.set_index_parameters(self._index, key)
            yield key

    def found(self, part: slice) -> np.ndarray:
        return np.asarray(self._index.search(self._given.behind[part], 1)[1][:, 0])

    def once(self) -> float:
        start = time.perf_counter()
        self._index.search(self._given.probes[: self._given.batch], 1)
        return time.perf_counter() - start


class OfGraph(Contender):
    """A graph of `hnswlib` or `usearch`, in a process of the peers' environment."""

    def __init__(self, peer: Peer) -> None:
        self._peer, self._effort = peer, _WIDTHS[0]
        self.build_seconds = float(peer.about["seconds"])

    def efforts(self) -> Iterator[str]:
        for effort in _WIDTHS:
            self._effort = effort
            yield f"{effort} candidates, {self._peer.about['version']}"

    def found(self, part: slice) -> np.ndarray:
        return np.array(self._peer.ask(f"{self._effort} {part.start} {part.stop}")["rows"], np.int64)

    def once(self) -> float:
        return float(self._peer.ask(str(self._effort))["seconds"])


class OfMilvus(Contender):
    """A collection of nothing but vectors in a milvus-lite, with the index that onek would have there."""

    def __init__(self, client: MilvusConnection, given: Vectors) -> None:
        self._client, self._given = client, given
        self._kind: IndexKind = index_kind("ivf", len(given.vectors))
        start = time.perf_counter()
        self._fill()
        self.build_seconds = time.perf_counter() - start
        self._effort = self._kind.least

    def _fill(self) -> None:
        from pymilvus import DataType, MilvusClient

        made = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        made.add_field(_ENTRY, DataType.INT64, is_primary=True)
        made.add_field("vector", DataType.FLOAT_VECTOR, dim=self._given.vectors.shape[1])
        call = partial(self._client.call, seconds=LONG)
        call("create_collection", _COLLECTION, schema=made)
        for at in range(0, len(self._given.vectors), _ROWS):
            part = self._given.vectors[at : at + _ROWS]
            call("insert", _COLLECTION, [{_ENTRY: at + place, "vector": vector} for place, vector in enumerate(part)])
        call("flush", _COLLECTION)
        wanted = MilvusClient.prepare_index_params()
        wanted.add_index("vector", index_type=self._kind.name, metric_type="IP", params=self._kind.build)
        call("create_index", _COLLECTION, wanted)
        call("load_collection", _COLLECTION)

    def efforts(self) -> Iterator[str]:
        for effort in efforts(self._kind):
            self._effort = effort
            yield f"{self._kind.name} {self._kind.effort}={effort}, {self._client.version}"

    def found(self, part: slice) -> np.ndarray:
        rest = self._given.behind[part]
        answers = (self._search(rest[at : at + self._given.batch]) for at in range(0, len(rest), self._given.batch))
        return np.array([hits[0][_ENTRY] if hits else -1 for answer in answers for hits in answer], np.int64)

    def once(self) -> float:
        start = time.perf_counter()
        self._search(self._given.probes[: self._given.batch])
        return time.perf_counter() - start

    def _search(self, probes: np.ndarray) -> Any:
        settings = search_settings(self._kind, self._effort)
        return self._client.call("search", _COLLECTION, data=list(probes), limit=1, search_params=settings, seconds=LONG)


@contextmanager
def graph(library: str, given: Vectors, python: Path | None) -> Iterator[OfGraph]:
    """Build a graph of `hnswlib` or `usearch`. Raises `PeerError` where it cannot be installed."""
    files = str(given.folder / "vectors.npy"), str(given.folder / "probes.npy")
    threads = str(faiss.omp_get_max_threads())
    with running(python or peer_python(KINDS["graphs"]), "graph_search.py", library, *files, threads, str(given.batch)) as peer:
        yield OfGraph(peer)


@contextmanager
def milvus(given: Vectors) -> Iterator[OfMilvus]:
    """Fill a milvus-lite in the folder. Raises `GalleryError` where it is not installed."""
    client = MilvusConnection(parse(f"milvus-lite:{given.folder / 'peers.db'}/{_COLLECTION}"))
    try:
        yield OfMilvus(client, given)
    finally:
        client.close()
