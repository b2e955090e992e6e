"""Vectors for tests of indexes."""

import numpy as np


def unit(count: int, dim: int, seed: int) -> np.ndarray:
    """Random directions, float32 (count, dim)."""
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def cone(count: int, dim: int, seed: int, axes: int = 12) -> np.ndarray:
    """As templates lie: about a common mean, in fewer directions than dimensions, some of them much wider than others."""
    random = np.random.default_rng(seed)
    axes = min(axes, dim - 1)
    widths = np.geomspace(1, 0.2, axes)
    turned = np.linalg.qr(np.random.default_rng(99).normal(size=(dim, dim)))[0]
    vectors = turned[0] * 2 + (random.normal(size=(count, axes)) * widths) @ turned[1 : axes + 1] * 0.5
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def brute_force(vectors: np.ndarray, probes: np.ndarray, k: int) -> np.ndarray:
    """The k smallest distances (n, k), in double precision."""
    distances = np.linalg.norm(probes[:, None].astype(float) - vectors[None], axis=2)
    return np.sort(distances, axis=1)[:, : min(k, len(vectors))]
