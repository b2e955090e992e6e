"""Which enrolled people the groups of faces probably are, so that a user only has to confirm their names."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from engine.gallery.gallery import Gallery
from engine.grouping.groups import Groups
from engine.tables.sheets import sheet_file
from engine.templates.model import Templates


@dataclass(frozen=True)
class Known:
    """The person of a gallery that a group of `faces` is most like, by its mean template.

    `decision` says whether the gallery takes the group for that person. `distance` and `score`: small is alike.
    `expected_false_alarms`: how many of the enrolled a stranger would be expected to match at least as well; None where the
    gallery is not calibrated.
    """

    group: int
    faces: int
    decision: str
    identity: str
    distance: float
    score: float
    expected_false_alarms: float | None


def known_people(groups: Groups, gallery: Gallery, fpir: float | None = None) -> list[Known]:
    """For each group without a name the nearest person of a gallery, the surest first.

    Raises:
        EncoderMismatch: the gallery's templates were made otherwise.
        GalleryError: the gallery has no threshold for the rate.
    """
    numbers = [number for number, name in groups.names.items() if not name]
    if not numbers:
        return []
    means = np.stack([groups.vectors[groups.members[number]].mean(axis=0) for number in numbers])
    probes = Templates.from_vectors(means, template_ids=[f"group {number}" for number in numbers], provenance=groups.provenance)
    answers = zip(numbers, gallery.identify(probes, fpir=fpir, top=1), strict=True)
    found = [
        Known(
            *(number, len(groups.members[number]), result.decision, best.identity, best.distance, best.score),
            result.expected_false_alarms,
        )
        for number, result in answers
        for best in result.candidates[:1]
    ]
    return sorted(found, key=lambda each: (each.score, each.group))


def write_known(path: Path, known: Sequence[Known]) -> None:
    """Write them as CSV. Raises `OutputError` where that fails."""
    with sheet_file(path, [field.name for field in fields(Known)]) as sheet:
        for each in known:
            sheet.write(f"{value:.6g}" if isinstance(value, float) else value for value in astuple(each))
