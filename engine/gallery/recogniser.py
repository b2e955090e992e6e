"""What every gallery answers, wherever its templates live: who a probe is, and whether it is who it is said to be."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

from engine.answers.results import Results
from engine.answers.snapshot import Snapshot
from engine.answers.verification import Verification
from engine.calibration.calibration import Calibration
from engine.calibration.evidence import Evidence
from engine.calibration.thresholds import MatchThreshold, ThresholdUsed
from engine.common.concurrency import batched
from engine.common.locks import ThreadLock
from engine.encoders.named_by_user import Named
from engine.errors import EncoderMismatch, GalleryReplaced, PhotographsError
from engine.faces.chip import ALIGNMENT, CROP_ALIGNMENT
from engine.matching.pair_verifier import Head
from engine.matching.scoring import Scoring
from engine.templates.anonymise import without_sources
from engine.templates.enrolment import Joining
from engine.templates.names import name_of
from engine.templates.parquet import Templates
from engine.templates.problems import ALL_SEEN
from engine.templates.provenance import Provenance, require_same

if TYPE_CHECKING:
    from engine.embedding.embedder import Embedder
    from engine.encoders import Encoder
    from engine.faces.images import LeftOut

# What makes templates of photographs is imported where photographs are met: a question about vectors does without OpenCV.

Answer = TypeVar("Answer")
Probes = np.ndarray | Templates | str | Path | Sequence[str | Path | np.ndarray]
People = Templates | str | Path | Sequence[str | Path | np.ndarray]


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


class Recogniser(ABC):
    """A gallery that can be asked, by any number of threads at once. `path` is what it is called in messages.

    Every call takes one `snapshot` at its beginning, and answers from that alone; what any thread changed through this object
    before is in it.
    """

    path: object

    def __init__(self) -> None:
        # Those that photographs were embedded with, by what they were loaded with.
        self._encoders: dict[tuple[object, ...], Encoder] = {}
        self._loading = ThreadLock()
        # What the user named to load them from.
        self._named = Named()

    @property
    def address(self) -> str:
        """What `engine.workflows.locations.open_gallery` opens it by, in another process as well."""
        return str(self.path)

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """The gallery as it is now; for questions that belong together."""

    @abstractmethod
    def refresh(self) -> bool:
        """See what was enrolled, removed, calibrated and replaced since, by any process; whether there was anything."""

    def answered(self, ask: Callable[[Snapshot], Answer], threshold: float | None = None) -> Answer:
        """What `ask` makes of a snapshot. Where another gallery takes its place meanwhile, it asks again, all of it, of that one,
        unless a `threshold` was given, and that one scores otherwise.
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
        from engine.embedding.embedder import Embedder
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
            fpir: the share of strangers' searches that may get a name, above 0 and below 1; by default 0.01.
            top: how many candidates to return.
            faces: for photographs, as in `embedder`.
            head: puts the candidates in another order; whether the first is accepted its score says as before, so that no more
                strangers get a name.

        Returns:
            One result per probe face, in order; a photograph without a face has one that says `failed`. Its `unseen` counts the
            faces of photographs that were not looked at, since one of each was asked for.

        Raises:
            EncoderMismatch: the probes were made by another encoder than the gallery's; names both.
            TemplatesError: a vector is zero, NaN or infinite.
            GalleryError: there is no threshold, it is out of range, or the gallery does not support the rate.
        """
        if isinstance(probes, Templates) or (isinstance(probes, np.ndarray) and probes.dtype != np.uint8):
            if faces is not None:
                raise PhotographsError(f"faces={faces!r} goes with photographs; the probes are vectors already")
            templates = probes if isinstance(probes, Templates) else Templates.from_vectors(probes)
            require_same(self.provenance, templates.provenance, str(self.path), "the probe file")
            return Results(
                self.answered(lambda seen: seen.identify(templates, seen.threshold(threshold, fpir), top, head), threshold)
            )
        from engine.embedding.embedder import list_photographs, unseen_in

        pictures: str | Path | Sequence[str | Path | np.ndarray] = [probes] if isinstance(probes, np.ndarray) else probes
        photographs = list_photographs(pictures, "none")
        embedder = self.embedder(faces, photographs=len(photographs))

        def identified(seen: Snapshot) -> Results:
            limit = seen.threshold(threshold, fpir)
            tables, unseen = [], ALL_SEEN
            for part in batched(embedder.stream(photographs), 1024):
                tables.append(seen.identify_outcomes(part, embedder, limit, top, head))
                unseen += unseen_in(part)
            return Results(pa.concat_tables(tables), unseen)

        return self.answered(identified, threshold)

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

        def verified(seen: Snapshot) -> Verification:
            claim = seen.claim(identity, threshold, fmr, head)
            if isinstance(probe, np.ndarray) and probe.dtype != np.uint8:
                templates = Templates.from_vectors(probe)
                require_same(seen.provenance, templates.provenance, str(self.path), "the probe")
                return claim.verified("vector", templates.vectors[0])
            from engine.embedding.embedder import one_face

            return claim.verified(*one_face(probe, self.embedder(faces, encoder=encoder, weights=weights, projection=projection)))

        return self.answered(verified)

    def _joining(
        self,
        people: People,
        identity: str | None,
        faces: str | None,
        sources: bool,
        left_out: "Callable[[LeftOut], None] | None",
    ) -> Joining:
        """Templates of people to enrol, and what is to be said of them."""
        if isinstance(people, Templates):
            if faces is not None:
                raise PhotographsError(f"faces={faces!r} goes with photographs; those to enrol are templates already")
            given = people if identity is None else people.of(identity)
            return Joining(given if sources else Templates(without_sources(given.table), given.provenance))
        from engine.embedding.embedder import list_labelled, of_one_face, once_each, problems_of, to_batch, unseen_in

        labelled = list_labelled(people, "none" if identity is not None else None, left_out)
        if identity is not None:
            labelled = labelled.of(name_of(identity))
        embedder = self.embedder(faces, photographs=len(labelled.photographs))
        outcomes = list(map(of_one_face, once_each(embedder.stream(labelled.photographs), {})))
        rows = pa.Table.from_batches([to_batch(outcomes, embedder.provenance)])
        if not sources or isinstance(labelled.photographs[0].image, np.ndarray):
            rows = without_sources(rows)
        made = Templates(rows, embedder.provenance)
        return Joining(made, tuple(problems_of(outcomes)), labelled.labelling, unseen_in(outcomes))
