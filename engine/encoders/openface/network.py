"""OpenFace's nn4.small2 (Amos et al. 2016), an Inception network after FaceNet, in Keras.

Two variants share the weights. The original has local response normalisation and L2 pooling, as Torch's definition says, and
the stored running statistics fit it. `openface-course` is the one that a well-known course hands out: plain average pooling,
no response normalisation, and another epsilon in the first batch normalisation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.common.tensorflow import tensorflow, tensorflow_version
from engine.encoders.base import Card, Encoder, Weights
from engine.encoders.openface.weights import Layers, read_weights
from engine.errors import EncoderError
from engine.faces.chip import Chip

_CHIP = Chip(96, ((26.63, 16.06), (67.79, 15.26), (47.24, 40.52), (29.48, 61.62), (66.76, 60.88)))
_SOURCE = "nn4.small2.v1, the published CSV files, one per tensor; pass their folder with --weights"

CARD = Card("openface", 128, _CHIP, None, "not measured here", _SOURCE, "Apache-2.0")
COURSE_CARD = Card("openface-course", 128, _CHIP, 0.7, "the course's choice, not measured here", _SOURCE, "Apache-2.0")


@dataclass(frozen=True)
class Inception:
    """One block: filters of each branch (reduction, output); None where the block has no such branch."""

    three: tuple[int, int]
    five: tuple[int, int] | None
    pool: str  # "max", or "l2": 3x3 with stride 3, averaged in the course's variant
    pool_filters: int | None
    pool_pad: tuple[int, int]
    one: int | None
    stride: int = 1


BLOCKS: dict[str, Inception] = {
    "3a": Inception((96, 128), (16, 32), "max", 32, (3, 4), 64),
    "3b": Inception((96, 128), (32, 64), "l2", 64, (4, 4), 64),
    "3c": Inception((128, 256), (32, 64), "max", None, (0, 1), None, stride=2),
    "4a": Inception((96, 192), (32, 64), "l2", 128, (2, 2), 256),
    "4e": Inception((160, 256), (64, 128), "max", None, (0, 1), None, stride=2),
    "5a": Inception((96, 384), None, "l2", 96, (1, 1), 256),
    "5b": Inception((96, 384), None, "max", 96, (1, 1), 256),
}


def load(card: Card, *, flip: bool, weights: Weights | None, runtimes: Sequence[str]) -> Encoder:  # noqa: ARG001 - TensorFlow runs it
    """Build the network from the folder of CSV files that `weights` names.

    Raises:
        EncoderError: no folder was named, or the set is not whole.
    """
    if weights is None:
        raise EncoderError(f"{card.name}: its weights do not come with onek; pass weights=FOLDER with the published CSV files")
    tensors, digest = read_weights(weights.path, tensor_shapes())
    return OpenFace(card, tensors, flip=flip, weights=weights.name, weights_hash=digest)


class OpenFace(Encoder):
    """3,743,280 parameters, 96x96 RGB in 0..1."""

    def __init__(self, card: Card, tensors: dict[str, np.ndarray], *, flip: bool, weights: str | None, weights_hash: str) -> None:
        super().__init__(
            card,
            flip=flip,
            weights=weights,
            weights_hash=weights_hash,
            preprocessing=f"{card.name}: rgb / 255",
            runtime=tensorflow_version(),
        )
        self.model = build(course=card.name == COURSE_CARD.name)
        set_weights(self.model, tensors)
        tf = tensorflow()
        specification = tf.TensorSpec((None, card.chip.size, card.chip.size, 3), tf.uint8)
        self._call = tf.function(
            lambda chips: self.model(tf.cast(chips, tf.float32) / 255, training=False), [specification], autograph=False
        )

    def forward(self, chips: np.ndarray) -> np.ndarray:
        return self._call(chips).numpy()


def tensor_shapes() -> Layers:
    """Every tensor of the published set that the network needs, with its shape."""
    shapes: Layers = {}

    def unit(conv: str, bn: str, outputs: int, inputs: int, kernel: int) -> None:
        shapes[f"{conv}_w"], shapes[f"{conv}_b"] = (outputs, inputs, kernel, kernel), (outputs,)
        shapes.update({f"{bn}_{part}": (outputs,) for part in "wbmv"})

    unit("conv1", "bn1", 64, 3, 7)
    unit("conv2", "bn2", 64, 64, 1)
    unit("conv3", "bn3", 192, 64, 3)
    channels = 192
    for name, block in BLOCKS.items():
        at = f"inception_{name}"
        unit(f"{at}_3x3_conv1", f"{at}_3x3_bn1", block.three[0], channels, 1)
        unit(f"{at}_3x3_conv2", f"{at}_3x3_bn2", block.three[1], block.three[0], 3)
        if block.five:
            unit(f"{at}_5x5_conv1", f"{at}_5x5_bn1", block.five[0], channels, 1)
            unit(f"{at}_5x5_conv2", f"{at}_5x5_bn2", block.five[1], block.five[0], 5)
        if block.pool_filters:
            unit(f"{at}_pool_conv", f"{at}_pool_bn", block.pool_filters, channels, 1)
        if block.one:
            unit(f"{at}_1x1_conv", f"{at}_1x1_bn", block.one, channels, 1)
        channels = block.three[1] + (block.five or (0, 0))[1] + (block.pool_filters or channels) + (block.one or 0)
    shapes["dense_w"], shapes["dense_b"] = (128, channels), (128,)
    return shapes


def build(course: bool) -> Any:
    """The Keras model. Each layer bears the name of its tensors, so that any part of it can be looked at."""
    tf = tensorflow()
    layers = tf.keras.layers

    def unit(x: Any, conv: str, bn: str, filters: int, kernel: int, stride: int = 1, pad: int = 0) -> Any:
        x = layers.ZeroPadding2D(pad)(x) if pad else x
        x = layers.Conv2D(filters, kernel, stride, name=conv)(x)
        epsilon = 1e-3 if course and bn == "bn1" else 1e-5
        return layers.ReLU()(layers.BatchNormalization(epsilon=epsilon, name=bn)(x))

    def response_norm(x: Any) -> Any:
        # Torch divides alpha by the window of 5, TensorFlow does not.
        return x if course else layers.Lambda(lambda x: tf.nn.local_response_normalization(x, 2, 1.0, 1e-4 / 5, 0.75))(x)

    chips = layers.Input((96, 96, 3))
    x = unit(chips, "conv1", "bn1", 64, 7, 2, 3)
    x = response_norm(layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x)))
    x = unit(x, "conv2", "bn2", 64, 1)
    x = response_norm(unit(x, "conv3", "bn3", 192, 3, 1, 1))
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
    for name, block in BLOCKS.items():
        x = _inception(layers, unit, x, f"inception_{name}", block, course)
    x = layers.Flatten()(layers.AveragePooling2D(3, 1)(x))
    return tf.keras.Model(chips, layers.Dense(128, name="dense")(x))


def _inception(layers: Any, unit: Callable[..., Any], x: Any, at: str, block: Inception, course: bool) -> Any:
    branches = [unit(x, f"{at}_3x3_conv1", f"{at}_3x3_bn1", block.three[0], 1)]
    branches[0] = unit(branches[0], f"{at}_3x3_conv2", f"{at}_3x3_bn2", block.three[1], 3, block.stride, 1)
    if block.five:
        five = unit(x, f"{at}_5x5_conv1", f"{at}_5x5_bn1", block.five[0], 1)
        branches.append(unit(five, f"{at}_5x5_conv2", f"{at}_5x5_bn2", block.five[1], 5, block.stride, 2))
    if block.pool == "max":
        pooled = layers.MaxPooling2D(3, 2)(x)
    elif course:
        pooled = layers.AveragePooling2D(3, 3)(x)
    else:
        mean_square = layers.AveragePooling2D(3, 3)(layers.Lambda(lambda x: x * x)(x))
        pooled = layers.Lambda(lambda x: (9 * x) ** 0.5)(mean_square)
    if block.pool_filters:
        pooled = unit(pooled, f"{at}_pool_conv", f"{at}_pool_bn", block.pool_filters, 1)
    branches.append(layers.ZeroPadding2D((block.pool_pad, block.pool_pad))(pooled))
    if block.one:
        branches.append(unit(x, f"{at}_1x1_conv", f"{at}_1x1_bn", block.one, 1))
    return layers.Concatenate()(branches)


def set_weights(model: Any, tensors: dict[str, np.ndarray]) -> None:
    """Put tensors in the published layout into every layer of a model, whole or cut short, that bears their names."""
    for layer in model.layers:
        name = layer.name
        if f"{name}_m" in tensors and f"{name}_w" in tensors:
            layer.set_weights([tensors[f"{name}_{part}"] for part in "wbmv"])
        elif name == "dense":
            layer.set_weights([tensors["dense_w"].T, tensors["dense_b"]])
        elif f"{name}_w" in tensors:
            layer.set_weights([tensors[f"{name}_w"].transpose(2, 3, 1, 0), tensors[f"{name}_b"]])
