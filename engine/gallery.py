"""The gallery: enrolled templates, their index, and the questions that it answers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from threading import RLock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.backup import backup, merged
from engine.calibration import LEAST_IDENTITIES, Calibration, Names, calibrate, calibrate_on_strangers
from engine.catalogue import Asked, Catalogue, put, read_catalogue, write_catalogue
from engine.changes import Enrolled as Enrolment
from engine.changes import enroll, remove, rename
from engine.decision import accepts, identify_threshold, verify_threshold
from engine.embed import Embedder, Outcome, list_photographs, problems_of, to_batch
from engine.encoders import load_encoder
from engine.enrolment import Source, enrolment
from engine.erasure import erase
from engine.errors import EncoderMismatch, GalleryError, PhotographsError
from engine.faces import CROP_ALIGNMENT
from engine.files import check_output, whole_folder
from engine.info import GalleryInfo, describe
from engine.lookup import Lookup
from engine.nameless import new_key, without_sources
from engine.problems import Problem
from engine.provenance import require_same
from engine.results import Results, failed_result, make_results
from engine.scores import Enrolled
from engine.sealing import due, removed_vectors, reseal, seal_recent
from engine.segments import seal
from engine.streams import batched
from engine.templates import Templates
from engine.verification import Verification, code_of, one_face
from engine.view import View, open_view, sources_of
from engine.writer import WAIT, Writer, locked
from indexes.base import Index, Progress, distances_to
from indexes.plan import RECALL, Plan, check_disk, plan

Probes = np.ndarray | Templates | str | Path | Sequence[str | Path | np.ndarray]


class Gallery:
    """The enrolled templates of K identities. Make one with `Gallery.build`, or open one with `Gallery.open`."""

    def __init__(self, path: Path, view: View) -> None:
        self.path = path
        self.provenance = view.catalogue.provenance
        self._writer = Writer(path)
        self._seen = view
        # How many this object has changed since: what it sees is made anew when somebody looks.
        self._ahead = 0
        self._written = view.version
        # A search must not see rows join an index half-way.
        self._searching = RLock()

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
            index: the kind of index; by default `indexes.plan` chooses one.
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
        check_output(path, overwrite)
        if path.exists():
            read_catalogue(path)  # only a gallery is ever replaced, never another folder
        enrolled = enrolment(templates)
        chosen = plan(enrolled.count, enrolled.made.dim, memory=memory, recall=recall, kind=index, factory=factory)
        check_disk(chosen, path.absolute().parent)
        if planned:
            planned(chosen)
        with locked(path) if path.exists() else nullcontext(), whole_folder(path) as folder:
            segment, opened = seal(folder, "segment-000001", enrolled, chosen, progress, score=score, fuse=fuse)
            created = datetime.now(UTC).isoformat(timespec="seconds")
            calibrated = None
            if opened.enrolled.members.identities >= LEAST_IDENTITIES:
                calibrated = calibrate(opened.enrolled, Names(opened.template_ids), progress)
            asked = Asked(index, factory, recall, score, fuse)
            scoring = opened.enrolled.scoring
            write_catalogue(folder, Catalogue(enrolled.made, created, (segment,), scoring, calibrated, asked=asked))
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> "Gallery":
        """Open a gallery for reading.

        Raises:
            GalleryError: it is none, is damaged, or was written by a newer onek.
        """
        path = Path(path)
        return cls(path, open_view(path))

    def refresh(self) -> bool:
        """See what was enrolled and removed since, by any process; whether there was anything.

        Raises:
            GalleryError: as `open`.
        """
        with self._searching:
            before, self._ahead = self._seen, 0
            self._seen = open_view(self.path, before)
            self._written = self._seen.version
            if self._seen.segment is not before.segment:
                self.__dict__.pop("_ids", None)
            return self._seen is not before

    @property
    def _view(self) -> View:
        if self._ahead:
            self.refresh()
        return self._seen

    def __len__(self) -> int:
        return self.enrolled.index.count

    @property
    def index(self) -> Index:
        """What searches the templates."""
        return self.enrolled.index

    @property
    def identities(self) -> list[str]:
        """The enrolled identities, in order of their names."""
        return sorted(self.identity_names.to_pylist())

    @property
    def enrolled(self) -> Enrolled:
        """The enrolled templates as they are searched and scored."""
        return self._view.enrolled

    @property
    def calibration(self) -> Calibration | None:
        """What the gallery knows of strangers; None where it has too few identities."""
        return self._view.catalogue.calibration

    @property
    def identity_names(self) -> pa.Array:
        """The name of each identity that `enrolled` numbers."""
        return self._view.identities

    @property
    def template_ids(self) -> pa.ChunkedArray:
        """The id of each row of `enrolled`."""
        return self._view.template_ids

    def sources(self) -> pa.ChunkedArray:
        """Where each row of `enrolled` came from; nulls where nobody said. Read from disk."""
        return sources_of(self._view, self.path)

    def info(self) -> GalleryInfo:
        """What the gallery holds."""
        return describe(self.path, self._view)

    def calibrate(self, strangers: Templates | None = None, progress: Progress | None = None) -> Calibration:
        """Learn anew how strangers score, and keep it in the gallery.

        Args:
            strangers: templates of people who are not enrolled; by default enrolled people play them, each left out exactly.
            progress: told how far the work has come.

        Raises:
            GalleryError: too few identities or strangers, or one of these is enrolled.
            EncoderMismatch: the strangers' templates were made by another encoder.
        """
        names = Names(self.template_ids)
        if strangers is None:
            made = calibrate(self.enrolled, names, progress)
        else:
            require_same(self.provenance, strangers.provenance, str(self.path), "the strangers")
            self._refuse_enrolled(strangers)
            theirs = Names(strangers.table["template_id"])
            made = calibrate_on_strangers(self.enrolled, strangers.vectors, names, theirs, progress)
        with self._holding(WAIT), self._writer.changing() as database:
            put(database, "calibration", made.to_json())
        self.refresh()
        return made

    def enroll(
        self,
        people: Templates | str | Path | Sequence[str | Path | np.ndarray],
        *,
        identity: str | None = None,
        faces: str | None = None,
        on_duplicate: str = "replace",
        sources: bool = True,
        wait: float = WAIT,
    ) -> Enrolment:
        """Enrol templates or photographs: durable when it returns, and seen by every process that opens the gallery from then on.

        Args:
            people: templates with identities, or photographs as for `embed_images`.
            identity: whose they all are; by default as the photographs' names say.
            faces: for photographs, as in `embedder`.
            on_duplicate: what becomes of a template id that is enrolled: `replace`, `skip` or `error`.
            sources: whether the gallery may keep the photographs' paths; pictures in memory have none.
            wait: seconds to wait for another writer.

        Raises:
            GalleryBusy: somebody else was writing all the while.
            OnekError: as `engine.changes.enroll`; nothing was enrolled.
        """
        templates, problems = (people, []) if isinstance(people, Templates) else self._embed(people, identity, faces, sources)
        if identity is not None:
            templates = templates.of(identity)
        if problems and not len(templates):
            return Enrolment(0, 0, 0, tuple(problems))
        with self._changing(len(templates), wait):
            done = enroll(self._seen, self._ids, self._writer, templates, on_duplicate)
        return replace(done, problems=tuple(problems))

    def remove(self, identities: Sequence[str] = (), *, templates: Sequence[str] = (), wait: float = WAIT) -> int:
        """Remove identities, and templates by their ids: no search returns them from then on. How many templates that were.

        Their bytes stay in the gallery's files until `compact`.

        Raises:
            GalleryBusy: somebody else was writing all the while.
            GalleryError: one is not enrolled, or nobody would be left; nothing was removed.
        """
        with self._changing(len(identities) + len(templates), wait):
            return remove(self._view, self._ids, self._writer, list(identities), list(templates))

    def rename(self, old: str, new: str, *, merge: bool = False, wait: float = WAIT) -> int:
        """Call an identity otherwise; `merge` makes one identity of it and one that is called `new` already. How many templates.

        Raises:
            GalleryBusy: somebody else was writing all the while.
            GalleryError: nobody is called `old`, or somebody is called `new` and `merge` is false.
        """
        with self._changing(1, wait):
            return rename(self._view, self._writer, old, new, merge)

    def compact(self, progress: Progress | None = None, *, wait: float = WAIT) -> None:
        """Seal all that is enrolled anew, calibrate, and erase what was removed from every file; verified.

        Raises:
            GalleryBusy: somebody else was writing, or reading, all the while.
            OnekError: as `Gallery.build`.
        """
        with self._holding(wait):
            self.refresh()
            removed = removed_vectors(self._view)
            reseal(self._view, self._writer, progress)
            erase(self._writer, removed)
        self.refresh()

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
        galleries: Sequence[str | Path],
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
        folders = [Path(folder) for folder in galleries]
        people = merged(folders, on_duplicate)
        asked = asdict(read_catalogue(folders[0]).asked)
        return cls.build(people, out, overwrite=overwrite, progress=progress, **asked)

    def close(self) -> None:
        """Let go of the catalogue after changes; the gallery may be used on. The end of the process does it at the latest."""
        self._writer.close()

    @cached_property
    def _ids(self) -> Lookup:
        return Lookup(self._seen.segment.template_ids)

    @contextmanager
    def _holding(self, wait: float) -> Iterator[None]:
        """The lock, what others changed seen, and a gallery in whose format changes can be written."""
        with self._writer.holding(wait):
            if self._writer.version() != self._written:
                self.refresh()
            if self._seen.catalogue.segments[0].rows_only:
                reseal(self._seen, self._writer)
                self.refresh()
            yield

    @contextmanager
    def _changing(self, identities: int, wait: float) -> Iterator[None]:
        """A change that brings or takes up to so many identities; sealed after it, if that is due."""
        with self._holding(wait):
            yield
            self._written = self._writer.version()
            self._ahead += identities
            if due(self._seen, self._ahead) and due(self._view):
                seal_recent(self._view, self._writer)
                self.refresh()

    def _embed(
        self, people: str | Path | Sequence[str | Path | np.ndarray], identity: str | None, faces: str | None, sources: bool
    ) -> tuple[Templates, list[Problem]]:
        embedder = self.embedder(faces)
        photographs = list_photographs(people, "none" if identity is not None else None)
        outcomes = list(embedder.stream(photographs))
        rows = pa.Table.from_batches([to_batch(outcomes, embedder.provenance)])
        if not sources or isinstance(photographs[0].image, np.ndarray):
            rows = without_sources(rows, new_key())
        return Templates(rows, embedder.provenance), problems_of(outcomes)

    def _refuse_enrolled(self, strangers: Templates) -> None:
        known = pc.is_in(strangers.table["identity"], value_set=self.identity_names, skip_nulls=True)
        if (count := pc.sum(known).as_py()) or 0:
            name = strangers.table["identity"].filter(known)[0]
            raise GalleryError(f"{count} templates of the strangers are of enrolled identities, such as {name}; leave them out")

    def threshold(self, threshold: float | None = None, fpir: float | None = None) -> float:
        """The largest score that is accepted: the one given, else that of a false-alarm rate, else the default.

        Raises:
            GalleryError: as `engine.decision.identify_threshold`.
        """
        return identify_threshold(
            threshold,
            fpir,
            scoring=self.enrolled.scoring,
            calibration=self.calibration,
            identities=self.enrolled.members.identities,
            encoders=self.provenance.threshold,
        )

    def embedder(self, faces: str | None = None, *, encoder: str | None = None, weights: str | Path | None = None) -> Embedder:
        """An embedder that makes probes as the gallery's templates were made.

        Args:
            faces: `largest`, `all` or `none`; by default `none` if the gallery was made of face crops, else `largest`.
            encoder: where the gallery's own encoder file lies now, if it has moved.
            weights: the same for its weights.

        Raises:
            EncoderMismatch: nothing is known of the gallery's encoder, or the one found is another; names both.
        """
        made = self.provenance
        if made.encoder is None:
            raise EncoderMismatch(
                f"{self.path} was built from vectors by an encoder that is not named, "
                "so it takes vectors as probes, no photographs"
            )
        faces = faces or ("none" if made.alignment == CROP_ALIGNMENT else "largest")
        embedder = Embedder(load_encoder(encoder or made.encoder, flip=made.flip, weights=weights or made.weights), faces)
        require_same(made, embedder.provenance, str(self.path), "the probe photographs")
        return embedder

    def identify(
        self,
        probes: Probes,
        *,
        threshold: float | None = None,
        fpir: float | None = None,
        top: int = 5,
        faces: str | None = None,
    ) -> Results:
        """Say of each probe who it is, or that it is nobody enrolled.

        Args:
            probes: vectors (n, dim); templates; or photographs: a path, paths, or RGB pictures, uint8 (height, width, 3).
            threshold: the largest score that is accepted, instead of a rate.
            fpir: the share of strangers' searches that may get a name; by default 0.01, or in galleries that are too small for
                that, the encoder's own distance decides.
            top: how many candidates to return.
            faces: for photographs, as in `embedder`.

        Returns:
            One result per probe face, in order; a photograph without a face has one that says `failed`.

        Raises:
            EncoderMismatch: the probes were made by another encoder than the gallery's; names both.
            TemplatesError: a vector is zero, NaN or infinite.
            GalleryError: there is no threshold, it is out of range, or the gallery does not support the rate.
        """
        if isinstance(probes, Templates) or (isinstance(probes, np.ndarray) and probes.dtype != np.uint8):
            if faces is not None:
                raise PhotographsError(f"faces={faces!r} goes with photographs; the probes are vectors already")
            templates = probes if isinstance(probes, Templates) else Templates.from_vectors(probes)
            return Results(self.identify_templates(templates, self.threshold(threshold, fpir), top))
        embedder = self.embedder(faces)
        limit = self.threshold(threshold, fpir)
        pictures: str | Path | Sequence[str | Path | np.ndarray] = [probes] if isinstance(probes, np.ndarray) else probes
        outcomes = embedder.stream(list_photographs(pictures, "none"))
        tables = [self.identify_outcomes(part, embedder, limit, top) for part in batched(outcomes, 1024)]
        return Results(pa.concat_tables(tables))

    def identify_templates(self, probes: Templates, limit: float, top: int) -> pa.Table:
        """As `identify`, for templates at a threshold that `threshold` gave, as an Arrow table.

        A probe is called by its source, or else by its template id.
        """
        require_same(self.provenance, probes.provenance, str(self.path), "the probe file")
        if top < 1:
            raise GalleryError(f"{top} candidates were asked for; expected at least 1")
        with self._searching:
            view = self._view
            found = view.enrolled.candidates(probes.vectors, top)
        enrolled = view.enrolled
        expected = None
        if self.calibration is not None:
            expected = self.calibration.expected_false_alarms(found.scores[:, 0], enrolled.members.identities)
        rows = found.rows.ravel()
        return make_results(
            probes=pc.coalesce(probes.table["source"], probes.table["template_id"]),
            faces=probes.table["face"],
            threshold=limit,
            candidates=found,
            identities=view.identities.take(pa.array(enrolled.members.codes[rows])),
            template_ids=view.template_ids.take(pa.array(rows)).combine_chunks(),
            expected_false_alarms=expected,
        )

    def identify_outcomes(self, outcomes: Sequence[Outcome], embedder: Embedder, limit: float, top: int) -> pa.Table:
        """As `identify_templates`, for photographs that were embedded: a failed one has its row where it stood."""
        rows = pa.Table.from_batches([to_batch(outcomes, embedder.provenance)])
        found = self.identify_templates(Templates(rows, embedder.provenance), limit, top)
        tables, at = [], 0
        for outcome in outcomes:
            faces = len(outcome.faces)
            tables.append(found.slice(at, faces) if faces else failed_result(outcome.photograph.source, limit))
            at += faces
        return pa.concat_tables(tables) if tables else found

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

        Raises:
            GalleryError: nobody of that name is enrolled, there is no threshold, or the gallery does not support the rate.
            PhotographsError: the photograph gave no template, or `faces` is `all`.
        """
        if faces == "all":
            raise PhotographsError("--faces all: verify compares one face; expected largest or none")
        limit = verify_threshold(threshold, fmr, self.calibration, self.provenance.threshold)
        code = code_of(self.identity_names, identity, self.path)
        if isinstance(probe, np.ndarray) and probe.dtype != np.uint8:
            templates = Templates.from_vectors(probe)
            require_same(self.provenance, templates.provenance, str(self.path), "the probe")
            name, vector = "vector", templates.vectors[0]
        else:
            name, vector = one_face(probe, self.embedder(faces, encoder=encoder, weights=weights))
        rows = self.enrolled.members.rows(np.array([code]))[0]
        distances = distances_to(vector[None], self.index.vectors(rows), np.arange(len(rows))[None])[0]
        best = int(np.argmin(distances))
        template_id = self.template_ids[int(rows[best])].as_py()
        return Verification(name, identity, bool(accepts(distances[best], limit)), float(distances[best]), limit, template_id)
