"""Bring your own network: `PATH.onnx` or `PATH.keras`, described by a JSON file beside it."""

import hashlib
import json
import reprlib
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.common.tensorflow import tensorflow, tensorflow_version
from engine.encoders.base import Card, Encoder
from engine.encoders.keras_checked import read_keras
from engine.encoders.onnx.model import prepared
from engine.errors import EncoderError
from engine.faces.chip import Chip
from engine.files.atomic_files import sha256_file
from engine.templates.provenance import MODALITIES, PICTURE

ENDINGS = (".onnx", ".keras")
# A description has at the most so many bytes, and no larger number: pixels and their means are far smaller.
_LONGEST, _LARGEST = 1_000_000, 1e9
_REQUIRED = {"size", "points", "dim"}
_OPTIONAL: Mapping[str, Any] = {
    "input": PICTURE,
    "mean": [0.0, 0.0, 0.0],
    "scale": 1.0,
    "channels": "rgb",
    "layout": None,
    "output": None,
    "threshold": None,
    "source": "brought by the user",
    "licence": "not stated",
}


@dataclass(frozen=True)
class NetworkFiles:
    """A network and its description: `name`, the network's path as the user wrote it, and where the two files are read here."""

    name: str
    network: Path
    description: Path


def read_card(files: NetworkFiles) -> tuple[Card, dict[str, Any]]:
    """The description of a network.

    `size` is the chip's side in pixels, `points` the five landmarks on it ([x, y] each: left eye, right eye, nose, left and
    right mouth corner, as the picture shows them), `dim` the length of the output. Optional: `mean` (three values of 0..255)
    and `scale`, so that the network sees `(pixel - mean) * scale`; `channels`, `rgb` or `bgr`; `threshold`, a distance. For ONNX:
    `output`, the name of the output that is meant where there are several; `layout`, `nchw` or `nhwc`, where the shape of the
    input does not tell.

    Raises:
        EncoderError: a file is missing, or the description is not usable; names the field, what was found and expected.
    """
    fields = read_fields(files, _REQUIRED, _OPTIONAL, _RULES)
    chip = Chip(fields["size"], tuple((float(x), float(y)) for x, y in fields["points"]))
    said = fields["source"], fields["licence"]
    return Card(files.name, fields["dim"], chip, fields["threshold"], "as its JSON file says", *said), fields


Rules = Mapping[str, tuple[Callable[[Any], bool], str]]
"""What each field of a description may be, in code and in words."""


def read_fields(files: NetworkFiles, required: Set[str], optional: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """The fields of a description: those that are `required`, and `optional` ones, which have these values where it lacks them.

    Raises:
        EncoderError: a file is missing, or the description is not usable; names the field, what was found and expected.
    """
    description = files.description
    fields = _described(files)
    missing, unknown = required - fields.keys(), fields.keys() - required - optional.keys()
    if missing or unknown:
        wrong = f"{_list(missing)} missing" if missing else f"{_list(unknown)} not known"
        raise EncoderError(f"{description}: {wrong}; expected {_list(required)} and, if wanted, {', '.join(optional)}")
    fields = {**optional, **fields}
    for field, value in fields.items():
        good, expected = rules[field]
        if not good(value):
            raise EncoderError(f"{description}: {field} is {reprlib.repr(value)}, expected {expected}")
    return fields


def read_modality(files: NetworkFiles) -> str:
    """What a network takes, as its description says: one of `MODALITIES`, a picture where it says nothing.

    Raises:
        EncoderError: a file is missing, the description is none, or it takes something else; names what.
    """
    found = _described(files).get("input", PICTURE)
    if found not in MODALITIES:
        raise EncoderError(f"{files.description}: input is {reprlib.repr(found)}, expected {', '.join(MODALITIES)}")
    return str(found)


def _described(files: NetworkFiles) -> dict[str, Any]:
    description = files.description
    for needed in (files.network, description):
        if not needed.is_file():
            raise EncoderError(
                f"encoder={files.name!r}: there is no file {needed}; a network needs a JSON file of the same name beside it"
            )
    try:
        if description.stat().st_size > _LONGEST:
            raise EncoderError(f"{description}: larger than {_LONGEST} bytes, expected a short JSON file")
        fields = json.loads(description.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EncoderError(f"{description}: not a JSON file: {error}") from error
    if not isinstance(fields, dict):
        raise EncoderError(f"{description}: found a {type(fields).__name__}, expected an object with {_list(_REQUIRED)}")
    return fields


def load(files: NetworkFiles, *, flip: bool, runtimes: Sequence[str]) -> Encoder:
    """Load a network and see that it gives what its description promises.

    `runtimes`: those that an ONNX network may run on, in the order in which they are tried.

    Raises:
        EncoderError: it cannot be read, or its output has another shape or is no finite number.
    """
    card, fields = read_card(files)
    size, path = card.chip.size, files.network
    try:
        encoder = Onnx(path, card, fields, flip, runtimes) if runtimes else Keras(path, card, fields, flip)
        output = encoder.forward(np.zeros((2, size, size, 3), np.uint8))
    except (EncoderError, OSError, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise EncoderError(f"{card.name}: the network does not run on chips of {size} pixels: {reason}") from error
    if output.shape != (2, card.dim):
        raise EncoderError(f"{card.name}: two chips give an output of shape {output.shape}, the description says (2, {card.dim})")
    if not np.isfinite(output).all():
        raise EncoderError(f"{card.name}: a black chip gives NaN or infinity; the network or its mean and scale are wrong")
    return encoder


class _Custom(Encoder):
    def __init__(self, card: Card, fields: dict[str, Any], flip: bool, weights_hash: str) -> None:
        described = [fields["mean"], fields["scale"], fields["channels"], card.chip.size]
        # Fields that older descriptions lack are left out, so that the fingerprints of those networks stay as they were.
        described += [[name, fields[name]] for name in ("layout", "output") if fields[name] is not None]
        super().__init__(card, flip=flip, weights=None, weights_hash=weights_hash, preprocessing=json.dumps(described))
        self._mean = np.asarray(fields["mean"], np.float32)
        self._scale = np.float32(fields["scale"])
        self._step = 1 if fields["channels"] == "rgb" else -1

    def _prepared(self, chips: np.ndarray) -> np.ndarray:
        """float32, shape (n, size, size, 3); the mean goes by the network's own order of channels."""
        return (chips[..., :: self._step].astype(np.float32) - self._mean) * self._scale


class Onnx(_Custom):
    """An ONNX network with one input, (n, 3, size, size) or (n, size, size, 3)."""

    def __init__(self, path: Path, card: Card, fields: dict[str, Any], flip: bool, runtimes: Sequence[str]) -> None:
        # Late: it loads onnx's reference implementation.
        from engine.encoders.onnx.checked import checked

        data = path.read_bytes()
        super().__init__(card, fields, flip, hashlib.sha256(data).hexdigest())
        model = prepared(data, fields["output"])
        self._channels_last = _channels_last(model.shape, card.chip.size, fields["layout"])
        noise = np.random.default_rng(0).integers(0, 256, (3, card.chip.size, card.chip.size, 3))
        # The second is dark beside the others: a network that looks at a whole batch gives it away.
        self._network = checked(model, self._inputs((noise // [[[[1]]], [[[8]]], [[[2]]]]).astype(np.uint8)), runtimes)
        self.runtime = self._network.about

    def forward(self, chips: np.ndarray) -> np.ndarray:
        return self._network(self._inputs(chips)).reshape(len(chips), -1)

    def _inputs(self, chips: np.ndarray) -> np.ndarray:
        inputs = self._prepared(chips)
        return np.ascontiguousarray(inputs if self._channels_last else inputs.transpose(0, 3, 1, 2))


class Keras(_Custom):
    """A Keras network with one input (n, size, size, 3), of layers that only compute: none runs code of the file's."""

    def __init__(self, path: Path, card: Card, fields: dict[str, Any], flip: bool) -> None:
        super().__init__(card, fields, flip, sha256_file(path))
        self.runtime = tensorflow_version()
        tf = tensorflow()
        size = card.chip.size
        model = read_keras(path)
        specification = [tf.TensorSpec((None, size, size, 3), tf.float32)]
        # Without autograph, which would write a program of its own to the folder of temporary files.
        self._call = tf.function(lambda x: model(x, training=False), specification, autograph=False)

    def forward(self, chips: np.ndarray) -> np.ndarray:
        return np.asarray(self._call(self._prepared(chips)), np.float32)


def _channels_last(shape: tuple[int | None, ...], size: int, layout: str | None) -> bool:
    """Whether an input of this shape is (n, size, size, 3) and not (n, 3, size, size); a network need not say one at all."""
    fits = {
        name: len(shape) in (0, 4) and all(side in (None, wanted) for side, wanted in zip(shape[1:], sides, strict=False))
        for name, sides in (("nchw", (3, size, size)), ("nhwc", (size, size, 3)))
    }
    if not any(fits.values()) or (layout is not None and not fits[layout]):
        raise EncoderError(f"its input has the shape {shape}, expected (n, 3, {size}, {size}) or (n, {size}, {size}, 3)")
    return layout == "nhwc" if layout is not None else not fits["nchw"]


def _list(names: Set[str]) -> str:
    """Names in one line, whatever they are."""
    return ", ".join(ascii(name)[1:-1][:40] for name in sorted(names)[:5])


def is_whole(value: object, low: int, high: int) -> bool:
    """Whether a value is a whole number in a range."""
    return type(value) is int and low <= value <= high


def is_number(value: object, low: float = -_LARGEST, high: float = _LARGEST) -> bool:
    """Whether a value is a number in a range."""
    return type(value) in (int, float) and low <= value <= high  # type: ignore[operator] # a number, and no bool or NaN


def _are_numbers(value: object, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(map(is_number, value))


_RULES: Rules = {
    "input": (lambda value: value == PICTURE, PICTURE),
    "size": (lambda value: is_whole(value, 8, 1024), "a whole number, 8 to 1024"),
    "dim": (lambda value: is_whole(value, 1, 65536), "a whole number, 1 to 65536"),
    "points": (
        lambda value: isinstance(value, list) and len(value) == 5 and all(_are_numbers(point, 2) for point in value),
        "five pairs of pixels",
    ),
    "mean": (lambda value: _are_numbers(value, 3), "three numbers"),
    "scale": (is_number, "a number"),
    "channels": (lambda value: value in ("rgb", "bgr"), "rgb or bgr"),
    "layout": (lambda value: value in (None, "nchw", "nhwc"), "nchw or nhwc"),
    "output": (lambda value: value is None or isinstance(value, str), "a name"),
    "threshold": (lambda value: value is None or is_number(value, 0, 2), "a distance, 0 to 2"),
    "source": (lambda value: isinstance(value, str), "words"),
    "licence": (lambda value: isinstance(value, str), "words"),
}
