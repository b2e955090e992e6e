"""Open-set identification: enrol, calibrate, search, and keep every raw score."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from engine.calibration.calibration import LEAST_IDENTITIES, Calibration, RowNames, calibrate
from engine.errors import GalleryError
from engine.evaluation.splits import RATES
from engine.matching.densities import densities
from engine.matching.members import Members
from engine.matching.scoring import Scoring, SearchableGallery
from engine.templates.measured.within_identity import within_identity_covariance
from indexes.approximate.two_stage import TwoStageIndex
from indexes.base import StoredIndex
from indexes.planner import RECALL, plan
from indexes.principal_axes import sample_rows
from indexes.registry import KINDS
from indexes.tuning.operating_point import tune
from indexes.tuning.simulated_probes import second_templates

# Candidates whose order is kept.
TOP = 10
_TUNED_WITH = 4096


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
    return calibrate(enrolled, RowNames(pa.chunked_array([np.arange(enrolled.index.count).astype(str)])))


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
        tune(index, second_templates(own, sample, within_identity_covariance("sface")), RECALL)
    return index
