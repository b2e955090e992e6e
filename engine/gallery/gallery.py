"""The gallery that a user holds: built or opened, asked, and changed, wherever its templates lie."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

from engine.answers.already_enrolled import NOT_LOOKED, matches_of
from engine.answers.results import Results
from engine.answers.snapshot import Snapshot
from engine.answers.summary import Info
from engine.answers.verification import Verification
from engine.calibration.calibration import Calibration
from engine.calibration.evidence import Evidence
from engine.calibration.thresholds import MatchThreshold, ThresholdUsed
from engine.embedding.named_by_user import Named
from engine.embedding.probe_encoder import ProbeEncoder
from engine.errors import GalleryError, GalleryReplaced, PhotographsError
from engine.gallery.asking import Probes, identifying, verifying
from engine.gallery.backend import Backend, Capabilities
from engine.gallery.build import build_folder
from engine.gallery.folder import FolderBackend
from engine.gallery.joining import People, joining_of
from engine.maintenance.backup import merged
from engine.maintenance.integrity import Fault
from engine.matching.pair_verifier import Head
from engine.matching.scoring import Scoring, SearchableGallery
from engine.storage.catalogue import BuildRequest, read_catalogue
from engine.storage.changes import EnrolmentResult, require_words
from engine.storage.folder_snapshot import FolderSnapshot
from engine.templates.enrolment import Source, require_joinable
from engine.templates.names import each_of, name_of
from engine.templates.parquet import Templates
from engine.templates.provenance import Provenance
from engine.templates.quality import LEAST
from indexes.base import Progress, SearchableIndex
from indexes.planner import RECALL, Plan

if TYPE_CHECKING:
    from functools import partial

    from engine.embedding.embedder import Embedder
    from engine.encoders import Encoder
    from engine.faces.images import LeftOut

# What makes templates of photographs is imported where photographs are met: a question about vectors does without OpenCV.

Answer = TypeVar("Answer")


class Gallery:
    """The enrolled templates of K identities. Make one with `Gallery.build`, or open one with `Gallery.open`; one in Milvus or in
    object storage with `engine.workflows.locations`.

    Any number of threads may ask and change it at once. Every call takes one `snapshot` at its beginning, and answers from that
    alone; what any thread changed through this object before is in it.
    """

    def __init__(self, backend: Backend, encoder: ProbeEncoder | None = None) -> None:
        self.backend = backend
        self._encoder = encoder or ProbeEncoder(backend.path)

    @classmethod
    def open(cls, path: str | Path) -> "Gallery":
        """Open the gallery in a folder.

        Raises:
            GalleryError: it is none, is damaged, or was written by a newer onek.
        """
        return cls(FolderBackend(Path(path)))

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
        fuse: int | None = None,
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
        build_folder(templates, Path(path), asked, overwrite=overwrite, memory=memory, planned=planned, progress=progress)
        return cls.open(path)

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
        build_folder(people, Path(out), read_catalogue(folders[0]).asked, overwrite=overwrite, progress=progress)
        return cls.open(out)

    @property
    def path(self) -> Path | str:
        """Its name in messages: the folder, a `Path`; of a gallery elsewhere its address, text."""
        return self.backend.path

    @property
    def address(self) -> str:
        """What `engine.workflows.locations.open_gallery` opens it by, in another process as well."""
        return self.backend.address

    @property
    def capabilities(self) -> Capabilities:
        """What the place where it is stored supports."""
        return self.backend.capabilities

    def snapshot(self) -> Snapshot:
        """The gallery as it is now; for questions that belong together."""
        return self.backend.snapshot()

    def refresh(self) -> bool:
        """Read the gallery anew, with the changes of every process. Whether anything had changed.

        Raises:
            GalleryError: there is none any more, or it is damaged.
        """
        return self.backend.refresh()

    def answered(self, ask: Callable[[Snapshot], Answer], threshold: float | None = None) -> Answer:
        """Call `ask` with a snapshot. If another gallery takes this one's place meanwhile, call it once more with a snapshot of
        that one; not where a `threshold` was given and the other gallery scores differently, which raises.
        """
        seen = self.snapshot()
        try:
            return ask(seen)
        except GalleryReplaced:
            self.refresh()
            now = self.snapshot()
            if threshold is not None and now.scoring != seen.scoring:
                raise
            return ask(now)

    def __len__(self) -> int:
        """How many templates are enrolled."""
        return self.snapshot().template_count

    @property
    def identity_count(self) -> int:
        """K."""
        return self.snapshot().identity_count

    @property
    def provenance(self) -> Provenance:
        """How its templates were made."""
        return self.snapshot().provenance

    @property
    def scoring(self) -> Scoring:
        """How it scores."""
        return self.snapshot().scoring

    @property
    def calibration(self) -> Calibration | None:
        """What the gallery knows of strangers; None where it has too few identities."""
        return self.snapshot().calibration

    def templates_by_identity(self) -> Iterator[tuple[str, int]]:
        """Every identity, in the order of their names, and how many templates it has."""
        return self.snapshot().templates_by_identity()

    def threshold(self, threshold: float | None = None, fpir: float | None = None) -> float:
        """As `Snapshot.threshold`, of the gallery as it is now."""
        return self.snapshot().threshold(threshold, fpir)

    def threshold_used(self, threshold: float | None = None, fpir: float | None = None) -> ThresholdUsed:
        """As `threshold`, with the rate that it is for and from how much evidence."""
        return self.snapshot().threshold_used(threshold, fpir)

    @property
    def evidence(self) -> Evidence:
        """What is known of strangers: by the gallery's own calibration, and by its encoder's impostors."""
        return self.snapshot().evidence

    def match_threshold(self, threshold: float | None = None, fmr: float | None = None) -> MatchThreshold:
        """As `Snapshot.match_threshold`, of the gallery as it is now."""
        return self.snapshot().match_threshold(threshold, fmr)

    def embedder(
        self,
        faces: str | None = None,
        *,
        encoder: str | None = None,
        weights: str | Path | None = None,
        projection: str | Path | None = None,
        runtime: str | None = None,
        photographs: int | None = None,
    ) -> "Embedder":
        """An embedder that makes probes as the gallery's templates were made. The encoder is loaded once, and kept; what was
        named for it counts for later calls of this object too, those of `identify`, `verify` and `enroll` among them.

        Args:
            faces: `largest`, `all` or `none`; by default `none` if the gallery was made of face crops, else `largest`.
            encoder: the gallery's own encoder file, where that is not one of onek's encoders: a path in a gallery may come from
                anybody, so none is loaded that is not named here.
            weights: the same for its weights.
            projection: the same for the projection behind it.
            runtime: what runs the encoder, as for `load_encoder`.
            photographs: how many there are to embed, as for `load_encoder`.

        Raises:
            EncoderMismatch: nothing is known of the gallery's encoder, or the one found is another; names both. Or the gallery
                names a file and nobody else did; says which.
        """
        named = Named(encoder, _path(weights), _path(projection))
        return self._encoder.embedder(self.provenance, faces, named, runtime=runtime, photographs=photographs)

    def encoder_loader(self, runtime: str | None = None, photographs: int | None = None) -> "partial[Encoder]":
        """A function that loads the encoder of the last `embedder`, here or in another process."""
        return self._encoder.loader(self.provenance, runtime, photographs)

    def identify(
        self,
        probes: Probes,
        *,
        threshold: float | None = None,
        fpir: float | None = None,
        top: int = 5,
        faces: str | None = None,
        head: Head | None = None,
        quality: float = LEAST,
    ) -> Results:
        """Say of each probe who it is, or that it is nobody enrolled.

        Args:
            probes: vectors (n, dim); templates; or photographs: a path, paths, or RGB pictures, uint8 (height, width, 3); of a
                gallery of signals or volumes paths, or a list of their arrays.
            threshold: the largest score that is accepted, instead of a rate.
            fpir: the share of strangers' searches that may get a name, above 0 and below 1; by default 0.01.
            top: how many candidates to return.
            faces: for photographs, as in `embedder`.
            head: puts the candidates in another order; whether the first is accepted its score says as before, so that no more
                strangers get a name.
            quality: the share of ordinary photographs that must be worse; a probe that is worth less fails. 0 takes all.

        Returns:
            One result per probe face, in order; a photograph without a face has one that says `failed`. Its `unseen` counts the
            faces of photographs that were not looked at, since one of each was asked for.

        Raises:
            EncoderMismatch: the probes were made by another encoder than the gallery's; names both.
            TemplatesError: a vector is zero, NaN or infinite.
            GalleryError: there is no threshold, it is out of range, or the gallery does not support the rate.
        """

        def embedder(photographs: int) -> "Embedder":
            return self.embedder(faces, photographs=photographs)

        ask = identifying(
            probes,
            embedder,
            threshold=threshold,
            fpir=fpir,
            top=top,
            faces=faces,
            head=head,
            quality=quality,
            modality=self.provenance.modality,
        )
        return self.answered(ask, threshold)

    def verify(
        self,
        probe: np.ndarray | str | Path,
        identity: str,
        *,
        threshold: float | None = None,
        fmr: float | None = None,
        faces: str | None = None,
        encoder: str | None = None,
        weights: str | Path | None = None,
        projection: str | Path | None = None,
        head: Head | None = None,
        quality: float = LEAST,
    ) -> Verification:
        """Compare one probe with one enrolled identity.

        Args:
            probe: a photograph's path, an RGB picture, uint8 (height, width, 3), or a vector (dim,).
            identity: as enrolled.
            threshold: the largest distance that counts as the same; by default the encoder's.
            fmr: instead, the share of pairs of different people that may be called the same.
            faces: for a photograph, `largest` or `none`, as in `embedder`.
            encoder: for a photograph, as in `embedder`.
            weights: for a photograph, as in `embedder`.
            projection: for a photograph, as in `embedder`.
            head: decides instead of a threshold.
            quality: for a photograph, as in `identify`.

        Raises:
            GalleryError: nobody of that name is enrolled, there is no threshold, or the gallery does not support the rate.
            PhotographsError: the photograph gave no template, or `faces` is `all`.
        """
        if faces == "all":
            raise PhotographsError("--faces all: verify compares one face; expected largest or none")

        def embedder() -> "Embedder":
            return self.embedder(faces, encoder=encoder, weights=weights, projection=projection)

        return self.answered(verifying(probe, embedder, identity, threshold=threshold, fmr=fmr, head=head, quality=quality))

    def enroll(
        self,
        people: People,
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
            people: templates with identities, or photographs as for `embed_images`.
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

    def info(self) -> Info:
        """What the gallery holds: `engine.storage.GalleryInfo`, or in Milvus `engine.milvus.MilvusInfo`."""
        return self.backend.info()

    def check(self, progress: Progress | None = None) -> list[Fault]:
        """Everything that is wrong with the gallery: every template is looked at."""
        return self.backend.check(progress)

    def close(self) -> None:
        """Let go of what is held open after changes. A gallery in a folder may be used on, and the end of the process does it at
        the latest; one in Milvus is of no use then.
        """
        self.backend.close()

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


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
