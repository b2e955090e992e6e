"""What became of a photograph that was embedded: templates or a problem, what is left out of them, and their rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import pyarrow as pa

from engine.embedding.photographs import Photograph
from engine.faces.alignment import SURE, Face
from engine.files.content_ids import of_face
from engine.templates.model import batch
from engine.templates.problems import ALL_SEEN, Problem, Unseen
from engine.templates.provenance import Provenance
from engine.templates.quality.gate import check_least, why_refused

# A face with so much of another's area is about as large: one photograph in a hundred of LFW has such a second face.
ALIKE = 0.8


@dataclass(frozen=True)
class Worth:
    """The `quality` of a face, the share of ordinary photographs that are worse, None where nobody knows; and in words what is
    wrong with one of little quality.
    """

    quality: float | None = None
    reasons: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one photograph: its faces and their templates (k, dim), or a problem.

    `worth`: of each face what it is worth. `picture` is what it is called by its content; `beside` are faces that it shows and
    that were not taken. `numbers`: which faces of the picture they are; `below`: problems of others, which are below the gate.
    """

    photograph: Photograph
    faces: tuple[Face, ...]
    vectors: np.ndarray
    problem: str | None = None
    picture: str = ""
    beside: tuple[Face, ...] = ()
    worth: tuple[Worth, ...] = ()
    numbers: tuple[int, ...] = ()
    below: tuple[str, ...] = ()


def of_quality(least: float) -> Callable[[Outcome], Outcome]:
    """What leaves faces out whose quality is below a gate; a problem, where that leaves none."""
    check_least(least)

    def gated(outcome: Outcome) -> Outcome:
        below = [number for number, each in enumerate(outcome.worth) if each.quality is not None and each.quality < least]
        if not below:
            return outcome
        worth = {number: outcome.worth[number] for number in below}
        said = {number: why_refused(each.quality or 0.0, each.reasons, least) for number, each in worth.items()}
        if len(below) == len(outcome.faces):
            return _without_template(outcome, said[below[0]])
        kept = [number for number in range(len(outcome.faces)) if number not in said]
        return replace(
            outcome,
            faces=tuple(outcome.faces[number] for number in kept),
            vectors=outcome.vectors[kept],
            worth=tuple(outcome.worth[number] for number in kept),
            numbers=tuple(outcome.numbers[number] for number in kept),
            below=tuple(f"face {outcome.numbers[number]}: {words}" for number, words in said.items()),
        )

    return gated


def once_each(outcomes: Iterable[Outcome], known: dict[str, tuple[str, str | None]]) -> Iterator[Outcome]:
    """The same, but of a photograph that comes twice, byte for byte, one template of each face.

    The second of those that are somebody's is a problem, which names the first; where nobody said whose they are, they are
    probes, which have a row each, and so an id each.

    Args:
        outcomes: of one run, in order.
        known: the source and the identity of each photograph that had its turn, by what its content is called; goes on.
    """
    for outcome in outcomes:
        source, identity = outcome.photograph.source, outcome.photograph.identity
        if outcome.problem is None and outcome.picture in known:
            first, whose = known[outcome.picture]
            if identity is not None:
                of = f", which is labelled as {whose}" if whose != identity else ""
                outcome = _without_template(outcome, f"the same photograph as {first}{of}")
            else:
                copies = (f"{outcome.picture}.{number}" for number in count(2))
                outcome = replace(outcome, picture=next(copy for copy in copies if copy not in known))
        if outcome.problem is None:
            known[outcome.picture] = (source, identity)
        yield outcome


def of_one_face(outcome: Outcome) -> Outcome:
    """The same; but a problem, where another face is about as large as the one taken, so that nobody knows whose it is."""
    alike = [face for face in outcome.beside if face.detection >= SURE and face.area >= ALIKE * outcome.faces[0].area]
    if outcome.problem is not None or not alike:
        return outcome
    why = f"{1 + len(alike)} faces about as large, so it is unclear whose template it would be; crop it to one of them"
    return _without_template(outcome, why)


def _without_template(outcome: Outcome, problem: str) -> Outcome:
    nothing: dict[str, Any] = dict.fromkeys(("faces", "beside", "worth", "numbers", "below"), ())
    return replace(outcome, vectors=outcome.vectors[:0], problem=problem, **nothing)


def to_batch(outcomes: Sequence[Outcome], provenance: Provenance) -> pa.RecordBatch:
    """The templates of some outcomes as rows of the contract, called after their photographs' content."""
    rows = [
        (outcome, number, face, worth)
        for outcome in outcomes
        for number, face, worth in zip(outcome.numbers, outcome.faces, outcome.worth, strict=True)
    ]
    vectors = np.concatenate([outcome.vectors for outcome in outcomes]) if outcomes else np.empty((0, provenance.dim), np.float32)
    return batch(
        provenance,
        template_ids=[of_face(outcome.picture, number) for outcome, number, _, _ in rows],
        identities=[outcome.photograph.identity for outcome, _, _, _ in rows],
        vectors=vectors,
        sources=[outcome.photograph.source for outcome, _, _, _ in rows],
        faces=[number for _, number, _, _ in rows],
        boxes=[face.box for _, _, face, _ in rows],
        qualities=[worth.quality for _, _, _, worth in rows],
        detections=[face.detection for _, _, face, _ in rows],
        reasons=[worth.reasons for _, _, _, worth in rows],
    )


def problems_of(outcomes: Iterable[Outcome]) -> list[Problem]:
    """The images that gave no template, and faces that are below the gate, in order."""
    found = []
    for outcome in outcomes:
        said = outcome.below if outcome.problem is None else (outcome.problem,)
        found += [Problem(outcome.photograph.source, words) for words in said]
    return found


def unseen_in(outcomes: Iterable[Outcome]) -> Unseen:
    """How many faces of theirs were not looked at."""
    return sum((Unseen(len(outcome.beside), 1) for outcome in outcomes if outcome.beside), ALL_SEEN)
