"""Scores of a probe and an enrolled identity, small is alike. `plain` is the distance, `local` the locally scaled one.

False alarms pile up where templates lie close together. The local score measures a distance d in units of the distances that
are usual around the probe and around the template (local scaling, after Zelnik-Manor and Perona 2004):

    score = d^2 / sqrt(D(probe) * D(template))

D is the mean squared distance to the nearest templates of the R nearest *other* identities: for a probe the candidate's own
identity is left out, for a template its own. 1 is "as near as its neighbours are".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.errors import GalleryError
from engine.matching.nearest_identities import (
    Members,
    Nearest,
    fused_distances,
    nearest_identities,
    nearest_of_identity,
    without_identity,
)
from indexes.base import Progress, SearchableIndex
from indexes.exact.flat import Flat

PLAIN, LOCAL = "plain", "local"

# Neighbouring identities that a density is taken over.
NEIGHBOURS = 5
# Squared distances below this are rounding: nothing is denser.
_DENSEST = np.float32(1e-8)
# Templates that are searched for at a time.
_BATCH = 4096
# Up to so many templates are searched for among all; of more, among so many, but never fewer identities than this.
_MOST_SEARCHED, _REFERENCE, _LEAST = 200_000, 50_000, 1000


@dataclass(frozen=True)
class Scoring:
    """How a gallery scores: `score` is plain or local, `neighbours` the R of local, `fuse` the m of "mean of the m nearest
    templates of an identity" (1: the nearest alone).
    """

    score: str
    neighbours: int = NEIGHBOURS
    fuse: int = 1

    @property
    def shortlist(self) -> int:
        """Identities that must be found for each probe."""
        return self.neighbours + 1 if self.score == LOCAL else 1

    @property
    def least_identities(self) -> int:
        """Identities without which it is not defined."""
        return self.neighbours + 2 if self.score == LOCAL else 1

    def growth(self, identities: int) -> float:
        """What the logarithm of strangers' scores is linear in as K grows.

        log K for the plain score, as for the nearest of ever more points; -1 / sqrt(K) for the local one, which tends to a limit.
        Both as LFW shows them from K = 60 to 4,000 (`onek benchmark accuracy`).
        """
        return float(np.log(identities) if self.score == PLAIN else -1 / np.sqrt(identities))

    def check(self, identities: int) -> None:
        """Refuse a scoring that does not exist or that so few identities do not support.

        Raises:
            GalleryError: says what was found and what would do.
        """
        if self.score not in (PLAIN, LOCAL):
            raise GalleryError(f"the score {self.score!r} was asked for; expected {PLAIN} or {LOCAL}")
        if self.fuse < 1 or self.neighbours < 1:
            raise GalleryError(f"{self.fuse} templates and {self.neighbours} neighbours were asked for; expected at least 1")
        if identities < self.least_identities:
            raise GalleryError(
                f"the local score needs {self.least_identities} identities, this gallery has {identities}; take --score plain"
            )


@dataclass(frozen=True)
class Candidates:
    """The enrolled identities that are most alike to n probes, best score first; every probe has the same number t of them.

    `rows` int64 (n, t): an identity's nearest template. `distances` float32 (n, t): that of the identity, fused. `scores` float32
    (n, t).
    """

    rows: np.ndarray
    distances: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Enrolled:
    """Templates that can be searched and scored.

    `density` float32 (n, 2) is what `densities` gave, None for plain scores; NaN where nobody measured yet, which is made up for
    when such a template is a candidate. `among` bool (K,): the identities that densities were measured among; None: `reference`.
    """

    index: SearchableIndex
    members: Members
    scoring: Scoring
    density: np.ndarray | None = None
    among: np.ndarray | None = None

    @cached_property
    def counted(self) -> np.ndarray:
        """The identities that densities were measured among, bool (K,)."""
        return reference(self.members) if self.among is None else self.among

    @cached_property
    def _surroundings(self) -> tuple[SearchableIndex, Members, np.ndarray]:
        return _known(self.index, self.members, self.counted)

    @cached_property
    def _measured(self) -> dict[int, tuple[float, float]]:
        """What searches measured in passing, by row: any thread may add to it, and each would add the same."""
        return {}

    def _measure(self, rows: np.ndarray) -> np.ndarray:
        """The densities (m, 2) of rows (m,) that nobody had measured when the gallery was opened."""
        measured = self._measured
        missing = np.array([row for row in rows.tolist() if row not in measured], np.int64)
        for part in _batches(len(missing)):
            some = missing[part]
            found = _densities_of(
                *self._surroundings, self.index.vectors(some), self.members.codes[some], self.scoring.neighbours
            )
            measured.update(zip(some.tolist(), map(tuple, found.tolist()), strict=True))
        return np.array([measured[row] for row in rows.tolist()], np.float32).reshape(-1, 2)

    def known_densities(self) -> np.ndarray | None:
        """`density`, with what searches have measured since; None for plain scores."""
        known, measured = self.density, dict(self._measured)
        if known is not None and measured:
            known = np.array(known)
            known[list(measured)] = list(measured.values())
        return known

    def all_densities(self) -> np.ndarray | None:
        """`density`, with what nobody had measured made up for; None for plain scores."""
        if self.density is not None:
            self._measure(np.flatnonzero(np.isnan(self.density[:, 0])))
        return self.known_densities()

    def candidates(self, probes: np.ndarray, top: int, without: np.ndarray | None = None) -> Candidates:
        """The `top` candidates of each probe.

        Args:
            probes: float32 (n, d), of unit length.
            top: at least 1. Fewer come back where the gallery has fewer identities.
            without: identities (n,), one for each probe, that are left out as if they had never been enrolled: their templates
                are no candidates, and the densities of the others are what they would be.
        """
        wanted = max(top, self.scoring.shortlist) + (without is not None)
        return self.scored(probes, nearest_identities(self.index, self.members, probes, wanted), top, without)

    def scored(self, probes: np.ndarray, found: Nearest, top: int, without: np.ndarray | None = None) -> Candidates:
        """As `candidates`, of identities that were `found`: the nearest `Scoring.shortlist` or more, one more for `without`."""
        scoring = self.scoring
        if without is not None:
            found = without_identity(found, self.members, without)
        distances = fused_distances(self.index, self.members, probes, found, scoring.fuse)
        if scoring.score == PLAIN:
            scores = distances
        else:
            around_probe = _around_probe(found.distances, scoring.neighbours)
            around_template = self._around_template(found, without)
            scores = distances**2 / np.sqrt(np.maximum(around_probe, _DENSEST) * np.maximum(around_template, _DENSEST))
        order = np.argsort(scores, axis=1, kind="stable")[:, :top]
        return Candidates(*(np.take_along_axis(values, order, 1) for values in (found.rows, distances, scores)))

    def _around_template(self, found: Nearest, without: np.ndarray | None) -> np.ndarray:
        """D of each candidate (n, t)."""
        if self.density is None:
            raise GalleryError("the local score needs the densities of the enrolled templates; build the gallery anew")
        values = self.density[found.rows]
        if (unknown := np.isnan(values[..., 0])).any():
            rows, back = np.unique(found.rows[unknown], return_inverse=True)
            values[unknown] = self._measure(rows)[back.ravel()]
        mean, following = np.moveaxis(values, 2, 0)
        if without is None:
            return mean
        left_out = np.repeat(without, found.rows.shape[1])
        vectors = self.index.vectors(found.rows.ravel())
        squares = nearest_of_identity(self.index, self.members, left_out, vectors).reshape(mean.shape) ** 2
        # Who was among the R nearest leaves, and the next one takes the place.
        counted = self.counted[without][:, None]
        return np.where(counted & (squares < following), mean + (following - squares) / self.scoring.neighbours, mean)


def densities(
    index: SearchableIndex, members: Members, neighbours: int = NEIGHBOURS, progress: Progress | None = None
) -> np.ndarray:
    """What the local score needs of each enrolled template, by one search of them all: float32 (n, 2).

    The first column is D, the mean squared distance to the R nearest other identities; the second the squared distance to the
    next one, which takes the place of an identity that is left out. Needs R + 2 identities. In a large gallery the neighbours are
    looked for among a sample of the identities, `reference`: where templates lie densely shows there as well, at a scale that is
    the same for all of them, and the search costs little.
    """
    known, theirs, codes = _known(index, members, reference(members))
    result = np.empty((index.count, 2), np.float32)
    for rows in _batches(index.count):
        result[rows] = _densities_of(known, theirs, codes, index.vectors(rows), members.codes[rows], neighbours)
        if progress:
            progress("densities", int(rows[-1]) + 1, index.count)
    return result


def _known(index: SearchableIndex, members: Members, among: np.ndarray) -> tuple[SearchableIndex, Members, np.ndarray]:
    """The templates of some identities, whose they are, and the number that each identity has there: -1 for the others."""
    if among.all():
        return index, members, np.arange(members.identities)
    rows = members.rows(np.flatnonzero(among))
    kept = rows >= 0
    place = np.where(among, np.cumsum(among) - 1, -1)
    return Flat.build(index.vectors(rows[kept])), Members(place[members.codes[rows[kept]]]), place


def _densities_of(
    known: SearchableIndex, theirs: Members, place: np.ndarray, vectors: np.ndarray, codes: np.ndarray, neighbours: int
) -> np.ndarray:
    """As `densities`, of vectors (n, d) of the identities `codes` (n,)."""
    found = nearest_identities(known, theirs, vectors, neighbours + 2)
    squares = without_identity(found, theirs, place[codes]).distances ** 2
    return np.column_stack([squares[:, :neighbours].mean(axis=1), squares[:, min(neighbours, squares.shape[1] - 1)]])


def reference(members: Members) -> np.ndarray:
    """Among which identities densities are measured, bool (K,): all, or in a large gallery a sample, always the same one."""
    among = np.ones(members.identities, bool)
    if len(members.codes) > _MOST_SEARCHED:
        share = _REFERENCE / len(members.codes)
        among[np.random.default_rng(0).permutation(members.identities)[max(_LEAST, int(share * members.identities)) :]] = False
    return among


def _batches(count: int) -> Iterator[np.ndarray]:
    for start in range(0, count, _BATCH):
        yield np.arange(start, min(start + _BATCH, count))


def _around_probe(distances: np.ndarray, neighbours: int) -> np.ndarray:
    """D of the probe for each candidate (n, t): the mean over the R nearest of the other ones."""
    squares = distances**2
    near = squares[:, : neighbours + 1]
    whole = np.repeat(near[:, :neighbours].mean(axis=1, keepdims=True), squares.shape[1], axis=1)
    whole[:, : neighbours + 1] = (near.sum(axis=1, keepdims=True) - near) / neighbours
    return whole
