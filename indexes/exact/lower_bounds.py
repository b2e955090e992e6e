"""Exact search of batches with lower bounds of the distances: faster than an exhaustive search, with the same answer.

Rotate the vectors so that the first p axes hold most of the variance. Of a vector x, let x_p be the first p coordinates and r_x
the length of the others. Then

    d(a, b)^2  >=  |a_p - b_p|^2 + (r_a - r_b)^2

so one matrix product over p + 2 columns, in blocks that stay in the cache, bounds every distance from below; distances are
measured only where the bound is below that of the k-th nearest so far. It pays where most of the variance lies in few directions,
as with face templates. `onek benchmark search --kind flat` measures it beside FAISS's `IndexFlatL2`.

Tried and not kept, at 1,000,000 x 128: the whole product in NumPy (FAISS 1.15 comes within a fifth of it, so it could be 1.2
times as fast at most); p of 24 and 32 (thousands of rows left to measure for each probe, slower than FAISS); bounds from the
codes of a product quantiser and their error (too loose to exclude anything).
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from indexes.base import BATCH, Neighbours, distances_to, nearest_of
from indexes.late import faiss
from indexes.principal_axes import principal_axes, sample_rows
from indexes.threads import one_blas_thread_each

# The bound takes the first axes, as many as hold this share of the variance. If these are more than this share of all axes, it
# excludes too little to be worth its cost.
_VARIANCE, _DIMENSIONS = 0.96, 0.6
# Rows that are searched exhaustively for a first k-th nearest; rows in a block of the product; rows that are tested together.
_FIRST, _BLOCK, _GROUP = 4096, 2048, 32
# Rounding error of a float32 product of such vectors, at most.
_ROUNDING = np.float32(1e-5)
# Probes for each thread, at least.
_LEAST = 64


class Bounds:
    """Lower bounds of the distances to `vectors` (n, d). `exclude`: whether they exclude enough to be worth their cost."""

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors
        axes = principal_axes(np.asarray(vectors[sample_rows(len(vectors), 20_000)]))
        p = axes.needed(_VARIANCE)
        self._mean, self._rotation = axes.mean, np.ascontiguousarray(axes.axes[:, :p])
        self.exclude = p <= _DIMENSIONS * vectors.shape[1]
        # Of each vector b: b_p, r_b, -|b|^2 / 2. Its product with (a_p, r_a, 1) is all of the bound that depends on b.
        self._columns = np.empty((len(vectors) if self.exclude else 0, p + 2), np.float32)
        for start in range(0, len(self._columns), BATCH):
            first, rest, squares = self._split(vectors[start : start + BATCH])
            self._columns[start : start + BATCH] = np.column_stack([first, rest, squares / -2])

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        return int(self._columns.nbytes)

    @staticmethod
    def bytes_per_vector(dim: int) -> int:
        """The most memory that bounds take for each vector."""
        return 4 * (int(_DIMENSIONS * dim) + 2)

    def search(self, probes: np.ndarray, k: int) -> Neighbours:
        """The k nearest of each probe (n, d), exactly. The probes are divided among threads, each with its own products."""
        threads = max(1, min(faiss.omp_get_max_threads(), len(probes) // _LEAST))
        with one_blas_thread_each(), ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(lambda part: self._search(part, k), np.array_split(probes, threads)))
        return Neighbours(np.concatenate([part.rows for part in parts]), np.concatenate([part.distances for part in parts]))

    def _split(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coordinates (n, p) on the first axes, the length (n,) of the others, and |x|^2 (n,), all relative to the mean."""
        centred = vectors - self._mean
        first = centred @ self._rotation
        squares = np.einsum("nd,nd->n", centred, centred)
        return first, np.sqrt(np.maximum(squares - np.einsum("np,np->n", first, first), 0)), squares

    def _search(self, probes: np.ndarray, k: int) -> Neighbours:
        first, rest, squares = self._split(probes)
        columns = np.ascontiguousarray(np.column_stack([first, rest, np.ones(len(probes), np.float32)]).T)
        _, rows = faiss.knn(probes, self._vectors[:_FIRST], k)
        best = nearest_of(rows, distances_to(probes, self._vectors, rows), k)
        product = np.empty((_BLOCK, len(probes)), np.float32)
        for start in range(_FIRST, len(self._vectors), _BLOCK):
            block = self._columns[start : start + _BLOCK]
            np.matmul(block, columns, out=product[: len(block)])
            # d^2 >= |a|^2 - 2 product, so a row can be among the nearest only where the product reaches this.
            least = (squares - best.distances[:, -1] ** 2) / 2 - _ROUNDING
            rows, probe_of = _reaching(product[: len(block)], least)
            if len(rows):
                best = self._better(best, probes, start + rows, probe_of)
        return best

    def _better(self, best: Neighbours, probes: np.ndarray, rows: np.ndarray, probe_of: np.ndarray) -> Neighbours:
        """The nearest so far, improved by the candidates: row `rows[i]` for probe `probe_of[i]` (m,), sorted by probe."""
        distances = distances_to(probes[probe_of], self._vectors, rows[:, None])[:, 0]
        which, counts = np.unique(probe_of, return_counts=True)
        at = np.arange(len(probe_of)) - np.repeat(np.cumsum(counts) - counts, counts)
        k, line = best.rows.shape[1], np.repeat(np.arange(len(which)), counts)
        more_rows = np.zeros((len(which), counts.max()), np.int64)
        more = np.full(more_rows.shape, np.inf, np.float32)
        more_rows[line, at], more[line, at] = rows, distances
        merged = nearest_of(np.hstack([best.rows[which], more_rows]), np.hstack([best.distances[which], more]), k)
        best.rows[which], best.distances[which] = merged.rows, merged.distances
        return best


def _reaching(product: np.ndarray, least: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a product (m, n) whose value reaches its column's `least` (n,), in order of the columns."""
    whole = len(product) // _GROUP * _GROUP
    groups = product[:whole].reshape(-1, _GROUP, product.shape[1])
    group, column = np.nonzero(groups.max(axis=1) >= least)
    inside, member = np.nonzero(groups[group, :, column] >= least[column, None])
    tail, tail_column = np.nonzero(product[whole:] >= least)
    rows = np.concatenate([group[inside] * _GROUP + member, whole + tail])
    columns = np.concatenate([column[inside], tail_column])
    order = np.argsort(columns, kind="stable")
    return rows[order], columns[order]
