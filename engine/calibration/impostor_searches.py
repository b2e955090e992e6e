"""Searches for enrolled people as if they had never been enrolled: what a gallery does with strangers, from the gallery alone."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import count

import numpy as np

from engine.matching.densities import densities, densities_in
from engine.matching.members import Members
from engine.matching.nearest_identities import NearestIdentities, nearest_identities
from engine.matching.scoring import LOCAL, PLAIN, QUALITY, Candidates, SearchableGallery
from engine.statistics.score_tail import outliers
from indexes.base import Progress
from indexes.exact.flat import Flat

# Identities that are searched for, at most; identities of the subsamples that show how scores move with K, at most.
MOST_SEARCHES, MOST_NESTED = 20_000, 10_000
# Templates in such a subsample, at most, where its identities have several: each of them is compared with all the others.
_MOST_COMPARED = 20_000
# The share of all identities that those in no density must be, so that they speak for all.
_MOST_OF = 0.5
# How many strangers are searched for together.
_BATCH = 4096
# Halvings of K, and the least identities that are worth a subsample; the rate at which scores are compared.
_HALVINGS, _LEAST_NESTED, _COMPARED = 3, 100, 0.1
# How many identities' evidence of the drift the law of chances is worth, and the shares of strangers that it is taken between.
_WORTH, _BETWEEN = 1000, (0.1, 0.5)
# Points in fewer than four dimensions move faster than this; where templates seem to, many people are enrolled twice.
_FASTEST = -0.25
# What the drift of scaled scores is in units of that law, at the least: of local ones 6 for `sface` on LFW, 20 for `dlib-resnet`;
# of quality scores 20 for `sface`. The smaller one is the stricter as a gallery grows.
_LAW = {PLAIN: 1, LOCAL: -6, QUALITY: -18}
# Identities whose templates are compared in pairs.
_MOST_PAIRED = 2000


@dataclass(frozen=True)
class NonMatedSearches:
    """Searches (n,) of strangers. `probes`: the template searched for, an enrolled one or row of a cohort; `rows`: the enrolled
    template that has the best score; `distances`, `scores`: of that. `seconds`: the distance to the second candidate, NaN where
    there is none; `qualities`: what the probes are worth, NaN where nobody knows.
    """

    probes: np.ndarray
    rows: np.ndarray
    distances: np.ndarray
    scores: np.ndarray
    seconds: np.ndarray
    qualities: np.ndarray

    def of(self, probes: np.ndarray) -> "NonMatedSearches":
        """The same, their probes being called (n,)."""
        return replace(self, probes=probes)

    def only(self, which: np.ndarray) -> "NonMatedSearches":
        """The searches that a bool (n,) selects."""
        return NonMatedSearches(*(getattr(self, field.name)[which] for field in fields(self)))


def left_out_searches(
    enrolled: SearchableGallery, most: int = MOST_SEARCHES, seed: int = 0, progress: Progress | None = None
) -> NonMatedSearches:
    """Search for one template of each of up to `most` identities, that identity left out exactly: densities included. Where
    densities are measured among a sample that leaves enough others, these are who is searched for: they are in no density.

    Needs one identity more than the score needs, and at least 2.
    """
    others = np.flatnonzero(~enrolled.counted) if enrolled.scoring.scaled else np.empty(0, np.int64)
    enough = len(others) >= max(most, _MOST_OF * enrolled.members.identities)
    chosen, rows = left_out_templates(enrolled.members, most, seed, others if enough else None)
    vectors, qualities = enrolled.index.vectors(rows), enrolled.qualities(rows)
    return search_strangers(enrolled, vectors, rows, without=chosen, qualities=qualities, progress=progress)


def left_out_templates(
    members: Members, most: int = MOST_SEARCHES, seed: int = 0, among: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Up to `most` identities (n,), of all or `among` some (m,), and a template (n,) of each, by chance."""
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(members.identities if among is None else among)[:most])
    return chosen, members.chosen_rows(chosen, random.integers(0, members.counts[chosen]))


def search_strangers(
    enrolled: SearchableGallery,
    vectors: np.ndarray,
    probes: np.ndarray,
    without: np.ndarray | None = None,
    qualities: np.ndarray | None = None,
    progress: Progress | None = None,
) -> NonMatedSearches:
    """Search for vectors (n, d) of strangers, called `probes` (n,); `without` (n,) and `qualities` (n,) are as in
    `SearchableGallery.candidates`.
    """
    parts = []
    for start in range(0, len(vectors), _BATCH):
        part = slice(start, start + _BATCH)
        left_out, worth = (None if each is None else each[part] for each in (without, qualities))
        parts.append(enrolled.candidates(vectors[part], 2, left_out, worth))
        if progress:
            progress("calibrating", min(start + _BATCH, len(vectors)), len(vectors))
    rows, distances, scores = (
        np.concatenate([getattr(part, name)[:, 0] for part in parts]) for name in ("rows", "distances", "scores")
    )
    seconds = np.concatenate([second_distances(part) for part in parts])
    known = np.full(len(probes), np.nan, np.float32) if qualities is None else qualities
    return NonMatedSearches(probes, rows, distances, scores, seconds, known)


def second_distances(found: Candidates) -> np.ndarray:
    """The distance of each probe's second candidate, float32 (n,); NaN where there is none."""
    if found.distances.shape[1] < 2:
        return np.full(len(found.distances), np.nan, np.float32)
    return found.distances[:, 1]


def subsample(enrolled: SearchableGallery, identities: np.ndarray) -> SearchableGallery:
    """The gallery that some of the identities, int (m,), would be: searched exactly, its densities its own."""
    some = _members(enrolled, identities)
    if not enrolled.scoring.scaled:
        return some
    return replace(some, density=densities(some.index, some.members, enrolled.scoring.neighbours))


def _members(enrolled: SearchableGallery, identities: np.ndarray, few: int | None = None) -> SearchableGallery:
    """As `subsample`, its densities not measured yet, with at most the first `few` templates of each identity."""
    rows = enrolled.members.all_rows(identities, few)
    place = np.empty(enrolled.members.identities, np.int64)
    place[identities] = np.arange(len(identities))
    index, members = Flat.build(enrolled.index.vectors(rows)), Members(place[enrolled.members.codes[rows]])
    quality = None if enrolled.quality is None else enrolled.quality[rows]
    return replace(enrolled, index=index, members=members, density=None, among=None, quality=quality)


def drift(enrolled: SearchableGallery, seed: int = 0, progress: Progress | None = None) -> float:
    """How fast scores of strangers move with K, in units of `Scoring.growth`, from nested subsamples of the gallery.

    K is halved up to three times, all identities taking part at each K in galleries beside each other; the logarithm of the
    score that a tenth of strangers reaches is fitted by least squares. The fewer identities there are to see it in, the more
    weight has what the spread of the scores foretells. Where all templates would be too many, a few of each identity take part,
    by chance: that changes the scores at every K alike, and fewer identities would show less of how they move with it.
    """
    random = np.random.default_rng(seed)
    whole = random.permutation(enrolled.members.identities)[:MOST_NESTED]
    counts = enrolled.members.counts[whole]
    few = templates_of_each(counts)
    if few < counts.max():
        codes = enrolled.members.codes
        enrolled = replace(enrolled, members=Members(codes, rank=random.permutation(len(codes))))
    sizes = [size for halving in range(1, _HALVINGS + 1) if (size := len(whole) >> halving) >= _LEAST_NESTED]
    groups = [len(whole) // size for size in (len(whole), *sizes)]
    done, total = count(1), sum(groups)

    def told() -> None:
        if progress:
            progress("smaller galleries", next(done), total)

    scores = _scores_in_groups(enrolled, whole, len(whole), few, told)
    foretold = _by_chances(scores) * _LAW[enrolled.scoring.score]
    if not sizes:
        return foretold
    levels = [_level(found) for found in (scores, *(_scores_in_groups(enrolled, whole, size, few, told) for size in sizes))]
    seen = float(np.polyfit([enrolled.scoring.growth(size) for size in (len(whole), *sizes)], np.log(levels), 1)[0])
    weight = len(whole) / (len(whole) + _WORTH)
    return weight * seen + (1 - weight) * foretold


def templates_of_each(counts: np.ndarray) -> int:
    """How many templates of each identity take part in `drift`, at most, where they have `counts` (n,); at least one."""
    few, most = 1, int(counts.max())
    while few < most and np.minimum(counts, few + 1).sum() <= _MOST_COMPARED:
        few += 1
    return few


def _scores_in_groups(
    enrolled: SearchableGallery, whole: np.ndarray, size: int, few: int, told: Callable[[], None]
) -> np.ndarray:
    """Scores of strangers in galleries of `size` identities each, beside each other, with at most the first `few` templates of
    each; without people enrolled twice. `told` is called after each gallery.
    """
    parts = []
    for start in range(0, len(whole) - size + 1, size):
        parts.append(_left_out_scores(_members(enrolled, whole[start : start + size], few)))
        told()
    scores = np.concatenate(parts)
    return scores[~outliers(scores)]


def _left_out_scores(some: SearchableGallery) -> np.ndarray:
    """The scores of `left_out_searches` in a gallery whose densities are not measured yet: one search of its templates gives
    both.
    """
    scoring, members = some.scoring, some.members
    vectors = some.index.vectors(np.arange(some.index.count))
    found = nearest_identities(some.index, members, vectors, max(2, scoring.shortlist) + 1)
    if scoring.scaled:
        some = replace(some, density=densities_in(found, members, members.codes, scoring.neighbours))
    chosen, rows = left_out_templates(members)
    parts = []
    for start in range(0, len(rows), _BATCH):
        at, left_out = rows[start : start + _BATCH], chosen[start : start + _BATCH]
        searched = NearestIdentities(found.rows[at], found.distances[at])
        parts.append(some.scored(vectors[at], searched, 2, left_out, some.qualities(at)).scores[:, 0])
    return np.concatenate(parts)


def _by_chances(scores: np.ndarray) -> float:
    """How the logarithm of plain scores moves with log K if each enrolled identity is a chance of its own.

    Then a share p of strangers reaches at k times K what 1 - (1 - p)^k = P did: the score of the share p moves to where that of
    -log(1 - p) / k lies now, which two shares of the same scores show.
    """
    few, many = _BETWEEN
    moved = np.log(_level(scores, many)) - np.log(_level(scores, few))
    return max(float(-moved / (np.log(-np.log1p(-many)) - np.log(-np.log1p(-few)))), _FASTEST)


def _level(scores: np.ndarray, share: float = _COMPARED) -> float:
    """The score that a share of strangers reaches; above 0."""
    return max(float(np.quantile(scores, share)), 1e-6)


def impostor_distances(enrolled: SearchableGallery, seed: int = 0) -> np.ndarray:
    """Distances (n,) of all pairs of one template of each of up to 2,000 identities."""
    random = np.random.default_rng(seed)
    members = enrolled.members
    chosen = random.permutation(members.identities)[:_MOST_PAIRED]
    rows = members.chosen_rows(chosen, random.integers(0, members.counts[chosen]))
    vectors = enrolled.index.vectors(rows).astype(np.float64)
    similarity = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
    return np.sqrt(np.maximum(2 - 2 * similarity, 0))
