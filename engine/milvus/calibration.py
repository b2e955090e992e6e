"""What a gallery in Milvus knows of strangers, learnt by searching Milvus at its present size."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from engine.calibration.calibration import Calibration, RowNames, calibration_of, require_calibratable, require_strangers
from engine.calibration.impostor_searches import MOST_SEARCHES, NonMatedSearches, left_out_templates, second_distances
from engine.matching.by_name import by_name
from engine.matching.members import Members
from engine.matching.scoring import SearchableGallery
from engine.milvus.catalogue import MilvusCatalogue
from engine.milvus.collection import qualities_in, vectors_in
from engine.milvus.connection.client import MilvusConnection, Row
from engine.milvus.shortlist import Shortlister, Size
from engine.templates.model import Templates
from indexes.base import Progress
from indexes.exact.flat import Flat

_PROBES = 1024


def calibrated(
    client: MilvusConnection,
    catalogue: MilvusCatalogue,
    shortlister: Shortlister,
    size: Size,
    strangers: Templates | None,
    progress: Progress | None = None,
    probes: np.ndarray | None = None,
) -> Calibration:
    """Calibrate on a sample of up to 20,000 of the enrolled, each searched for as if never enrolled, or on strangers. `probes` is
    as in `engine.calibration.calibration.calibrate`.

    Raises:
        GalleryError: too few identities or strangers, or one of these is enrolled.
    """
    sample, ids, people = _sample(client, catalogue, size)
    members = sample.members
    if strangers is None:
        require_calibratable(size.identities, catalogue.scoring)
        rows = left_out_templates(members)[1]
        vectors, without = sample.index.vectors(rows), [people[row] for row in rows]
        found, names = _search(shortlister, size, vectors, sample.qualities(rows), without, progress)
        return calibration_of(sample, found.of(rows), "gallery", 2, names, RowNames(ids), size.identities, probes)
    require_strangers(len(strangers), size.identities, catalogue.scoring)
    found, names = _search(shortlister, size, strangers.vectors, strangers.qualities, None, progress)
    theirs = RowNames(strangers.table["template_id"])
    return calibration_of(sample, found, "strangers", 1, names, theirs, size.identities)


def measured(rows: Sequence[Row], shortlister: Shortlister, size: Size) -> list[Row]:
    """Rows with their densities as they are now."""
    vectors = vectors_in(rows, len(rows[0]["vector"]))
    found = shortlister.densities(vectors, [row["person"] for row in rows], size).tolist()
    return [{**row, "density": near, "following": beyond} for row, (near, beyond) in zip(rows, found, strict=True)]


def _sample(
    client: MilvusConnection, catalogue: MilvusCatalogue, size: Size
) -> tuple[SearchableGallery, pa.ChunkedArray, list[str]]:
    """All templates of about `MOST_SEARCHES` identities, or of all: those whose keys, which are as good as random, are least."""
    share = min(1.0, 1.0 * MOST_SEARCHES / max(size.identities, 1))
    where = "" if share == 1 else f'person < "{int(share * 16**8):08x}"'
    rows = list(client.rows(catalogue.collection, where, catalogue.entity))
    people = [row["person"] for row in rows]
    _, first, codes = np.unique(people, return_index=True, return_inverse=True)
    names = pa.array([rows[at]["identity"] for at in first], pa.string())
    template_ids = pa.chunked_array([pa.array([row["template_id"] for row in rows], pa.string())])
    index = Flat.build(vectors_in(rows, catalogue.provenance.dim))
    sample = SearchableGallery(index, Members(codes), catalogue.scoring, quality=qualities_in(rows))
    return by_name(sample, names, template_ids), template_ids, people


def _search(
    shortlister: Shortlister,
    size: Size,
    vectors: np.ndarray,
    qualities: np.ndarray,
    without: Sequence[str] | None,
    progress: Progress | None,
) -> tuple[NonMatedSearches, RowNames]:
    """As `engine.calibration.impostor_searches.search_strangers`, in Milvus; and what the found `rows` are called."""
    ids: list[pa.Array] = []
    distances, scores, seconds = (np.empty(len(vectors), np.float32) for _ in range(3))
    for start in range(0, len(vectors), _PROBES):
        here = slice(start, start + _PROBES)
        people = None if without is None else without[here]
        part = shortlister.shortlist(vectors[here], 2, size, people)
        codes = None if people is None else part.codes_of(people)
        found = part.enrolled.scored(vectors[here], part.nearest, 2, codes, qualities[here])
        distances[here], scores[here], seconds[here] = found.distances[:, 0], found.scores[:, 0], second_distances(found)
        ids.append(part.template_ids.take(pa.array(found.rows[:, 0])))
        if progress:
            progress("calibrating", min(start + _PROBES, len(vectors)), len(vectors))
    every = np.arange(len(vectors))
    return NonMatedSearches(every, every, distances, scores, seconds, qualities), RowNames(pa.chunked_array(ids))
