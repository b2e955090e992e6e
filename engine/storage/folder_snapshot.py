"""What a reader of a gallery sees: what is sealed, the templates enrolled since, without those removed, searched as one."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.answers.snapshot import FoundCandidates, Snapshot
from engine.answers.verification import code_if_enrolled, code_of
from engine.calibration.calibration import Calibration, RowNames, calibrate
from engine.common.late import pc
from engine.common.string_lookup import Lookup
from engine.errors import GalleryError, GalleryReplaced
from engine.matching.by_name import by_name
from engine.matching.members import Members
from engine.matching.pair_verifier import PairVerifier, reordered
from engine.matching.scoring import REORDERED, Scoring, SearchableGallery
from engine.storage.catalogue import Catalogue, read_catalogue, read_version
from engine.storage.recent_rows import Recent
from engine.storage.segments import OpenSegment, open_segments, read_sources
from engine.templates.model import qualities_of, vectors_of
from engine.templates.provenance import Provenance
from indexes.approximate.two_stage import TwoStageIndex
from indexes.base import Progress, SearchableIndex
from indexes.composite.concatenated import ConcatenatedIndex
from indexes.composite.masked import MaskedIndex
from indexes.exact.flat import Flat

# A writer may put a new segment in the place of an old one between a reader's two looks.
_LOOKS = 5
# A base and its tail.
MOST_SEGMENTS = 2


@dataclass(frozen=True, eq=False)
class FolderSnapshot(Snapshot):
    """A gallery in the folder `path` as it was at one moment, called `address`. `enrolled` numbers the `identities`;
    `template_ids` (n,) are of its rows.

    `gone` bool (m,): of the sealed rows and then the `recent` ones, which are no rows of `enrolled`; `segment` holds
    all that are sealed, and `grown` finds all m rows. `names` and `ids` look up the sealed identities and template ids; of an id
    that comes twice the last row, which took the other's place.
    """

    path: Path
    address: str
    catalogue: Catalogue
    segment: OpenSegment
    names: Lookup
    ids: Lookup
    recent: Recent
    grown: SearchableIndex
    gone: np.ndarray
    enrolled: SearchableGallery
    identities: pa.Array
    template_ids: pa.ChunkedArray

    @property
    def version(self) -> tuple[str, int]:
        """As `engine.storage.catalogue.read_version`."""
        return _version(self.catalogue)

    @property
    def awaiting_erasure(self) -> int:
        """How many removed templates have bytes in the gallery's files."""
        changes = self.catalogue.changes
        return len(changes.removed) + changes.erasable if changes else 0

    @property
    def called(self) -> str:
        return self.address

    @property
    def edition(self) -> str:
        learnt = self.catalogue.calibration.to_json() if self.catalogue.calibration else ""
        said = repr((self.catalogue.id, self.catalogue.created, self.catalogue.segments, self.scoring, learnt))
        return blake2b(said.encode(), digest_size=16).hexdigest()

    @property
    def provenance(self) -> Provenance:
        return self.catalogue.provenance

    @property
    def scoring(self) -> Scoring:
        return self.enrolled.scoring

    @property
    def calibration(self) -> Calibration | None:
        return self.catalogue.calibration

    @property
    def template_count(self) -> int:
        return self.enrolled.index.count

    @property
    def identity_count(self) -> int:
        return self.enrolled.members.identities

    def find(
        self, probes: np.ndarray, top: int, head: PairVerifier | None, qualities: np.ndarray | None = None
    ) -> FoundCandidates:
        wanted = top if head is None else max(top, REORDERED)
        found = self.enrolled.candidates(probes, wanted, qualities=qualities)
        if head is not None:
            found = reordered(found, head, probes, self.enrolled.index, top)
        rows, members = found.rows.ravel(), self.enrolled.members
        return FoundCandidates(
            found,
            self.identities.take(pa.array(members.codes[rows])),
            self.template_ids.take(pa.array(rows)).combine_chunks(),
            members.identities,
            self.enrolled.qualities(found.rows),
        )

    def calibrated_to(self, qualities: np.ndarray, progress: Progress | None = None) -> "FolderSnapshot":
        people = by_name(self.enrolled, self.identities, self.template_ids)
        made = calibrate(people, RowNames(self.template_ids), progress, qualities)
        return replace(self, catalogue=replace(self.catalogue, calibration=made))

    def templates_of(self, identity: str) -> tuple[list[str], np.ndarray]:
        code = code_of(self.identities, identity, self.called)
        rows = self.enrolled.members.rows(np.array([code]))[0]
        return [self.template_ids[int(row)].as_py() for row in rows], self.enrolled.index.vectors(rows)

    def enrols(self, identity: str) -> bool:
        return code_if_enrolled(self.identities, identity) is not None

    def enrolled_among(self, names: pa.Array) -> list[str]:
        """Which of some names somebody enrolled has."""
        found: list[str] = names.filter(pc.is_in(names, value_set=self.identities)).to_pylist()
        return found

    def templates_by_identity(self) -> Iterator[tuple[str, int]]:
        yield from sorted(zip(self.identities.to_pylist(), self.enrolled.members.counts.tolist(), strict=True))

    def sources(self) -> pa.ChunkedArray:
        """Where each row of `enrolled` came from; nulls where nobody said. Read from disk.

        Raises:
            GalleryReplaced: the segment is not there any more.
        """
        try:
            sealed = [chunk for segment in self.catalogue.segments for chunk in read_sources(self.path, segment).chunks]
        except GalleryError:
            self._require_there()
            raise
        self._require_there()
        sources = pa.chunked_array([*sealed, *self.recent.table["source"].chunks], pa.string())
        return sources.filter(pa.array(~self.gone)) if self.gone.any() else sources

    def _require_there(self) -> None:
        now = read_catalogue(self.path)
        if (now.id, now.segments) != (self.catalogue.id, self.catalogue.segments):
            raise GalleryReplaced(f"{self.called} was built or sealed anew while it was being read; ask again")


def open_snapshot(path: Path, before: FolderSnapshot | None = None, address: str | None = None) -> FolderSnapshot:
    """Look at a gallery, or look again: what has not changed since `before` is not read again. `address`: what it is called.

    Raises:
        GalleryError: it is none, is damaged, or was written by a newer onek.
    """
    if before is not None and read_version(path) == before.version:
        return before
    for look in range(_LOOKS):
        catalogue = read_catalogue(path, _last(before))
        if before is not None and (catalogue.id != before.catalogue.id or catalogue.segments != before.catalogue.segments):
            before, catalogue = None, read_catalogue(path)
        try:
            return _view(path, address or str(path), catalogue, before)
        except GalleryError:
            if look == _LOOKS - 1 or read_version(path) == _version(catalogue):
                raise
    raise AssertionError


def _version(catalogue: Catalogue) -> tuple[str, int]:
    return catalogue.id, catalogue.changes.version if catalogue.changes else 0


def _last(before: FolderSnapshot | None) -> int:
    return int(before.recent.numbers[-1]) if before is not None and len(before.recent.numbers) else 0


def _view(path: Path, address: str, catalogue: Catalogue, before: FolderSnapshot | None) -> FolderSnapshot:
    changes = catalogue.changes
    segments = catalogue.segments
    if changes is None or not 1 <= len(segments) <= MOST_SEGMENTS:
        raise GalleryError(f"{path}: its catalogue names {len(segments)} segments, expected 1 or {MOST_SEGMENTS}; build it anew")
    if before is not None:
        segment = before.segment
    else:
        segment = open_segments(path, segments, catalogue.scoring, catalogue.measured, changes.renamed_before)
    if segment.index.dim != catalogue.provenance.dim:
        raise GalleryError(
            f"{path}: the index holds {segment.index.dim} dimensions, the catalogue says {catalogue.provenance.dim}"
        )
    names = before.names if before is not None else Lookup(segment.identities)
    ids = before.ids if before is not None else Lookup(segment.template_ids)
    recent, new = changes.recent, changes.recent
    if before is not None:
        recent = Recent(np.concatenate([before.recent.numbers, new.numbers]), pa.concat_tables([before.recent.table, new.table]))
    sealed = len(segment.enrolled.members.codes)
    gone = np.concatenate([np.zeros(sealed, bool), ~np.isin(recent.numbers, changes.numbers)])
    if len(changes.removed) and not 0 <= changes.removed[0] <= changes.removed[-1] < sealed:
        raise GalleryError(f"{path}: its catalogue is damaged: it removes rows that do not exist; say onek check {path}")
    if changes.renamed and (names.rows(list(changes.renamed)) < 0).any():
        raise GalleryError(f"{path}: its catalogue is damaged: it renames who is not there; say onek check {path}")
    gone[changes.removed] = True
    if gone.all():
        raise GalleryError(f"{path}: everybody was removed from it; build it anew")
    codes, identities = _codes(segment, names, recent, changes.renamed)
    present = np.bincount(codes[~gone], minlength=len(identities)) > 0
    grown = _grown(segment.index if before is None else before.grown, new)
    quality = np.concatenate([segment.enrolled.qualities(np.arange(sealed)), qualities_of(recent.table)])
    enrolled = replace(_enrolled(segment, grown, before, gone, codes, present, catalogue.scoring), quality=quality[~gone])
    if not present.all():
        identities = identities.filter(pa.array(present))
    template_ids = segment.template_ids
    if len(recent.numbers):
        template_ids = pa.chunked_array([*template_ids.chunks, *recent.table["template_id"].chunks])
    if gone.any():
        template_ids = template_ids.filter(pa.array(~gone))
    return FolderSnapshot(path, address, catalogue, segment, names, ids, recent, grown, gone, enrolled, identities, template_ids)


def _codes(segment: OpenSegment, names: Lookup, recent: Recent, renamed: dict[str, str]) -> tuple[np.ndarray, pa.Array]:
    """The identity of each row as a number, those that are gone too, and what the numbers are called."""
    codes, identities = segment.enrolled.members.codes, segment.identities
    if not len(recent.numbers) and not renamed:
        return codes, identities
    called = pc.unique(pa.concat_arrays([pa.array(renamed.values(), pa.string()), *_chunks(recent)]))
    # A name that an identity of the segment has lost is somebody else's, if anybody's.
    at = names.rows(called.to_pylist())
    lost = np.array([name in renamed for name in called.to_pylist()], bool)
    fresh = (at < 0) | lost
    at[fresh] = len(identities) + np.arange(fresh.sum())
    number = dict(zip(called.to_pylist(), at.tolist(), strict=True))
    if renamed:
        moved = np.arange(len(identities))
        moved[names.rows(list(renamed))] = [number[name] for name in renamed.values()]
        codes = moved[codes]
    if len(recent.numbers):
        codes = np.concatenate([codes, [number[name] for name in recent.table["identity"].to_pylist()]])
    return codes, pa.concat_arrays([identities, called.filter(pa.array(fresh))])


def _chunks(recent: Recent) -> list[pa.Array]:
    return list(recent.table["identity"].chunks)


def _grown(before: SearchableIndex, new: Recent) -> SearchableIndex:
    """An index with new rows behind those that it had; the one before stays what it is."""
    if not len(new.numbers):
        return before
    vectors = vectors_of(new.table)
    if isinstance(before, TwoStageIndex):
        # Beside a large segment an exhaustive search of what is recent would cost more than a few more rows in lists.
        return before.with_more(vectors)
    if isinstance(before, ConcatenatedIndex):
        sealed, recent = before.parts
        return ConcatenatedIndex([sealed, Flat.build(np.concatenate([recent.vectors(np.arange(recent.count)), vectors]))])
    return ConcatenatedIndex([before, Flat.build(vectors)])


def _enrolled(
    segment: OpenSegment,
    grown: SearchableIndex,
    before: FolderSnapshot | None,
    gone: np.ndarray,
    codes: np.ndarray,
    present: np.ndarray,
    scoring: Scoring,
) -> SearchableGallery:
    """Rows of `grown` that are not `gone`, of identities that are `present`."""
    sealed, index = segment.enrolled.members, grown
    if codes is sealed.codes and not gone.any():
        return replace(segment.enrolled, scoring=scoring)
    density = segment.enrolled.density
    if density is not None and len(gone) > len(sealed.codes):
        density = np.concatenate([density, _densities_known(before, len(gone) - len(sealed.codes))])
    # Densities were measured among identities of the segment: those who joined since were counted in none.
    counted = np.zeros(len(present), bool)
    counted[codes[: len(sealed.codes)][segment.enrolled.counted[sealed.codes]]] = True
    if gone.any():
        index, codes = MaskedIndex(index, gone), codes[~gone]
        density = None if density is None else density[~gone]
    if not present.all():
        codes, counted = (np.cumsum(present) - 1)[codes], counted[present]
    return SearchableGallery(index, Members(codes), scoring, density, counted if scoring.scaled else None)


def _densities_known(before: FolderSnapshot | None, recent: int) -> np.ndarray:
    """The densities (recent, 2) of recent templates: those that a search before measured in passing, else NaN."""
    known = np.full((recent, 2), np.nan, np.float32)
    if before is not None and (densities := before.enrolled.known_densities()) is not None:
        sealed = len(before.segment.enrolled.members.codes)
        live = np.flatnonzero(~before.gone[sealed:])
        known[live] = densities[len(densities) - len(live) :]
    return known
