"""Every kind of index at growing K: speed beside FAISS's exhaustive search, latency, memory, and recall of the exact answer."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.data.synthetic_templates import Population, Shape
from benchmarks.peers.environment import KINDS as PEERS
from benchmarks.peers.environment import peer_python, running
from engine.files.atomic_files import whole_file
from engine.templates.measured.within_identity import within_identity_covariance
from indexes.approximate.two_stage import TwoStageIndex
from indexes.base import SearchableIndex
from indexes.files import VectorWriter, open_vectors
from indexes.late import faiss
from indexes.planner import RECALL
from indexes.principal_axes import sample_rows
from indexes.registry import KINDS
from indexes.tuning.operating_point import nearest_distances, tune
from indexes.tuning.simulated_probes import second_templates

# The first of the identities that are enrolled at no K.
_STRANGERS = 1 << 28
_PROBES, _TUNING, _BATCH, _SINGLES = 8192, 4096, 1024, 300
_EFFORTS = (64, 256, 1024)
_SAME = 1e-6

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """What was measured of one index (or peer) at one K. Rates are probes a second in batches of 1,024, half of them mated.

    `flat_per_second` is FAISS's `IndexFlatL2` on the same batch in turns, `ratio` the median of the turns' ratios. `p50`, `p99`:
    milliseconds for one probe alone. `ram`: bytes a template, beside the memory-mapped vectors where not all are read; `disk`:
    bytes a template of vectors and index. Recall: the share of probes whose exact nearest distance was returned.
    """

    kind: str
    count: int
    recall_asked: float
    visits: int
    shortlist: int
    build_seconds: float
    tune_seconds: float
    per_second: float
    flat_per_second: float
    ratio: float
    p50: float
    p99: float
    ram: float
    disk: float
    recall_mated: float
    recall_strangers: float


@dataclass(frozen=True)
class Case:
    """One K: enrolled vectors, probes of both sorts and their exact nearest distances, and FAISS's index to compare with."""

    vectors: np.ndarray
    mated: np.ndarray
    strangers: np.ndarray
    nearest_mated: np.ndarray
    nearest_strangers: np.ndarray
    flat: faiss.IndexFlatL2

    @property
    def batch(self) -> np.ndarray:
        """1,024 probes, half of them mated."""
        return np.concatenate([self.mated[: _BATCH // 2], self.strangers[: _BATCH // 2]])


def measure_search(
    counts: Sequence[int],
    kinds: Sequence[str],
    out: Path,
    *,
    recall: float = RECALL,
    rounds: int = 5,
    peers: Sequence[str] = (),
    python: Path | None = None,
    said: Progress | None = None,
) -> list[Row]:
    """Measure kinds at several K. Every result is a file `out/k=K/kind=KIND/recall=R.parquet`; what is there is kept."""
    people = Population(Shape.load())
    rows = []
    for count in counts:
        files = {name: out / f"k={count}" / f"kind={name}" / f"recall={recall:g}.parquet" for name in (*kinds, *peers)}
        case = None
        for name, path in files.items():
            if not path.exists():
                case = case or case_of(people, count, out / f"k={count}")
                if said:
                    said(f"{name} at {count:,}")
                found = (
                    of_peer(name, case, out / f"k={count}", rounds, python)
                    if name in peers
                    else [of_kind(name, case, out / f"k={count}", recall, rounds)]
                )
                path.parent.mkdir(parents=True, exist_ok=True)
                with whole_file(path) as temporary:
                    pq.write_table(pa.Table.from_pylist([asdict(row) for row in found]), temporary)
            rows += [Row(**row) for row in pq.read_table(path).to_pylist()]
    return rows


def case_of(people: Population, count: int, folder: Path) -> Case:
    """Draw, or open, the vectors of a K, and search for the probes exactly."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "vectors.npy"
    if not file.exists():
        with whole_file(file) as temporary, VectorWriter(temporary, people.shape.dim) as writer:
            for part in people.batches(0, count):
                writer.write(part)
    vectors = open_vectors(file)
    first = min(count, _PROBES)
    mated, strangers = people.templates(0, first, image=1), people.templates(_STRANGERS, _PROBES)
    flat = faiss.IndexFlatL2(people.shape.dim)
    flat.add(np.asarray(vectors))
    return Case(vectors, mated, strangers, nearest_distances(vectors, mated), nearest_distances(vectors, strangers), flat)


def of_kind(name: str, case: Case, folder: Path, recall: float, rounds: int) -> Row:
    """Build, tune as `build-index` would, and measure."""
    start = time.perf_counter()
    index = KINDS[name].build(case.vectors)
    built = time.perf_counter()
    effort = (0, 0)
    if isinstance(index, TwoStageIndex):
        own = case.vectors[np.random.default_rng(0).integers(0, len(case.vectors), _TUNING)]
        sample = np.asarray(case.vectors[sample_rows(len(case.vectors), 50_000)])
        point = tune(index, second_templates(np.asarray(own), sample, within_identity_covariance("sface")), recall)
        effort = (point.visits, point.shortlist)
    tuned = time.perf_counter()
    pairs = [*_turns(lambda: index.search(case.batch, 1, stop_near=True), lambda: case.flat.search(case.batch, 1), rounds)]
    singles = [_seconds(partial(index.search, probe[None], 1, stop_near=True)) for probe in case.mated[:_SINGLES]]
    index.save(folder / "index.partial")
    disk = (folder / "index.partial").stat().st_size / index.count + 4 * index.dim
    (folder / "index.partial").unlink()
    return Row(
        kind=name,
        count=index.count,
        recall_asked=1.0 if index.exact else recall,
        visits=effort[0],
        shortlist=effort[1],
        build_seconds=built - start,
        tune_seconds=tuned - built,
        per_second=_BATCH / median(ours for ours, _ in pairs),
        flat_per_second=_BATCH / median(theirs for _, theirs in pairs),
        ratio=median(theirs / ours for ours, theirs in pairs),
        p50=1000 * float(np.quantile(singles, 0.5)),
        p99=1000 * float(np.quantile(singles, 0.99)),
        ram=index.bytes_per_vector,
        disk=disk,
        recall_mated=_recall(index, case.mated, case.nearest_mated),
        recall_strangers=_recall(index, case.strangers, case.nearest_strangers),
    )


def of_peer(name: str, case: Case, folder: Path, rounds: int, python: Path | None) -> list[Row]:
    """A graph of a peer's over the same vectors, on as many threads, at several efforts."""
    np.save(folder / "probes.npy", np.concatenate([case.batch, case.mated, case.strangers]))
    threads = str(faiss.omp_get_max_threads())
    batch, mated = len(case.batch), len(case.mated)
    nearest = np.concatenate([case.nearest_mated, case.nearest_strangers])
    found = []
    arguments = (name, str(folder / "vectors.npy"), str(folder / "probes.npy"), threads, str(batch))
    with running(python or peer_python(PEERS["graphs"]), "graph_search.py", *arguments) as peer:
        for effort in _EFFORTS:
            answers: list[dict[str, float]] = []
            ask = partial(peer.ask, str(effort))
            pairs = [*_turns(lambda: answers.append(ask()), lambda: case.flat.search(case.batch, 1), rounds)]  # noqa: B023
            seconds = [answer["seconds"] for answer in answers[1:]]
            probes = np.concatenate([case.mated, case.strangers])
            rows = np.array(peer.ask(f"{effort} 0 {len(probes)}")["rows"])
            right = np.linalg.norm(probes - case.vectors[rows], axis=1) <= nearest + _SAME
            found.append(
                Row(
                    kind=name,
                    count=len(case.vectors),
                    recall_asked=0.0,
                    visits=effort,
                    shortlist=0,
                    build_seconds=peer.about["seconds"],
                    tune_seconds=0.0,
                    per_second=batch / median(seconds),
                    flat_per_second=batch / median(theirs for _, theirs in pairs),
                    ratio=median(theirs / ours for ours, (_, theirs) in zip(seconds, pairs, strict=True)),
                    p50=float("nan"),
                    p99=float("nan"),
                    ram=float("nan"),
                    disk=float("nan"),
                    recall_mated=float(right[:mated].mean()),
                    recall_strangers=float(right[mated:].mean()),
                )
            )
    return found


def growth(rows: Sequence[Row]) -> float:
    """The exponent x of cost ~ K^x, by least squares over the logarithms of seconds a probe. Needs two different K."""
    return float(np.polyfit(np.log([row.count for row in rows]), -np.log([row.per_second for row in rows]), 1)[0])


def draw(rows: Sequence[Row], path: Path) -> None:
    """Probes a second and recall against K, a line for each kind, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    speed, recall = figure.subplots(1, 2)
    for name in dict.fromkeys(row.kind for row in rows):
        own = sorted((row for row in rows if row.kind == name), key=lambda row: (row.count, row.visits))
        style = "o" if name in ("hnswlib", "usearch") else "o-"
        speed.plot([row.count for row in own], [row.per_second for row in own], style, label=name)
        recall.plot([row.count for row in own], [row.recall_mated for row in own], style, label=name)
    speed.set(xscale="log", yscale="log", xlabel="templates enrolled", ylabel="probes a second, batches of 1,024")
    recall.set(xscale="log", xlabel="templates enrolled", ylabel="share of exact rank-1 answers, mated probes")
    speed.legend()
    figure.savefig(path, dpi=120)


def clear(out: Path) -> None:
    """Remove the vectors of all K, which are large; the results stay."""
    for folder in out.glob("k=*"):
        (folder / "vectors.npy").unlink(missing_ok=True)
        (folder / "probes.npy").unlink(missing_ok=True)


def _turns(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> Iterator[tuple[float, float]]:
    """Seconds of both, in turns, after one that does not count."""
    ours()
    for _ in range(rounds):
        yield _seconds(ours), _seconds(theirs)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _recall(index: SearchableIndex, probes: np.ndarray, nearest: np.ndarray) -> float:
    return float(np.mean(index.search(probes, 1, stop_near=True).distances[:, 0] <= nearest + _SAME))
