"""Faces that are enrolled already under another name, found before a face is enrolled."""

from dataclasses import dataclass

from engine.answers.snapshot import Snapshot
from engine.calibration.thresholds import accepts
from engine.common.concurrency import batched
from engine.errors import GalleryError, TemplatesError
from engine.templates.model import Templates
from engine.templates.names import spellings

ON_MATCH = ("warn", "refuse", "ignore")
# How many templates are searched for together; the distance up to which two are taken to be of one photograph.
_BATCH, _SAME = 4096, 1e-3


@dataclass(frozen=True)
class Match:
    """A template to enrol as `identity` that the gallery, as it was, takes for another's: `enrolled_as`, at a `distance` and a
    `score`, small is alike.
    """

    template_id: str
    source: str | None
    identity: str
    enrolled_as: str
    distance: float
    score: float


@dataclass(frozen=True)
class Matches:
    """What was `found`, by the gallery's own `threshold`; None where nobody looked, or no threshold is known.

    `again`: templates of the same identity that lie there already to the last digit, under other ids: of an older onek, which
    called templates after their files, or of copies of a file that were written anew.
    """

    found: tuple[Match, ...] = ()
    threshold: float | None = None
    again: int = 0


NOT_LOOKED = Matches()


def matches_of(gallery: Snapshot, templates: Templates, on_match: str) -> Matches:
    """Whom a gallery takes the templates (n,) for, if it is somebody else than they are to be enrolled as.

    A stranger is taken for somebody as often as the gallery's rate says, so that of many new people a few are found by chance.

    Raises:
        GalleryError: `on_match` is `refuse`, and no threshold is known.
        TemplatesError: it is `refuse`, and there is one.
    """
    if on_match == "ignore":
        return NOT_LOOKED
    try:
        threshold = gallery.threshold()
    except GalleryError as unknown:
        if on_match == "refuse":
            raise GalleryError(f"on_match='refuse': {unknown}") from unknown
        return NOT_LOOKED
    found, again = [], 0
    columns = (templates.table[name].to_pylist() for name in ("template_id", "source", "identity"))
    rows = zip(*columns, strict=True)
    for part in batched(enumerate(rows), _BATCH):
        first, last = part[0][0], part[-1][0] + 1
        nearest = gallery.find(templates.vectors[first:last], 1, None, templates.qualities[first:last])
        candidates = nearest.candidates
        accepted = accepts(candidates.scores[:, 0], threshold)
        near = zip(
            nearest.identities.to_pylist(),
            nearest.template_ids.to_pylist(),
            accepted.tolist(),
            candidates.distances[:, 0].tolist(),
            candidates.scores[:, 0].tolist(),
            strict=True,
        )
        for (_, (template_id, source, identity)), (name, enrolled, alike, distance, score) in zip(part, near, strict=True):
            if name in spellings(identity):
                again += distance <= _SAME and enrolled != template_id
            elif alike and enrolled != template_id:
                found.append(Match(template_id, source, identity, name, distance, score))
    if found and on_match == "refuse":
        more = f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
        raise TemplatesError(
            f"{told(found[0], threshold)}{more}; nothing was enrolled. on_match='warn' enrols all the same, and says it"
        )
    return Matches(tuple(found), threshold, again)


def told(match: Match, threshold: float) -> str:
    """A match as a sentence for the user."""
    what = match.source or match.template_id
    return f"{what}, as {match.identity}, looks like {match.enrolled_as} (score {match.score:.4f}, threshold {threshold:.4f})"
