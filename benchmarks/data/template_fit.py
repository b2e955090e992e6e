"""Fit the generator of synthetic templates to labelled templates, and compare what it makes with them."""

from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.spatial.distance import cdist

from benchmarks.data.synthetic_templates import Population, Shape
from engine.errors import TemplatesError
from engine.templates.model import Templates
from indexes.late import faiss
from indexes.tuning.simulated_probes import deviations_within, within_covariance

# Identities that a group should have in the mean, and at least: a smaller one's mean would be somebody's template. And how many
# groups there are at the fewest.
_IN_GROUP, _LEAST, _FEWEST = 20, 10, 16
_LEVELS = np.linspace(0, 1, 65)
# Times that lengths of noise are corrected.
_CORRECTED = 3
# Members crowd more in the middle of a group, and less far out, than a Gaussian says: lengths are raised to the first of these
# powers that gives an impostor tail as thick as the real one at 1e-4.
_SPREADS = np.arange(1, 3.01, 0.125)
TAIL = 1e-4

IMPOSTOR_LEVELS = (1e-5, TAIL, 1e-3, 1e-2, 0.1, 0.5, 0.9)
TAIL_AT = IMPOSTOR_LEVELS.index(TAIL)
GENUINE_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(frozen=True)
class Quantiles:
    """Quantiles of distances: impostor (one template an identity, all pairs) and genuine (one pair an identity)."""

    impostor: np.ndarray
    genuine: np.ndarray


@dataclass(frozen=True)
class Fit:
    """A fitted table, and the quantiles of real and of synthetic templates at `IMPOSTOR_LEVELS` and `GENUINE_LEVELS`."""

    shape: Shape
    real: Quantiles
    synthetic: Quantiles
    spread: float


def people_of(templates: Templates) -> np.ndarray:
    """The identity of each of n labelled templates as a number from 0, (n,).

    Raises:
        TemplatesError: one has none.
    """
    if templates.table["identity"].null_count:
        raise TemplatesError("templates without an identity; expected labelled ones, so embed with --labels")
    return np.unique(np.asarray(templates.table["identity"].to_pylist()), return_inverse=True)[1]


def fit(vectors: np.ndarray, codes: np.ndarray, encoder: str, seed: int = 0) -> Fit:
    """Fit to templates (n, d) of the identities `codes` (n,), numbers from 0, that an `encoder` made.

    Raises:
        TemplatesError: too few identities, or too few with a second template; says how many. Or no table gives such distances.
    """
    wide = vectors.astype(np.float64)
    counts = np.bincount(codes)
    noise_covariance = within_covariance(wide, codes)
    groups = len(counts) // _IN_GROUP
    if groups < _FEWEST or noise_covariance is None:
        raise TemplatesError(
            f"found {len(counts)} identities, {(counts > 1).sum()} of them with several templates; "
            f"expected at least {_IN_GROUP * _FEWEST} and {vectors.shape[1]}"
        )
    real = quantiles(vectors, codes, seed)
    first = wide[np.unique(codes, return_index=True)[1]]
    deviations, _ = deviations_within(wide, codes)
    table = _table(first, noise_covariance, deviations, groups, encoder, seed)
    table = _as_unlike(table, _pairs(vectors, codes, seed), len(first), seed + 1)
    crowded = partial(_crowded, table, len(first), seed + 1)
    # The more people crowd, the nearer are their nearest pairs.
    at = bisect_left(_SPREADS, True, key=lambda spread: crowded(spread)[1].impostor[TAIL_AT] <= real.impostor[TAIL_AT])
    if at == len(_SPREADS):
        raise TemplatesError(
            f"no spread up to {_SPREADS[-1]:g} gives an impostor distance of {real.impostor[TAIL_AT]:.3f} at {TAIL:g}; "
            "look for identities enrolled twice"
        )
    shape, made = crowded(_SPREADS[at])
    return Fit(shape, real, made, float(_SPREADS[at]))


def _table(first: np.ndarray, noise_covariance: np.ndarray, deviations: np.ndarray, count: int, encoder: str, seed: int) -> Shape:
    """What templates (n, d) of one identity each, and deviations (m, d) within identities, say with people in `count` groups."""
    noise, noise_lengths = _factor(noise_covariance, deviations)
    groups, means = _groups(first, count, seed)
    inside = first - means[groups]
    covariance = inside.T @ inside / (len(first) - len(means))
    _, lengths = _factor(covariance, inside)
    values, axes = np.linalg.eigh(covariance - noise_covariance)
    keep = values > 1e-6 * values[-1]
    return Shape(
        encoder=encoder,
        weights=np.bincount(groups) / len(groups),
        means=means,
        centre=axes[:, keep] * np.sqrt(values[keep]),
        centre_lengths=lengths,
        noise=noise,
        noise_lengths=noise_lengths,
    )


def _as_unlike(table: Shape, pairs: np.ndarray, identities: int, seed: int) -> Shape:
    """A table whose mated pairs are as far apart as real ones, of distances `pairs` (n,): long noise loses of its length where
    templates are brought to unit length.
    """
    # The longest distances are of mistaken labels.
    levels = np.clip(_LEVELS, 0.01, 0.99)
    for _ in range(_CORRECTED):
        people = Population(_rounded(table), seed)
        made = np.linalg.norm(people.templates(0, identities) - people.templates(0, identities, 1), axis=1)
        longer = np.quantile(pairs, levels) / np.quantile(made, levels)
        table = replace(table, noise_lengths=table.noise_lengths * longer)
    return table


def _pairs(vectors: np.ndarray, codes: np.ndarray, seed: int) -> np.ndarray:
    """The distance of one mated pair of each identity that has several of the templates (n, d)."""
    order, starts = _shuffled(codes, seed)
    pairs = starts[np.diff(np.append(starts, len(order))) > 1]
    return np.linalg.norm(vectors[order[pairs]] - vectors[order[pairs + 1]], axis=1)


def _shuffled(codes: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows (n,) in the order of identities, at random within each, and where each identity begins."""
    order = np.random.default_rng(seed).permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    return order, np.flatnonzero(np.diff(codes[order], prepend=-1))


def quantiles(vectors: np.ndarray, codes: np.ndarray, seed: int = 0) -> Quantiles:
    """Quantiles of the distances of templates (n, d) of the identities `codes` (n,)."""
    order, starts = _shuffled(codes, seed)
    first, genuine = vectors[order[starts]], _pairs(vectors, codes, seed)
    similarity = (first @ first.T)[np.triu_indices(len(first), 1)]
    impostor = np.sqrt(np.maximum(2 - 2 * similarity, 0))
    return Quantiles(np.quantile(impostor, IMPOSTOR_LEVELS), np.quantile(genuine, GENUINE_LEVELS))


def _crowded(table: Shape, identities: int, seed: int, spread: float) -> tuple[Shape, Quantiles]:
    """A table whose people crowd by a `spread`, and the distances of as many of them."""
    shape = _rounded(replace(table, centre_lengths=table.centre_lengths**spread))
    people = Population(shape, seed)
    vectors = np.concatenate([people.templates(0, identities, image) for image in (0, 1)])
    return shape, quantiles(vectors, np.tile(np.arange(identities), 2), seed)


def _groups(vectors: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The group of each vector (n,), and the groups' means (G, d), by k-means in the space where all directions vary alike."""
    mean = vectors.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(vectors.T))
    turned = np.ascontiguousarray((vectors - mean) @ axes, np.float32)
    clusters = faiss.Kmeans(turned.shape[1], count, niter=30, seed=seed + 1, min_points_per_centroid=1)
    clusters.train(turned)
    groups = clusters.index.search(turned, 1)[1][:, 0]
    large = np.flatnonzero(np.bincount(groups, minlength=count) >= _LEAST)
    groups = np.argmin(cdist(turned, np.asarray(clusters.centroids)[large]), axis=1)
    return groups, np.stack([vectors[groups == group].mean(axis=0) for group in range(len(large))])


def _factor(covariance: np.ndarray, deviations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A factor (d, p) of a covariance, and the quantiles of the deviations' root mean squares in its units."""
    values, axes = np.linalg.eigh(covariance)
    keep = values > 1e-6 * values[-1]
    factor = axes[:, keep] * np.sqrt(values[keep])
    units = deviations @ (axes[:, keep] / np.sqrt(values[keep]))
    return factor, np.quantile(np.sqrt(np.mean(units**2, axis=1)), _LEVELS)


def _rounded(shape: Shape) -> Shape:
    """As it will be read back from a file in half precision."""
    tables = {field: values for field, values in vars(shape).items() if field != "encoder"}
    return Shape(
        shape.encoder, **{name: np.asarray(values).astype(np.float16).astype(np.float32) for name, values in tables.items()}
    )
