"""1:1 rates out of pairs of templates: DET, EER, FNMR at FMR, and what a fixed distance does among K people by the K-fold law."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.evaluation.figures import CurveWithInterval, Figure
from engine.evaluation.intervals import LEAST_EVENTS, interval, quantiles
from engine.evaluation.raw import System
from engine.metrics import Comparisons, eer, fmr, fnmr, threshold_at

FMRS = (0.1, 0.01, 0.001, 0.0001)
# Lots that people are drawn in, and distances at which pairs are counted.
_LOTS, _GRID = 150, 80
# Draws of the bootstrap; each counts all pairs anew.
_RESAMPLES = 400


@dataclass(frozen=True)
class PairErrors:
    """The pairs of one system's templates: `genuine` (n,), `impostor` (m,) distances; `people` of either kind."""

    templates: str
    pairs: Comparisons
    genuine_people: int
    impostor_people: int
    grid: np.ndarray
    fmr_draws: np.ndarray
    fnmr_draws: np.ndarray

    def fmr_at(self, distance: float) -> tuple[float, float, float]:
        """FMR within a distance, and between what it lies."""
        draws = np.array([np.interp(distance, self.grid, row) for row in self.fmr_draws])
        value = fmr(self.pairs.impostor, distance)
        return value, *interval(value, draws, len(self.pairs.impostor), self.impostor_people)


def verification_of(table: pa.Table, templates: str, seed: int = 0) -> PairErrors | None:
    """The pairs of a system, and people drawn anew; None where a kind of pair is missing.

    A pair of two people counts as often as both are drawn (the pairs of one person hang together).
    """
    own = table.filter(pc.equal(table["system"], templates))
    mated, distances = np.asarray(own["mated"]).astype(bool), np.asarray(own["distance"]).astype(np.float64)
    if not mated.any() or mated.all():
        return None
    codes, one, two = _codes(own)
    people = len(codes)
    random = np.random.default_rng(seed)
    lots = min(people, _LOTS)
    lot = random.permutation(people) % lots
    weights = random.multinomial(lots, np.full(lots, 1 / lots), _RESAMPLES).astype(np.float32)
    genuine, impostor = distances[mated], distances[~mated]
    ordered = np.sort(impostor)
    rare = ordered[np.unique(np.geomspace(1, len(ordered), _GRID).astype(int)) - 1]
    grid = np.unique(np.concatenate([rare, np.quantile(genuine, np.linspace(0, 1, _GRID // 2))]))
    fnmr_draws = 1 - _drawn(weights, np.searchsorted(grid, genuine), lot[one[mated]], len(grid))
    fmr_draws = _drawn_pairs(weights, np.searchsorted(grid, impostor), lot[one[~mated]], lot[two[~mated]], len(grid))
    return PairErrors(
        templates,
        Comparisons(genuine, impostor),
        len(np.unique(one[mated])),
        len(np.unique(np.concatenate([one[~mated], two[~mated]]))),
        grid,
        fmr_draws,
        fnmr_draws,
    )


def _codes(table: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    both = pa.chunked_array([*table["a"].cast(pa.string()).chunks, *table["b"].cast(pa.string()).chunks])
    encoded = both.dictionary_encode().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    codes, count = np.asarray(encoded.indices), table.num_rows
    return np.arange(len(encoded.dictionary)), codes[:count], codes[count:]


def _drawn(weights: np.ndarray, at: np.ndarray, lots: np.ndarray, points: int) -> np.ndarray:
    """The share of pairs within each distance of a grid in each resample, float32 (r, points)."""
    many = weights.shape[1]
    inside = at < points
    counts = np.bincount(lots[inside] * points + at[inside], minlength=many * points).reshape(many, points)
    whole = np.bincount(lots, minlength=many).astype(np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num((weights @ np.cumsum(counts, axis=1).astype(np.float32)) / (weights @ whole)[:, None])


def _drawn_pairs(weights: np.ndarray, at: np.ndarray, one: np.ndarray, two: np.ndarray, points: int) -> np.ndarray:
    """The same of pairs of two people, each counted by the product of both people's lots' weights."""
    many = weights.shape[1]
    inside = at < points
    flat = (one[inside] * many + two[inside]) * points + at[inside]
    counts = np.bincount(flat, minlength=many * many * points).reshape(many, many, points)
    counts = np.cumsum(counts, axis=2).astype(np.float32)
    whole = np.bincount(one * many + two, minlength=many * many).reshape(many, many).astype(np.float32)
    drawn = np.empty((len(weights), points), np.float32)
    for row, own in enumerate(weights):
        drawn[row] = (own @ (own @ counts.reshape(many, -1)).reshape(many, points)) / max(float(own @ whole @ own), 1e-9)
    return drawn


def figures_of(found: PairErrors) -> list[Figure]:
    """EER, and for each FMR the distance and the FNMR there."""
    genuine, impostor = found.pairs.genuine, found.pairs.impostor
    count, people = len(genuine), found.genuine_people
    at = np.argmin(np.abs(found.fmr_draws - found.fnmr_draws), axis=1)
    row = np.arange(len(at))
    draws = (found.fmr_draws[row, at] + found.fnmr_draws[row, at]) / 2
    value = eer(found.pairs)
    figures = [Figure(found.templates, 0, "eer", value, *interval(value, draws, count + len(impostor), people), count, people)]
    for rate in FMRS:
        if rate * len(impostor) < LEAST_EVENTS:
            why = f"{len(impostor):,} pairs of two people are too few for FMR {rate:g}; {int(LEAST_EVENTS / rate):,} would do"
            figures += [Figure(found.templates, 0, f"{name}@fmr={rate:g}", None, reason=why) for name in ("distance", "fnmr")]
            continue
        limit = threshold_at(impostor, rate)
        limits = np.array([found.grid[min(int(np.searchsorted(own, rate, "right")), len(own) - 1)] for own in found.fmr_draws])
        own_draws = np.array([np.interp(x, found.grid, y) for x, y in zip(limits, found.fnmr_draws, strict=True)])
        missed = fnmr(genuine, limit)
        figures.append(
            Figure(found.templates, 0, f"distance@fmr={rate:g}", limit, *quantiles(limits), len(impostor), found.impostor_people)
        )
        bounds = interval(missed, own_draws, count, people)
        figures.append(Figure(found.templates, 0, f"fnmr@fmr={rate:g}", missed, *bounds, count, people))
    return figures


def curve_of(found: PairErrors) -> CurveWithInterval:
    """FNMR over FMR, as far as pairs suffice."""
    rates = np.geomspace(min(LEAST_EVENTS / len(found.pairs.impostor), 0.5), 1, 30)
    values, bounds = [], []
    for rate in rates:
        value = fnmr(found.pairs.genuine, threshold_at(found.pairs.impostor, float(rate)))
        above = np.minimum((found.fmr_draws <= rate).sum(axis=1), found.fmr_draws.shape[1]) - 1
        draws = found.fnmr_draws[np.arange(len(above)), np.maximum(above, 0)]
        values.append(value)
        bounds.append(interval(value, draws, len(found.pairs.genuine), found.genuine_people))
    low, high = np.array(bounds).T
    return CurveWithInterval(found.templates, 0, "verification", rates, np.array(values), low, high)


def law_figures(found: PairErrors, system: System, sizes: Sequence[int]) -> list[Figure]:
    """What independence of searches makes of the FMR at the encoder's 1:1 distance: FPIR = 1 - (1 - FMR)^K."""
    limit = fixed_distance(found, system)
    rate = found.fmr_at(limit)
    return [
        Figure(system.name, size, "law@fixed", value, low, high, len(found.pairs.impostor), found.impostor_people)
        for size in sizes
        for value, low, high in [tuple(1 - (1 - each) ** size for each in rate)]
    ]


def fixed_distance(found: PairErrors, system: System) -> float:
    """The encoder's 1:1 distance; where it has none, the one at FMR 0.1 %."""
    return system.threshold if system.threshold is not None else threshold_at(found.pairs.impostor, 0.001)
