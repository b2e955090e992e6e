"""Scores of a probe and an enrolled identity: smaller is more alike. `plain` is the distance, `local` the locally scaled one,
`quality` one that goes by what both pictures are worth as well.

False alarms are most frequent where templates lie close together. The local score relates a distance d to the distances that are
usual around the probe and around the template (local scaling, after Zelnik-Manor and Perona 2004):

    score = d^2 / sqrt(D(probe) * D(template))

D is the mean squared distance to the nearest templates of the R nearest *other* identities: for a probe the candidate's own
identity is left out, for a template its own. A score of 1 means: as near as the neighbours are.

The quality score takes D over more neighbours, subtracts it, and adds what both pictures are worth:

    log score = 2 d^2 - D(probe) - D(template) + 0.014 (b(probe) + b(template)) + 0.04 g(probe) g(template)

With l the log odds of a quality, which is the share of ordinary photographs that are worse, b = min(max(l, -5), 2.5) and
g = max(0, -2.5 - l). Good pictures of one person are nearer than bad ones, so that less is asked of these; two bad ones, which
are near to each other whoever they show, are kept apart. A picture of which nobody knows what it is worth counts as an ordinary
one, l = 0. The numbers were chosen on half of LFW's people (`onek benchmark quality` measures the others).
"""

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from engine.errors import GalleryError
from engine.matching.densities import NEIGHBOURS, batches, densities_of, known_among, reference
from engine.matching.fused import fused
from engine.matching.members import Members, nearest_of_each
from engine.matching.nearest_identities import (
    NearestIdentities,
    fused_distances,
    nearest_identities,
    with_further,
    without_identity,
)
from engine.templates.quality.scale import log_odds
from indexes.base import SearchableIndex, distances_to

PLAIN, LOCAL, QUALITY = "plain", "local", "quality"
SCORES = (PLAIN, LOCAL, QUALITY)

# R of the quality score.
WIDE = 20
# How many candidates of each probe a head puts in order.
REORDERED = 20
# What `Scoring.fuse` says of the one template that is fused of all of an identity's.
WHOLE = 0
# b's slope and ends, g's slope and beginning.
_BONUS, _BAD, _GOOD, _PENALTY, _DOUBTFUL = 0.014, -5.0, 2.5, 0.04, -2.5
# D is never less than this: smaller squared distances are rounding errors.
_DENSEST = np.float32(1e-8)


@dataclass(frozen=True)
class Scoring:
    """How a gallery scores. `score`: plain, local or quality. `neighbours`: R of the latter two. `fuse`: an identity's distance
    is the mean over so many of its nearest templates; `WHOLE`: that of one template, which is fused of all of them.
    """

    score: str
    neighbours: int = NEIGHBOURS
    fuse: int = 1

    @classmethod
    def of(cls, score: str, fuse: int | None = None) -> "Scoring":
        """A score with its own number of neighbours, and fused as it is by default where `fuse` is None."""
        if score == QUALITY:
            return cls(score, WIDE, WHOLE if fuse is None else fuse)
        return cls(score, fuse=1 if fuse is None else fuse)

    @property
    def scaled(self) -> bool:
        """Whether it goes by how densely templates lie."""
        return self.score != PLAIN

    @property
    def shortlist(self) -> int:
        """How many of the nearest identities are put in order of their scores, however many are listed."""
        return self.neighbours + 1

    def searches(self, top: int, more: int) -> list[int]:
        """How many identities are searched for, one search after the other, to list `top`; `more` are added to each.

        An approximate index finds others where more are wanted. What a longer search finds goes behind what a shorter one found,
        so that those whom scores, or a head, put in order are the same ones in lists of any length.
        """
        lengths = [self.shortlist]
        for length in (REORDERED, top):
            if min(length, top) > lengths[-1]:
                lengths.append(length)
        return [length + more for length in lengths]

    @property
    def least_identities(self) -> int:
        """The least number of identities for which the score is defined."""
        return self.neighbours + 2 if self.scaled else 1

    def growth(self, identities: int) -> float:
        """A function of K, the number of identities, in which the logarithm of non-mated scores is linear.

        log K for the plain score, as for the distance to the nearest of K points; -1 / sqrt(K) for the others, which tend to
        a limit. All hold on LFW from K = 60 to 4,000 (`onek benchmark accuracy`).
        """
        return float(np.log(identities) if self.score == PLAIN else -1 / np.sqrt(identities))

    def check(self, identities: int) -> None:
        """Refuse a scoring that does not exist, or that needs more identities than there are.

        Raises:
            GalleryError: says what was found and what was expected.
        """
        if self.score not in SCORES:
            raise GalleryError(f"the score {self.score!r} was asked for; expected {', '.join(SCORES[:-1])} or {SCORES[-1]}")
        if self.fuse < WHOLE or self.neighbours < 1:
            raise GalleryError(
                f"{self.fuse} templates and {self.neighbours} neighbours were asked for; expected at least 1, or {WHOLE} "
                "templates for one that is fused of all"
            )
        if identities < self.least_identities:
            raise GalleryError(
                f"the {self.score} score needs {self.least_identities} identities, this gallery has {identities}; "
                "take score='plain'"
            )


@dataclass(frozen=True)
class Candidates:
    """The identities that n probes may be: the `Scoring.shortlist` nearest in the order of their scores, and behind these others,
    nearest first. Every probe has the same number t of them.

    `rows` int64 (n, t): the nearest template of each identity. `distances` float32 (n, t): the identity's distance, fused as
    `Scoring.fuse` says. `scores` float32 (n, t): smaller is more alike.
    """

    rows: np.ndarray
    distances: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class SearchableGallery:
    """The templates of a gallery, as they are searched and scored.

    `density` float32 (n, 2): the result of `densities`, None for plain scores. Rows not measured yet are NaN, and are measured
    when such a template becomes a candidate. `among` bool (K,): the identities among which densities were measured; if None,
    those of `reference`. `quality` float32 (n,): what each template is worth, the share of ordinary photographs that are worse;
    NaN where nobody knows, and None where nobody knows of any.
    """

    index: SearchableIndex
    members: Members
    scoring: Scoring
    density: np.ndarray | None = None
    among: np.ndarray | None = None
    quality: np.ndarray | None = None

    @cached_property
    def counted(self) -> np.ndarray:
        """The identities among which densities were measured, bool (K,)."""
        return reference(self.members) if self.among is None else self.among

    @cached_property
    def _surroundings(self) -> tuple[SearchableIndex, Members, np.ndarray]:
        return known_among(self.index, self.members, self.counted)

    @cached_property
    def _measured(self) -> dict[int, tuple[float, float]]:
        """Densities by row that searches have measured. Any thread may add to it: the values are the same in each."""
        return {}

    def _measure(self, rows: np.ndarray) -> np.ndarray:
        """The densities (m, 2) of rows (m,) that were not measured when the gallery was opened."""
        measured = self._measured
        missing = np.array([row for row in rows.tolist() if row not in measured], np.int64)
        for part in batches(len(missing)):
            some = missing[part]
            found = densities_of(*self._surroundings, self.index.vectors(some), self.members.codes[some], self.scoring.neighbours)
            measured.update(zip(some.tolist(), map(tuple, found.tolist()), strict=True))
        return np.array([measured[row] for row in rows.tolist()], np.float32).reshape(-1, 2)

    def known_densities(self) -> np.ndarray | None:
        """`density`, with the rows that searches have measured since; None for plain scores."""
        known, measured = self.density, dict(self._measured)
        if known is not None and measured:
            known = np.array(known)
            known[list(measured)] = list(measured.values())
        return known

    def all_densities(self) -> np.ndarray | None:
        """`density`, with all missing rows measured now; None for plain scores."""
        if self.density is not None:
            self._measure(np.flatnonzero(np.isnan(self.density[:, 0])))
        return self.known_densities()

    def qualities(self, rows: np.ndarray) -> np.ndarray:
        """What the templates of some rows (...) are worth, float32 (...); NaN where nobody knows."""
        return np.full(rows.shape, np.nan, np.float32) if self.quality is None else self.quality[rows]

    def candidates(
        self, probes: np.ndarray, top: int, without: np.ndarray | None = None, qualities: np.ndarray | None = None
    ) -> Candidates:
        """The `top` candidates of each probe. How many are listed changes neither their scores nor who comes first.

        Args:
            probes: float32 (n, d), of unit length.
            top: at least 1. Fewer are returned if the gallery has fewer identities.
            without: identities (n,), one for each probe, to leave out as if they had never been enrolled: their templates are no
                candidates, and the densities of the others are those without them.
            qualities: what the probes are worth, float32 (n,), NaN where nobody knows; by default of none of them.
        """
        one = without is not None
        # Who is left out is near by itself, and the search has to go on.
        nearest = partial(nearest_identities, self.index, self.members, probes, stop_near=not one)
        first, *longer = self.scoring.searches(min(top, self.members.identities - one), one)
        found = nearest(first)
        for length in longer:
            found = with_further(found, nearest(length), self.members)
        return self.scored(probes, found, top, without, qualities)

    def scored(
        self,
        probes: np.ndarray,
        found: NearestIdentities,
        top: int,
        without: np.ndarray | None = None,
        qualities: np.ndarray | None = None,
    ) -> Candidates:
        """As `candidates`, from identities `found` before: at least `top` and `Scoring.shortlist`, and one more for `without`. D
        is taken over the first of them, and the rest stays in its order.
        """
        scoring = self.scoring
        if without is not None:
            found = without_identity(found, self.members, without)
        distances, odds = self._fused(probes, found)
        if not scoring.scaled:
            scores = distances
        else:
            around_probe = _around_probe(found.distances, scoring.neighbours)
            around_template = self._around_template(found, without)
            if scoring.score == LOCAL:
                scores = distances**2 / np.sqrt(np.maximum(around_probe, _DENSEST) * np.maximum(around_template, _DENSEST))
            else:
                theirs = np.zeros(len(probes), np.float32) if qualities is None else _odds(qualities)
                levels = 2 * distances**2 - around_probe - around_template + _worth(theirs[:, None], odds)
                scores = np.exp(levels).astype(np.float32)
        # How many are found must not change who comes first: strangers were seen among so many when the gallery was calibrated.
        order = np.argsort(scores[:, : scoring.shortlist], axis=1, kind="stable")
        rest = np.arange(order.shape[1], scores.shape[1])
        order = np.hstack([order, np.broadcast_to(rest, (len(order), len(rest)))])[:, :top]
        return Candidates(*(np.take_along_axis(values, order, 1) for values in (found.rows, distances, scores)))

    def _fused(self, probes: np.ndarray, found: NearestIdentities) -> tuple[np.ndarray, np.ndarray]:
        """The distance of each identity, and the log odds of what its template is worth: float32 (n, t)."""
        scoring, members = self.scoring, self.members
        odds = _odds(self.qualities(found.rows))
        if scoring.fuse != WHOLE:
            return fused_distances(self.index, members, probes, found, scoring.fuse), odds
        codes = members.codes[found.rows]
        several = members.counts[codes] > 1
        if not several.any():
            return found.distances, odds
        identities, back = np.unique(codes[several], return_inverse=True)
        vectors, worth = fused(self.index, members, self._all_odds, identities)
        place = np.full(codes.shape, -1, np.int64)
        place[several] = back.ravel()
        distances = np.where(several, distances_to(probes, vectors, place), found.distances)
        return distances, np.where(several, worth[np.maximum(place, 0)], odds)

    @cached_property
    def _all_odds(self) -> np.ndarray:
        return _odds(self.qualities(np.arange(self.index.count)))

    def _around_template(self, found: NearestIdentities, without: np.ndarray | None) -> np.ndarray:
        """D of each candidate (n, t)."""
        if self.density is None:
            raise GalleryError(
                f"the {self.scoring.score} score needs the densities of the enrolled templates; build the gallery anew"
            )
        values = self.density[found.rows]
        if (unknown := np.isnan(values[..., 0])).any():
            rows, back = np.unique(found.rows[unknown], return_inverse=True)
            values[unknown] = self._measure(rows)[back.ravel()]
        mean, following = np.moveaxis(values, 2, 0)
        # Who is counted in no density leaves none.
        at = np.empty(0, np.int64) if without is None else np.flatnonzero(self.counted[without])
        if without is None or not len(at):
            return mean
        left_out = np.repeat(without[at], mean.shape[1])[:, None]
        vectors = self.index.vectors(found.rows[at].ravel())
        squares = nearest_of_each(self.index, self.members, left_out, vectors).distances.reshape(len(at), -1) ** 2
        # If the identity left out was among the R nearest, the next one takes its place.
        mean[at] = np.where(squares < following[at], mean[at] + (following[at] - squares) / self.scoring.neighbours, mean[at])
        return mean


def _odds(qualities: np.ndarray) -> np.ndarray:
    """The log odds of qualities (...), float32; those of an ordinary photograph where nobody knows."""
    return np.nan_to_num(log_odds(qualities), nan=0.0).astype(np.float32)


def _worth(probe: np.ndarray, template: np.ndarray) -> np.ndarray:
    """What the log odds of the quality of both pictures add to the logarithm of a score."""
    good = np.clip(probe, _BAD, _GOOD) + np.clip(template, _BAD, _GOOD)
    return _BONUS * good + _PENALTY * np.maximum(0, _DOUBTFUL - probe) * np.maximum(0, _DOUBTFUL - template)


def _around_probe(distances: np.ndarray, neighbours: int) -> np.ndarray:
    """D of the probe for each candidate (n, t): the mean over the R nearest other identities."""
    squares = distances**2
    near = squares[:, : neighbours + 1]
    whole = np.repeat(near[:, :neighbours].mean(axis=1, keepdims=True), squares.shape[1], axis=1)
    whole[:, : neighbours + 1] = (near.sum(axis=1, keepdims=True) - near) / neighbours
    return whole
