"""The pipeline from photographs to templates."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.encoders import DEFAULT, Encoder, load_encoder
from engine.errors import ImageProblem, PhotographsError
from engine.faces import AlignedFace, Face, aligner, alignment
from engine.images import LeftOut, decode
from engine.labels import Photograph, find_photographs
from engine.opencv import one_thread_each
from engine.problems import Problem
from engine.provenance import Provenance
from engine.streams import batched, map_ahead
from engine.templates import Templates, batch, schema

# Photographs that a thread takes at a time, and chips that it has encoded together.
BATCH, CHIPS = 8, 16


@dataclass(frozen=True)
class Outcome:
    """What became of one photograph: its faces and their templates (k, dim), or a problem."""

    photograph: Photograph
    faces: tuple[Face, ...]
    vectors: np.ndarray
    problem: str | None = None


@dataclass(frozen=True)
class Embedding:
    """Images in = photographs in `templates` + `problems`."""

    templates: Templates
    problems: tuple[Problem, ...]


class Embedder:
    """An encoder, and how faces are brought to its chip."""

    def __init__(self, encoder: Encoder, faces: str = "largest") -> None:
        self.encoder = encoder
        self.faces = faces
        self.provenance: Provenance = encoder.provenance(alignment(faces))
        self._align = aligner(faces)

    def stream(self, photographs: Iterable[Photograph], progress: Callable[[int], None] | None = None) -> Iterator[Outcome]:
        """Embed photographs as they come, in order. `progress` is told how many more are done.

        Each core works on a batch of its own.
        """
        with one_thread_each():
            for outcomes in map_ahead(self.embed_batch, batched(photographs, BATCH)):
                yield from outcomes
                if progress:
                    progress(len(outcomes))

    def embed_batch(self, photographs: Sequence[Photograph]) -> list[Outcome]:
        """What becomes of a few photographs, in order. One picture is held at a time; chips are encoded together."""
        outcomes: list[Outcome] = []
        waiting: list[tuple[Photograph, list[AlignedFace] | str]] = []
        for photograph in photographs:
            waiting.append((photograph, self._faces_of(photograph)))
            if sum(len(found) for _, found in waiting if not isinstance(found, str)) >= CHIPS:
                outcomes += self._encoded(waiting)
                waiting = []
        return outcomes + self._encoded(waiting)

    def _faces_of(self, photograph: Photograph) -> list[AlignedFace] | str:
        """The faces of a photograph, or why there are none."""
        try:
            found = self._align(load_picture(photograph), self.encoder.card.chip)
        except ImageProblem as problem:
            return str(problem)
        if not found:
            return "no face found"
        if photograph.identity is not None and len(found) > 1:
            return f"{len(found)} faces, but the photograph is labelled as one identity ({photograph.identity})"
        return found

    def _encoded(self, waiting: Sequence[tuple[Photograph, list[AlignedFace] | str]]) -> list[Outcome]:
        chips = [aligned.chip for _, found in waiting if not isinstance(found, str) for aligned in found]
        size = self.encoder.card.chip.size
        vectors = self.encoder.encode(np.stack(chips) if chips else np.empty((0, size, size, 3), np.uint8))
        outcomes, at = [], 0
        for photograph, found in waiting:
            if isinstance(found, str):
                outcomes.append(self._failed(photograph, found))
                continue
            outcomes.append(self._outcome(photograph, found, vectors[at : at + len(found)]))
            at += len(found)
        return outcomes

    def _outcome(self, photograph: Photograph, found: Sequence[AlignedFace], vectors: np.ndarray) -> Outcome:
        lengths = np.linalg.norm(vectors, axis=1)
        if not np.isfinite(lengths).all():
            return self._failed(photograph, f"{self.encoder.card.name} gave NaN or infinity for a face")
        if not (lengths > 0.5).all():
            return self._failed(photograph, "a blank face, of which the encoder makes no template")
        return Outcome(photograph, tuple(aligned.face for aligned in found), vectors)

    def _failed(self, photograph: Photograph, reason: str) -> Outcome:
        return Outcome(photograph, (), np.empty((0, self.encoder.card.dim), np.float32), reason)


def to_batch(outcomes: Sequence[Outcome], provenance: Provenance) -> pa.RecordBatch:
    """The templates of some outcomes as rows of the contract. A template is called `SOURCE#FACE`."""
    rows = [(outcome.photograph, number, face) for outcome in outcomes for number, face in enumerate(outcome.faces)]
    vectors = np.concatenate([outcome.vectors for outcome in outcomes]) if outcomes else np.empty((0, provenance.dim), np.float32)
    return batch(
        provenance,
        template_ids=[f"{photograph.source}#{number}" for photograph, number, _ in rows],
        identities=[photograph.identity for photograph, _, _ in rows],
        vectors=vectors,
        sources=[photograph.source for photograph, _, _ in rows],
        faces=[number for _, number, _ in rows],
        boxes=[face.box for _, _, face in rows],
        qualities=[face.quality for _, _, face in rows],
    )


def problems_of(outcomes: Iterable[Outcome]) -> list[Problem]:
    """The images that gave no template, in order."""
    return [Problem(outcome.photograph.source, outcome.problem) for outcome in outcomes if outcome.problem is not None]


def embed_images(
    images: str | Path | Sequence[str | Path | np.ndarray],
    encoder: str | Encoder = DEFAULT,
    *,
    faces: str = "largest",
    labels: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Embedding:
    """Embed photographs, and keep the templates in memory.

    Args:
        images: a folder, a file or a list of them, as `onek embed` takes them; or RGB pictures, uint8 (height, width, 3).
        encoder: an encoder, or the name of one.
        faces: `largest`, `all`, or `none` where the pictures are face crops already.
        labels: whose photographs they are (see `find_photographs`). With `faces="all"` the default is `none`.
        progress: told how many more images are done.

    Raises:
        PhotographsError: nothing to embed, or something that is no picture.
        EncoderError: the encoder cannot be loaded.
    """
    photographs = list_photographs(images, labels or ("none" if faces == "all" else None))
    if not isinstance(encoder, Encoder):
        encoder = load_encoder(encoder, photographs=len(photographs))
    embedder = Embedder(encoder, faces)
    outcomes = list(embedder.stream(photographs, progress))
    rows = [to_batch(part, embedder.provenance) for part in batched(outcomes, 1024)]
    table = pa.Table.from_batches(rows, schema=schema(embedder.provenance))
    return Embedding(Templates(table, embedder.provenance), tuple(problems_of(outcomes)))


def list_photographs(
    images: str | Path | Sequence[str | Path | np.ndarray],
    labels: str | None,
    left_out: Callable[[LeftOut], None] | None = None,
) -> list[Photograph]:
    """Photographs out of paths, or out of pictures in memory, which are called `image:0`, `image:1`, ...

    Raises:
        PhotographsError: as `find_photographs`, or an array that is no picture.
    """
    if isinstance(images, str | Path):
        images = [images]
    paths = [Path(image) for image in images if isinstance(image, str | Path)]
    if len(paths) == len(images):
        return find_photographs(paths, labels, left_out)
    if paths:
        raise PhotographsError("found both paths and pictures in one list; expected one kind")
    return [Photograph(f"image:{number}", _picture(image, number), None) for number, image in enumerate(images)]


def _picture(image: object, number: int) -> np.ndarray:
    picture = np.asarray(image)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise PhotographsError(
            f"image {number}: found {picture.dtype} of shape {picture.shape}, expected uint8 (height, width, 3), RGB"
        )
    return np.ascontiguousarray(picture)


def load_picture(photograph: Photograph) -> np.ndarray:
    """The RGB picture, uint8 (height, width, 3), of a photograph. Raises `ImageProblem` where its file gives none."""
    return photograph.image if isinstance(photograph.image, np.ndarray) else decode(photograph.image)


def one_face(photo: np.ndarray | str | Path, embedder: Embedder) -> tuple[str, np.ndarray]:
    """The name of a photograph, and the template (dim,) of its largest face. Raises `PhotographsError` where there is none."""
    photographs = list_photographs([photo], "none")
    if len(photographs) != 1:
        raise PhotographsError(f"{photo} holds {len(photographs)} photographs; expected one")
    (outcome,) = embedder.stream(photographs)
    if outcome.problem is not None:
        raise PhotographsError(f"{outcome.photograph.source}: {outcome.problem}, so there is nothing to compare")
    return outcome.photograph.source, outcome.vectors[0]
