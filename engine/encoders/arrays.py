"""Networks of one's own that take signals or volumes: `PATH.keras` or `PATH.onnx`, described by a JSON file beside it."""

import hashlib
import json
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from engine.arrays.shapes import NORMALISATIONS, UNIT, Cube, Window
from engine.common.tensorflow import tensorflow, tensorflow_version
from engine.encoders.base import Card, Encoded, Encoder, unit
from engine.encoders.custom import NetworkFiles, Rules, is_number, is_whole, read_fields
from engine.encoders.keras_checked import read_keras
from engine.encoders.onnx.model import prepared
from engine.errors import EncoderError
from engine.files.atomic_files import sha256_file
from engine.templates.provenance import SIGNAL, VOLUME

SHAPES: Mapping[str, type[Window] | type[Cube]] = {SIGNAL: Window, VOLUME: Cube}
_REQUIRED = {"input", "size", "dim"}
_ALIKE: Mapping[str, Any] = {
    "channels": 1,
    "normalise": UNIT,
    "output": None,
    "threshold": None,
    "source": "brought by the user",
    "licence": "not stated",
}
_OPTIONAL: Mapping[str, Mapping[str, Any]] = {
    SIGNAL: {**_ALIKE, "rate": None, "windows": 4},
    VOLUME: {**_ALIKE, "spacing": None},
}
# Of numbers that are shown of one file at a time.
_MOST_SHOWN = 1 << 24


def read_card(files: NetworkFiles, modality: str) -> Card:
    """The description of a network that takes signals or volumes.

    `input` is `signal` or `volume`, `size` the samples of a window or the side of a cube, `dim` the length of the output; the
    others are the fields of `Window` and `Cube`, `threshold`, a distance, `source` and `licence`, and `output`, the name of the
    output that is meant of an ONNX network that has several.

    Raises:
        EncoderError: a file is missing, or the description is not usable; names the field, what was found and expected.
    """
    said = _said(files, modality)
    kind = SHAPES[modality]
    chip = kind(**{field.name: said[field.name] for field in fields(kind)})
    if math.prod(chip.shape) > _MOST_SHOWN:
        raise EncoderError(f"{files.description}: an input of shape {chip.shape}; at most {_MOST_SHOWN:,} numbers are shown")
    about = said["source"], said["licence"]
    return Card(files.name, said["dim"], chip, said["threshold"], "as its JSON file says", *about, flip=False)


def _said(files: NetworkFiles, modality: str) -> dict[str, Any]:
    return read_fields(files, _REQUIRED, _OPTIONAL[modality], _RULES)


def load(files: NetworkFiles, modality: str, *, flip: bool | None, runtimes: Sequence[str]) -> Encoder:
    """Load a network and see that it gives what its description promises.

    `runtimes`: those that an ONNX network may run on, in the order in which they are tried.

    Raises:
        EncoderError: it cannot be read, its output has another shape or is no finite number, or it was to be mirrored.
    """
    if flip:
        raise EncoderError(f"flip=... goes with pictures; {files.name} takes a {modality}")
    card = read_card(files, modality)
    shape = card.chip.shape
    try:
        encoder = OnnxArrays(card, files, _said(files, modality)["output"], runtimes) if runtimes else KerasArrays(card, files)
        output = encoder.forward(np.zeros((2, *shape[1:]), np.float32))
    except (EncoderError, OSError, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise EncoderError(f"{card.name}: the network does not run on inputs of shape {shape[1:]}: {reason}") from error
    if output.shape != (2, card.dim):
        raise EncoderError(f"{card.name}: two inputs give an output of shape {output.shape}, expected (2, {card.dim})")
    if not np.isfinite(output).all():
        raise EncoderError(f"{card.name}: zeros give NaN or infinity; the network is wrong")
    return encoder


class ArrayEncoder(Encoder):
    """A network with one input, a window (n, size, channels) or a cube (n, size, size, size, channels)."""

    def __init__(self, card: Card, digest: str, runtime: str | None, output: str | None = None) -> None:
        named = {} if output is None else {"output": output}
        stated = json.dumps({"input": card.chip.modality, **asdict(card.chip), **named}, sort_keys=True)
        super().__init__(card, flip=False, weights=None, weights_hash=digest, preprocessing=stated, runtime=runtime)

    @abstractmethod
    def forward(self, chips: np.ndarray) -> np.ndarray:
        """From windows (n, size, channels) or cubes (n, size, size, size, channels), float32, to descriptors (n, dim)."""

    def encoded(self, chips: np.ndarray) -> Encoded:
        """Make templates: of each file the normalised sum of its windows' unit vectors.

        Args:
            chips: float32 (n, *shape), as the card's chip says it.
        """
        vectors = np.empty((0, self.card.dim), np.float32)
        if len(chips):
            parts = unit(self.forward(chips.reshape(-1, *chips.shape[2:])))
            vectors = unit(parts.reshape(*chips.shape[:2], -1).sum(axis=1))
        return Encoded(vectors, np.full(len(chips), np.nan, np.float32))


class KerasArrays(ArrayEncoder):
    """A Keras network, whose channels come last."""

    def __init__(self, card: Card, files: NetworkFiles) -> None:
        super().__init__(card, sha256_file(files.network), tensorflow_version())
        tf = tensorflow()
        model = read_keras(files.network)
        spec = tf.TensorSpec((None, *card.chip.shape[1:]), tf.float32)
        self._call = tf.function(lambda x: model(x, training=False), [spec], autograph=False)

    def forward(self, chips: np.ndarray) -> np.ndarray:
        return np.asarray(self._call(chips), np.float32)


class OnnxArrays(ArrayEncoder):
    """An ONNX network, whose channels come first, (n, channels, ...), unless the shape of its input says that they come last."""

    def __init__(self, card: Card, files: NetworkFiles, output: str | None, runtimes: Sequence[str]) -> None:
        # Late: it loads onnx's reference implementation.
        from engine.encoders.onnx.checked import checked

        data = files.network.read_bytes()
        super().__init__(card, hashlib.sha256(data).hexdigest(), None, output)
        model = prepared(data, output)
        self._channels_last = _channels_last(model.shape, card.chip.shape[1:])
        noise = np.random.default_rng(0).normal(size=(3, *card.chip.shape[1:]))
        # The second is faint beside the others: a network that looks at a whole batch gives it away.
        faint = noise * np.reshape([1, 1 / 8, 1 / 2], (3,) + (1,) * (noise.ndim - 1))
        self._network = checked(model, self._inputs(faint.astype(np.float32)), runtimes)
        self.runtime = self._network.about

    def forward(self, chips: np.ndarray) -> np.ndarray:
        return self._network(self._inputs(chips)).reshape(len(chips), -1)

    def _inputs(self, chips: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(chips if self._channels_last else np.moveaxis(chips, -1, 1))


def _channels_last(found: tuple[int | None, ...], shape: tuple[int, ...]) -> bool:
    first = (shape[-1], *shape[:-1])
    fits = [
        len(found) in (0, len(shape) + 1) and all(side in (None, wanted) for side, wanted in zip(found[1:], sides, strict=False))
        for sides in (first, shape)
    ]
    if not any(fits):
        said = [", ".join(map(str, ("n", *sides))) for sides in (first, shape)]
        raise EncoderError(f"its input has the shape {found}, expected ({said[0]}) or ({said[1]})")
    return not fits[0]


_RULES: Rules = {
    "input": (lambda value: value in SHAPES, "signal or volume"),
    "size": (lambda value: is_whole(value, 4, 1 << 20), "a whole number, 4 to 1048576"),
    "dim": (lambda value: is_whole(value, 1, 65536), "a whole number, 1 to 65536"),
    "channels": (lambda value: is_whole(value, 1, 1024), "a whole number, 1 to 1024"),
    "windows": (lambda value: is_whole(value, 1, 1024), "a whole number, 1 to 1024"),
    "normalise": (lambda value: value in NORMALISATIONS, " or ".join(NORMALISATIONS)),
    "rate": (lambda value: value is None or (is_number(value, 0) and value > 0), "samples a second, above 0"),
    "spacing": (lambda value: value is None or (is_number(value, 0) and value > 0), "millimetres, above 0"),
    "output": (lambda value: value is None or isinstance(value, str), "a name"),
    "threshold": (lambda value: value is None or is_number(value, 0, 2), "a distance, 0 to 2"),
    "source": (lambda value: isinstance(value, str), "words"),
    "licence": (lambda value: isinstance(value, str), "words"),
}
