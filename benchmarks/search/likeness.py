"""Whether synthetic templates are to a search what real ones are: fitted to half of the people, compared with the other half.

A search feels two things: how many inverted lists it must visit until it comes to the nearest template, and how near that is.
Both are measured on the same number of people with the same number of templates each: real ones, synthetic ones, and synthetic
ones without groups, the worst case. A fourth row has real people, and probes as `build-index` simulates them to tune an index.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.data.synthetic_templates import Population, Shape
from benchmarks.data.template_fit import fit, people_of
from engine.errors import TemplatesError
from engine.templates.measured.within_identity import within_identity_covariance
from engine.templates.model import Templates
from indexes.exact.flat import Flat
from indexes.late import faiss
from indexes.tuning.simulated_probes import second_templates

# Templates in a list: about as many as `ivf` has in one of a million are a thousand, but of a few thousand people a share of
# lists is then no finer than a fiftieth.
_IN_LIST = 20
# The share of probes whose answer lies in the lists that are counted, and quantiles of distances.
_SHARES = (0.9, 0.998)
# Of strangers, the share within whose nearest distance a probe counts as identified, as in the tuning of an index.
_IDENTIFIED = 0.1
_MATED, _STRANGERS = (0.05, 0.5, 0.95), (0.01, 0.1, 0.5)

FIGURES = (
    *(f"lists, mated {100 * share:g} %" for share in _SHARES),
    f"lists, identified {100 * _SHARES[1]:g} %",
    f"lists, strangers {100 * _SHARES[0]:g} %",
    *(f"mated pairs {100 * level:g} %" for level in _MATED),
    *(f"stranger's nearest {100 * level:g} %" for level in _STRANGERS),
)
"""The share of lists, nearest first, in which the nearest template lies of so many mated probes and strangers; distances of mated
pairs, and of strangers to their nearest, at these quantiles."""

SOURCES = ("real", "synthetic", "no groups", "simulated probes")


@dataclass(frozen=True)
class Likeness:
    """Of `count` people of one of `SOURCES`: `FIGURES` (F,), means over splits of the people, and their standard deviations."""

    count: int
    source: str
    figures: np.ndarray
    spread: np.ndarray


def measure_likeness(
    templates: Templates,
    counts: Sequence[int] = (),
    *,
    splits: int = 5,
    told: Callable[[str], None] = lambda _: None,
) -> list[Likeness]:
    """Split the people of labelled templates in halves, so often; fit to either half, and compare with the other.

    `counts`: of people to compare, the largest at most half of all. By default that, its half and its quarter.

    Raises:
        TemplatesError: too few people, of whom it says how many; or as `fit`.
    """
    codes = people_of(templates)
    half = (int(codes.max()) + 1) // 2
    counts = sorted(counts) or [half // 4, half // 2, half]
    if counts[0] < 2 * _IN_LIST or counts[-1] > half:
        raise TemplatesError(f"{counts[-1]} people to compare: expected {2 * _IN_LIST} to {half}, half of those in the templates")
    found: dict[tuple[int, str], list[np.ndarray]] = {}
    for split in range(splits):
        people = np.random.default_rng(split).permutation(2 * half)
        for seen, unseen in ((people[:half], people[half:]), (people[half:], people[:half])):
            told(f"split {split + 1} of {splits}")
            fitting = np.isin(codes, seen)
            own = np.unique(codes[fitting], return_inverse=True)[1]
            shape = fit(templates.vectors[fitting], own, templates.provenance.encoder or "unnamed", split).shape
            for count in counts:
                real = _Sample.real(templates.vectors, codes, unseen[:count])
                for source, sample in zip(SOURCES, _samples(real, shape, split), strict=True):
                    found.setdefault((count, source), []).append(sample.figures())
    return [Likeness(*key, np.mean(each, axis=0), np.std(each, axis=0)) for key, each in found.items()]


@dataclass(frozen=True)
class _Sample:
    """`first` (K, d): a template each of K people, which are enrolled; `further` (m, d): other templates, of the people `own`."""

    first: np.ndarray
    further: np.ndarray
    own: np.ndarray

    @classmethod
    def real(cls, vectors: np.ndarray, codes: np.ndarray, people: np.ndarray) -> "_Sample":
        """Of the templates (n, d) of the identities `codes` (n,), those of some `people` (K,)."""
        place = np.full(int(codes.max()) + 1, -1)
        place[people] = np.arange(len(people))
        rows = np.flatnonzero(place[codes] >= 0)
        rows = rows[np.argsort(place[codes[rows]], kind="stable")]
        enrolled = np.diff(place[codes[rows]], prepend=-1) > 0
        return cls(vectors[rows[enrolled]], vectors[rows[~enrolled]], place[codes[rows[~enrolled]]])

    def synthetic(self, people: Population) -> "_Sample":
        """As many people, with as many templates each."""
        count = len(self.first)
        images = np.bincount(self.own, minlength=count)
        probes = [(np.flatnonzero(images > image), people.templates(0, count, image + 1)) for image in range(images.max())]
        return _Sample(
            people.templates(0, count),
            np.concatenate([vectors[who] for who, vectors in probes]),
            np.concatenate([who for who, _ in probes]),
        )

    def figures(self) -> np.ndarray:
        """`FIGURES`. What is enrolled is searched for as well, its own template left out: so would a stranger in its place be."""
        ranks = partial(_ranks, self.first)
        index = Flat(self.first)
        strangers = index.search(self.first, 2)
        mated = index.search(self.further, 1)
        identified = mated.distances[:, 0] <= np.quantile(strangers.distances[:, 1], _IDENTIFIED)
        of_mated, of_strangers = ranks(self.further, mated.rows[:, 0]), ranks(self.first, strangers.rows[:, 1])
        return np.concatenate(
            [
                np.quantile(of_mated, _SHARES, method="inverted_cdf"),
                np.quantile(of_mated[identified], _SHARES[1:], method="inverted_cdf"),
                np.quantile(of_strangers, _SHARES[:1], method="inverted_cdf"),
                np.quantile(np.linalg.norm(self.first[self.own] - self.further, axis=1), _MATED),
                np.quantile(strangers.distances[:, 1], _STRANGERS),
            ]
        )


def _samples(real: _Sample, shape: Shape, seed: int) -> Iterator[_Sample]:
    """One of each of `SOURCES`."""
    yield real
    yield real.synthetic(Population(shape, seed))
    yield real.synthetic(Population(shape.clusterless(), seed))
    within = within_identity_covariance(shape.encoder)
    yield _Sample(real.first, second_templates(real.first[real.own], real.first, within, seed), real.own)


def _ranks(vectors: np.ndarray, probes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The share of lists over `vectors` (K, d) that are visited for each probe (n, d) until that with its row (n,) is met."""
    lists = len(vectors) // _IN_LIST
    clusters = faiss.Kmeans(vectors.shape[1], lists, niter=10, min_points_per_centroid=1, seed=0)
    clusters.train(np.ascontiguousarray(vectors))
    home = clusters.index.search(vectors[rows], 1)[1]
    order = clusters.index.search(np.ascontiguousarray(probes), lists)[1]
    return (np.argmax(order == home, axis=1) + 1) / lists
