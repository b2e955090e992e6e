"""Likely mistakes in a gallery: one person under two names, an image that shows somebody else, a template that is worth little.
Worst first.

**Two names.** The mean template of each identity is searched for among the others' mean templates, by the local score. Mean
templates of one person under two names lie much closer together than any two photographs of theirs.

**Wrong images.** An image is suspect where the nearest other template of its own identity is far away. Identities with two images
cannot say which of them is wrong: both are listed. (Tried: that distance in units of the density around it, and of the distance
to the nearest other identity; both find fewer.)

**Two groups.** The images of an identity fall into two groups of two and more (`engine.inspection.two_groups`).

**Scattered.** A person is suspect whose templates lie far from their own mean: by the square root of the sum of their squared
distances to it over one less than their number, which does not grow with that.

For all of these, a tail fitted to the gallery's own scores says how many as extreme chance alone would give.

**Little worth.** Templates whose quality is below the gate, which an older onek, or `--quality 0`, let in: they are hardly ever
taken for their person, but for whatever else shows no face.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.calibration.calibration import LEAST_IDENTITIES, default_score
from engine.calibration.impostor_searches import left_out_searches
from engine.errors import GalleryError
from engine.gallery.gallery import Gallery
from engine.inspection.two_groups import split_people
from engine.matching.densities import densities
from engine.matching.members import Members
from engine.matching.scoring import Scoring, SearchableGallery
from engine.statistics.score_tail import expected_as_small, outliers
from engine.tables.sheets import sheet_file
from engine.templates.quality import LEAST
from engine.templates.quality.gate import refused
from indexes.base import Progress
from indexes.exact.flat import Flat

TWO_NAMES, WRONG_IMAGE, TWO_GROUPS = "two names", "wrong image", "two groups"
SCATTERED, LITTLE_WORTH = "scattered", "little worth"
# Up to this expected share of chance findings, a finding is more likely a mistake than not.
_LIKELY = 0.5
_BATCH = 4096


@dataclass(frozen=True)
class Finding:
    """A likely mistake. Of two names: `identity` and `other` may be one person, seen in their two nearest templates. Of a wrong
    image: `template_id` may show somebody else than `identity`, perhaps `other`, who is nearest to it by `other_template_id`. Of
    two groups: `identity` and `other` are the same name, under which two people may be, seen in the two templates. Of a scattered
    identity: `template_id` lies farthest from its mean. Of little worth: `template_id` is. The last two name nobody else.

    `distance`: between the two templates, or to the mean; None of little worth. `score`: what ranked it, small is worse: a local
    score of two names, for an image one over the distance to its own identity, how alike two groups are, one over the scatter,
    the quality. `expected_false_alarms`: how many as bad a gallery without mistakes would show; None of little worth. `likely`:
    it and all that are worse are more likely wrong than not. `quality`: of `template_id`, the share of ordinary photographs that
    are worse; None where nobody knows.
    """

    kind: str
    identity: str
    other: str | None
    template_id: str
    other_template_id: str | None
    source: str | None
    other_source: str | None
    distance: float | None
    score: float
    expected_false_alarms: float | None
    likely: bool
    quality: float | None


def audit(gallery: Gallery, most: int = 100, progress: Progress | None = None) -> list[Finding]:
    """The `most` worst findings of each kind: two names, wrong images, two groups, scattered identities, little worth.

    Raises:
        GalleryError: the gallery has fewer than 10 identities.
    """
    enrolled = gallery.enrolled
    if enrolled.members.identities < LEAST_IDENTITIES:
        raise GalleryError(
            f"{gallery.address} has {enrolled.members.identities} identities; an audit compares at least {LEAST_IDENTITIES}"
        )
    described = _Described(gallery)
    return [
        *_two_names(enrolled, described, most, progress),
        *_wrong_images(enrolled, described, most, progress),
        *_two_groups(enrolled, described, most, progress),
        *_scattered(enrolled, described, most),
        *_little_worth(described, most),
    ]


def write_audit(path: Path, findings: Sequence[Finding]) -> None:
    """Write findings as CSV. Raises `OutputError` where that fails."""
    with sheet_file(path, [field.name for field in fields(Finding)]) as sheet:
        for finding in findings:
            sheet.write(f"{value:.6g}" if isinstance(value, float) else value for value in astuple(finding))


class _Described:
    """Names of rows for findings."""

    def __init__(self, gallery: Gallery) -> None:
        self.identities: pa.Array = gallery.identity_names
        self.template_ids, self.sources = gallery.template_ids, gallery.sources()
        self.codes = gallery.enrolled.members.codes
        self.qualities = gallery.enrolled.qualities(np.arange(len(self.codes)))

    def finding(
        self,
        kind: str,
        row: int,
        other: int | None,
        distance: float | None,
        score: float,
        expected: float | None,
        likely: bool,
    ) -> Finding:
        identity, template_id, source = self._called(row)
        its, by, from_ = (None, None, None) if other is None else self._called(other)
        worth = float(self.qualities[row])
        return Finding(
            kind,
            identity,
            its,
            template_id,
            by,
            source,
            from_,
            None if distance is None else float(distance),
            float(score),
            None if expected is None else float(expected),
            bool(likely),
            None if np.isnan(worth) else worth,
        )

    def _called(self, row: int) -> tuple[str, str, str | None]:
        name, template_id = self.identities[int(self.codes[row])].as_py(), self.template_ids[int(row)].as_py()
        return name, template_id, self.sources[int(row)].as_py()


def _two_names(enrolled: SearchableGallery, described: _Described, most: int, progress: Progress | None) -> list[Finding]:
    members = enrolled.members
    means = _means(enrolled)
    index, own = Flat.build(means), Members(np.arange(len(means)))
    scoring = Scoring(default_score(len(means)))
    density = densities(index, own, scoring.neighbours, progress) if scoring.scaled else None
    found = left_out_searches(SearchableGallery(index, own, scoring, density), most=len(means), progress=progress)
    expected, likely = expected_as_small(found.scores), outliers(found.scores, _LIKELY)
    findings: dict[frozenset[int], Finding] = {}
    for at in np.argsort(found.scores, kind="stable"):
        pair = frozenset((int(found.probes[at]), int(found.rows[at])))
        if len(findings) == most:
            break
        if pair not in findings:
            row, other, distance = _nearest_templates(enrolled, members, *sorted(pair))
            findings[pair] = described.finding(TWO_NAMES, row, other, distance, found.scores[at], expected[at] / 2, likely[at])
    return list(findings.values())


def _wrong_images(enrolled: SearchableGallery, described: _Described, most: int, progress: Progress | None) -> list[Finding]:
    members, index = enrolled.members, enrolled.index
    # One identity's behind the other's, so that its templates are read for few batches.
    rows = members.all_rows(np.flatnonzero(members.counts > 1))
    if len(rows) < LEAST_IDENTITIES:
        return []
    scores, others = np.empty(len(rows)), np.empty(len(rows), np.int64)
    for start in range(0, len(rows), _BATCH):
        part = slice(start, start + _BATCH)
        vectors = index.vectors(rows[part])
        found = enrolled.candidates(vectors, 1, without=members.codes[rows[part]])
        others[part] = found.rows[:, 0]
        scores[part] = 1 / np.maximum(_to_own(enrolled, vectors, rows[part]), 1e-6)
        if progress:
            progress("comparing", min(start + _BATCH, len(rows)), len(rows))
    expected, likely = expected_as_small(scores), outliers(scores, _LIKELY)
    findings = []
    for at in np.argsort(scores, kind="stable")[:most]:
        distance = float(np.linalg.norm(index.vectors(rows[at : at + 1]) - index.vectors(others[at : at + 1])))
        findings.append(described.finding(WRONG_IMAGE, rows[at], others[at], distance, scores[at], expected[at], likely[at]))
    return findings


def _two_groups(enrolled: SearchableGallery, described: _Described, most: int, progress: Progress | None) -> list[Finding]:
    vectors = enrolled.index.vectors
    findings = []
    for each in split_people(enrolled, _LIKELY, progress)[:most]:
        distance = float(np.linalg.norm(vectors(np.array([each.row])) - vectors(np.array([each.other]))))
        at = (each.row, each.other, distance, each.score, each.expected, each.likely)
        findings.append(described.finding(TWO_GROUPS, *at))
    return findings


def _scattered(enrolled: SearchableGallery, described: _Described, most: int) -> list[Finding]:
    members = enrolled.members
    several = np.flatnonzero(members.counts > 1)
    if len(several) < LEAST_IDENTITIES:
        return []
    means, away = _means(enrolled), np.empty(enrolled.index.count)
    for start in range(0, enrolled.index.count, _BATCH):
        rows = np.arange(start, min(start + _BATCH, enrolled.index.count))
        away[rows] = np.linalg.norm(enrolled.index.vectors(rows) - means[members.codes[rows]], axis=1)
    squares = np.bincount(members.codes, away**2, members.identities)[several]
    scores = 1 / np.maximum(np.sqrt(squares / (members.counts[several] - 1)), 1e-6)
    expected, likely = expected_as_small(scores), outliers(scores, _LIKELY)
    findings = []
    for at in np.argsort(scores, kind="stable")[:most]:
        rows = members.rows(several[at : at + 1])[0]
        farthest = int(rows[np.argmax(away[rows])])
        findings.append(described.finding(SCATTERED, farthest, None, away[farthest], scores[at], expected[at], bool(likely[at])))
    return findings


def _little_worth(described: _Described, most: int) -> list[Finding]:
    below = np.flatnonzero(refused(described.qualities, LEAST))
    worst = below[np.argsort(described.qualities[below], kind="stable")][:most]
    return [described.finding(LITTLE_WORTH, int(row), None, None, described.qualities[row], None, likely=True) for row in worst]


def _means(enrolled: SearchableGallery) -> np.ndarray:
    """The normalised mean template of each identity, float32 (K, d)."""
    members, index = enrolled.members, enrolled.index
    sums = np.zeros((members.identities, index.dim))
    for start in range(0, index.count, _BATCH):
        rows = np.arange(start, min(start + _BATCH, index.count))
        np.add.at(sums, members.codes[rows], index.vectors(rows))
    return np.ascontiguousarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12), np.float32)


def _nearest_templates(enrolled: SearchableGallery, members: Members, one: int, two: int) -> tuple[int, int, float]:
    """The nearest templates of two identities, and their distance."""
    rows, others = members.all_rows(np.array([one])), members.all_rows(np.array([two]))
    found = Flat.build(enrolled.index.vectors(others)).search(enrolled.index.vectors(rows), 1)
    at = int(np.argmin(found.distances[:, 0]))
    return int(rows[at]), int(others[found.rows[at, 0]]), float(found.distances[at, 0])


def _to_own(enrolled: SearchableGallery, vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The distance (n,) of templates, which are those of `rows` (n,), to the nearest other template of their identity."""
    result = np.empty(len(rows), np.float32)
    codes = enrolled.members.codes[rows]
    for identity in np.unique(codes):
        at, own = np.flatnonzero(codes == identity), enrolled.members.all_rows(np.array([identity]))
        found = Flat.build(enrolled.index.vectors(own)).search(vectors[at], 2)
        itself = own[found.rows[:, 0]] == rows[at]
        result[at] = np.where(itself, found.distances[:, 1], found.distances[:, 0])
    return result
