"""The worst mistakes of an evaluation, as pairs of faces: the probe, and the first candidate."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.evaluation.raw import read_candidates
from engine.reports.evaluation.evaluated import Evaluation
from engine.reports.markup import Markup, markup, tag
from engine.reports.pictures import NOT_AT_HAND, face_image, photograph_of

SourceOf = Callable[[str], str | None]
"""The photograph of an enrolled template, by its id."""


def mistake_pictures(
    evaluation: Evaluation, searches: Path, source_of: SourceOf, photos: Path | None, faces: str = "largest"
) -> Markup:
    """A card for each of the worst mistakes: both faces, where their photographs are at hand, scores and candidates.

    Args:
        evaluation: whose mistakes.
        searches: the raw file that they are in.
        source_of: the photograph of an enrolled template, by its id.
        photos: the folder that photographs are below; None takes their paths as they are written.
        faces: `largest`, or `none` where the photographs are face crops.
    """
    rows = np.array([each.row for each in evaluation.worst], np.int64)
    cards = []
    for mistake, candidates in zip(evaluation.worst, read_candidates(searches, rows), strict=True):
        first = candidates[0] if candidates else None
        source = None if first is None else source_of(first["template_id"])
        named = "nobody" if first is None else str(first["identity"])
        who = mistake.identity or "somebody whom nobody knows"
        pair = [_face(mistake.probe, photos, faces, f"probe: {who}"), _face(source, photos, faces, f"enrolled: {named}")]
        lines = [
            tag("p", tag("strong", f"{mistake.kind}: "), markup(f"{who} / {named}")),
            tag("p", mistake.probe, class_="dim"),
        ]
        if mistake.score is not None:
            told = "" if mistake.expected_false_alarms is None else f", expected false alarms {mistake.expected_false_alarms:.2g}"
            lines.append(tag("p", f"score {mistake.score:.3f}{told}"))
        listed = ", ".join(f"{each['identity']} {each['score']:.3f}" for each in candidates[:5])
        lines.append(tag("p", f"candidates: {listed}", class_="dim"))
        cards.append(tag("article", tag("div", *pair, class_="pair"), *lines))
    return tag("div", *cards, class_="pictures") if cards else Markup("")


def _face(source: str | None, photos: Path | None, faces: str, alt: str) -> Markup:
    path = None if source is None else photograph_of(source, photos)
    if path is None:
        return NOT_AT_HAND
    return face_image(path, None, faces, alt)
