"""From photographs to templates: decode, find and align faces, encode, each core a batch of its own."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engine.common.concurrency import batched, map_ahead
from engine.common.opencv import one_thread_each
from engine.embedding.intake import intake, open_picture
from engine.embedding.outcome import Outcome, Worth
from engine.embedding.photographs import Photograph
from engine.encoders import Encoder
from engine.errors import ImageProblem
from engine.faces.alignment import AlignedFace
from engine.faces.reasons import reasons_of
from engine.templates.provenance import Provenance
from engine.templates.quality.gate import TOLD
from engine.templates.quality.scale import scale_of

# Photographs that a thread takes at a time, and chips that it has encoded together.
BATCH, CHIPS = 8, 16


@dataclass(frozen=True)
class _Found:
    """A photograph, what it is called by its content, and its faces or why there are none."""

    photograph: Photograph
    picture: str
    faces: Sequence[AlignedFace]
    problem: str | None = None


class Embedder:
    """An encoder, and what brings files to what it wants to see. A photograph with more than `most` faces is a problem."""

    def __init__(self, encoder: Encoder, faces: str = "largest", most: int | None = None) -> None:
        self.encoder = encoder
        self.faces = faces
        self.most = most
        self._intake = intake(encoder.card.chip, faces)
        self.provenance: Provenance = encoder.provenance(self._intake.alignment)
        self.scale = scale_of(self.provenance)

    def stream(self, photographs: Iterable[Photograph], progress: Callable[[int], None] | None = None) -> Iterator[Outcome]:
        """Embed photographs as they come, in order. `progress` is told how many more are done.

        Each core works on a batch of its own.
        """
        with one_thread_each:
            for outcomes in map_ahead(self.embed_batch, batched(photographs, BATCH)):
                yield from outcomes
                if progress:
                    progress(len(outcomes))

    def embed_batch(self, photographs: Sequence[Photograph]) -> list[Outcome]:
        """The outcomes of a few photographs, in order. One picture is held at a time; chips are encoded together."""
        outcomes: list[Outcome] = []
        waiting: list[_Found] = []
        for photograph in photographs:
            waiting.append(self._faces_of(photograph))
            if sum(len(found.faces) for found in waiting) >= CHIPS:
                outcomes += self._encoded(waiting)
                waiting = []
        return outcomes + self._encoded(waiting)

    def _faces_of(self, photograph: Photograph) -> _Found:
        try:
            held, picture = self._intake.opened(photograph)
            found = self._intake.shown(held)
        except ImageProblem as problem:
            return _Found(photograph, "", (), str(problem))
        if not found:
            return _Found(photograph, picture, (), "no face found")
        if self.most is not None and len(found) > self.most:
            return _Found(photograph, picture, (), f"{len(found)} faces; of a picture at most {self.most} are looked at")
        if photograph.identity is not None and len(found) > 1:
            why = f"{len(found)} faces, but the photograph is labelled as one identity ({photograph.identity})"
            return _Found(photograph, picture, (), why)
        return _Found(photograph, picture, found)

    def _encoded(self, waiting: Sequence[_Found]) -> list[Outcome]:
        aligned = [each for found in waiting for each in found.faces]
        chip = self.encoder.card.chip
        made = self.encoder.encoded(
            np.stack([each.chip for each in aligned]) if aligned else np.empty((0, *chip.shape), chip.dtype)
        )
        worth = self._worth(aligned, made.confidences)
        outcomes, at = [], 0
        for found in waiting:
            its = slice(at, at + len(found.faces))
            outcomes.append(self._outcome(found, made.vectors[its], worth[its]))
            at += len(found.faces)
        return outcomes

    def _worth(self, faces: Sequence[AlignedFace], confidences: np.ndarray) -> list[Worth]:
        if self.scale is None:
            return [Worth()] * len(faces)
        qualities = self.scale.quality_of(confidences).tolist()
        told = (", ".join(reasons_of(face)) if quality < TOLD else "" for face, quality in zip(faces, qualities, strict=True))
        return [Worth(quality, words or None) for quality, words in zip(qualities, told, strict=True)]

    def _outcome(self, found: _Found, vectors: np.ndarray, worth: Sequence[Worth]) -> Outcome:
        lengths, problem = np.linalg.norm(vectors, axis=1), found.problem
        if not np.isfinite(lengths).all():
            problem = f"{self.encoder.card.name} gave NaN or infinity for a face"
        elif not (lengths > 0.5).all():
            problem = "a blank face, of which the encoder makes no template"
        if problem is not None:
            return Outcome(found.photograph, (), np.empty((0, self.encoder.card.dim), np.float32), problem, found.picture)
        faces = tuple(aligned.face for aligned in found.faces)
        beside, numbers = found.faces[0].beside, tuple(range(len(faces)))
        return Outcome(found.photograph, faces, vectors, None, found.picture, beside, tuple(worth), numbers)


def load_picture(photograph: Photograph) -> np.ndarray:
    """The RGB picture, uint8 (height, width, 3), of a photograph. Raises `ImageProblem` where its file gives none."""
    return open_picture(photograph)[0]
