"""The gallery that a user holds: built or opened, asked, and changed, wherever its templates lie."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack, cast, overload

import pyarrow as pa

from engine.answers.already_enrolled import NOT_LOOKED, matches_of
from engine.calibration.calibration import Calibration
from engine.errors import GalleryError, WrongType
from engine.gallery.build import BuildAsked, build_folder
from engine.gallery.folder import FolderBackend
from engine.gallery.joining import People, joining_of
from engine.gallery.readable import ReadableGallery
from engine.maintenance.backup import templates_of_galleries
from engine.matching.scoring import SearchableGallery
from engine.storage.catalogue import BuildRequest, read_catalogue
from engine.storage.changes import EnrolmentResult, require_words
from engine.storage.folder_snapshot import FolderSnapshot
from engine.templates.enrolment import Source, require_joinable
from engine.templates.given import Names, Vectors, are_vectors, templates_given
from engine.templates.model import Templates
from engine.templates.names import each_of, name_of
from engine.templates.quality import LEAST
from indexes.base import Progress, SearchableIndex
from indexes.planner import RECALL, Plan

if TYPE_CHECKING:
    from engine.embedding.embedder import Embedder
    from engine.faces.images import LeftOut


class Gallery(ReadableGallery):
    """The enrolled templates of K identities. Make one with `Gallery.build`, or open one with `Gallery.open`; one in Milvus or in
    object storage with `engine.workflows.locations`.

    Any number of threads may ask and change it at once. Every call takes one `snapshot` at its beginning, and answers from that
    alone; what any thread changed through this object before is in it.
    """

    @classmethod
    def open(cls, path: str | Path) -> "Gallery":
        """Open the gallery in a folder.

        Raises:
            GalleryError: it is none, is damaged, or was written by a newer onek.
        """
        return cls(FolderBackend(Path(path)))

    @overload
    @classmethod
    def build(cls, people: Source | Vectors, path: str | Path, /, **options: Unpack[BuildAsked]) -> "Gallery": ...
    @overload
    @classmethod
    def build(cls, vectors: Vectors, names: Names, path: str | Path, /, **options: Unpack[BuildAsked]) -> "Gallery": ...
    @classmethod
    def build(
        cls,
        people: Source | Vectors,
        names: Names | str | Path,
        path: str | Path | None = None,
        /,
        *,
        overwrite: bool = False,
        index: str | None = None,
        factory: str | None = None,
        memory: int | None = None,
        recall: float = RECALL,
        score: str | None = None,
        fuse: int | None = None,
        planned: Callable[[Plan], None] | None = None,
        progress: Progress | None = None,
    ) -> "Gallery":
        """Build a gallery and open it: `build(templates, path)`, or `build(vectors, names, path)`.

        Args:
            people: templates in memory, or template files, which are read in batches; or vectors (n, dim), as an array, lists, or
                a data frame of any library with a column `vector`.
            names: whose the vectors are, one for each; left out where the frame has a column `identity`.
            path: the folder to make.
            overwrite: whether a gallery that stands there may be replaced.
            index: the kind of index; by default `indexes.planner` chooses one.
            factory: a FAISS string for the index, instead.
            memory: bytes that building and searching may take; by default half of what is free.
            recall: the share of an exhaustive search's identifications that must come out the same; 1 is exact.
            score: `plain`, the distance; `local`, the locally scaled one; or `quality`, which goes by what the pictures are worth
                too. By default, from 50 identities on, quality where that is known of all templates, else local.
            fuse: an identity is as far away as the mean of its `fuse` nearest templates; 0: as one template that is fused of all
                of them. By default 0 with the quality score, else 1.
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
        asked = BuildRequest(index, factory, recall, score, fuse)
        out, whose = (names, None) if path is None else (path, names)
        if not isinstance(out, str | Path):
            raise WrongType(f"where to build is a {type(out).__name__}, expected a path: build(vectors, names, path)")
        if whose is not None and not are_vectors(people):
            raise WrongType(f"names go with vectors; found a {type(people).__name__}, which says itself whose its templates are")
        templates = templates_given(people, cast(Names | None, whose)) if are_vectors(people) else cast(Source, people)
        build_folder(templates, Path(out), asked, overwrite=overwrite, memory=memory, planned=planned, progress=progress)
        return cls.open(out)

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
        people = templates_of_galleries(folders, on_duplicate)
        build_folder(people, Path(out), read_catalogue(folders[0]).asked, overwrite=overwrite, progress=progress)
        return cls.open(out)

    def enroll(
        self,
        people: People,
        names: Names | None = None,
        *,
        identity: str | None = None,
        faces: str | None = None,
        on_duplicate: str = "own",
        on_match: str = "warn",
        sources: bool = True,
        quality: float = LEAST,
        left_out: "Callable[[LeftOut], None] | None" = None,
        wait: float | None = None,
        progress: Progress | None = None,
    ) -> EnrolmentResult:
        """Enrol templates or photographs: durable when it returns, and seen by every process that opens the gallery from then on.

        Args:
            people: templates with identities; photographs as for `embed_images`; or vectors (n, dim), as an array, lists, or a
                data frame of any library with a column `vector`.
            names: whose the vectors are, one for each, where the frame has no column `identity`.
            identity: whose they all are; by default as the photographs' names say.
            faces: for photographs, as in `embedder`. Of several about as large nobody knows which is meant: a problem.
            on_duplicate: what becomes of a template id that is enrolled: `own` takes the place of the same identity's template,
                and refuses to take another's; `replace` takes either, `skip` leaves either, `error` refuses both.
            on_match: what becomes of a face that the gallery takes for somebody else, at its own threshold: `warn` enrols it and
                says so in the result, `refuse` enrols nothing, `ignore` does not look.
            sources: whether the gallery may keep the photographs' paths; pictures in memory have none.
            quality: the share of ordinary photographs that must be worse; what is worth less is a problem. 0 takes all.
            left_out: told what below a folder is not taken for a photograph, and why.
            wait: seconds to wait for another writer; by default ten. In Milvus there is nobody to wait for.
            progress: told how far the work has come, where it takes longer than a moment.

        Raises:
            GalleryBusy: somebody else was writing all the while.
            OnekError: as `engine.storage.changes.enroll`, `require_joinable` and `matches_of`; nothing was enrolled.
        """
        patience = self.backend.patience(wait)
        require_words(on_duplicate, on_match)

        def embedder(photographs: int) -> "Embedder":
            return self.embedder(faces, photographs=photographs)

        joining = joining_of(
            people,
            embedder,
            names=names,
            identity=identity,
            faces=faces,
            sources=sources,
            quality=quality,
            left_out=left_out,
            modality=self.provenance.modality,
        )
        if joining.problems and not len(joining.templates):
            return EnrolmentResult(0, 0, 0).of(joining, NOT_LOOKED)
        with self.backend.changing(len(joining.templates), patience, progress) as change:
            require_joinable(joining.templates, change.provenance, str(self.path))
            matches = NOT_LOOKED if on_match == "ignore" else matches_of(change.seen(), joining.templates, on_match)
            done = change.enroll(joining.templates, on_duplicate)
        return done.of(joining, matches)

    def remove(
        self, identities: str | Sequence[str] = (), *, templates: str | Sequence[str] = (), wait: float | None = None
    ) -> int:
        """Remove identities, and templates by their ids: no search returns them from then on. How many templates that were.

        Their bytes stay in the gallery's files until `compact`; Milvus erases them when it compacts.

        Raises:
            GalleryBusy: somebody else was writing all the while.
            GalleryError: one is not enrolled, or nobody would be left; nothing was removed.
        """
        patience = self.backend.patience(wait)
        names, ids = each_of(identities), each_of(templates)
        with self.backend.changing(len(names) + len(ids), patience) as change:
            return change.remove(names, ids)

    def rename(self, old: str, new: str, *, merge: bool = False, wait: float | None = None) -> int:
        """Rename an identity; with `merge`, an identity that has the new name already takes its templates. How many they were.

        Raises:
            GalleryBusy: somebody else was writing all the while.
            GalleryError: nobody is called `old`, or somebody is called `new` and `merge` is false.
            NameRefused: `new` is no name.
        """
        patience = self.backend.patience(wait)
        new = name_of(new, "the new name")
        with self.backend.changing(1, patience) as change:
            return change.rename(old, new, merge)

    def calibrate(self, strangers: Templates | None = None, progress: Progress | None = None) -> Calibration:
        """Learn anew how strangers score, and keep it in the gallery.

        Args:
            strangers: templates of people who are not enrolled; by default enrolled people play them, each left out exactly.
            progress: told how far the work has come.

        Raises:
            GalleryError: too few identities or strangers, or one of these is enrolled.
            EncoderMismatch: the strangers' templates were made by another encoder.
        """
        return self.backend.calibrate(strangers, progress)

    def compact(self, progress: Progress | None = None, *, wait: float | None = None) -> int:
        """Rebuild the sealed files from all that is enrolled, calibrate, and erase removed templates from every file, which
        is verified. How many removed templates were erased.

        Raises:
            GalleryBusy: somebody else was writing, or reading, all the while.
            GalleryError: it lies in no folder.
            OnekError: as `Gallery.build`.
        """
        folder = self._folder("compact")
        return folder.compact(progress, folder.patience(wait))

    def backup(self, out: str | Path, *, overwrite: bool = False) -> None:
        """Copy the gallery as it is at one moment, while others read and write.

        Raises:
            OutputError: `out` exists and `overwrite` is false, or cannot be written.
            GalleryError: the gallery is damaged, in no folder, or `out` is no gallery that might be replaced.
        """
        self._folder("backup").backup(Path(out), overwrite)

    # Of a gallery in a folder alone, where every template is at hand. Each raises `GalleryError` elsewhere.

    @property
    def index(self) -> SearchableIndex:
        """What searches the templates."""
        return self.enrolled.index

    @property
    def identities(self) -> list[str]:
        """The enrolled identities, in order of their names."""
        return sorted(self.identity_names.to_pylist())

    @property
    def enrolled(self) -> SearchableGallery:
        """The enrolled templates as they are searched and scored."""
        return self._view().enrolled

    @property
    def identity_names(self) -> pa.Array:
        """The name of each identity that `enrolled` numbers."""
        return self._view().identities

    @property
    def template_ids(self) -> pa.ChunkedArray:
        """The id of each row of `enrolled`."""
        return self._view().template_ids

    def sources(self) -> pa.ChunkedArray:
        """Where each row of `enrolled` came from; nulls where nobody said. Read from disk."""
        return self._view().sources()

    @property
    def segment_names(self) -> tuple[str, ...]:
        """The names of its sealed segments."""
        return tuple(segment.name for segment in self._view().catalogue.segments)

    def _view(self) -> FolderSnapshot:
        return self._folder("what reads every template").snapshot()

    def _folder(self, wanted: str) -> FolderBackend:
        if not isinstance(self.backend, FolderBackend):
            raise GalleryError(f"{wanted} works on galleries in folders; found {self.path}")
        return self.backend
