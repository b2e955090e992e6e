"""What every gallery answers, wherever its templates live: who a probe is, and whether it is who it is said to be."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.calibration import Calibration
from engine.chip import ALIGNMENT, CROP_ALIGNMENT
from engine.decision import accepts, identify_threshold, verify_threshold
from engine.errors import EncoderMismatch, GalleryError, PhotographsError
from engine.head import Head
from engine.named import Named
from engine.nameless import new_key, without_sources
from engine.problems import Problem
from engine.provenance import Provenance, require_same
from engine.results import Results, failed_result, make_results
from engine.scores import Candidates, Scoring
from engine.streams import batched
from engine.templates import Templates
from engine.verification import Verification
from indexes.base import distances_to

if TYPE_CHECKING:
    from engine.embed import Embedder, Outcome
    from engine.encoders import Encoder
    from engine.images import LeftOut

# What makes templates of photographs is imported where photographs are met: a question about vectors does without OpenCV.

# The probability from which on a head says "the same".
_EVEN = 0.5
Probes = np.ndarray | Templates | str | Path | Sequence[str | Path | np.ndarray]
People = Templates | str | Path | Sequence[str | Path | np.ndarray]


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


@dataclass(frozen=True)
class Found:
    """The `candidates` of n probes, t of each, and what their `identities` and `template_ids` (n * t,) are called, a probe's
    behind each other. `identities_enrolled`: the K that they were found among.
    """

    candidates: Candidates
    identities: pa.Array
    template_ids: pa.Array
    identities_enrolled: int


class Recogniser(ABC):
    """A gallery that can be asked. `path` is what it is called in messages, `provenance` how its templates were made."""

    path: object
    provenance: Provenance

    def __init__(self) -> None:
        # Those that photographs were embedded with, by what they were loaded with.
        self._encoders: dict[tuple[object, ...], Encoder] = {}
        self._loading = Lock()
        # What the user named to load them from.
        self._named = Named()

    @property
    def address(self) -> str:
        """What `engine.galleries.open_gallery` opens it by, in another process as well."""
        return str(self.path)

    @abstractmethod
    def __len__(self) -> int:
        """How many templates are enrolled."""

    @property
    @abstractmethod
    def identity_count(self) -> int:
        """K."""

    @property
    @abstractmethod
    def scoring(self) -> Scoring:
        """How it scores."""

    @property
    @abstractmethod
    def calibration(self) -> Calibration | None:
        """What the gallery knows of strangers; None where it has too few identities."""

    @abstractmethod
    def find(self, probes: np.ndarray, top: int, head: Head | None) -> Found:
        """The `top` candidates of each probe (n, d), in the order of their scores, or of a head's."""

    @abstractmethod
    def templates_of(self, identity: str) -> tuple[list[str], np.ndarray]:
        """The ids and vectors (m, d) of an identity's templates. Raises `GalleryError` where nobody is called that."""

    @abstractmethod
    def templates_by_identity(self) -> Iterator[tuple[str, int]]:
        """Every identity, in the order of their names, and how many templates it has."""

    def threshold(self, threshold: float | None = None, fpir: float | None = None) -> float:
        """The largest score that is accepted: the one given, else that of a false-alarm rate, else the default.

        Raises:
            GalleryError: as `engine.decision.identify_threshold`.
        """
        return identify_threshold(
            threshold,
            fpir,
            scoring=self.scoring,
            calibration=self.calibration,
            identities=self.identity_count,
            encoders=self.provenance.threshold,
        )

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
        from engine.embed import Embedder
        from engine.encoders import runtimes_for

        made = self.provenance
        if made.encoder is None:
            raise EncoderMismatch(
                f"{self.path} was built from vectors by an encoder that is not named, "
                "so it takes vectors as probes, no photographs"
            )
        if made.alignment not in (ALIGNMENT, CROP_ALIGNMENT):
            raise EncoderMismatch(
                f"{self.path} was made by {made}; this onek finds and aligns faces otherwise ({ALIGNMENT}), so that it answers "
                "vectors, but no photographs. Make it anew of its photographs: onek embed, then onek build-index"
            )
        faces = faces or ("none" if made.alignment == CROP_ALIGNMENT else "largest")
        named = Named(encoder, _path(weights), _path(projection)).over(self._named)
        load = self._loader(named, runtime, photographs)
        # How many photographs there are matters only for the runtime that it means.
        key = (
            *load.args,
            load.keywords["weights"],
            load.keywords["projection"],
            runtimes_for(load.args[0], runtime, photographs),
        )
        with self._loading:
            if key not in self._encoders:
                self._encoders[key] = load()
        embedder = Embedder(self._encoders[key], faces)
        require_same(made, embedder.provenance, str(self.path), "the probe photographs")
        self._named = named
        return embedder

    def encoder_loader(self, runtime: str | None = None, photographs: int | None = None) -> "partial[Encoder]":
        """What loads the encoder of the last `embedder`, here or in another process."""
        return self._loader(self._named, runtime, photographs)

    def _loader(self, named: Named, runtime: str | None, photographs: int | None) -> "partial[Encoder]":
        from engine.encoders import load_encoder

        found = named.loadable(self.provenance, self.path)
        return partial(
            load_encoder,
            found.encoder or "",
            flip=self.provenance.flip,
            weights=found.weights,
            projection=found.projection,
            runtime=runtime,
            photographs=photographs,
        )

    def identify(
        self,
        probes: Probes,
        *,
        threshold: float | None = None,
        fpir: float | None = None,
        top: int = 5,
        faces: str | None = None,
        head: Head | None = None,
    ) -> Results:
        """Say of each probe who it is, or that it is nobody enrolled.

        Args:
            probes: vectors (n, dim); templates; or photographs: a path, paths, or RGB pictures, uint8 (height, width, 3).
            threshold: the largest score that is accepted, instead of a rate.
            fpir: the share of strangers' searches that may get a name; by default 0.01, or in galleries that are too small for
                that, the encoder's own distance decides.
            top: how many candidates to return.
            faces: for photographs, as in `embedder`.
            head: puts the candidates in another order; whether the first is accepted its score says as before, so that no more
                strangers get a name.

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
            return Results(self.identify_templates(templates, self.threshold(threshold, fpir), top, head))
        from engine.embed import list_photographs

        pictures: str | Path | Sequence[str | Path | np.ndarray] = [probes] if isinstance(probes, np.ndarray) else probes
        photographs = list_photographs(pictures, "none")
        embedder = self.embedder(faces, photographs=len(photographs))
        limit = self.threshold(threshold, fpir)
        outcomes = embedder.stream(photographs)
        tables = [self.identify_outcomes(part, embedder, limit, top, head) for part in batched(outcomes, 1024)]
        return Results(pa.concat_tables(tables))

    def identify_templates(self, probes: Templates, limit: float, top: int, head: Head | None = None) -> pa.Table:
        """As `identify`, for templates at a threshold that `threshold` gave, as an Arrow table.

        A probe is called by its source, or else by its template id.
        """
        require_same(self.provenance, probes.provenance, str(self.path), "the probe file")
        if top < 1:
            raise GalleryError(f"{top} candidates were asked for; expected at least 1")
        if head is not None:
            head.check(self.provenance, str(self.path))
        found = self.find(probes.vectors, top, head)
        expected = None
        if self.calibration is not None:
            expected = self.calibration.expected_false_alarms(found.candidates.scores[:, 0], found.identities_enrolled)
        return make_results(
            probes=pc.coalesce(probes.table["source"], probes.table["template_id"]),
            faces=probes.table["face"],
            threshold=limit,
            candidates=found.candidates,
            identities=found.identities,
            template_ids=found.template_ids,
            expected_false_alarms=expected,
        )

    def identify_outcomes(
        self, outcomes: Sequence["Outcome"], embedder: "Embedder", limit: float, top: int, head: Head | None = None
    ) -> pa.Table:
        """As `identify_templates`, for photographs that were embedded: a failed one has its row where it stood."""
        from engine.embed import to_batch

        rows = pa.Table.from_batches([to_batch(outcomes, embedder.provenance)])
        found = self.identify_templates(Templates(rows, embedder.provenance), limit, top, head)
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
        projection: str | Path | None = None,
        head: Head | None = None,
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

        Raises:
            GalleryError: nobody of that name is enrolled, there is no threshold, or the gallery does not support the rate.
            PhotographsError: the photograph gave no template, or `faces` is `all`.
        """
        if faces == "all":
            raise PhotographsError("--faces all: verify compares one face; expected largest or none")
        if head is not None:
            head.check(self.provenance, str(self.path))
            if threshold is not None or fmr is not None:
                raise GalleryError("--head decides by its probability; expected no --threshold and no --fmr beside it")
        limit = 0.0 if head else verify_threshold(threshold, fmr, self.calibration, self.provenance.threshold)
        template_ids, vectors = self.templates_of(identity)
        if isinstance(probe, np.ndarray) and probe.dtype != np.uint8:
            templates = Templates.from_vectors(probe)
            require_same(self.provenance, templates.provenance, str(self.path), "the probe")
            name, vector = "vector", templates.vectors[0]
        else:
            from engine.embed import one_face

            name, vector = one_face(probe, self.embedder(faces, encoder=encoder, weights=weights, projection=projection))
        distances = distances_to(vector[None], vectors, np.arange(len(vectors))[None])[0]
        best = int(np.argmin(distances))
        template_id = template_ids[best]
        if head is not None:
            sure = head.probability(float(head.scores(vector[None], vectors).min()))
            return Verification(name, identity, sure >= _EVEN, float(distances[best]), limit, template_id, sure)
        return Verification(name, identity, bool(accepts(distances[best], limit)), float(distances[best]), limit, template_id)

    def _embed(
        self,
        people: People,
        identity: str | None,
        faces: str | None,
        sources: bool,
        left_out: "Callable[[LeftOut], None] | None",
    ) -> tuple[Templates, list[Problem]]:
        """Templates of people to enrol, and the photographs that gave none."""
        if isinstance(people, Templates):
            return people if identity is None else people.of(identity), []
        from engine.embed import list_photographs, problems_of, to_batch

        photographs = list_photographs(people, "none" if identity is not None else None, left_out)
        embedder = self.embedder(faces, photographs=len(photographs))
        outcomes = list(embedder.stream(photographs))
        rows = pa.Table.from_batches([to_batch(outcomes, embedder.provenance)])
        if not sources or isinstance(photographs[0].image, np.ndarray):
            rows = without_sources(rows, new_key())
        made = Templates(rows, embedder.provenance)
        return made if identity is None else made.of(identity), problems_of(outcomes)
