"""Open-set identification: split people into enrolled and strangers, enrol, calibrate, search, and keep every raw score."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from engine.calibration.calibration import LEAST_IDENTITIES, Calibration, Names, calibrate
from engine.errors import GalleryError
from engine.matching.nearest_identities import Members
from engine.matching.scoring import Scoring, SearchableGallery, densities
from engine.templates.within_identity import stored_within
from indexes.approximate.two_stage import TwoStageIndex
from indexes.base import StoredIndex
from indexes.planner import RECALL, plan
from indexes.principal_axes import sample_rows
from indexes.registry import KINDS
from indexes.tuning.operating_point import tune
from indexes.tuning.simulated_probes import second_templates

RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
# Candidates whose order is kept.
TOP = 10
_TUNED_WITH = 4096


@dataclass(frozen=True)
class Split:
    """Rows of labelled templates: `enrolled` (k,), one of each identity in random order, so that the first K are a gallery inside
    the next larger one; `mated`, all others of these identities; `strangers` (m,), one of each identity that is never enrolled.
    """

    enrolled: np.ndarray
    mated: np.ndarray
    strangers: np.ndarray


def split(codes: np.ndarray, seed: int, strangers: float = 0.25) -> Split:
    """Split templates of the identities `codes` (n,), a share of which are strangers."""
    random = np.random.default_rng(seed)
    rows = random.permutation(len(codes))
    identities, first = np.unique(codes[rows], return_index=True)
    order = random.permutation(len(identities))
    many = int(len(order) * (1 - strangers))
    enrolled = rows[first[order[:many]]]
    rest = np.setdiff1d(np.flatnonzero(np.isin(codes, codes[enrolled])), enrolled)
    return Split(enrolled, rest, rows[first[order[many:]]])


def enrol(vectors: np.ndarray, codes: np.ndarray, scoring: Scoring, qualities: np.ndarray | None = None) -> SearchableGallery:
    """Templates (n, d) of the identities `codes` (n,), in the index that `build-index` would choose, tuned as it does;
    `qualities`: what they are worth (n,).
    """
    index, members = _index(vectors), Members(codes)
    density = densities(index, members, scoring.neighbours) if scoring.scaled else None
    return SearchableGallery(index, members, scoring, density, quality=qualities)


def calibrated(enrolled: SearchableGallery) -> Calibration | None:
    """The calibration of a gallery, None where it is too small."""
    if enrolled.members.identities < max(LEAST_IDENTITIES, enrolled.scoring.least_identities + 1):
        return None
    return calibrate(enrolled, Names(pa.chunked_array([np.arange(enrolled.index.count).astype(str)])))


def thresholds(calibration: Calibration | None, identities: int) -> dict[float, float]:
    """The thresholds of the usual rates at a K, as far as they are supported."""
    found = {}
    for rate in RATES:
        try:
            if calibration is not None:
                found[rate] = calibration.threshold(rate, identities).score
        except GalleryError:
            continue
    return found


def search(
    enrolled: SearchableGallery,
    mated: np.ndarray,
    truth: np.ndarray,
    strangers: np.ndarray,
    people: tuple[Sequence[int], Sequence[int]],
    qualities: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
) -> pa.Table:
    """Search for mated probes (n, d), whose identities are `truth` (n,), and strangers (m, d), and keep what came out.
    `qualities`: what both are worth.

    One row a search: `mated`; `person`, who was searched for (of `people`, mated and strangers); `rank` of the true identity, 0
    where it is not among ten candidates; `score` of the first candidate; `distance` of the nearest one.
    """
    tables = []
    for probes, who, true, worth in ((mated, people[0], truth, qualities[0]), (strangers, people[1], None, qualities[1])):
        if not len(probes):
            continue
        found = enrolled.candidates(probes, TOP, qualities=worth)
        ranks = np.zeros(len(probes), np.int32)
        if true is not None:
            right = enrolled.members.codes[found.rows] == true[:, None]
            ranks = np.where(right.any(axis=1), right.argmax(axis=1) + 1, 0).astype(np.int32)
        columns = {
            "mated": np.full(len(probes), true is not None),
            "person": np.asarray(who, np.int64),
            "rank": ranks,
            "score": found.scores[:, 0],
            "distance": found.distances.min(axis=1),
        }
        tables.append(pa.table(columns))
    return pa.concat_tables(tables)


def _index(vectors: np.ndarray) -> StoredIndex:
    chosen = plan(len(vectors), vectors.shape[1])
    index = KINDS[chosen.kind].build(vectors)
    if isinstance(index, TwoStageIndex):
        own = vectors[np.random.default_rng(0).integers(0, len(vectors), _TUNED_WITH)]
        sample = vectors[sample_rows(len(vectors), 50_000)]
        tune(index, second_templates(own, sample, stored_within("sface")), RECALL)
    return index
