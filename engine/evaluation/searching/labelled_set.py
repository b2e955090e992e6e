"""One labelled set, split again and again into people who are enrolled, probes that are mated, and strangers.

Galleries of 10, 30, 100, ... identities are searched inside the whole one: the first K of one random order of enrolment, so that
a smaller gallery is part of every larger one. All together cost about one and a half times the largest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.evaluation.raw import About, Trial
from engine.evaluation.searching.pairs import pairs_of_people
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
from engine.evaluation.splits import Split, require_people, split
from engine.evaluation.truth import LabelledImages
from engine.matching.densities import densities
from engine.matching.members import Members
from engine.matching.scoring import Scoring, SearchableGallery
from engine.templates.model import Templates
from indexes.exact.flat import Flat


def search_labelled(
    people: LabelledImages, out: Path, *, scores: Sequence[str], splits: int, about: About, said: Said | None = None
) -> About:
    """Split labelled people into enrolled, mated and strangers, search, and keep what came out in a folder.

    Every system enrols, and searches for, the same photographs.

    Raises:
        MetricsError: too few identities.
        OutputError: the files cannot be written.
    """
    require_people(len(people.names), about.source)
    whose = zip(people.called, people.templates, strict=True)
    systems = [systems_of(called, templates.provenance, scores) for called, templates in whose]
    pairs = [
        pairs_of_people(called, templates.vectors, people, rows)
        for called, templates, rows in zip(people.called, people.templates, people.rows, strict=True)
    ]

    def trials() -> Iterator[tuple[pa.Table, Trial]]:
        for number in range(splits):
            for part, of_part in zip(_parts(people, number), systems, strict=True):
                for system in of_part:
                    scoring = Scoring.of(system.score)
                    for size in sizes_for(scoring, part.identities):
                        if said:
                            said(f"{system.name}, split {number + 1} of {splits}, K = {size:,}")
                        top = TOP if size == part.identities else 1
                        yield try_out(system, number, partial(part.gallery, size, scoring), part.searches(size), top)

    return keep_trials(out, trials(), [system for of_part in systems for system in of_part], pairs, about)


@dataclass(frozen=True)
class _Part:
    """One encoder's `templates` of labelled images, of which `rows` int (n,) says the row of each, -1 where there is none.

    `images`: the numbers of those that are enrolled, mated or strangers; `unplaced`: of those of which nobody knows even that.
    """

    people: LabelledImages
    templates: Templates
    rows: np.ndarray
    images: Split
    unplaced: np.ndarray

    @property
    def identities(self) -> int:
        """How many are enrolled."""
        return len(self.images.enrolled)

    def gallery(self, size: int, scoring: Scoring) -> TrialGallery:
        """A gallery of the first `size` identities, with one template of each, searched exactly."""
        enrolled = self.images.enrolled[:size]
        rows = self.rows[enrolled]
        index, members = Flat.build(np.ascontiguousarray(self.templates.vectors[rows])), Members(np.arange(size))
        density = densities(index, members, scoring.neighbours) if scoring.scaled else None
        searchable = SearchableGallery(index, members, scoring, density, quality=self.templates.qualities[rows])
        names = [self.people.names[code] for code in self.people.codes[enrolled]]
        ids = [self._template_ids[row] for row in rows]
        return TrialGallery(searchable, names, ids, np.arange(size), evidence_for(searchable, ids, self.templates.provenance))

    def searches(self, size: int) -> TrialSearches:
        """Searches of that gallery: for all images of its people that are not enrolled, and for strangers."""
        place = np.full(len(self.people.names), -1)
        place[self.people.codes[self.images.enrolled]] = np.arange(self.identities)
        places = place[self.people.codes]
        here = self.images.mated[places[self.images.mated] < size]
        images = np.concatenate([here, self.unplaced, self.images.strangers])
        nobody = np.full(len(images) - len(here), -1)
        return TrialSearches(
            names=[self.people.images[image] for image in images],
            identities=[self.people.names[code] if code >= 0 else None for code in self.people.codes[images]],
            truth=np.concatenate([places[here], nobody]),
            mated=np.arange(len(images)) < len(here) + len(self.unplaced),
            rows=self.rows[images],
            vectors=self.templates.vectors,
            qualities=self.templates.qualities,
        )

    @cached_property
    def _template_ids(self) -> list[str]:
        return list(self.templates.table["template_id"].to_pylist())


def _parts(people: LabelledImages, number: int) -> Iterator[_Part]:
    """The `number`-th split, which is the same for all encoders."""
    placed = people.codes >= 0
    back = np.flatnonzero(placed)
    among = split(people.codes[placed], number, able=people.able[placed])
    images = Split(back[among.enrolled], back[among.mated], back[among.strangers])
    for templates, rows in zip(people.templates, people.rows, strict=True):
        yield _Part(people, templates, rows, images, np.flatnonzero(~placed))
