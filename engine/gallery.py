"""The gallery: enrolled templates, their index, and the questions that it answers."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.catalogue import FORMAT, Catalogue, read_catalogue, write_catalogue
from engine.decision import accepts, checked_threshold, nearest_identities
from engine.embed import Embedder, Outcome, list_photographs, to_batch
from engine.encoders import load_encoder
from engine.enrolment import Source, enrolment
from engine.errors import EncoderMismatch, GalleryError, PhotographsError
from engine.faces import CROP_ALIGNMENT
from engine.files import check_output, whole_folder
from engine.provenance import require_same
from engine.results import Results, failed_result, make_results
from engine.segments import OpenSegment, open_segment, operating_point, seal
from engine.streams import batched
from engine.templates import Templates
from indexes.base import Index, Progress, distances_to
from indexes.measure import OperatingPoint
from indexes.plan import RECALL, Plan, check_disk, plan

Probes = np.ndarray | Templates | str | Path | Sequence[str | Path | np.ndarray]


@dataclass(frozen=True)
class Verification:
    """Whether a probe shows the identity that it was said to show: `same` if and only if `distance <= threshold`.

    `distance` is that of the identity's nearest template, `template_id`.
    """

    probe: str
    identity: str
    same: bool
    distance: float
    threshold: float
    template_id: str


@dataclass(frozen=True)
class GalleryInfo:
    """What a gallery holds, for people and scripts.

    `bytes` counts all its files, `index_bytes_per_template` the memory of the index; `operating` is what an approximate index
    spends on a search and the recall that it was measured to have, None where the index is exact.
    """

    path: str
    format: int
    created: str
    identities: int
    templates: int
    dim: int
    encoder: str | None
    fingerprint: str | None
    flip: bool
    alignment: str | None
    threshold: float | None
    index: str
    exact: bool
    index_bytes_per_template: float
    operating: OperatingPoint | None
    segments: int
    bytes: int


class Gallery:
    """The enrolled templates of K identities. Make one with `Gallery.build`, or open one with `Gallery.open`."""

    def __init__(self, path: Path, catalogue: Catalogue, segment: OpenSegment) -> None:
        self.path = path
        self.provenance = catalogue.provenance
        self._catalogue = catalogue
        self._segment = segment

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
            planned: told what will be built, before any work.
            progress: told how far the work has come.

        Raises:
            OutputError: `path` exists already and `overwrite` is false, or it cannot be written.
            EncoderMismatch: templates of different encoders or dimensions; names both.
            TemplatesError: a template without identity, a template id that comes twice, or an unreadable file.
            PlanError: no index fits in the memory or on the disk, or none reaches the recall; says what would do.
            IndexUnsupported: no such kind of index, or FAISS makes none of the string.
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
        with whole_folder(path) as folder:
            segment = seal(folder, "segment-000001", enrolled, chosen, progress)
            created = datetime.now(UTC).isoformat(timespec="seconds")
            write_catalogue(folder, Catalogue(enrolled.made, created, (segment,)))
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> "Gallery":
        """Open a gallery for reading.

        Raises:
            GalleryError: it is none, is damaged, or was written by a newer onek.
        """
        path = Path(path)
        catalogue = read_catalogue(path)
        if len(catalogue.segments) != 1:
            raise GalleryError(f"{path}: its catalogue names {len(catalogue.segments)} segments, expected 1; build it anew")
        segment = open_segment(path, catalogue.segments[0])
        if segment.index.dim != catalogue.provenance.dim:
            raise GalleryError(
                f"{path}: the index holds {segment.index.dim} dimensions, the catalogue says {catalogue.provenance.dim}"
            )
        return cls(path, catalogue, segment)

    def __len__(self) -> int:
        return self._segment.index.count

    @property
    def index(self) -> Index:
        """What searches the templates: row i is the i-th template, as it was enrolled."""
        return self._segment.index

    @property
    def identities(self) -> list[str]:
        """The enrolled identities, in order of their names."""
        return sorted(self._segment.identities.to_pylist())

    def info(self) -> GalleryInfo:
        """What the gallery holds."""
        made = self.provenance
        return GalleryInfo(
            path=str(self.path),
            format=FORMAT,
            created=self._catalogue.created,
            identities=len(self._segment.identities),
            templates=len(self),
            dim=made.dim,
            encoder=made.encoder,
            fingerprint=made.fingerprint,
            flip=made.flip,
            alignment=made.alignment,
            threshold=made.threshold,
            index=self._segment.index.kind,
            exact=self._segment.index.traits.exact,
            index_bytes_per_template=self._segment.index.bytes_per_vector,
            operating=operating_point(self._catalogue.segments[0]),
            segments=len(self._catalogue.segments),
            bytes=sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file()),
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

    def identify(self, probes: Probes, *, threshold: float | None = None, top: int = 5, faces: str | None = None) -> Results:
        """Say of each probe who it is, or that it is nobody enrolled.

        Args:
            probes: vectors (n, dim); templates; or photographs: a path, paths, or RGB pictures, uint8 (height, width, 3).
            threshold: the largest distance that is accepted, 0 to 2; by default the encoder's.
            top: how many candidates to return.
            faces: for photographs, as in `embedder`.

        Returns:
            One result per probe face, in order; a photograph without a face has one that says `failed`.

        Raises:
            EncoderMismatch: the probes were made by another encoder than the gallery's; names both.
            TemplatesError: a vector is zero, NaN or infinite.
            GalleryError: there is no threshold, or it is no distance.
        """
        if isinstance(probes, Templates) or (isinstance(probes, np.ndarray) and probes.dtype != np.uint8):
            if faces is not None:
                raise PhotographsError(f"faces={faces!r} goes with photographs; the probes are vectors already")
            templates = probes if isinstance(probes, Templates) else Templates.from_vectors(probes)
            return Results(self.identify_templates(templates, threshold=threshold, top=top))
        embedder = self.embedder(faces)
        pictures: str | Path | Sequence[str | Path | np.ndarray] = [probes] if isinstance(probes, np.ndarray) else probes
        outcomes = embedder.stream(list_photographs(pictures, "none"))
        tables = [self.identify_outcomes(part, embedder, threshold=threshold, top=top) for part in batched(outcomes, 1024)]
        return Results(pa.concat_tables(tables))

    def identify_templates(self, probes: Templates, *, threshold: float | None = None, top: int = 5) -> pa.Table:
        """As `identify`, for templates, as an Arrow table. A probe is called by its source, or else by its template id."""
        require_same(self.provenance, probes.provenance, str(self.path), "the probe file")
        limit = checked_threshold(threshold, self.provenance.threshold)
        if top < 1:
            raise GalleryError(f"{top} candidates were asked for; expected at least 1")
        segment = self._segment
        found = nearest_identities(segment.index, segment.codes, probes.vectors, top)
        nearest = found.distances[found.offsets[:-1]]
        names = pc.coalesce(probes.table["source"], probes.table["template_id"])
        rows = pa.array(found.rows)
        return make_results(
            probes=names,
            faces=probes.table["face"],
            threshold=limit,
            accepted=accepts(nearest, limit),
            scores=nearest,
            offsets=found.offsets,
            identities=segment.identities.take(pa.array(segment.codes[found.rows])),
            template_ids=segment.template_ids.take(rows).combine_chunks(),
            distances=found.distances,
        )

    def identify_outcomes(
        self, outcomes: Sequence[Outcome], embedder: Embedder, *, threshold: float | None = None, top: int = 5
    ) -> pa.Table:
        """As `identify`, for photographs that were embedded: a failed one has its row where it stood."""
        limit = checked_threshold(threshold, self.provenance.threshold)
        rows = pa.Table.from_batches([to_batch(outcomes, embedder.provenance)])
        found = self.identify_templates(Templates(rows, embedder.provenance), threshold=limit, top=top)
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
        faces: str | None = None,
        encoder: str | None = None,
        weights: str | Path | None = None,
    ) -> Verification:
        """Compare one probe with one enrolled identity.

        Args:
            probe: a photograph's path, an RGB picture, uint8 (height, width, 3), or a vector (dim,).
            identity: as enrolled.
            threshold: the largest distance that counts as the same; by default the encoder's.
            faces: for a photograph, `largest` or `none`, as in `embedder`.
            encoder: for a photograph, as in `embedder`.
            weights: for a photograph, as in `embedder`.

        Raises:
            GalleryError: nobody of that name is enrolled, or there is no threshold.
            PhotographsError: the photograph gave no template, or `faces` is `all`.
        """
        if faces == "all":
            raise PhotographsError("--faces all: verify compares one face; expected largest or none")
        limit = checked_threshold(threshold, self.provenance.threshold)
        rows = self._rows_of(identity)
        if isinstance(probe, np.ndarray) and probe.dtype != np.uint8:
            templates = Templates.from_vectors(probe)
            require_same(self.provenance, templates.provenance, str(self.path), "the probe")
            name, vector = "vector", templates.vectors[0]
        else:
            name, vector = _one_face(probe, self.embedder(faces, encoder=encoder, weights=weights))
        distances = distances_to(vector[None], self._segment.index.vectors(rows), np.arange(len(rows))[None])[0]
        best = int(np.argmin(distances))
        template_id = self._segment.template_ids[int(rows[best])].as_py()
        return Verification(name, identity, bool(accepts(distances[best], limit)), float(distances[best]), limit, template_id)

    def _rows_of(self, identity: str) -> np.ndarray:
        code = self._segment.identities.index(pa.scalar(identity, pa.string())).as_py()
        if code < 0:
            near = difflib.get_close_matches(identity, self._segment.identities.to_pylist(), n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise GalleryError(f"nobody called {identity} is enrolled in {self.path}.{meant}")
        return np.flatnonzero(self._segment.codes == code)


def _one_face(photo: np.ndarray | str | Path, embedder: Embedder) -> tuple[str, np.ndarray]:
    """The name of a photograph, and the template (dim,) of its largest face."""
    photographs = list_photographs([photo], "none")
    if len(photographs) != 1:
        raise PhotographsError(f"{photo} holds {len(photographs)} photographs; expected one")
    (outcome,) = embedder.stream(photographs)
    if outcome.problem is not None:
        raise PhotographsError(f"{outcome.photograph.source}: {outcome.problem}, so there is nothing to compare")
    return outcome.photograph.source, outcome.vectors[0]
