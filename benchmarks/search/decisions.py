"""Whether a gallery with an index decides as one that is searched exhaustively, and how fast beside `IndexFlatL2`."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.data.synthetic_templates import Population
from benchmarks.speed.whole_gallery import write_templates
from engine.gallery.gallery import Gallery
from engine.templates.parquet import read_templates
from engine.workflows.identify_files import identify_to_file
from indexes.late import faiss
from indexes.planner import RECALL

# The first of the identities that are enrolled at no K.
_STRANGERS = 1 << 28
_BATCH = 1024

Told = Callable[[str], None]


@dataclass(frozen=True)
class Rate:
    """Both galleries at thresholds of one false-alarm rate, each at its own. `same`: the share of the exhaustive one's
    identifications of mated probes that come out the same; TPIR and FPIR: of the exhaustive one, and of the one with the index.
    """

    asked: float
    same: float
    tpir: tuple[float, float]
    fpir: tuple[float, float]


@dataclass(frozen=True)
class Decisions:
    """`moved`: by how much scores of the same identifications differ, the mean of the logarithm and its 99 % quantile.
    `per_second`: probes of `identify` from file to file, half of them mated; `exhaustive`: the same gallery searched
    exhaustively; `flat`: `IndexFlatL2`; `ratio`: identify's to that, the median of turns. `build_seconds`: of the gallery with
    the index.
    """

    kind: str
    count: int
    probes: int
    rates: tuple[Rate, ...]
    moved: tuple[float, float]
    per_second: float
    exhaustive: float
    flat: float
    ratio: float
    build_seconds: float
    operating: str


def measure_decisions(
    people: Population,
    out: Path,
    count: int,
    probes: int,
    *,
    index: str | None = None,
    score: str | None = None,
    recall: float = RECALL,
    fpirs: tuple[float, ...] = (0.001, 0.01, 0.1),
    rounds: int = 3,
    told: Told = lambda _: None,
) -> Decisions:
    """Build both galleries of `count` people below `out`, and identify `probes`, the first half of them mated."""
    out.mkdir(parents=True, exist_ok=True)
    templates, probe_file = out / "t.parquet", out / "p.parquet"
    mated = min(count, probes // 2)
    write_templates(people, templates, [(0, count, 0)])
    write_templates(people, probe_file, [(0, mated, 1), (_STRANGERS, probes - mated, 0)])
    told("an exhaustive gallery is built")
    exact = Gallery.build([templates], out / "exact", index="flat", score=score, overwrite=True)
    told("one with an index is built")
    start = time.perf_counter()
    made = Gallery.build([templates], out / "index", index=index, score=score, recall=recall, overwrite=True)
    seconds = time.perf_counter() - start
    answers: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for name, gallery in (("exact", exact), ("index", made)):
        told(f"{name}: identified")
        answers[name] = [_answers(gallery, probe_file, out / f"{name}.parquet", fpir) for fpir in fpirs]
    truth = np.array([f"person{number}" for number in range(mated)])
    rates, moved = [], np.empty(0)
    for fpir, (who, scores), (named, ours) in zip(fpirs, answers["exact"], answers["index"], strict=True):
        identified = who[:mated] == truth
        same = identified & (named[:mated] == who[:mated])
        moved = np.concatenate([moved, np.log(ours[:mated][same] / scores[:mated][same])])
        both = tuple(float(np.mean(names[:mated] == truth)) for names in (who, named))
        strangers = tuple(float(np.mean(names[mated:] != "")) for names in (who, named))
        rates.append(Rate(fpir, float(same.sum() / max(identified.sum(), 1)), both, strangers))  # type: ignore[arg-type]
    flat = faiss.IndexFlatL2(people.shape.dim)
    flat.add(exact.index.vectors(np.arange(count)))
    vectors = read_templates(probe_file).vectors
    few = np.random.default_rng(0).permutation(len(vectors))[: 2 * _BATCH]  # as many of either sort as there are
    told("timed in turns")
    turns = []
    for _ in range(rounds):
        once = _seconds(lambda: _answers(made, probe_file, out / "index.parquet", fpirs[0])) / len(vectors)
        turns.append((once, _seconds(lambda: flat.search(vectors[few], 1)) / len(few)))
    exhaustive = _seconds(lambda: _answers(exact, probe_file, out / "exact.parquet", fpirs[0])) / len(vectors)
    info = made.info()
    return Decisions(
        kind=str(info.index),
        count=count,
        probes=len(vectors),
        rates=tuple(rates),
        moved=(float(moved.mean()), float(np.quantile(np.abs(moved), 0.99))),
        per_second=1 / median(mine for mine, _ in turns),
        exhaustive=1 / exhaustive,
        flat=1 / median(theirs for _, theirs in turns),
        ratio=median(theirs / mine for mine, theirs in turns),
        build_seconds=seconds,
        operating=str(getattr(info, "operating", None)),
    )


def _answers(gallery: Gallery, probes: Path, out: Path, fpir: float) -> tuple[np.ndarray, np.ndarray]:
    """Whose name each probe gets, "" for nobody's, and its best score."""
    identify_to_file(gallery, [probes], out, fpir=fpir, overwrite=True)
    table = pq.read_table(out, columns=["identity", "score"])
    names = pc.fill_null(table["identity"], "").to_numpy(zero_copy_only=False)
    return names.astype(str), table["score"].to_numpy()


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
