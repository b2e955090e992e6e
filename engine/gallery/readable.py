"""A gallery as it is asked, wherever its templates lie: who a probe is, thresholds, and what is enrolled."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np
import pyarrow as pa

from engine.answers.results import Results
from engine.answers.snapshot import Snapshot
from engine.answers.summary import Info
from engine.answers.verification import Verification
from engine.calibration.calibration import Calibration
from engine.calibration.evidence import Evidence
from engine.calibration.thresholds import MatchThreshold, ThresholdUsed
from engine.embedding.named_by_user import Named
from engine.embedding.probe_encoder import ProbeEncoder
from engine.errors import GalleryReplaced, OnekError, PhotographsError, require_text
from engine.gallery.asking import Probes, identifying, verifying
from engine.gallery.backend import Backend, Capabilities
from engine.maintenance.integrity import Fault
from engine.maintenance.person import photographs_of
from engine.matching.pair_verifier import PairVerifier
from engine.matching.scoring import Scoring
from engine.tables.frames import SHOWN, html_table
from engine.templates.model import Templates, batch
from engine.templates.provenance import Provenance
from engine.templates.quality import LEAST
from indexes.base import Progress

if TYPE_CHECKING:
    from functools import partial

    from engine.embedding.embedder import Embedder
    from engine.encoders import Encoder

# What makes templates of photographs is imported where photographs are met: a question about vectors does without OpenCV.

Answer = TypeVar("Answer")


class ReadableGallery:
    """What can be asked of a gallery; `engine.gallery.gallery.Gallery` adds how one is made and changed."""

    def __init__(self, backend: Backend, encoder: ProbeEncoder | None = None) -> None:
        self.backend = backend
        self._encoder = encoder or ProbeEncoder(backend.path)

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
        """How many templates are enrolled; `identity_count` is how many people."""
        return self.snapshot().template_count

    def __contains__(self, identity: object) -> bool:
        """Whether somebody of that name is enrolled."""
        return isinstance(identity, str) and self.snapshot().enrols(identity)

    def __iter__(self) -> Iterator[str]:
        """The identities, in the order of their names; `templates_by_identity` says how many templates each has."""
        return (identity for identity, _ in self.templates_by_identity())

    def __getitem__(self, identity: str) -> Templates:
        """The templates of one person, without their sources, which `engine.maintenance.person.stored_about` gives.

        Raises:
            NotEnrolled: nobody is called that.
            WrongType: something else than a name.
        """
        require_text("the name of a person", identity)
        made, ids, vectors = self.answered(lambda seen: (seen.provenance, *seen.templates_of(identity)))
        return Templates(pa.Table.from_batches([batch(made, ids, [identity] * len(ids), vectors)]), made)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        try:
            seen = self.snapshot()
            held = f"{seen.template_count:,} templates of {seen.identity_count:,} identities"
        except OnekError:  # what a debugger shows of a gallery that is gone
            held = "it cannot be read"
        return f"<Gallery {str(self.path)!r}: {held}>"

    def _repr_html_(self) -> str:
        from engine.tables.thumbnails import thumbnail  # late: it loads what decodes pictures

        seen = self.snapshot()
        first = list(islice(seen.templates_by_identity(), SHOWN))
        try:
            photographs = photographs_of(seen, [identity for identity, _ in first])
        except OnekError:  # of a gallery whose files are gone
            photographs = {}
        faces = [thumbnail(*photographs.get(identity, (None, None))) for identity, _ in first]
        return html_table(repr(self), ("identity", "templates"), first, seen.identity_count, faces)

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
        head: PairVerifier | None = None,
        quality: float = LEAST,
    ) -> Results:
        """Say of each probe who it is, or that it is nobody enrolled.

        Args:
            probes: vectors (n, dim), as an array, lists, or a data frame of any library with a column `vector`; templates; or
                photographs: a path, paths, or RGB pictures, uint8 (height, width, 3).
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
            WrongType: something else than these, or a rate that is no number; says what.
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
        head: PairVerifier | None = None,
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
            raise PhotographsError("faces='all': verify compares one face; expected largest or none")

        def embedder() -> "Embedder":
            return self.embedder(faces, encoder=encoder, weights=weights, projection=projection)

        return self.answered(verifying(probe, embedder, identity, threshold=threshold, fmr=fmr, head=head, quality=quality))

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


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
