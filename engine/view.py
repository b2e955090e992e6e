"""What a reader of a gallery sees: the sealed segment, the templates enrolled since, without those removed, searched as one."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.candidates import Members
from engine.catalogue import Catalogue, read_catalogue, read_version
from engine.errors import GalleryError
from engine.lookup import Lookup
from engine.recent import Recent
from engine.scores import LOCAL, Enrolled, Scoring
from engine.segments import OpenSegment, open_segment, read_sources
from engine.templates import vectors_of
from indexes.base import Index
from indexes.flat import Flat
from indexes.joined import Joined
from indexes.shortlist import Shortlisted
from indexes.without import Without

# A writer may put a new segment in the place of an old one between a reader's two looks.
_LOOKS = 5


@dataclass(frozen=True)
class View:
    """A gallery as it was at one moment. `enrolled` numbers the `identities`; `template_ids` (n,) are of its rows.

    `gone` bool (m,): of the segment's rows and then the `recent` ones, which are no rows of `enrolled`; `segment`
    holds all its own.
    """

    catalogue: Catalogue
    segment: OpenSegment
    names: Lookup
    recent: Recent
    gone: np.ndarray
    enrolled: Enrolled
    identities: pa.Array
    template_ids: pa.ChunkedArray

    @property
    def version(self) -> tuple[str, int]:
        """As `engine.catalogue.read_version`."""
        return _version(self.catalogue)


def open_view(path: Path, before: View | None = None) -> View:
    """Look at a gallery, or look again: what has not changed since `before` is not read again; `before` is of no use then.

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
            return _view(path, catalogue, before)
        except GalleryError:
            if look == _LOOKS - 1 or read_version(path) == _version(catalogue):
                raise
    raise AssertionError


def sources_of(view: View, path: Path) -> pa.ChunkedArray:
    """Where each row of `enrolled` came from; nulls where nobody said. Read from disk."""
    sealed = read_sources(path, view.catalogue.segments[0])
    sources = pa.chunked_array([*sealed.chunks, *view.recent.table["source"].chunks], pa.string())
    return sources.filter(pa.array(~view.gone)) if view.gone.any() else sources


def _version(catalogue: Catalogue) -> tuple[str, int]:
    return catalogue.id, catalogue.changes.version if catalogue.changes else 0


def _last(before: View | None) -> int:
    return int(before.recent.numbers[-1]) if before is not None and len(before.recent.numbers) else 0


def _view(path: Path, catalogue: Catalogue, before: View | None) -> View:
    changes = catalogue.changes
    if changes is None or len(catalogue.segments) != 1:
        raise GalleryError(f"{path}: its catalogue names {len(catalogue.segments)} segments, expected 1; build it anew")
    (sealed_as,) = catalogue.segments
    segment = before.segment if before is not None else open_segment(path, sealed_as, catalogue.scoring, catalogue.measured)
    if segment.index.dim != catalogue.provenance.dim:
        raise GalleryError(
            f"{path}: the index holds {segment.index.dim} dimensions, the catalogue says {catalogue.provenance.dim}"
        )
    names = before.names if before is not None else Lookup(segment.identities)
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
    enrolled = _enrolled(segment, recent, new, gone, codes, present, catalogue.scoring)
    if not present.all():
        identities = identities.filter(pa.array(present))
    if before is not None and before.enrolled.density is not None and enrolled.density is not None:
        _keep_densities(before, enrolled.density, gone)
    template_ids = segment.template_ids
    if len(recent.numbers):
        template_ids = pa.chunked_array([*template_ids.chunks, *recent.table["template_id"].chunks])
    if gone.any():
        template_ids = template_ids.filter(pa.array(~gone))
    return View(catalogue, segment, names, recent, gone, enrolled, identities, template_ids)


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


def _enrolled(
    segment: OpenSegment, recent: Recent, new: Recent, gone: np.ndarray, codes: np.ndarray, present: np.ndarray, scoring: Scoring
) -> Enrolled:
    """Rows that are not `gone`, of identities that are `present`."""
    index: Index = segment.index
    sealed = segment.enrolled.members
    density = segment.enrolled.density
    if len(recent.numbers):
        if not isinstance(index, Shortlisted):
            index = Joined([index, Flat.build(vectors_of(recent.table))])
        elif len(new.numbers):
            # Beside a large segment a second search would cost more than a few more rows in its lists.
            index.add(vectors_of(new.table))
        if density is not None:
            density = np.concatenate([density, np.full((len(recent.numbers), 2), np.nan, np.float32)])
    # Densities were measured among identities of the segment: those who joined since were counted in none.
    counted = np.zeros(len(present), bool)
    counted[codes[: len(sealed.codes)][segment.enrolled.counted[sealed.codes]]] = True
    if gone.any():
        index, codes = Without(index, gone), codes[~gone]
        density = None if density is None else density[~gone]
    if not present.all():
        codes, counted = (np.cumsum(present) - 1)[codes], counted[present]
    return Enrolled(index, Members(codes), scoring, density, counted if scoring.score == LOCAL else None)


def _keep_densities(before: View, density: np.ndarray, gone: np.ndarray) -> None:
    """Those that were measured in passing, of recent templates."""
    sealed, known = len(before.segment.enrolled.members.codes), len(before.gone)
    if known == sealed:
        return
    old = np.full((known - sealed, 2), np.nan, np.float32)
    if before.enrolled.density is not None:
        old[~before.gone[sealed:]] = before.enrolled.density[(~before.gone[:sealed]).sum() :]
    start = int((~gone[:sealed]).sum())
    kept = old[~gone[sealed:known]]
    density[start : start + len(kept)] = kept
