"""The pipeline from photographs to templates."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.encoders import DEFAULT, Encoder, load_encoder
from engine.errors import ImageProblem, PhotographsError
from engine.faces import Face, aligner, alignment
from engine.images import decode
from engine.labels import Photograph, find_photographs
from engine.problems import Problem
from engine.provenance import Provenance
from engine.streams import batched, map_ahead
from engine.templates import Templates, batch, schema

BATCH = 32
# Pictures of one batch that are held decoded at a time, so that memory stays flat whatever their size.
BATCH_PIXELS = 24_000_000


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

        Each core works on a batch of its own: decoding, the detector's bookkeeping and the networks take turns on it.
        """
        for outcomes in map_ahead(self.embed_batch, batched(photographs, BATCH)):
            yield from outcomes
            if progress:
                progress(len(outcomes))

    def embed_batch(self, photographs: Sequence[Photograph]) -> list[Outcome]:
        """What becomes of a few photographs, in order."""
        outcomes: list[Outcome] = []
        waiting: list[tuple[Photograph, np.ndarray]] = []
        for photograph in photographs:
            try:
                waiting.append((photograph, _load(photograph)))
            except ImageProblem as problem:
                # Flushed first, so that the order stays.
                outcomes += self._embed_pictures(waiting)
                waiting = []
                outcomes.append(self._failed(photograph, str(problem)))
            if sum(picture.shape[0] * picture.shape[1] for _, picture in waiting) > BATCH_PIXELS:
                outcomes += self._embed_pictures(waiting)
                waiting = []
        return outcomes + self._embed_pictures(waiting)

    def _embed_pictures(self, loaded: Sequence[tuple[Photograph, np.ndarray]]) -> list[Outcome]:
        if not loaded:
            return []
        faces = self._align([picture for _, picture in loaded], self.encoder.card.chip)
        chips = [face.chip for found in faces for face in found]
        size = self.encoder.card.chip.size
        vectors = self.encoder.encode(np.stack(chips) if chips else np.empty((0, size, size, 3), np.uint8))
        ends = np.cumsum([len(found) for found in faces])
        return [
            self._outcome(photograph, found, vectors[end - len(found) : end])
            for (photograph, _), found, end in zip(loaded, faces, ends, strict=True)
        ]

    def _outcome(self, photograph: Photograph, found: Sequence[Face], vectors: np.ndarray) -> Outcome:
        if not found:
            return self._failed(photograph, "no face found")
        if photograph.identity is not None and len(found) > 1:
            return self._failed(
                photograph, f"{len(found)} faces, but the photograph is labelled as one identity ({photograph.identity})"
            )
        if not (np.linalg.norm(vectors, axis=1) > 0.5).all():
            return self._failed(photograph, "a blank face, of which the encoder makes no template")
        return Outcome(photograph, tuple(found), vectors)

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
    embedder = Embedder(encoder if isinstance(encoder, Encoder) else load_encoder(encoder), faces)
    outcomes = list(embedder.stream(photographs, progress))
    rows = [to_batch(part, embedder.provenance) for part in batched(outcomes, 1024)]
    table = pa.Table.from_batches(rows, schema=schema(embedder.provenance))
    return Embedding(Templates(table, embedder.provenance), tuple(problems_of(outcomes)))


def list_photographs(images: str | Path | Sequence[str | Path | np.ndarray], labels: str | None) -> list[Photograph]:
    """Photographs out of paths, or out of pictures in memory, which are called `image:0`, `image:1`, ...

    Raises:
        PhotographsError: as `find_photographs`, or an array that is no picture.
    """
    if isinstance(images, str | Path):
        images = [images]
    paths = [Path(image) for image in images if isinstance(image, str | Path)]
    if len(paths) == len(images):
        return find_photographs(paths, labels)
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


def _load(photograph: Photograph) -> np.ndarray:
    return photograph.image if isinstance(photograph.image, np.ndarray) else decode(photograph.image)
