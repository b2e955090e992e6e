"""The gallery: building it, and every change of it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import pyarrow.compute as pc

from engine.answers.already_enrolled import NOT_LOOKED, matches_of
from engine.calibration.calibration import LEAST_IDENTITIES, Calibration, Names, calibrate, calibrate_on_strangers
from engine.errors import GalleryError
from engine.files.atomic_files import check_output, whole_folder
from engine.files.object_storage import require_local
from engine.files.outputs import refuse_inputs
from engine.gallery.folder import OpenGallery
from engine.gallery.recogniser import People
from engine.maintenance.backup import backup, merged
from engine.maintenance.erasure import erase
from engine.matching.by_name import by_name
from engine.storage.catalogue import Asked, Catalogue, put, read_catalogue, write_catalogue
from engine.storage.changes import Enrolled as Enrolment
from engine.storage.changes import enroll, remove, rename, require_words
from engine.storage.sealing import due, removed_vectors, reseal, seal_recent
from engine.storage.segments import seal
from engine.storage.view import View
from engine.storage.writer_lock import WAIT, Writer, locked
from engine.templates.enrolment import Source, enrolment, require_joinable
from engine.templates.names import each_of
from engine.templates.parquet import Templates
from engine.templates.provenance import require_same
from indexes.base import Progress
from indexes.planner import RECALL, Plan, check_disk, plan

if TYPE_CHECKING:
    from engine.faces.images import LeftOut


class BuildOptions(TypedDict, total=False):
    """What `Gallery.build` says of them."""

    index: str | None
    memory: int | None
    recall: float
    score: str | None
    fuse: int
    planned: Callable[[Plan], None] | None
    progress: Progress | None


class Gallery(OpenGallery):
    """The enrolled templates of K identities. Make one with `Gallery.build`, or open one with `Gallery.open`."""

    def __init__(self, path: Path, view: View) -> None:
        super().__init__(path, view)
        self._writer = Writer(path)
        # The version that whoever writes through this object knows of: its own last change, or what was seen after another's.
        self._known = view.version

    @classmethod
    def build(
        cls,
        templates: Source,
        path: str | Path,
        *,
        overwrite: bool = False,
        index: str | None = None,
        factory: str | None = None,
        memory: int | None = None,
        recall: float = RECALL,
        score: str | None = None,
        fuse: int = 1,
        planned: Callable[[Plan], None] | None = None,
        progress: Progress | None = None,
    ) -> "Gallery":
        """Build a gallery from templates in memory or from template files, and open it.

        Args:
            templates: in memory, or files, which are read in batches.
            path: the folder to make.
            overwrite: whether a gallery that stands there may be replaced.
            index: the kind of index; by default `indexes.planner` chooses one.
            factory: a FAISS string for the index, instead.
            memory: bytes that building and searching may take; by default half of what is free.
            recall: the share of exact rank-1 answers that mated probes must get.
            score: `plain`, the distance, or `local`, the locally scaled one; by default local from 50 identities on.
            fuse: an identity is as far away as the mean of its `fuse` nearest templates.
            planned: told what will be built, before any work.
            progress: told how far the work has come.

        Raises:
            OutputError: `path` exists already and `overwrite` is false, or it cannot be written.
            EncoderMismatch: templates of different encoders or dimensions; names both.
            TemplatesError: a template without identity, a template id that comes twice, or an unreadable file.
            PlanError: no index fits in the memory or on the disk, or none reaches the recall; says what would do.
            IndexUnsupported: no such kind of index, or FAISS makes none of the string.
            GalleryError: no such score, or too few identities for it.
        """
        path = Path(path)
        require_local(path, "where Gallery.build makes one")
        check_output(path, overwrite)
        if path.exists():
            read_catalogue(path)  # only a gallery is ever replaced, never another folder
        enrolled = enrolment(templates)
        refuse_inputs([path], enrolled.files)
        chosen = plan(enrolled.count, enrolled.made.dim, memory=memory, recall=recall, kind=index, factory=factory)
        check_disk(chosen, path.absolute().parent)
        if planned:
            planned(chosen)
        with locked(path) if path.exists() else nullcontext(), whole_folder(path) as folder:
            segment, opened = seal(folder, "segment-000001", enrolled, chosen, progress, score=score, fuse=fuse)
            created = datetime.now(UTC).isoformat(timespec="seconds")
            calibrated = None
            if opened.enrolled.members.identities >= LEAST_IDENTITIES:
                people = by_name(opened.enrolled, opened.identities, opened.template_ids)
                calibrated = calibrate(people, Names(opened.template_ids), progress)
            asked = Asked(index, factory, recall, score, fuse)
            scoring = opened.enrolled.scoring
            write_catalogue(folder, Catalogue(enrolled.made, created, (segment,), scoring, calibrated, asked=asked))
        return cls.open(path)

    def calibrate(self, strangers: Templates | None = None, progress: Progress | None = None) -> Calibration:
        """Learn anew how strangers score, and keep it in the gallery.

        Args:
            strangers: templates of people who are not enrolled; by default enrolled people play them, each left out exactly.
            progress: told how far the work has come.

        Raises:
            GalleryError: too few identities or strangers, or one of these is enrolled.
            EncoderMismatch: the strangers' templates were made by another encoder.
        """
        while True:
            seen = self.snapshot()
            made = self._calibrated(seen, strangers, progress)
            with self._holding(WAIT) as now:
                if (now.catalogue.id, now.scoring) == (seen.catalogue.id, seen.scoring):
                    with self._writer.changing() as database:
                        put(database, "calibration", made.to_json())
                    self._changed(1)
                    return made
            # Another gallery has taken its place: what was learnt says nothing of that one.

    def _calibrated(self, seen: View, strangers: Templates | None, progress: Progress | None) -> Calibration:
        names, people = Names(seen.template_ids), by_name(seen.enrolled, seen.identities, seen.template_ids)
        if strangers is None:
            return calibrate(people, names, progress)
        require_same(seen.provenance, strangers.provenance, str(self.path), "the strangers")
        _refuse_enrolled(seen, strangers)
        theirs = Names(strangers.table["template_id"])
        return calibrate_on_strangers(people, strangers.vectors, names, theirs, progress)

    def enroll(
        self,
        people: People,
        *,
        identity: str | None = None,
        faces: str | None = None,
        on_duplicate: str = "own",
        on_match: str = "warn",
        sources: bool = True,
        left_out: "Callable[[LeftOut], None] | None" = None,
        wait: float = WAIT,
        progress: Progress | None = None,
    ) -> Enrolment:
        """Enrol templates or photographs: durable when it returns, and seen by every process that opens the gallery from then on.

        Args:
            people: templates with identities, or photographs as for `embed_images`.
            identity: whose they all are; by default as the photographs' names say.
            faces: for photographs, as in `embedder`. Of several about as large nobody knows which is meant: a problem.
            on_duplicate: what becomes of a template id that is enrolled: `own` takes the place of the same identity's template,
                and refuses to take another's; `replace` takes either, `skip` leaves either, `error` refuses both.
            on_match: what becomes of a face that the gallery takes for somebody else, at its own threshold: `warn` enrols it and
                says so in the result, `refuse` enrols nothing, `ignore` does not look.
            sources: whether the gallery may keep the photographs' paths; pictures in memory have none.
            left_out: told what below a folder is not taken for a photograph, and why.
            wait: seconds to wait for another writer.
            progress: told how far the work has come, where it takes longer than a moment.

        Raises:
            GalleryBusy: somebody else was writing all the while.
            OnekError: as `engine.storage.changes.enroll`, `require_joinable` and `matches_of`; nothing was enrolled.
        """
        require_words(on_duplicate, on_match)
        joining = self._joining(people, identity, faces, sources, left_out)
        if joining.problems and not len(joining.templates):
            return Enrolment(0, 0, 0).of(joining, NOT_LOOKED)
        require_joinable(joining.templates, self.provenance, str(self.path))
        with self._changing(len(joining.templates), wait, progress):
            # Whoever does not look for matches needs the segment alone, and not what joined since.
            seen = self._newest.last if on_match == "ignore" else self.snapshot()
            matches = matches_of(seen, joining.templates, on_match)
            done = enroll(seen, seen.ids, self._writer, joining.templates, on_duplicate)
        return done.of(joining, matches)

    def remove(self, identities: str | Sequence[str] = (), *, templates: str | Sequence[str] = (), wait: float = WAIT) -> int:
        """Remove identities, and templates by their ids: no search returns them from then on. How many templates that were.

        Their bytes stay in the gallery's files until `compact`.

        Raises:
            GalleryBusy: somebody else was writing all the while.
            GalleryError: one is not enrolled, or nobody would be left; nothing was removed.
        """
        names, ids = each_of(identities), each_of(templates)
        with self._changing(len(names) + len(ids), wait):
            seen = self.snapshot()
            return remove(seen, seen.ids, self._writer, names, ids)

    def rename(self, old: str, new: str, *, merge: bool = False, wait: float = WAIT) -> int:
        """Call an identity otherwise; `merge` makes one identity of it and one that is called `new` already. How many templates.

        Raises:
            GalleryBusy: somebody else was writing all the while.
            GalleryError: nobody is called `old`, or somebody is called `new` and `merge` is false.
        """
        with self._changing(1, wait):
            return rename(self.snapshot(), self._writer, old, new, merge)

    def compact(self, progress: Progress | None = None, *, wait: float = WAIT) -> None:
        """Seal all that is enrolled anew, calibrate, and erase what was removed from every file; verified.

        Raises:
            GalleryBusy: somebody else was writing, or reading, all the while.
            OnekError: as `Gallery.build`.
        """
        with self._writer.holding(wait):
            seen = self._newest.looked()
            removed = removed_vectors(seen)
            reseal(seen, self._writer, progress)
            erase(self._writer, removed)
            self._sealed()

    def backup(self, out: str | Path, *, overwrite: bool = False) -> None:
        """Copy the gallery as it is at one moment, while others read and write.

        Raises:
            OutputError: `out` exists and `overwrite` is false, or cannot be written.
            GalleryError: the gallery is damaged, or `out` is no gallery that might be replaced.
        """
        backup(self.path, Path(out), overwrite=overwrite)

    @classmethod
    def merge(
        cls,
        galleries: str | Path | Sequence[str | Path],
        out: str | Path,
        *,
        on_duplicate: str = "error",
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> "Gallery":
        """Build one gallery of several, with an index and scores as the first one was asked for, and open it.

        Args:
            galleries: their folders. An identity of the same name is the same person.
            out: the folder to make.
            on_duplicate: what becomes of a template id that comes in two: `error`, or `skip`, so that the first gallery's stays.
            overwrite: whether a gallery that stands there may be replaced.
            progress: told how far the work has come.

        Raises:
            EncoderMismatch: different encoders made their templates; names both.
            OnekError: as `build`.
        """
        folders = [Path(folder) for folder in each_of(galleries)]
        people = merged(folders, on_duplicate)
        asked = asdict(read_catalogue(folders[0]).asked)
        return cls.build(people, out, overwrite=overwrite, progress=progress, **asked)

    def close(self) -> None:
        """Let go of the catalogue after changes; the gallery may be used on. The end of the process does it at the latest."""
        self._writer.close()

    @property
    def segment_names(self) -> tuple[str, ...]:
        """What its sealed segments are called."""
        return tuple(segment.name for segment in self.snapshot().catalogue.segments)

    @contextmanager
    def _holding(self, wait: float) -> Iterator[View]:
        """The lock, what others changed seen, and a gallery in whose format changes can be written: it as it was seen last."""
        with self._writer.holding(wait):
            if self._writer.version() != self._known:
                self._known = self._newest.looked().version
            if not self._newest.last.catalogue.segments[0].indexed:
                reseal(self._newest.last, self._writer)
                self._sealed()
            yield self._newest.last

    @contextmanager
    def _changing(self, identities: int, wait: float, progress: Progress | None = None) -> Iterator[None]:
        """A change that brings or takes up to so many identities; sealed after it, if that is due."""
        with self._holding(wait):
            yield
            self._changed(identities)
            if due(self._newest.last, self._newest.since) and due(self.snapshot()):
                seal_recent(self.snapshot(), self._writer, progress)
                self._sealed()

    def _changed(self, by: int) -> None:
        """While the lock is held: what was written is seen by the next call of any thread."""
        self._known = self._writer.version()
        self._newest.changed(max(by, 1))

    def _sealed(self) -> None:
        """As `_changed`, where the segment is another: whoever enrols next goes by the one that was seen last."""
        self._changed(1)
        self.snapshot()


def _refuse_enrolled(seen: View, strangers: Templates) -> None:
    known = pc.is_in(strangers.table["identity"], value_set=seen.identities, skip_nulls=True)
    if (count := pc.sum(known).as_py()) or 0:
        name = strangers.table["identity"].filter(known)[0]
        raise GalleryError(f"{count} templates of the strangers are of enrolled identities, such as {name}; leave them out")
