"""A gallery that exists, and smaller ones of its people inside it, searched for probes whose truth is known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.calibration.evidence import Evidence
from engine.calibration.impostor_searches import subsample
from engine.evaluation.raw import About, Trial
from engine.evaluation.searching.pairs import pairs_with_probes
from engine.evaluation.searching.trials import (
    TOP,
    Said,
    TrialGallery,
    TrialSearches,
    evidence_for,
    keep_trials,
    sizes_for,
    systems_of,
    try_out,
)
from engine.evaluation.splits import require_people
from engine.evaluation.truth import Probes
from engine.gallery.gallery import Gallery
from engine.matching.densities import densities
from engine.matching.scoring import Scoring, SearchableGallery
from engine.templates.provenance import Provenance


def search_gallery(
    gallery: Gallery, probes: Probes, out: Path, *, scores: Sequence[str], about: About, seed: int = 0, said: Said | None = None
) -> About:
    """Search a gallery, and smaller ones of its people inside it, for probes whose truth is known, and keep what came out.

    Of the whole gallery, the answers of its own score are those that `Gallery.identify` gives.

    Raises:
        GalleryError: it lies in Milvus, where not every template is at hand.
        MetricsError: it has too few identities.
        OutputError: the files cannot be written.
    """
    whole = _Whole.of(gallery, seed)
    require_people(whole.identities, gallery.address)
    truth = whole.truth_of(probes)
    called = Path(whole.made.encoder or "vectors").name
    systems = systems_of(called, whole.made, scores)
    pairs = pairs_with_probes(called, whole.enrolled, whole.names, probes)

    def trials() -> Iterator[tuple[pa.Table, Trial]]:
        for system in systems:
            scoring = whole.scoring_of(system.score)
            for size in sizes_for(scoring, whole.identities):
                if said:
                    said(f"{system.name}, K = {size:,}")
                top = TOP if size == whole.identities else 1
                yield try_out(system, 0, partial(whole.gallery, size, scoring), _searches(probes, truth, size), top)

    return keep_trials(out, trials(), systems, [pairs], about)


@dataclass(frozen=True)
class _Whole:
    """The gallery as it was when the evaluation began; `order` (K,): the numbers of its identities, in a random order in which
    the smaller galleries enrol them.
    """

    enrolled: SearchableGallery
    names: list[str]
    template_ids: list[str]
    made: Provenance
    evidence: Evidence
    order: np.ndarray

    @classmethod
    def of(cls, gallery: Gallery, seed: int) -> "_Whole":
        enrolled, seen = gallery.enrolled, gallery.snapshot()
        order = np.random.default_rng(seed).permutation(enrolled.members.identities)
        names, ids = gallery.identity_names.to_pylist(), gallery.template_ids.to_pylist()
        return cls(enrolled, names, ids, seen.provenance, seen.evidence, order)

    @property
    def identities(self) -> int:
        return len(self.order)

    @property
    def places(self) -> np.ndarray:
        """Where in the order each identity is, (K,)."""
        return np.argsort(self.order)

    def truth_of(self, probes: Probes) -> np.ndarray:
        """Where in the order each probe's identity is, (n,); -1 where it is not enrolled."""
        place = dict(zip(self.names, self.places.tolist(), strict=True))
        return np.array([-1 if who is None else place.get(who, -1) for who in probes.identities], np.int64)

    def scoring_of(self, score: str) -> Scoring:
        """How to score with a score: as the gallery does where that is its own."""
        own = self.enrolled.scoring
        return own if score == own.score else Scoring.of(score, own.fuse)

    def gallery(self, size: int, scoring: Scoring) -> TrialGallery:
        """A gallery of the first `size` identities of the order."""
        if size < self.identities:
            searchable = subsample(replace(self.enrolled, scoring=scoring), self.order[:size])
            rows = self.enrolled.members.all_rows(self.order[:size])
            names, ids = [self.names[code] for code in self.order[:size]], [self.template_ids[row] for row in rows]
            return TrialGallery(searchable, names, ids, np.arange(size), evidence_for(searchable, ids, self.made))
        if scoring == self.enrolled.scoring:
            return TrialGallery(self.enrolled, self.names, self.template_ids, self.places, self.evidence)
        index, members = self.enrolled.index, self.enrolled.members
        density = densities(index, members, scoring.neighbours) if scoring.scaled else None
        searchable = replace(self.enrolled, scoring=scoring, density=density)
        evidence = evidence_for(searchable, self.template_ids, self.made)
        return TrialGallery(searchable, self.names, self.template_ids, self.places, evidence)


def _searches(probes: Probes, truth: np.ndarray, size: int) -> TrialSearches:
    """Searches of a gallery of the first `size` identities. Of somebody who is enrolled later it knows nothing, so that they are
    left out; strangers are those of every size.
    """
    kept = np.flatnonzero((truth < size) | probes.unplaced)
    here = np.where(truth < size, truth, -1)[kept]
    return TrialSearches(
        names=[probes.names[at] for at in kept],
        identities=[probes.identities[at] for at in kept],
        truth=here,
        mated=(here >= 0) | probes.unplaced[kept],
        rows=probes.rows[kept],
        vectors=probes.vectors,
        qualities=probes.qualities,
    )
