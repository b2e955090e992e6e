"""FAISS's own indexes beside ours, at the same decisions: each at the least effort that its AutoTune finds for them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isqrt
from statistics import median
from typing import Any

import numpy as np

from benchmarks.data.synthetic_templates import Population
from engine.templates.measured.within_identity import within_identity_covariance
from indexes.late import faiss
from indexes.planner import RECALL
from indexes.principal_axes import sample_rows
from indexes.registry import KINDS
from indexes.tuning.operating_point import SAME, exact_answers, tune
from indexes.tuning.simulated_probes import second_templates

# The first of the identities that are enrolled at no K.
_STRANGERS = 1 << 28
_TUNING, _MEASURED, _BATCH, _SAMPLE = 4096, 4096, 1024, 50_000
_MOST_TRAINED = 1 << 18

PEERS = {
    "IVF-PQ fast-scan, AutoTune": "IVF{lists},PQ{parts}x4fs,RFlat",
    "IVF-RaBitQ fast-scan, AutoTune": "IVF{lists},RaBitQfs,RFlat",
    "HNSW": "HNSW32",
}
"""What FAISS builds of its factory strings; a wheel of it has no SVS."""


@dataclass(frozen=True)
class Peer:
    """One index. `identified`: the share of an exhaustive search's identifications of other mated probes that come out the same;
    `stranger`: that of the exact rank-1 answers of strangers; `ratio`: probes a second in batches of 1,024, half of them mated,
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
class _Case:
    vectors: np.ndarray
    tuning: np.ndarray
    rows: np.ndarray
    mated: np.ndarray
    strangers: np.ndarray
    nearest: np.ndarray
    identified: np.ndarray
    nearest_strangers: np.ndarray
    flat: Any


def measure_peers(
    people: Population,
    count: int,
    names: Sequence[str] = tuple(PEERS),
    *,
    kind: str = "ivf",
    recall: float = RECALL,
    rounds: int = 5,
    told: Callable[[Peer], None] = lambda _: None,
) -> list[Peer]:
    """Ours first, then the peers, over the same vectors and probes."""
    vectors = people.templates(0, count)
    own = vectors[np.random.default_rng(0).integers(0, count, _TUNING)]
    simulated = second_templates(own, vectors[sample_rows(count, _SAMPLE)], within_identity_covariance(people.shape.encoder))
    exact = exact_answers(vectors, simulated)
    mated, strangers = people.templates(0, min(count, _MEASURED), image=1), people.templates(_STRANGERS, _MEASURED)
    of_mated, of_strangers = exact_answers(vectors, mated), exact_answers(vectors, strangers)
    flat = faiss.IndexFlatL2(vectors.shape[1])
    flat.add(vectors)
    case = _Case(
        vectors,
        simulated[exact.identified],
        exact.rows[exact.identified],
        mated,
        strangers,
        of_mated.distances,
        of_mated.identified,
        of_strangers.distances,
        flat,
    )
    found = [_ours(kind, case, simulated, recall, rounds)]
    told(found[0])
    for name in names:
        found.append(_peer(name, case, recall, rounds))
        told(found[-1])
    return found


def _ours(kind: str, case: _Case, simulated: np.ndarray, recall: float, rounds: int) -> Peer:
    start = time.perf_counter()
    index: Any = KINDS[kind].build(case.vectors)
    built = time.perf_counter()
    tune(index, simulated, recall)
    tuned = time.perf_counter()
    search = lambda probes: index.search(probes, 1, stop_near=True).distances[:, 0]  # noqa: E731
    return _measured(f"onek {kind}", case, search, (built - start, tuned - built), rounds, str(index.effort))


def _peer(name: str, case: _Case, recall: float, rounds: int) -> Peer:
    count, dim = case.vectors.shape
    start = time.perf_counter()
    index = faiss.index_factory(dim, PEERS[name].format(lists=isqrt(count), parts=dim // 2))
    index.train(case.vectors[sample_rows(count, _MOST_TRAINED)])
    index.add(case.vectors)
    built = time.perf_counter()
    space = faiss.ParameterSpace()
    space.initialize(index)
    space.verbose = 0
    criterion = faiss.OneRecallAtRCriterion(len(case.tuning), 1)
    criterion.set_groundtruth(None, case.rows[:, None])
    explored = space.explore(index, case.tuning, criterion)  # what it owns goes with it
    points = [explored.optimal_pts.at(place) for place in range(explored.optimal_pts.size())]
    tried = [(point.perf, point.t, point.key) for point in points]
    enough = [each for each in tried if each[0] >= recall] or [max(tried)]
    effort = min(enough, key=lambda each: each[1])[2]
    space.set_index_parameters(index, effort)
    tuned = time.perf_counter()

    def search(probes: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(index.search(probes, 1)[0][:, 0], 0))

    return _measured(name, case, search, (built - start, tuned - built), rounds, effort)


def _measured(
    name: str,
    case: _Case,
    search: Callable[[np.ndarray], np.ndarray],
    seconds: tuple[float, float],
    rounds: int,
    effort: str,
) -> Peer:
    batch = np.concatenate([case.mated[: _BATCH // 2], case.strangers[: _BATCH // 2]])
    search(batch)
    turns = [(_seconds(lambda: search(batch)), _seconds(lambda: case.flat.search(batch, 1))) for _ in range(rounds)]
    # A peer's distances come from another formula, which is off by more near zero.
    off = SAME if name.startswith("onek") else 1e-3
    right = search(case.mated) <= case.nearest + off
    return Peer(
        name=name,
        build_seconds=seconds[0],
        tune_seconds=seconds[1],
        identified=float(right[case.identified].mean()),
        strangers=float(np.mean(search(case.strangers) <= case.nearest_strangers + off)),
        per_second=len(batch) / median(mine for mine, _ in turns),
        flat_per_second=len(batch) / median(theirs for _, theirs in turns),
        ratio=median(theirs / mine for mine, theirs in turns),
        effort=effort,
    )


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
