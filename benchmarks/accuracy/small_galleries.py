"""What galleries of few people do with strangers, at the rate that is the default: random galleries out of labelled templates.

People are split in two halves. The table of impostors that decides is made of one half; enrolled people and strangers are drawn
from the other, so that nobody is measured with what was learnt of him. (`shipped`: by the table that comes with onek, which was
made of both halves.)
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.accuracy.impostors import measure_impostors
from benchmarks.accuracy.open_set import calibrated, enrol
from engine.calibration.calibration import default_score
from engine.calibration.evidence import Evidence
from engine.calibration.thresholds import identify_threshold
from engine.errors import TemplatesError
from engine.gallery.gallery import Gallery
from engine.matching.scoring import QUALITY, Scoring
from engine.templates.measured.impostors import Chances, Impostors, impostors_of
from engine.templates.model import Templates
from indexes.base import Progress

SIZES = (1, 2, 5, 12, 30, 49, 50, 60, 100, 200)
# The walk: from so many identities down to so few and up again, by at most so many at a time.
MOST, LEAST, _STEP = 100, 5, 8


@dataclass(frozen=True)
class Obtained:
    """What galleries of `least` to `most` identities did at 1 % asked: `fpir` and `tpir` in the mean of `galleries`, and
    `spread`, the standard deviation of the rate from gallery to gallery.
    """

    least: int
    most: int
    galleries: int
    fpir: float
    spread: float
    tpir: float


@dataclass(frozen=True)
class _Half:
    """The people that galleries are drawn from, with all their rows, and the table that decides."""

    people: list[np.ndarray]
    table: Impostors


def measure_small(
    templates: Templates,
    sizes: Sequence[int] = SIZES,
    *,
    draws: int = 25,
    splits: int = 4,
    each: int = 1,
    shipped: bool = False,
    progress: Progress | None = None,
) -> list[Obtained]:
    """Draw `draws` galleries of each of the `sizes`, with `each` templates of every identity, from each of `splits` halves.

    Raises:
        TemplatesError: too few people, or there is no table that is shipped for their encoder.
    """
    found: dict[int, list[tuple[float, float]]] = {size: [] for size in sizes}
    for split in range(splits):
        random = np.random.default_rng(split)
        half = _half(templates, random, shipped)
        for number, size in enumerate(sizes):
            found[size] += [_draw(templates, half, size, each, random) for _ in range(draws)]
            if progress:
                progress("galleries", split * len(sizes) + number + 1, splits * len(sizes))
    return [_obtained(size, size, values) for size, values in found.items()]


def measure_walks(
    templates: Templates, *, walks: int = 8, shipped: bool = False, progress: Progress | None = None
) -> list[Obtained]:
    """Walk galleries in a folder from 100 identities down to 5 and up again, by `enroll` and `remove`; by tens of identities.

    Raises:
        TemplatesError: as `measure_small`.
    """
    found: dict[int, list[tuple[float, float]]] = {}
    for walk in range(walks):
        random = np.random.default_rng(1000 + walk)
        half = _half(templates, random, shipped)
        with tempfile.TemporaryDirectory() as folder:
            for size, values in _walk(templates, half, Path(folder) / "gallery", random):
                found.setdefault(10 * (size // 10), []).append(values)
        if progress:
            progress("walks", walk + 1, walks)
    return [_obtained(max(size, LEAST), size + 9, found[size]) for size in sorted(found)]


def _half(templates: Templates, random: np.random.Generator, shipped: bool) -> _Half:
    codes = np.unique(np.asarray(templates.table["identity"].to_pylist()), return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    people = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    mixed = random.permutation(len(people))
    ours, theirs = mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]
    table = impostors_of(templates.provenance)
    if not shipped:
        rows = np.concatenate([people[person] for person in theirs])
        table = measure_impostors(Templates(templates.table.take(rows), templates.provenance), "the other half", resamples=50)
    if table is None:
        raise TemplatesError(f"no table of impostors comes with onek for templates of {templates.provenance}")
    return _Half([people[person] for person in ours], table)


def _draw(templates: Templates, half: _Half, size: int, each: int, random: np.random.Generator) -> tuple[float, float]:
    """FPIR and TPIR (NaN where nobody has another photograph) of one gallery."""
    able = [person for person in range(len(half.people)) if len(half.people[person]) >= each]
    if len(able) < size or len(half.people) < size + 100:
        raise TemplatesError(f"half of the people are {len(half.people)}; too few for galleries of {size}")
    chosen = random.permutation(able)[:size]
    mixed = [random.permutation(half.people[person]) for person in chosen]
    strangers = [random.choice(rows) for person, rows in enumerate(half.people) if person not in set(chosen)]
    vectors, worth = templates.vectors, templates.qualities
    rows = np.concatenate([rows[:each] for rows in mixed])
    known = not np.isnan(worth[rows]).any()
    enrolled = enrol(
        np.ascontiguousarray(vectors[rows]),
        np.repeat(np.arange(size), each),
        Scoring.of(default_score(size, qualities=known)),
        worth[rows],
    )
    calibration = calibrated(enrolled)
    unit = calibration.unit if calibration is not None else None
    likeness = (1.0, 1.0) if calibration is None else half.table.likeness(calibration.pairs)
    chances = Chances(half.table, size * each, unit, *likeness, graded=enrolled.scoring.score == QUALITY)
    limit = identify_threshold(None, None, Evidence(enrolled.scoring.score, calibration, chances, size, size * each)).score
    alarms = enrolled.candidates(vectors[strangers], 1, qualities=worth[strangers]).scores[:, 0] <= limit
    probes = np.concatenate([rows[each:] for rows in mixed])
    if not len(probes):
        return float(alarms.mean()), np.nan
    truth = np.repeat(np.arange(size), [len(rows) - each for rows in mixed])
    found = enrolled.candidates(vectors[probes], 1, qualities=worth[probes])
    right = (enrolled.members.codes[found.rows[:, 0]] == truth) & (found.scores[:, 0] <= limit)
    return float(alarms.mean()), float(right.mean())


def _walk(templates: Templates, half: _Half, path: Path, random: np.random.Generator) -> list[tuple[int, tuple[float, float]]]:
    """K after each step of a walk, and what the gallery does then."""
    names = templates.table["identity"].to_pylist()
    mixed = random.permutation(len(half.people))
    pool, strangers = mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]
    probes = _some(templates, [random.choice(half.people[person]) for person in strangers])
    first = {person: random.permutation(half.people[person]) for person in pool}
    inside, outside = list(pool[:MOST]), list(pool[MOST:])
    gallery = Gallery.build(_some(templates, [first[person][0] for person in inside]), path)
    seen, falling = [], True
    while falling or len(inside) < MOST:
        many = int(random.integers(1, _STEP + 1))
        if (random.random() < 0.85) == falling and len(inside) > LEAST:  # now and then a step back
            many = min(many, len(inside) - LEAST)
            leaving, inside = inside[:many], inside[many:]
            gallery.remove([names[first[person][0]] for person in leaving])
            outside += leaving
        else:
            joining, outside = outside[:many], outside[many:]
            gallery.enroll(_some(templates, [first[person][0] for person in joining]))
            inside += joining
        falling &= len(inside) > LEAST
        evidence = gallery.evidence
        if evidence.chances is not None:
            own = gallery.calibration
            scale, trust = (1.0, 1.0) if own is None else half.table.likeness(own.pairs)
            evidence = replace(evidence, chances=replace(evidence.chances, impostors=half.table, scale=scale, trust=trust))
        limit = identify_threshold(None, None, evidence).score
        alarms = gallery.snapshot().find(probes.vectors, 1, None, probes.qualities).candidates.scores[:, 0] <= limit
        again = [row for person in inside for row in first[person][1:]]
        found = gallery.snapshot().find(templates.vectors[again], 1, None, templates.qualities[again])
        named = np.array(found.identities.to_pylist()) == np.array([names[row] for row in again])
        right = named & (found.candidates.scores[:, 0] <= limit)
        seen.append((len(inside), (float(alarms.mean()), float(right.mean()) if len(again) else np.nan)))
    gallery.close()
    return seen


def _some(templates: Templates, rows: Sequence[int]) -> Templates:
    return Templates(templates.table.take(rows), templates.provenance)


def _obtained(least: int, most: int, values: list[tuple[float, float]]) -> Obtained:
    fpir, tpir = np.array(values).T
    known = tpir[~np.isnan(tpir)]
    found = float(known.mean()) if len(known) else float("nan")
    return Obtained(least, most, len(values), float(fpir.mean()), float(fpir.std()), found)
