"""What an encoder is: chips of faces, windows of signals or cubes of volumes in, unit vectors out."""

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.arrays.shapes import Cube, Window
from engine.errors import EncoderError
from engine.faces.chip import CROP_ALIGNMENT, Chip
from engine.templates.measured.impostors import Impostors
from engine.templates.provenance import Provenance
from engine.templates.quality.scale import Scale


@dataclass(frozen=True)
class Card:
    """What is said of an encoder before it is loaded. `chip` is what it wants to see.

    `threshold` is the Euclidean distance of unit vectors at which 1:1 verification on LFW is right most often, or None
    where nobody measured it; `measured` says on what. `flip`: whether a template is the mirror average unless the user says
    otherwise. `impostors`: how often two different people's templates, as they are made by default, come as near as a distance;
    None where nobody measured it, and then a gallery of few people has no default threshold for `identify`. `quality`: what its
    confidence is and how that is distributed over ordinary photographs; None where it has none, or nobody measured it.
    """

    name: str
    dim: int
    chip: Chip | Window | Cube
    threshold: float | None
    measured: str
    source: str
    licence: str
    flip: bool = True
    impostors: Impostors | None = None
    quality: Scale | None = None


@dataclass(frozen=True)
class Weights:
    """A file or folder of weights: `name`, as the user wrote it, which galleries remember, and `path`, where it is read here."""

    name: str
    path: Path


@dataclass(frozen=True)
class Encoded:
    """Templates of n chips: `vectors` float32 (n, dim), L2-normalised, C-contiguous; `confidences` float32 (n,), how confident
    the network is of each in units of its own, NaN where it says nothing.
    """

    vectors: np.ndarray
    confidences: np.ndarray


class Encoder(ABC):
    """A network and its preprocessing. Subclasses give `card`, `weights_hash`, `preprocessing` and `forward`.

    `runtime` says what runs the network, in which version and precision. It is no part of the fingerprint: templates of an
    encoder's runtimes agree to 1e-5 in single precision, and to 0.02 or so in half.
    """

    # The landmarks in the fingerprint of templates of crops, which are not aligned by any; None: the chip's.
    points_of_crops: tuple[tuple[float, float], ...] | None = None

    def __init__(
        self, card: Card, *, flip: bool, weights: str | None, weights_hash: str, preprocessing: str, runtime: str | None = None
    ) -> None:
        self.card = card
        self.flip = flip
        self.weights = weights
        self.runtime = runtime
        self._identity = {"weights": weights_hash, "preprocessing": preprocessing, "flip": flip}

    @property
    def modality(self) -> str:
        """What it takes: `picture`, `signal` or `volume`."""
        return self.card.chip.modality

    @property
    def chip(self) -> Chip:
        """What it wants to see of a face. Raises `EncoderError` where it takes no pictures."""
        if not isinstance(self.card.chip, Chip):
            raise EncoderError(f"{self.card.name} takes a {self.modality}; expected an encoder of pictures")
        return self.card.chip

    @abstractmethod
    def forward(self, chips: np.ndarray) -> np.ndarray:
        """From RGB chips, uint8 (n, size, size, 3), to raw descriptors, float32 (n, dim), of any length."""

    def confidences(self, descriptors: np.ndarray) -> np.ndarray:
        """How confident the network is of raw descriptors (n, dim), float32 (n,): NaN, unless a network says it."""
        return np.full(len(descriptors), np.nan, np.float32)

    def encode(self, chips: np.ndarray) -> np.ndarray:
        """The vectors of `encoded`."""
        return self.encoded(chips).vectors

    def encoded(self, chips: np.ndarray) -> Encoded:
        """Make templates.

        With `flip`, a template is the normalised sum of the unit vectors of the chip and of its mirror image, and the confidence
        the mean of both.

        Args:
            chips: uint8, shape (n, size, size, 3), RGB.
        """
        if not len(chips):
            return Encoded(np.empty((0, self.card.dim), np.float32), np.empty(0, np.float32))
        if not self.flip:
            raw = self.forward(chips)
            return Encoded(unit(raw), self.confidences(raw))
        raw = self.forward(np.concatenate([chips, chips[:, :, ::-1]]))
        both, sure = unit(raw), self.confidences(raw)
        return Encoded(unit(both[: len(chips)] + both[len(chips) :]), (sure[: len(chips)] + sure[len(chips) :]) / 2)

    def provenance(self, alignment: str) -> Provenance:
        """How this encoder's templates are made from faces that `alignment` brought to the chip."""
        points = self.points_of_crops if alignment == CROP_ALIGNMENT else None
        made_by = json.dumps(
            {**self._identity, "points": points or self.card.chip.points, "alignment": alignment}, sort_keys=True
        )
        return Provenance(
            encoder=self.card.name,
            fingerprint=hashlib.sha256(made_by.encode()).hexdigest(),
            dim=self.card.dim,
            flip=self.flip,
            alignment=alignment,
            weights=self.weights,
            threshold=self.card.threshold,
            runtime=self.runtime,
        )


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, d) of unit length, float32, C-contiguous; zeros stay zeros."""
    # The smallest norm keeps a blank chip's zero descriptor from becoming NaN; whoever reads templates refuses it by name.
    norms = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.ascontiguousarray(vectors / norms, dtype=np.float32)
