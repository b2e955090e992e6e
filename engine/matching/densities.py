"""How densely templates lie: D, the mean squared distance to the nearest templates of the R nearest *other* identities.

Scores that are scaled relate a distance to it; `engine.matching.scoring` says how.
"""

from collections.abc import Iterator

import numpy as np

from engine.common.concurrency import map_ahead
from engine.matching.members import Members
from engine.matching.nearest_identities import NearestIdentities, nearest_identities, without_identity
from indexes.base import Progress, SearchableIndex
from indexes.exact.flat import Flat
from indexes.principal_axes import sample_rows
from indexes.threads import faiss_threads
from indexes.tuning.neighbourhoods import for_means

NEIGHBOURS = 5
"""R of the local score: the number of neighbouring identities that D is taken over."""

# Templates that are searched for at a time.
_BATCH = 4096
# Up to so many templates, D is measured among all of them. In larger galleries, among a sample of so many templates, but of at
# least so many identities.
_MOST_SEARCHED, _REFERENCE, _LEAST = 100_000, 50_000, 1000
# Up to so many of a sample are searched exactly; templates that the effort of a search among more is found with.
_EXACT, _MEASURED = 20_000, 1024


def densities(
    index: SearchableIndex, members: Members, neighbours: int = NEIGHBOURS, progress: Progress | None = None
) -> np.ndarray:
    """What the local score needs of each enrolled template, by one search of them all: float32 (n, 2).

    The first column is D, the mean squared distance to the R nearest other identities; the second the squared distance to the
    next one, which takes the place of an identity that is left out. It needs R + 2 identities. In a large gallery, neighbours are
    searched among a sample of the identities, `reference`, at little cost: all distances are larger by about the same factor, so
    dense regions show there too. A sample of more than `_EXACT` templates is searched approximately, with the effort that a mean
    takes, and what that makes them longer is taken off again: those of templates that join later are measured exactly.
    """
    known, theirs, place = known_among(index, members, reference(members))

    def measured(rows: np.ndarray, among: SearchableIndex = known) -> np.ndarray:
        return densities_of(among, theirs, place, index.vectors(rows), members.codes[rows], neighbours)

    found: Iterator[np.ndarray] = map(measured, batches(index.count))
    if known is not index and known.count > _EXACT:
        # What a sample says is noisy by itself. Where all count, those who are left out must leave the densities that they are
        # in: which ones an approximate search missed, nobody would know.
        some = sample_rows(index.count, _MEASURED)
        quick = for_means(known.vectors(np.arange(known.count)), index.vectors(some), neighbours + 2)
        longer = _mean_ratio(measured(some, quick), measured(some))

        def measured_quickly(rows: np.ndarray) -> np.ndarray:
            # The search is so short that a thread for each batch takes less than threads that share one.
            with faiss_threads(1):
                return measured(rows, quick) / longer

        found = map_ahead(measured_quickly, batches(index.count))
    result = np.empty((index.count, 2), np.float32)
    for rows, part in zip(batches(index.count), found, strict=True):
        result[rows] = part
        if progress:
            progress("densities", int(rows[-1]) + 1, index.count)
    return result


def _mean_ratio(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """How many times as large the one densities (n, 2) are as the others, float32 (2,): geometric means."""
    least = np.float32(1e-12)
    ratio: np.ndarray = np.exp(np.mean(np.log(np.maximum(ours, least) / np.maximum(theirs, least)), axis=0))
    return ratio


def known_among(index: SearchableIndex, members: Members, among: np.ndarray) -> tuple[SearchableIndex, Members, np.ndarray]:
    """An index of the templates of some identities, their `Members`, and the number of each identity there, or -1."""
    if among.all():
        return index, members, np.arange(members.identities)
    rows = members.all_rows(np.flatnonzero(among))
    place = np.where(among, np.cumsum(among) - 1, -1)
    return Flat.build(index.vectors(rows)), Members(place[members.codes[rows]]), place


def densities_of(
    known: SearchableIndex, theirs: Members, place: np.ndarray, vectors: np.ndarray, codes: np.ndarray, neighbours: int
) -> np.ndarray:
    """As `densities`, for vectors (n, d) of the identities `codes` (n,)."""
    return densities_in(nearest_identities(known, theirs, vectors, neighbours + 2), theirs, place[codes], neighbours)


def densities_in(found: NearestIdentities, members: Members, own: np.ndarray, neighbours: int) -> np.ndarray:
    """What the R + 2 nearest identities of n templates say of their densities, as `densities`. `own` (n,): each one's identity;
    -1 where that is not among `members`.
    """
    squares = without_identity(found, members, own).distances ** 2
    return np.column_stack([squares[:, :neighbours].mean(axis=1), squares[:, min(neighbours, squares.shape[1] - 1)]])


def reference(members: Members) -> np.ndarray:
    """The identities among which densities are measured, bool (K,): all, or a sample of a large gallery, always the same one."""
    among = np.ones(members.identities, bool)
    if len(members.codes) > _MOST_SEARCHED:
        share = _REFERENCE / len(members.codes)
        among[np.random.default_rng(0).permutation(members.identities)[max(_LEAST, int(share * members.identities)) :]] = False
    return among


def batches(count: int) -> Iterator[np.ndarray]:
    """Rows 0 to `count`, as many at a time as are searched for together."""
    for start in range(0, count, _BATCH):
        yield np.arange(start, min(start + _BATCH, count))
