"""Bring your own network: `PATH.onnx` through OpenCV's DNN, or `PATH.keras`, described by a JSON file beside it."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np

from engine.backend import tensorflow
from engine.encoders.base import Card, Encoder
from engine.errors import EncoderError
from engine.faces import Chip
from engine.files import sha256_file
from engine.places import local

ENDINGS = (".onnx", ".keras")
_REQUIRED = {"size", "points", "dim"}
_OPTIONAL: Mapping[str, Any] = {
    "mean": [0.0, 0.0, 0.0],
    "scale": 1.0,
    "channels": "rgb",
    "threshold": None,
    "source": "brought by the user",
    "licence": "not stated",
}


def read_card(path: Path) -> tuple[Card, dict[str, Any]]:
    """The description of the network at `path`, from `path` with the ending `.json`.

    `size` is the chip's side in pixels, `points` the five landmarks on it ([x, y] each: left eye, right eye, nose, left and
    right mouth corner, as the picture shows them), `dim` the length of the output. Optional: `mean` (three values of 0..255)
    and `scale`, so that the network sees `(pixel - mean) * scale`; `channels`, `rgb` or `bgr`; `threshold`, a distance.

    Raises:
        EncoderError: a file is missing, or the description is not usable; names the field, what was found and expected.
    """
    description = local(path.with_suffix(".json"))
    for needed in (local(path), description):
        if not needed.is_file():
            raise EncoderError(
                f"--encoder {path}: there is no file {needed}; a network needs a JSON file of the same name beside it"
            )
    try:
        fields = json.loads(description.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EncoderError(f"{description}: not a JSON file: {error}") from error
    if not isinstance(fields, dict):
        raise EncoderError(
            f"{description}: found a {type(fields).__name__}, expected an object with {', '.join(sorted(_REQUIRED))}"
        )
    missing, unknown = _REQUIRED - fields.keys(), fields.keys() - _REQUIRED - _OPTIONAL.keys()
    if missing or unknown:
        wrong = f"{', '.join(sorted(missing))} missing" if missing else f"{', '.join(sorted(unknown))} not known"
        raise EncoderError(
            f"{description}: {wrong}; expected {', '.join(sorted(_REQUIRED))} and, if wanted, {', '.join(_OPTIONAL)}"
        )
    fields = {**_OPTIONAL, **fields}
    _require(
        description,
        "size",
        fields["size"],
        isinstance(fields["size"], int) and 8 <= fields["size"] <= 1024,
        "a whole number, 8 to 1024",
    )
    _require(
        description,
        "dim",
        fields["dim"],
        isinstance(fields["dim"], int) and 1 <= fields["dim"] <= 65536,
        "a whole number of 1 or more",
    )
    _require(description, "points", fields["points"], _is_numbers(fields["points"], (5, 2)), "five pairs of pixels")
    _require(description, "mean", fields["mean"], _is_numbers(fields["mean"], (3,)), "three numbers")
    _require(description, "scale", fields["scale"], _is_numbers(fields["scale"], ()), "a number")
    _require(description, "channels", fields["channels"], fields["channels"] in ("rgb", "bgr"), "rgb or bgr")
    threshold = fields["threshold"]
    _require(
        description,
        "threshold",
        threshold,
        threshold is None or (_is_numbers(threshold, ()) and 0 <= threshold <= 2),
        "a distance, 0 to 2",
    )
    points = tuple((float(x), float(y)) for x, y in fields["points"])
    chip = Chip(fields["size"], points)
    return Card(str(path), fields["dim"], chip, threshold, "as its JSON file says", fields["source"], fields["licence"]), fields


def load(path: Path, *, flip: bool) -> Encoder:
    """Load the network at `path` and see that it gives what its description promises.

    Raises:
        EncoderError: it cannot be read, or its output has another shape.
    """
    card, fields = read_card(path)
    network = Onnx if path.suffix.lower() == ".onnx" else Keras
    try:
        encoder = network(local(path), card, fields, flip)
        output = encoder.forward(np.zeros((2, card.chip.size, card.chip.size, 3), np.uint8))
    except (cv2.error, OSError, ValueError, TypeError) as error:
        raise EncoderError(f"{path}: the network does not run on chips of {card.chip.size} pixels: {error}") from error
    if output.shape != (2, card.dim):
        raise EncoderError(f"{path}: two chips give an output of shape {output.shape}, the description says (2, {card.dim})")
    return encoder


class _Custom(Encoder):
    def __init__(self, path: Path, card: Card, fields: dict[str, Any], flip: bool) -> None:
        preprocessing = json.dumps([fields["mean"], fields["scale"], fields["channels"], card.chip.size])
        super().__init__(card, flip=flip, weights=None, weights_hash=sha256_file(path), preprocessing=preprocessing)
        self._mean = np.asarray(fields["mean"], np.float32)
        self._scale = np.float32(fields["scale"])
        self._step = 1 if fields["channels"] == "rgb" else -1

    def _prepared(self, chips: np.ndarray) -> np.ndarray:
        """float32, shape (n, size, size, 3); the mean goes by the network's own order of channels."""
        return (chips[..., :: self._step].astype(np.float32) - self._mean) * self._scale


class Onnx(_Custom):
    """An ONNX network with one input (n, 3, size, size). Fixed batch sizes in the file are met one chip at a time."""

    def __init__(self, path: Path, card: Card, fields: dict[str, Any], flip: bool) -> None:
        super().__init__(path, card, fields, flip)
        self._net = cv2.dnn.readNetFromONNX(str(path))
        self._alone = Lock()  # OpenCV's networks keep their input between two calls

    def forward(self, chips: np.ndarray) -> np.ndarray:
        planes = np.ascontiguousarray(self._prepared(chips).transpose(0, 3, 1, 2))
        with self._alone:
            return np.stack([self._one(plane[None]) for plane in planes])

    def _one(self, plane: np.ndarray) -> np.ndarray:
        self._net.setInput(plane)
        return np.array(self._net.forward(), np.float32).reshape(-1)


class Keras(_Custom):
    """A Keras network with one input (n, size, size, 3). Code inside the file (Lambda layers) is refused by Keras."""

    def __init__(self, path: Path, card: Card, fields: dict[str, Any], flip: bool) -> None:
        super().__init__(path, card, fields, flip)
        tf = tensorflow()
        model = tf.keras.models.load_model(path, compile=False, safe_mode=True)
        size = card.chip.size
        self._call = tf.function(lambda x: model(x, training=False), [tf.TensorSpec((None, size, size, 3), tf.float32)])

    def forward(self, chips: np.ndarray) -> np.ndarray:
        return np.asarray(self._call(self._prepared(chips)), np.float32)


def _require(path: Path, field: str, found: object, good: bool, expected: str) -> None:
    if not good:
        raise EncoderError(f"{path}: {field} is {found!r}, expected {expected}")


def _is_numbers(value: object, shape: tuple[int, ...]) -> bool:
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return False
    return array.shape == shape and math.isfinite(float(np.abs(array).sum()))
