"""Other people's indexes beside ours, at the same decisions: each at the least effort that is enough for them."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.data.synthetic_templates import Population
from benchmarks.search.contenders import Contender, OfFaiss, Vectors, graph, milvus
from engine.errors import OnekError
from engine.templates.measured.within_identity import within_identity_covariance
from indexes.base import distances_to
from indexes.late import faiss
from indexes.planner import RECALL
from indexes.principal_axes import sample_rows
from indexes.registry import KINDS
from indexes.tuning.operating_point import SAME, exact_answers, tune
from indexes.tuning.simulated_probes import second_templates

# The first of the identities that are enrolled at no K.
_STRANGERS = 1 << 28
_TUNING, _MEASURED, _BATCH, _SAMPLE = 4096, 4096, 1024, 50_000

_FAISS = {
    "FAISS IVF-PQ fast-scan": "IVF{lists},PQ{parts}x4fs,RFlat",
    "FAISS IVF-RaBitQ fast-scan": "IVF{lists},RaBitQfs,RFlat",
    "FAISS HNSW": "HNSW32",
    "FAISS SVS, LeanVec": "SVSVamana32,LeanVec4x8",
}
_GRAPHS = ("hnswlib", "usearch")
_MILVUS = "milvus-lite"
PEERS = (*_FAISS, *_GRAPHS, _MILVUS)
"""FAISS's by its factory strings, at an effort of its own AutoTune; graphs and Milvus at efforts that double."""


@dataclass(frozen=True)
class Peer:
    """One index. `identified`: the share of an exhaustive search's identifications of other mated probes that come out the same;
    `strangers`: that of the exact rank-1 answers of strangers; `ratio`: probes a second in batches of 1,024, half of them mated,
    over those of `IndexFlatL2`, in turns. `effort`: what it was tuned to.
    """

    name: str
    build_seconds: float
    tune_seconds: float
    identified: float
    strangers: float
    per_second: float
    flat_per_second: float
    ratio: float
    effort: str


@dataclass(frozen=True)
class Absent:
    """One that was not measured, and why not."""

    name: str
    why: str


@dataclass(frozen=True)
class _Case:
    """Probes behind the batch are those to tune with, mated ones and strangers, `parts` of them; `nearest` (n,) are their exact
    distances. `identified` (m,) says of which mated ones the answer must be right.
    """

    given: Vectors
    simulated: np.ndarray
    tuning: np.ndarray
    rows: np.ndarray
    nearest: np.ndarray
    parts: tuple[slice, slice, slice]
    identified: np.ndarray
    flat: Any

    @property
    def batch(self) -> np.ndarray:
        """The probes that are timed."""
        return self.given.probes[: self.given.batch]

    def right(self, rows: np.ndarray, part: slice) -> np.ndarray:
        """Whether these rows (n,) are as near to a part of the probes as the nearest, bool (n,)."""
        distances = distances_to(self.given.behind[part], self.given.vectors, rows[:, None])[:, 0]
        return np.asarray(distances <= self.nearest[part] + SAME)


def measure_peers(
    people: Population,
    count: int,
    names: Sequence[str] = PEERS,
    *,
    kind: str = "ivf",
    recall: float = RECALL,
    rounds: int = 5,
    python: Path | None = None,
    told: Callable[[Peer | Absent], None] = lambda _: None,
) -> list[Peer | Absent]:
    """Ours first, then the peers, over the same vectors and probes; `python` is of an environment that holds the graphs."""
    with TemporaryDirectory(prefix="onek-peers-") as folder:
        case = _case(people, count, Path(folder))
        found: list[Peer | Absent] = [_ours(kind, case, recall, rounds)]
        told(found[0])
        for name in names:
            try:
                with _contender(name, case, python) as contender:
                    found.append(_peer(name, contender, case, recall, rounds))
            except OnekError as error:
                found.append(Absent(name, str(error).splitlines()[0]))
            told(found[-1])
    return found


def _case(people: Population, count: int, folder: Path) -> _Case:
    vectors = people.templates(0, count)
    own = vectors[np.random.default_rng(0).integers(0, count, _TUNING)]
    within = within_identity_covariance(people.shape.encoder)
    simulated = second_templates(own, vectors[sample_rows(count, _SAMPLE)], within)
    exact = exact_answers(vectors, simulated)
    tuning, rows = simulated[exact.identified], exact.rows[exact.identified]
    mated, strangers = people.templates(0, min(count, _MEASURED), image=1), people.templates(_STRANGERS, _MEASURED)
    of_mated, of_strangers = exact_answers(vectors, mated), exact_answers(vectors, strangers)
    batch = np.concatenate([mated[: _BATCH // 2], strangers[: _BATCH // 2]])
    ends = np.cumsum([0, len(tuning), len(mated), len(strangers)])
    given = Vectors(vectors, np.concatenate([batch, tuning, mated, strangers]), len(batch), folder)
    np.save(folder / "vectors.npy", given.vectors)
    np.save(folder / "probes.npy", given.probes)
    flat = faiss.IndexFlatL2(vectors.shape[1])
    flat.add(vectors)
    return _Case(
        given,
        simulated,
        tuning,
        rows,
        np.concatenate([exact.distances[exact.identified], of_mated.distances, of_strangers.distances]),
        (slice(0, ends[1]), slice(ends[1], ends[2]), slice(ends[2], ends[3])),
        of_mated.identified,
        flat,
    )


def _contender(name: str, case: _Case, python: Path | None) -> AbstractContextManager[Contender]:
    if name in _FAISS:
        return nullcontext(OfFaiss(_FAISS[name], case.given, case.tuning, case.rows))
    return graph(name, case.given, python) if name in _GRAPHS else milvus(case.given)


def _ours(kind: str, case: _Case, recall: float, rounds: int) -> Peer:
    start = time.perf_counter()
    index: Any = KINDS[kind].build(case.given.vectors)
    built = time.perf_counter()
    tune(index, case.simulated, recall)
    tuned = time.perf_counter()
    search = partial(index.search, k=1, stop_near=True)
    found = lambda part: search(case.given.behind[part]).rows[:, 0]  # noqa: E731
    once = partial(_seconds, lambda: search(case.batch))
    return _measured(f"onek {kind}", case, found, once, (built - start, tuned - built), rounds, str(index.effort))


def _peer(name: str, contender: Contender, case: _Case, recall: float, rounds: int) -> Peer:
    start = time.perf_counter()
    effort, tuning = "", case.parts[0]
    for effort in contender.efforts():  # noqa: B007
        if case.right(contender.found(tuning), tuning).mean() >= recall:
            break
    seconds = contender.build_seconds, time.perf_counter() - start
    return _measured(name, case, contender.found, contender.once, seconds, rounds, effort)


def _measured(
    name: str,
    case: _Case,
    found: Callable[[slice], np.ndarray],
    once: Callable[[], float],
    seconds: tuple[float, float],
    rounds: int,
    effort: str,
) -> Peer:
    once()
    turns = [(once(), _seconds(lambda: case.flat.search(case.batch, 1))) for _ in range(rounds)]
    _, mated, strangers = case.parts
    return Peer(
        name=name,
        build_seconds=seconds[0],
        tune_seconds=seconds[1],
        identified=float(case.right(found(mated), mated)[case.identified].mean()),
        strangers=float(case.right(found(strangers), strangers).mean()),
        per_second=len(case.batch) / median(mine for mine, _ in turns),
        flat_per_second=len(case.batch) / median(theirs for _, theirs in turns),
        ratio=median(theirs / mine for mine, theirs in turns),
        effort=effort,
    )


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
