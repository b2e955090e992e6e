"""A gallery in Milvus that is small enough to be held here while all that was learnt of it is learnt anew."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from engine.calibration.calibration import Calibration, RowNames, calibrate, calibrate_on_strangers
from engine.matching.by_name import by_name
from engine.matching.densities import densities
from engine.matching.members import Members
from engine.matching.scoring import SearchableGallery
from engine.milvus.catalogue import MilvusCatalogue
from engine.milvus.collection import put, qualities_in, vectors_in
from engine.milvus.connection.client import MilvusConnection, Row
from engine.templates.model import Templates
from indexes.base import Progress
from indexes.exact.flat import Flat


@dataclass(frozen=True)
class Held:
    """All `rows` (n,) of a gallery, searched exactly and with densities that were measured anew: `enrolled`."""

    rows: Sequence[Row]
    enrolled: SearchableGallery
    template_ids: pa.ChunkedArray

    def calibrated(self, strangers: Templates | None, progress: Progress | None) -> Calibration:
        """As `Gallery.calibrate`. Raises `GalleryError` as that does."""
        names = RowNames(self.template_ids)
        if strangers is None:
            return calibrate(self.enrolled, names, progress)
        theirs = RowNames(strangers.table["template_id"])
        return calibrate_on_strangers(self.enrolled, strangers.vectors, names, theirs, progress, strangers.qualities)

    def measured(self) -> Iterator[Row]:
        """The rows whose densities have changed, as they are now."""
        if self.enrolled.density is None:
            return
        counted = self.enrolled.counted[self.enrolled.members.codes]
        for row, (near, following), among in zip(self.rows, self.enrolled.density.tolist(), counted.tolist(), strict=True):
            now = {**row, "density": near, "following": following, "counted": among}
            if now != row:
                yield now


def hold(client: MilvusConnection, catalogue: MilvusCatalogue, count: int, progress: Progress | None = None) -> Held:
    """Read a gallery of `count` templates, and measure its densities. Raises `GalleryError` where Milvus does not answer."""
    rows: list[Row] = []
    for row in client.rows(catalogue.collection, "", catalogue.whole):
        rows.append(row)
        if progress and len(rows) % 1000 == 0:
            progress("reading", len(rows), max(count, len(rows)))
    _, first, codes = np.unique([row["person"] for row in rows], return_index=True, return_inverse=True)
    names = pa.array([rows[at]["identity"] for at in first], pa.string())
    template_ids = pa.chunked_array([pa.array([row["template_id"] for row in rows], pa.string())])
    index = Flat.build(vectors_in(rows, catalogue.provenance.dim))
    enrolled = SearchableGallery(index, Members(codes), catalogue.scoring, quality=qualities_in(rows))
    if catalogue.scoring.scaled:
        measured = densities(enrolled.index, enrolled.members, catalogue.scoring.neighbours, progress)
        enrolled = replace(enrolled, density=measured)
    return Held(rows, by_name(enrolled, names, template_ids), template_ids)


def write_measured(client: MilvusConnection, catalogue: MilvusCatalogue, held: Held, progress: Progress | None = None) -> None:
    """Keep the densities of a gallery that was held."""
    changed = list(held.measured())
    put(client, catalogue.collection, changed, progress)
