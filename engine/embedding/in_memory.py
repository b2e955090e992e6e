"""Photographs as paths or as pictures in memory, embedded at once, with all of their templates kept in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.common.concurrency import batched
from engine.embedding.embedder import Embedder
from engine.embedding.intake import KINDS
from engine.embedding.outcome import of_quality, once_each, problems_of, to_batch, unseen_in
from engine.embedding.photographs import LabelledPhotographs, Photograph, label_photographs
from engine.encoders import DEFAULT, Encoder, load_encoder, modality_of
from engine.errors import PhotographsError, WrongType
from engine.faces.images import LeftOut
from engine.templates.model import Templates, schema
from engine.templates.names import UNLABELLED, Labelling
from engine.templates.problems import ALL_SEEN, Problem, Unseen
from engine.templates.provenance import PICTURE
from engine.templates.quality import LEAST
from indexes.base import Progress


@dataclass(frozen=True)
class Embedding:
    """Images in = photographs in `templates` + `problems`. `labelling` says whose the photographs were taken to be, `unseen` how
    many faces of theirs were not looked at.
    """

    templates: Templates
    problems: tuple[Problem, ...]
    labelling: Labelling = UNLABELLED
    unseen: Unseen = ALL_SEEN

    def __repr__(self) -> str:
        return f"<Embedding: {self.templates!r}, {len(self.problems):,} problems>"


def embed_images(
    images: str | Path | Sequence[str | Path | np.ndarray],
    encoder: str | Encoder = DEFAULT,
    *,
    faces: str = "largest",
    labels: str | None = None,
    quality: float = LEAST,
    progress: Progress | None = None,
) -> Embedding:
    """Embed photographs, and keep the templates in memory.

    Args:
        images: a folder, a file or a list of them, as `onek embed` takes them; or RGB pictures, uint8 (height, width, 3), or
            arrays of real numbers where the encoder takes signals or volumes.
        encoder: an encoder, or the name of one.
        faces: `largest`, `all`, or `none` where the pictures are face crops already.
        labels: whose photographs they are (see `find_photographs`). With `faces="all"` the default is `none`.
        quality: the share of ordinary photographs that must be worse; what is below is a problem. 0 takes all.
        progress: told how far the work has come.

    Raises:
        PhotographsError: nothing to embed, or something that is no picture.
        EncoderError: the encoder cannot be loaded.
    """
    modality = encoder.modality if isinstance(encoder, Encoder) else modality_of(encoder)
    labelled = list_labelled(images, labels or ("none" if faces == "all" else None), modality=modality)
    if not isinstance(encoder, Encoder):
        encoder = load_encoder(encoder, photographs=len(labelled.photographs))
    embedder = Embedder(encoder, faces)
    outcomes, total = [], len(labelled.photographs)
    for outcome in map(of_quality(quality), once_each(embedder.stream(labelled.photographs), {})):
        outcomes.append(outcome)
        if progress:
            progress("embedding", len(outcomes), total)
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
) -> LabelledPhotographs:
    """As `list_photographs`, and the rules by which it is known whose they are."""
    if isinstance(images, str | Path):
        images = [images]
    if not isinstance(images, list | tuple | np.ndarray):
        raise WrongType(
            f"found {images!r:.60} (a {type(images).__name__}); expected photographs: a path, a list of paths, or of RGB pictures"
        )
    paths = [Path(image) for image in images if isinstance(image, str | Path)]
    if len(paths) == len(images):
        return label_photographs(paths, labels, left_out, KINDS[modality])
    if paths:
        raise PhotographsError("found both paths and pictures in one list; expected one kind")
    checked = _picture if modality == PICTURE else _numbers
    pictures = (Photograph(f"image:{number}", checked(image, number), None) for number, image in enumerate(images))
    return LabelledPhotographs(tuple(pictures), ())


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
