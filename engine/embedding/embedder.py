"""The pipeline from photographs to templates."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.common.concurrency import batched, map_ahead
from engine.common.opencv import one_thread_each
from engine.embedding.intake import KINDS, intake, open_picture
from engine.embedding.photographs import Labelled, Photograph, label_photographs
from engine.encoders import DEFAULT, Encoder, load_encoder, modality_of
from engine.errors import ImageProblem, PhotographsError
from engine.faces.alignment import SURE, AlignedFace, Face
from engine.faces.images import LeftOut
from engine.faces.reasons import reasons_of
from engine.files.content_ids import of_face
from engine.templates.names import UNLABELLED, Labelling
from engine.templates.parquet import Templates, batch, schema
from engine.templates.problems import ALL_SEEN, Problem, Unseen
from engine.templates.provenance import PICTURE, Provenance
from engine.templates.quality import LEAST
from engine.templates.quality.gate import TOLD, check_least, why_refused
from engine.templates.quality.scale import scale_of

# Photographs that a thread takes at a time, and chips that it has encoded together.
BATCH, CHIPS = 8, 16
# A face with so much of another's area is about as large: one photograph in a hundred of LFW has such a second face.
ALIKE = 0.8


@dataclass(frozen=True)
class Worth:
    """The `quality` of a face, the share of ordinary photographs that are worse, None where nobody knows; and in words what is
    wrong with one of little quality.
    """

    quality: float | None = None
    reasons: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one photograph: its faces and their templates (k, dim), or a problem.

    `worth`: of each face what it is worth. `picture` is what it is called by its content; `beside` are faces that it shows and
    that were not taken. `numbers`: which faces of the picture they are; `below`: problems of others, which are below the gate.
    """

    photograph: Photograph
    faces: tuple[Face, ...]
    vectors: np.ndarray
    problem: str | None = None
    picture: str = ""
    beside: tuple[Face, ...] = ()
    worth: tuple[Worth, ...] = ()
    numbers: tuple[int, ...] = ()
    below: tuple[str, ...] = ()


@dataclass(frozen=True)
class Embedding:
    """Images in = photographs in `templates` + `problems`. `labelling` says whose the photographs were taken to be, `unseen` how
    many faces of theirs were not looked at.
    """

    templates: Templates
    problems: tuple[Problem, ...]
    labelling: Labelling = UNLABELLED
    unseen: Unseen = ALL_SEEN


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
        with one_thread_each():
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


def of_quality(least: float) -> Callable[[Outcome], Outcome]:
    """What leaves faces out whose quality is below a gate; a problem, where that leaves none."""
    check_least(least)

    def gated(outcome: Outcome) -> Outcome:
        below = [number for number, each in enumerate(outcome.worth) if each.quality is not None and each.quality < least]
        if not below:
            return outcome
        worth = {number: outcome.worth[number] for number in below}
        said = {number: why_refused(each.quality or 0.0, each.reasons, least) for number, each in worth.items()}
        if len(below) == len(outcome.faces):
            return _without_template(outcome, said[below[0]])
        kept = [number for number in range(len(outcome.faces)) if number not in said]
        return replace(
            outcome,
            faces=tuple(outcome.faces[number] for number in kept),
            vectors=outcome.vectors[kept],
            worth=tuple(outcome.worth[number] for number in kept),
            numbers=tuple(outcome.numbers[number] for number in kept),
            below=tuple(f"face {outcome.numbers[number]}: {words}" for number, words in said.items()),
        )

    return gated


def once_each(outcomes: Iterable[Outcome], known: dict[str, tuple[str, str | None]]) -> Iterator[Outcome]:
    """The same, but of a photograph that comes twice, byte for byte, one template of each face.

    The second of those that are somebody's is a problem, which names the first; where nobody said whose they are, they are
    probes, which have a row each, and so an id each.

    Args:
        outcomes: of one run, in order.
        known: the source and the identity of each photograph that had its turn, by what its content is called; goes on.
    """
    for outcome in outcomes:
        source, identity = outcome.photograph.source, outcome.photograph.identity
        if outcome.problem is None and outcome.picture in known:
            first, whose = known[outcome.picture]
            if identity is not None:
                of = f", which is labelled as {whose}" if whose != identity else ""
                outcome = _without_template(outcome, f"the same photograph as {first}{of}")
            else:
                copies = (f"{outcome.picture}.{number}" for number in count(2))
                outcome = replace(outcome, picture=next(copy for copy in copies if copy not in known))
        if outcome.problem is None:
            known[outcome.picture] = (source, identity)
        yield outcome


def of_one_face(outcome: Outcome) -> Outcome:
    """The same; but a problem, where another face is about as large as the one taken, so that nobody knows whose it is."""
    alike = [face for face in outcome.beside if face.detection >= SURE and face.area >= ALIKE * outcome.faces[0].area]
    if outcome.problem is not None or not alike:
        return outcome
    why = f"{1 + len(alike)} faces about as large, so it is unclear whose template it would be; crop it to one of them"
    return _without_template(outcome, why)


def _without_template(outcome: Outcome, problem: str) -> Outcome:
    nothing: dict[str, Any] = dict.fromkeys(("faces", "beside", "worth", "numbers", "below"), ())
    return replace(outcome, vectors=outcome.vectors[:0], problem=problem, **nothing)


def to_batch(outcomes: Sequence[Outcome], provenance: Provenance) -> pa.RecordBatch:
    """The templates of some outcomes as rows of the contract, called after their photographs' content."""
    rows = [
        (outcome, number, face, worth)
        for outcome in outcomes
        for number, face, worth in zip(outcome.numbers, outcome.faces, outcome.worth, strict=True)
    ]
    vectors = np.concatenate([outcome.vectors for outcome in outcomes]) if outcomes else np.empty((0, provenance.dim), np.float32)
    return batch(
        provenance,
        template_ids=[of_face(outcome.picture, number) for outcome, number, _, _ in rows],
        identities=[outcome.photograph.identity for outcome, _, _, _ in rows],
        vectors=vectors,
        sources=[outcome.photograph.source for outcome, _, _, _ in rows],
        faces=[number for _, number, _, _ in rows],
        boxes=[face.box for _, _, face, _ in rows],
        qualities=[worth.quality for _, _, _, worth in rows],
        detections=[face.detection for _, _, face, _ in rows],
        reasons=[worth.reasons for _, _, _, worth in rows],
    )


def problems_of(outcomes: Iterable[Outcome]) -> list[Problem]:
    """The images that gave no template, and faces that are below the gate, in order."""
    found = []
    for outcome in outcomes:
        said = outcome.below if outcome.problem is None else (outcome.problem,)
        found += [Problem(outcome.photograph.source, words) for words in said]
    return found


def unseen_in(outcomes: Iterable[Outcome]) -> Unseen:
    """How many faces of theirs were not looked at."""
    return sum((Unseen(len(outcome.beside), 1) for outcome in outcomes if outcome.beside), ALL_SEEN)


def embed_images(
    images: str | Path | Sequence[str | Path | np.ndarray],
    encoder: str | Encoder = DEFAULT,
    *,
    faces: str = "largest",
    labels: str | None = None,
    quality: float = LEAST,
    progress: Callable[[int], None] | None = None,
) -> Embedding:
    """Embed photographs, and keep the templates in memory.

    Args:
        images: a folder, a file or a list of them, as `onek embed` takes them; or RGB pictures, uint8 (height, width, 3), or
            arrays of real numbers where the encoder takes signals or volumes.
        encoder: an encoder, or the name of one.
        faces: `largest`, `all`, or `none` where the pictures are face crops already.
        labels: whose photographs they are (see `find_photographs`). With `faces="all"` the default is `none`.
        quality: the share of ordinary photographs that must be worse; what is below is a problem. 0 takes all.
        progress: told how many more images are done.

    Raises:
        PhotographsError: nothing to embed, or something that is no picture.
        EncoderError: the encoder cannot be loaded.
    """
    modality = encoder.modality if isinstance(encoder, Encoder) else modality_of(encoder)
    labelled = list_labelled(images, labels or ("none" if faces == "all" else None), modality=modality)
    if not isinstance(encoder, Encoder):
        encoder = load_encoder(encoder, photographs=len(labelled.photographs))
    embedder = Embedder(encoder, faces)
    outcomes = list(map(of_quality(quality), once_each(embedder.stream(labelled.photographs, progress), {})))
    rows = [to_batch(part, embedder.provenance) for part in batched(outcomes, 1024)]
    table = pa.Table.from_batches(rows, schema=schema(embedder.provenance))
    templates = Templates(table, embedder.provenance)
    return Embedding(templates, tuple(problems_of(outcomes)), labelled.labelling, unseen_in(outcomes))


def list_photographs(
    images: str | Path | Sequence[str | Path | np.ndarray],
    labels: str | None,
    left_out: Callable[[LeftOut], None] | None = None,
    modality: str = PICTURE,
) -> list[Photograph]:
    """Photographs out of paths, or out of pictures in memory, which are called `image:0`, `image:1`, ...; recordings and volumes
    likewise, where they are of another modality.

    Raises:
        PhotographsError: as `find_photographs`, or an array that is no picture.
    """
    return list(list_labelled(images, labels, left_out, modality).photographs)


def list_labelled(
    images: str | Path | Sequence[str | Path | np.ndarray],
    labels: str | None,
    left_out: Callable[[LeftOut], None] | None = None,
    modality: str = PICTURE,
) -> Labelled:
    """As `list_photographs`, and the rules by which it is known whose they are."""
    if isinstance(images, str | Path):
        images = [images]
    paths = [Path(image) for image in images if isinstance(image, str | Path)]
    if len(paths) == len(images):
        return label_photographs(paths, labels, left_out, KINDS[modality])
    if paths:
        raise PhotographsError("found both paths and pictures in one list; expected one kind")
    checked = _picture if modality == PICTURE else _numbers
    pictures = (Photograph(f"image:{number}", checked(image, number), None) for number, image in enumerate(images))
    return Labelled(tuple(pictures), ())


def _numbers(array: object, number: int) -> np.ndarray:
    values = np.asarray(array)
    if values.dtype.kind not in "biuf" or not values.size:
        raise PhotographsError(f"image {number}: found {values.dtype} of shape {values.shape}, expected an array of real numbers")
    return np.ascontiguousarray(values)


def _picture(image: object, number: int) -> np.ndarray:
    picture = np.asarray(image)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise PhotographsError(
            f"image {number}: found {picture.dtype} of shape {picture.shape}, expected uint8 (height, width, 3), RGB"
        )
    return np.ascontiguousarray(picture)


def load_picture(photograph: Photograph) -> np.ndarray:
    """The RGB picture, uint8 (height, width, 3), of a photograph. Raises `ImageProblem` where its file gives none."""
    return open_picture(photograph)[0]


def one_face(photo: np.ndarray | str | Path, embedder: Embedder, quality: float = LEAST) -> tuple[str, np.ndarray]:
    """The name of a photograph, and the template (dim,) of its largest face.

    Raises:
        PhotographsError: there is none, or it is below the gate (see `embed_images`).
    """
    photographs = list_photographs([photo], "none", modality=embedder.encoder.modality)
    if len(photographs) != 1:
        raise PhotographsError(f"{photo} holds {len(photographs)} photographs; expected one")
    (outcome,) = map(of_quality(quality), embedder.stream(photographs))
    if outcome.problem is not None:
        raise PhotographsError(f"{outcome.photograph.source}: {outcome.problem}, so there is nothing to compare")
    return outcome.photograph.source, outcome.vectors[0]
