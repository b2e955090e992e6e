"""What a build will take, from its own work done on the first of the templates: machines differ by a factor of three, and data by
as much.

Memory is what the process holds once it has done that work, with all that it has loaded; and what will be more with more
templates: a batch of them, or what codes are learnt from, in several copies, and for each template its code and names.

Each kind of work is timed on a slice, and grows by what is known of it: exact distances with K for each probe, codes with what a
search must visit of them, centres of lists with their training sample. How much must be visited is read off the slice, too.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, isqrt
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from engine.calibration.impostor_searches import MOST_NESTED, MOST_SEARCHES, templates_of_each
from engine.matching.nearest_identities import most_searched_for, templates_for
from engine.matching.scoring import PLAIN
from engine.storage.segments.making import MOST_SPREAD, SPREAD_OF_EACH
from engine.templates.measured.within_identity import within_identity_covariance
from engine.templates.model import Templates
from engine.templates.parquet import TemplateWriter
from engine.templates.provenance import Provenance
from indexes.approximate.two_stage import Effort, TwoStageIndex
from indexes.base import BATCH
from indexes.exact.flat import Flat
from indexes.exact.lower_bounds import Bounds
from indexes.planner import Plan, held_memory
from indexes.registry import KINDS
from indexes.tuning.operating_point import searched_of
from indexes.tuning.simulated_probes import second_templates

# Numbers of identities that are tried against what the first templates show.
_GUESSES = 1000
# Templates that the slice has, and with fewer there is no need to measure: a build takes a second or two.
SLICE, _FEW = 8192, 4096
# Probes that are searched for on it, which with fewer take longer each, and those that a build tunes with; how often it searches
# for these at its effort.
_PROBES, _TUNED, _TRIALS = 1024, 4096, 1
# The share of the time that a code takes on the slice which it takes in a build: lists are longer there, and most searches stop
# early. Builds of 60,000 to 1,000,000 took 0.26 to 0.37; of codes without lists, 60,000 to 70,000 took 0.5 to 0.6.
_LATER, _LATER_WITHOUT_LISTS = 0.3, 0.55
# The sample of a large gallery that densities are measured among, from how many templates on, and its lists and those visited.
_SAMPLED, _SAMPLE, _LISTS, _VISITED = 100_000, 50_000, 220, 8
# Vectors that quantisers are trained on, and iterations of k-means over them.
_TRAINED, _MOST_TRAINED, _ITERATIONS = 1 << 16, 1 << 18, 10
# Identities that are wanted of a search.
_WANTED = 8
# Scoring and its arrays, in units of what a search of next to nothing takes; identities whose halves show the drift are searched
# for four times, among fewer each time.
_SCORING, _HALVED = 3, 1.875
# Bytes of what is always the same; copies of what is read together or learnt from, and of the names of a template: what builds of
# 8,000 to 700,000 templates of 8 to 2,048 dimensions took beyond the rest. And copies, twice as wide, of the templates that show
# how those of one identity differ.
_ALWAYS, _COPIES, _NAMES, _SPREAD_COPIES = 100 << 20, 4, 8, 3.75
# Seconds of starting and of fits whose size is always the same, and those more that approximate kinds take to be tuned.
_FIXED, _TUNING = 0.8, 0.6


@dataclass(frozen=True)
class Units:
    """Seconds that work took on the slice: `row` to read and write a template, `distance` for an exact one, `probe` for one
    that is searched for in next to nothing, and `listed` more where identities have several templates, so that neighbours must
    be many; for approximate kinds also `code` for each code that a search looks at, `learnt` for all that codes are learnt from,
    which FAISS limits to fewer than the slice has, `coded` for each that is encoded, and `visited`, the share of lists. And bytes
    of memory for each template: `names` of its id and identity, `held` by its index.
    """

    row: float
    distance: float
    probe: float
    code: float = 0.0
    learnt: float = 0.0
    coded: float = 0.0
    visited: float = 1.0
    names: float = 0.0
    held: float = 0.0
    listed: float = 0.0


def foretold(chosen: Plan, part: Templates, read: float, count: int, score: str | None) -> Plan:
    """The plan `chosen` with the seconds and the memory that a build of `count` templates will take, by its first `part`, which
    took `read` seconds to read; as it is where that is too small to tell, or a FAISS string was asked for.
    """
    if chosen.factory or len(part) < _FEW:
        return chosen
    identities = _identities(part, count)
    units = _units(chosen, part, read, count / identities)
    seconds = _FIXED + sum(_work(units, chosen.kind, count, identities, scaled=score != PLAIN).values())
    more = _more(units, chosen.kind, count, identities, part.vectors.shape[1])
    return replace(chosen, seconds=seconds, memory=held_memory() + more)


def _identities(part: Templates, count: int) -> int:
    """About how many identities `count` templates have, by their first `part`, in whatever order they come.

    Each run of templates of one identity is a draw. Of K identities, q being the share of all that is not in the part, those that
    R runs show are K (1 - q^(R / K)): all runs are of others where the rows are sorted, few are where K is small.
    """
    names = part.table["identity"].combine_chunks().dictionary_encode()
    codes = np.asarray(names.indices)
    share = len(part) / count
    seen, runs = len(names.dictionary), (1 + np.count_nonzero(np.diff(codes))) / share
    some = np.geomspace(seen, runs, _GUESSES)
    return round(float(np.interp(seen, some * (1 - (1 - share) ** (runs / some)), some)))


def _more(units: Units, kind: str, count: int, identities: int, dim: int) -> int:
    """Bytes that a build takes beyond what the process holds when it has done its work on the slice: of few templates all."""
    together = BATCH if KINDS[kind].exact else max(BATCH, _learnt_from(kind, count))
    rows = _COPIES * together if count > BATCH else 0
    people = 0 if KINDS[kind].exact or identities == count else min(identities, MOST_SPREAD)
    several = people * min(count / max(identities, 1), SPREAD_OF_EACH)
    work = max(_ALWAYS + 4 * dim * rows, _SPREAD_COPIES * 8 * dim * several)
    return int(work + count * (units.held + _NAMES * units.names))


def _learnt_from(kind: str, count: int) -> int:
    """Vectors that codes, and centres of lists, are learnt from."""
    lists = isqrt(count) if "ivf" in kind else 0
    return min(count, _MOST_TRAINED, max(_TRAINED, 128 * lists))


def _work(units: Units, kind: str, count: int, identities: float, *, scaled: bool) -> dict[str, float]:
    """Seconds of each part of a build."""
    exact, lists = KINDS[kind].exact, isqrt(count) if "ivf" in kind else 0
    code = (_LATER if lists else _LATER_WITHOUT_LISTS) * units.code
    scanned = count * units.distance if exact else lists * units.distance + units.visited * count * code
    among_all = templates_for(_WANTED, count / identities) > most_searched_for(count)
    search = units.probe + (count * units.distance if among_all else units.listed + scanned)
    scoring = _SCORING * units.probe
    work = {"rows": count * units.row}
    if not exact:
        centres = (_ITERATIONS * _learnt_from(kind, count) + count) * lists * units.distance
        work["index"] = units.learnt + count * units.coded + centres
        exhaustive = searched_of(_TUNED, count) * count * units.distance
        work["tuning"] = _TUNING + exhaustive + _TUNED * (lists * units.distance + _TRIALS * search)
    if scaled:
        each_density = scoring + search if among_all else units.listed + _density(units, kind, count, lists, scoring)
        work["densities"] = count * each_density
        if count > _SAMPLED and not among_all:  # what the sample is searched through is made first
            centres = (_ITERATIONS + 1) * _SAMPLE * _LISTS * units.distance
            work["densities"] += units.learnt + _SAMPLE * units.coded + centres
    searches, nested = min(identities, MOST_SEARCHES), min(identities, MOST_NESTED)
    work["calibration"] = searches * (search + scoring)
    each = count / identities
    compared = nested * min(each, templates_of_each(np.full(int(nested), ceil(each))))
    work["drift"] = _HALVED * compared**2 * units.distance + 4 * compared * scoring
    return work


def _density(units: Units, kind: str, count: int, lists: int, scoring: float) -> float:
    """Seconds for the density of one template."""
    if KINDS[kind].exact and count <= _SAMPLED:
        return scoring + count * units.distance
    if count > _SAMPLED:
        code = units.code or units.distance / 2
        return scoring + _LISTS * units.distance + _VISITED / _LISTS * _SAMPLE * code
    visited = min(_VISITED / lists, 1) if lists else 1
    return scoring + lists * units.distance + visited * count * (_LATER if lists else _LATER_WITHOUT_LISTS) * units.code


def _units(chosen: Plan, part: Templates, read: float, each: float) -> Units:
    """`each`: how many templates an identity has, on average."""
    vectors = part.vectors[:SLICE]
    probes, k = vectors[:_PROBES], templates_for(_WANTED, each)
    some, whole = Flat(vectors[: 8 * _WANTED]), Flat(vectors)
    probe = _seconds(lambda: some.search(vectors, _WANTED)) / len(vectors)
    distance = max(_seconds(lambda: whole.search(probes, _WANTED)) / len(probes) - probe, 1e-12) / len(vectors)
    listed = 0.0
    if k > _WANTED:  # to choose so many takes longer, but no longer among more vectors
        listed = max(_seconds(lambda: Flat(vectors[: 8 * k]).search(probes, k)) / len(probes) - probe, 0.0)
    written = part.table.slice(0, SLICE)
    row = read / len(part) + _written(written, part.provenance) / len(written)
    names = sum(part.table[name].nbytes for name in ("template_id", "identity")) / len(part)
    kind = KINDS[chosen.kind]
    if kind.exact:
        return Units(row, distance, probe, names=names, held=Bounds(vectors).nbytes / len(vectors), listed=listed)
    start = time.perf_counter()
    index = kind.build(vectors)
    built = time.perf_counter() - start
    held = index.bytes_per_vector
    if not isinstance(index, TwoStageIndex):
        return Units(row, distance, probe, names=names, held=held, listed=listed)
    coded = _seconds(lambda: index.with_more(vectors)) / len(vectors)
    mated = second_templates(probes, vectors, within_identity_covariance(part.provenance.encoder))
    ranks = index.list_ranks(mated, np.arange(len(mated)))
    index.effort = Effort(index.most_visits, 16)
    every = _seconds(lambda: index.search(probes, 1))
    index.effort = Effort(1, 16)
    one = _seconds(lambda: index.search(probes, 1)) if index.most_visits > 1 else 0.0
    code = max((every - one) / len(probes), 1e-12) / len(vectors)
    visited = 1.0 if ranks is None else float(np.quantile(ranks, chosen.recall)) / index.most_visits
    return Units(row, distance, probe, code, built, coded, visited, names, held, listed)


def _written(table: pa.Table, made: Provenance) -> float:
    """Seconds to write rows."""
    with TemporaryDirectory(prefix="onek-") as folder:
        start = time.perf_counter()
        with TemplateWriter(Path(folder) / "rows.parquet", made) as rows:
            for batch in table.to_batches():
                rows.write(batch)
        return time.perf_counter() - start


def _seconds(work: Callable[[], object]) -> float:
    """The least of three, after one that does not count: what else runs only adds."""
    work()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
