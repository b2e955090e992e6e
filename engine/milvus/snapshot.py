"""A gallery in Milvus as it was at one moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa

from engine.answers.snapshot import FoundCandidates, Snapshot
from engine.calibration.calibration import Calibration
from engine.common.concurrency import map_ahead
from engine.errors import GalleryError, GalleryReplaced, NotEnrolled
from engine.matching.pair_verifier import PairVerifier, reordered
from engine.matching.scoring import REORDERED, Candidates, Scoring
from engine.milvus import catalogue as catalogues
from engine.milvus.calibration import calibrated
from engine.milvus.catalogue import MilvusCatalogue
from engine.milvus.collection import vectors_in
from engine.milvus.connection.client import LONG, MilvusConnection, key_of
from engine.milvus.shortlist import Shortlister, Size
from engine.templates.names import spellings
from engine.templates.provenance import Provenance
from indexes.base import Progress

# Probes of one search.
PROBES = 1024


@dataclass(frozen=True, eq=False)
class MilvusSnapshot(Snapshot):
    """What the `catalogue` of a gallery in Milvus said, and its `size` then.

    Every build has a collection of its own, whose name never comes again, and the one row that names it says how it is scored
    and what was learnt of strangers: no other gallery can answer with this one's threshold. Within that collection, who joined
    or left since the snapshot is seen by the next search.
    """

    client: MilvusConnection
    catalogue: MilvusCatalogue
    size: Size

    @property
    def collection(self) -> str:
        """The name of the collection that has its templates."""
        return self.catalogue.collection

    @property
    def called(self) -> str:
        return str(self.client.address)

    @property
    def edition(self) -> str:
        return self.catalogue.version

    @property
    def provenance(self) -> Provenance:
        return self.catalogue.provenance

    @property
    def scoring(self) -> Scoring:
        return self.catalogue.scoring

    @property
    def calibration(self) -> Calibration | None:
        return self.catalogue.calibration

    @property
    def template_count(self) -> int:
        return self.size.templates

    @property
    def identity_count(self) -> int:
        return self.size.identities

    @cached_property
    def shortlister(self) -> Shortlister:
        """The object that searches its collection."""
        return Shortlister(self.client, self.catalogue)

    def find(
        self, probes: np.ndarray, top: int, head: PairVerifier | None, qualities: np.ndarray | None = None
    ) -> FoundCandidates:
        wanted = top if head is None else max(top, REORDERED)
        # Milvus looks for the next probes while the engine scores these.
        starts = range(0, max(len(probes), 1), PROBES)
        with self.unreplaced():
            worth = np.full(len(probes), np.nan, np.float32) if qualities is None else qualities
            parts = ((probes[start : start + PROBES], worth[start : start + PROBES]) for start in starts)
            found = list(map_ahead(lambda part: self._find(*part, wanted, top, head), parts))
        if len(found) == 1:
            return found[0]
        fewest = min(each.candidates.rows.shape[1] for each in found)
        rows, distances, scores = (
            np.concatenate([getattr(each.candidates, name)[:, :fewest] for each in found])
            for name in ("rows", "distances", "scores")
        )
        identities, template_ids = (
            pa.concat_arrays([_first_columns(getattr(each, name), each.candidates.rows.shape, fewest) for each in found])
            for name in ("identities", "template_ids")
        )
        theirs = np.concatenate([each.qualities[:, :fewest] for each in found])
        return FoundCandidates(Candidates(rows, distances, scores), identities, template_ids, self.size.identities, theirs)

    def _find(
        self, probes: np.ndarray, qualities: np.ndarray, wanted: int, top: int, head: PairVerifier | None
    ) -> FoundCandidates:
        part = self.shortlister.shortlist(probes, wanted, self.size)
        found = part.enrolled.scored(probes, part.nearest, wanted, qualities=qualities)
        if head is not None:
            found = reordered(found, head, probes, part.enrolled.index, top)
        rows = found.rows.ravel()
        codes = part.enrolled.members.codes[rows]
        return FoundCandidates(
            found,
            part.identities.take(pa.array(codes)),
            part.template_ids.take(pa.array(rows)),
            self.size.identities,
            part.enrolled.qualities(found.rows),
        )

    def calibrated_to(self, qualities: np.ndarray, progress: Progress | None = None) -> "MilvusSnapshot":
        made = calibrated(self.client, self.catalogue, self.shortlister, self.size, None, progress, qualities)
        return replace(self, catalogue=replace(self.catalogue, calibration=made))

    def templates_of(self, identity: str) -> tuple[list[str], np.ndarray]:
        keys = [key_of(name) for name in spellings(identity)]
        with self.unreplaced():
            rows = list(self.client.rows_in(self.collection, "person", keys, ("template_id", "vector")))
        if not rows:
            raise NotEnrolled(f"nobody called {identity} is enrolled in {self.called}")
        return [row["template_id"] for row in rows], vectors_in(rows, self.provenance.dim)

    def templates_by_identity(self) -> Iterator[tuple[str, int]]:
        counts: dict[str, int] = {}
        with self.unreplaced():
            for row in self.client.rows(self.collection, "", ("identity",)):
                counts[row["identity"]] = counts.get(row["identity"], 0) + 1
        yield from sorted(counts.items())

    @contextmanager
    def unreplaced(self) -> Iterator[None]:
        """Hold for a question to this gallery: where it failed since another gallery took its place, the error says so.

        Raises:
            GalleryReplaced: it failed, and another gallery has taken this one's place.
        """
        try:
            yield
        except GalleryReplaced:
            raise
        except GalleryError as error:
            self.require_there(error)
            raise

    def require_there(self, error: GalleryError | None = None) -> None:
        """Raises `GalleryReplaced` where another gallery has taken this one's place; because of an `error`, if there was one."""
        if catalogues.read(self.client).collection != self.collection:
            raise GalleryReplaced(
                f"{self.called} was built anew by somebody else meanwhile; nothing was done, so ask again"
            ) from error


def look(client: MilvusConnection) -> MilvusSnapshot:
    """The gallery as it is now, ready to be searched.

    Raises:
        GalleryError: Milvus does not answer, or there is no whole gallery of ours.
    """
    catalogue = catalogues.read(client)
    try:
        client.call("load_collection", catalogue.collection, seconds=LONG, **catalogue.placement.loading())
        return MilvusSnapshot(client, catalogue, measured_size(client, catalogue.collection))
    except GalleryError:
        if catalogues.read(client).collection == catalogue.collection:
            raise
    return look(client)  # somebody put another gallery in its place between our two questions


def measured_size(client: MilvusConnection, collection: str) -> Size:
    """How many templates and identities there are now."""
    return Size(client.count(collection), client.count(collection, "first == true"))


def _first_columns(names: pa.Array, shape: tuple[int, int], columns: int) -> pa.Array:
    kept = np.arange(shape[0] * shape[1]).reshape(shape)[:, :columns].ravel()
    return names.take(pa.array(kept))
