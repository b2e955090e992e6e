"""What a service answers."""

from dataclasses import dataclass
from typing import Any

from engine.answers.results import Candidate
from engine.answers.verification import Verification


@dataclass(frozen=True)
class Answer:
    """What was decided of one face, or of one vector: as `engine.Result`, with where the face is.

    `box` is x, y, width, height in pixels; `detection` the detector's confidence; `refused_by` is `challenge` or `pad` where the
    decision is `refused`.
    """

    probe: str
    face: int | None
    box: tuple[float, float, float, float] | None
    detection: float | None
    quality: float | None
    reasons: str | None
    decision: str
    identity: str | None
    distance: float | None
    score: float | None
    threshold: float
    expected_false_alarms: float | None
    candidates: tuple[Candidate, ...]
    refused_by: str | None


@dataclass(frozen=True)
class Verified(Verification):
    """A verification of a service: `same` if and only if `distance <= threshold` and nothing refused it.

    `refused_by` is `challenge` or `pad`, whose refusal opens no door though the face is the same; `reasons` says why, or what the
    challenge asks for.
    """

    refused_by: str | None = None
    reasons: str | None = None


@dataclass(frozen=True)
class Challenge:
    """What a door asks for: looking to each of `turns` (`left`, `right`, as the person sees it), in this order, within `seconds`.
    `challenge` goes back with the pictures; `warning` says what passes all the same.
    """

    challenge: str
    turns: tuple[str, ...]
    seconds: float
    warning: str


@dataclass(frozen=True)
class Enrolment:
    """What an enrolment did. `created` is false where the very same template was there already, or took another's place, which
    `replaced` says. `matches`: whom else the gallery takes the face for, and the scores.
    """

    identity: str
    template_id: str
    created: bool
    replaced: bool
    quality: float | None
    matches: tuple[tuple[str, float], ...]
    templates: int


@dataclass(frozen=True)
class Receipt:
    """That somebody was erased: so many templates, events and pictures; that no byte of a template is left was `verified`."""

    gallery: str
    identity: str
    templates: int
    template_ids: tuple[str, ...]
    events: int
    pictures: int
    erased_at: str
    verified: bool


def answer_of(row: dict[str, Any], probe: str) -> Answer:
    """A row of `identify`, of a probe that is called so here."""
    box = row["box"] and tuple(row["box"][side] for side in ("x", "y", "width", "height"))
    return Answer(**{**row, "probe": probe, "box": box, "candidates": tuple(Candidate(**each) for each in row["candidates"])})


def verified_of(said: dict[str, Any], probe: str) -> Verified:
    """What `verify` says, of a probe that is called so here."""
    same, distance, threshold, template_id = (said[name] for name in ("same", "distance", "threshold", "template_id"))
    more = {"refused_by": said["refused_by"], "reasons": said["reasons"]}
    return Verified(probe, said["identity"], same, distance, threshold, template_id, **more)
