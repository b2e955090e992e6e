"""How accuracy changes as K grows: nested galleries, disjoint strangers, repeated splits. Raw scores first, figures later."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.spatial.distance import pdist
from scipy.stats import t as student

from benchmarks.accuracy.open_set import calibrated, enrol, search, thresholds
from engine.errors import TemplatesError
from engine.evaluation.splits import LEAST_IDENTITIES, RATES, Split, sizes, split
from engine.files.atomic_files import whole_file
from engine.matching.scoring import PLAIN, Scoring
from engine.metrics import Searches, fmr, fpir, measure, tpir
from engine.tables.lists import Column, read_list
from engine.templates.model import Templates

# People whose templates are compared in pairs for the false-match rate.
_PAIRED = 3000
_METADATA = b"onek.trial"


@dataclass(frozen=True)
class People:
    """Labelled templates of one encoder: `vectors` (n, d), identities as numbers `codes` (n,), its 1:1 threshold, and what they
    are worth, `qualities` (n,), NaN where nobody knows.
    """

    encoder: str
    vectors: np.ndarray
    codes: np.ndarray
    threshold: float | None
    qualities: np.ndarray


@dataclass(frozen=True)
class Summary:
    """A figure over splits: its mean, and where that mean lies with 95 % confidence (Student's t over splits)."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """What was measured for one encoder, score and K, by name: `rank1`, `rank5`, `tpir@fpir=F` (the threshold taken from the
    strangers), `obtained@fpir=F` and `tpir@asked=F` (the gallery's own threshold), `foretold@fpir=F` (that of a gallery about a
    tenth as large), `fixed` (FPIR of the encoder's 1:1 threshold), `law` (1 - (1 - FMR)^K at that threshold).
    """

    encoder: str
    score: str
    identities: int
    splits: int
    figures: dict[str, Summary]


def people_of(templates: Templates, without: "Without | None" = None) -> People:
    """Labelled templates, but for mistakes that an audit found.

    Raises:
        TemplatesError: a template has no identity, or hardly anybody is left.
    """
    table = templates.table
    if table["identity"].null_count:
        raise TemplatesError(f"{table['identity'].null_count} templates have no identity; expected labelled ones")
    names, ids = np.asarray(table["identity"].to_pylist()), np.asarray(table["template_id"].to_pylist())
    keep = np.ones(len(names), bool) if without is None else without.keeps(names, ids)
    codes = np.unique(names[keep], return_inverse=True)[1]
    if codes.max(initial=-1) + 1 < LEAST_IDENTITIES:
        raise TemplatesError(f"{codes.max(initial=-1) + 1} identities; accuracy is measured from {LEAST_IDENTITIES} on")
    made = templates.provenance
    vectors, worth = np.ascontiguousarray(templates.vectors[keep]), templates.qualities[keep]
    return People(made.encoder or "vectors", vectors, codes, made.threshold, worth)


@dataclass(frozen=True)
class Without:
    """Identities and templates that are left out."""

    identities: frozenset[str]
    templates: frozenset[str]
    sources: frozenset[str] = frozenset()

    @classmethod
    def read(cls, path: Path) -> "Without":
        """What `onek audit` calls more likely wrong than not: the second name of each pair, and single images."""
        columns = [Column(name) for name in ("kind", "other", "template_id", "source", "likely")]
        rows = [row.values for row in read_list(path, columns).rows if row.values["likely"] == "True"]
        names = frozenset(row["other"] for row in rows if row["kind"] == "two names")
        wrong = [row for row in rows if row["kind"] == "wrong image"]
        return cls(names, *(frozenset(row[name] for row in wrong) for name in ("template_id", "source")))

    def keeps_pictures(self, names: np.ndarray, sources: Sequence[str]) -> np.ndarray:
        """Which of some photographs stay, bool (n,), called by their files, wherever these lie."""
        wrong = {Path(source).name for source in self.sources}
        return ~(np.isin(names, list(self.identities)) | np.array([Path(source).name in wrong for source in sources]))

    def keeps(self, names: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Which of the templates stay, bool (n,)."""
        return ~(np.isin(names, list(self.identities)) | np.isin(ids, list(self.templates)))


def sweep(
    people: People,
    scores: Sequence[str],
    out: Path,
    *,
    splits: int = 10,
    distractors: np.ndarray | None = None,
    said: Callable[[str], None] | None = None,
) -> float | None:
    """Measure every K in nested galleries; raw scores go to `out/encoder=E/score=S/k=K/split=N.parquet`, and what is there stays.

    `distractors` (p, d): templates of further identities, enrolled behind all others, in the first split only.

    Returns:
        What the whole sweep took, in units of its largest K; None where everything was there already.
    """
    spent: dict[int, float] = {}
    for score in scores:
        for number in range(splits):
            parts = split(people.codes, number)
            extra = distractors if number == 0 and distractors is not None else people.vectors[:0]
            rate = _false_match_rate(people, parts)
            steps = sorted({*sizes(len(parts.enrolled)), *sizes(len(parts.enrolled) + len(extra))})
            foretold: dict[int, dict[str, dict[str, float]]] = {}
            for size in steps:
                if score != PLAIN and size <= Scoring.of(score).least_identities:
                    continue
                path = out / f"encoder={people.encoder}" / f"score={score}" / f"k={size}" / f"split={number:02d}.parquet"
                if said:
                    said(f"{people.encoder}, {score}, split {number + 1} of {splits}, K = {size:,}")
                if not path.exists():
                    start = time.perf_counter()
                    # What a gallery about a tenth as large foretold: sizes step by about three.
                    before = [later[str(size)] for smaller, later in foretold.items() if smaller * 9 <= size]
                    table, about = _trial(people, parts, extra, size, Scoring.of(score), steps)
                    _write(path, table, {**about, "foretold": before[-1] if before else {}, "fmr": rate})
                    spent[size] = spent.get(size, 0) + time.perf_counter() - start
                foretold[size] = json.loads(pq.read_schema(path).metadata[_METADATA])["later"]
    return sum(spent.values()) / spent[max(spent)] if spent else None


def _trial(
    people: People,
    parts: Split,
    extra: np.ndarray,
    size: int,
    scoring: Scoring,
    larger: Sequence[int],
) -> tuple[pa.Table, dict[str, object]]:
    """Raw scores of one K, and what was known without strangers: thresholds, and those for `larger` K."""
    own = parts.enrolled[:size]
    vectors = np.concatenate([people.vectors[own], extra[: size - len(own)]])
    worth = np.concatenate([people.qualities[own], np.full(len(vectors) - len(own), np.nan, np.float32)])
    enrolled = enrol(np.ascontiguousarray(vectors), np.arange(len(vectors)), scoring, worth)
    calibration = calibrated(enrolled)
    place = np.full(people.codes.max() + 1, -1)
    place[people.codes[own]] = np.arange(len(own))
    mated = parts.mated[place[people.codes[parts.mated]] >= 0]
    who = (people.codes[mated], people.codes[parts.strangers])
    theirs = (people.qualities[mated], people.qualities[parts.strangers])
    table = search(enrolled, people.vectors[mated], place[who[0]], people.vectors[parts.strangers], who, theirs)
    return table, {
        "identities": size,
        "thresholds": thresholds(calibration, size),
        "fixed": people.threshold,
        "later": {grown: thresholds(calibration, grown) for grown in larger if grown > size},
    }


def _false_match_rate(people: People, parts: Split) -> float | None:
    """The share of pairs of two people's templates within the encoder's 1:1 threshold, of up to 3,000 who are enrolled."""
    if people.threshold is None:
        return None
    some = people.vectors[parts.enrolled[:_PAIRED]]
    return fmr(pdist(some), people.threshold)


def _write(path: Path, table: pa.Table, about: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        pq.write_table(table.replace_schema_metadata({_METADATA: json.dumps(about).encode()}), temporary)


def rows_of(out: Path) -> list[Row]:
    """Figures of all raw scores below a folder, by encoder, score and K."""
    found: dict[tuple[str, str, int], list[dict[str, float]]] = {}
    for path in sorted(out.glob("encoder=*/score=*/k=*/split=*.parquet")):
        encoder, score, size = (part.split("=", 1)[1] for part in path.parts[-4:-1])
        found.setdefault((encoder, score, int(size)), []).append(figures_of(pq.read_table(path)))
    rows = []
    for (encoder, score, identities), splits in sorted(found.items()):
        names = dict.fromkeys(name for figures in splits for name in figures)
        summaries = {name: of_shares([figures[name] for figures in splits if name in figures]) for name in names}
        rows.append(Row(encoder, score, identities, len(splits), summaries))
    return rows


def figures_of(table: pa.Table) -> dict[str, float]:
    """The figures of one split at one K, from its raw scores."""
    about = json.loads(table.schema.metadata[_METADATA])
    mated = np.asarray(table["mated"])
    ranks, scores, distances = (np.asarray(table[name]) for name in ("rank", "score", "distance"))
    searches = Searches(ranks[mated], scores[mated], scores[~mated])
    figures = {}
    if mated.any():
        figures.update({name: measure(name, searches) for name in ("rank1", "rank5")})
        # A rate is shown where strangers are enough to see it.
        seen = [rate for rate in RATES if rate * (~mated).sum() >= 1]
        figures.update({f"tpir@fpir={rate:g}": measure(f"tpir@fpir={rate:g}", searches) for rate in seen})
    for kind, name in (("thresholds", "obtained"), ("foretold", "foretold")):
        for rate, threshold in about[kind].items():
            figures[f"{name}@fpir={float(rate):g}"] = fpir(searches.non_mated, float(np.float32(threshold)))
            if kind == "thresholds" and mated.any():
                figures[f"tpir@asked={float(rate):g}"] = tpir(searches.ranks, searches.mated, float(np.float32(threshold)))
    if about["fmr"] is not None:
        figures["fixed"] = fpir(distances[~mated], about["fixed"])
        figures["law"] = 1 - (1 - about["fmr"]) ** about["identities"]
    return figures


def summary(values: Sequence[float]) -> Summary:
    """The mean of figures of several splits, and its interval."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Summary(mean, float("nan"), float("nan"))
    half = float(student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return Summary(mean, mean - half, mean + half)


def of_shares(values: Sequence[float]) -> Summary:
    """As `summary`, of shares: no interval leaves 0 to 1."""
    found = summary(values)
    return Summary(found.mean, *(float(np.clip(each, 0, 1)) for each in (found.low, found.high)))


def line(rows: Sequence[Row], name: str) -> tuple[float, float] | None:
    """Slope of a figure for each tenfold of K, and the share of its variance that a straight line in log K explains (R^2).

    The line that arXiv 1906.06272 fits to identification rates. None where fewer than three K have the figure.
    """
    own = [(np.log10(row.identities), row.figures[name].mean) for row in rows if name in row.figures and row.identities >= 30]
    if len(own) < 3:
        return None
    x, y = np.array(own).T
    slope, start = np.polyfit(x, y, 1)
    rest = np.sum((y - slope * x - start) ** 2)
    return float(slope), float(1 - rest / max(np.sum((y - y.mean()) ** 2), 1e-12))
