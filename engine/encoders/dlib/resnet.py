"""dlib's face ResNet (Davis King, 2017), rebuilt in Keras from the bytes of dlib's own weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.common.installed_weights import installed_file
from engine.common.tensorflow import tensorflow, tensorflow_version
from engine.encoders.base import Card, Encoder, Weights
from engine.encoders.dlib.file_format import Convolution, FaceResnet, read_face_resnet
from engine.faces.chip import ALIGNMENT, Chip
from engine.files.atomic_files import sha256_file
from engine.templates.measured.impostors import measured

_PACKAGE, _FILE = "face-recognition-models", "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat"

# Where the detector's landmarks lie on dlib's own chips (`onek benchmark landmarks`, on people of LFW who are in no pair).
_POINTS = ((45.89, 44.78), (101.86, 45.72), (73.18, 78.12), (49.12, 102.77), (97.39, 103.90))
# Those of the former detector, which still stand in the fingerprints of templates of crops.
POINTS_BEFORE = tuple(
    (100 * (0.25 + x), 100 * (0.25 + y))
    for x, y in ((0.2255, 0.2160), (0.7548, 0.2160), (0.4901, 0.5156), (0.2541, 0.7802), (0.7261, 0.7802))
)

CARD = Card(
    name="dlib-resnet",
    dim=128,
    chip=Chip(150, _POINTS),
    threshold=0.409,
    measured="LFW, 1:1",
    source="dlib_face_recognition_resnet_model_v1.dat, in the package face-recognition-models",
    licence="CC0-1.0",
    impostors=measured("dlib-resnet", flip=True, alignment=ALIGNMENT),
)


def load(card: Card, *, flip: bool, weights: Weights | None, runtimes: Sequence[str]) -> Encoder:  # noqa: ARG001 - TensorFlow runs it
    """Build the network from the installed weights, or from the `.dat` file that `weights` names.

    Raises:
        EncoderError: the weights are missing or are something else.
    """
    path = weights.path if weights else _installed_weights()
    network = read_face_resnet(path)
    name = weights.name if weights else None
    return DlibResnet(card, network, flip=flip, weights=name, weights_hash=sha256_file(path))


class DlibResnet(Encoder):
    """29 convolutions in 14 residual blocks. Descriptors have a norm of 1.27 to 1.61 before normalisation."""

    points_of_crops = POINTS_BEFORE

    def __init__(self, card: Card, network: FaceResnet, *, flip: bool, weights: str | None, weights_hash: str) -> None:
        super().__init__(
            card,
            flip=flip,
            weights=weights,
            weights_hash=weights_hash,
            preprocessing=f"(rgb - {network.mean.tolist()}) / 256",
            runtime=tensorflow_version(),
        )
        self._call = _compiled(_build(network), network)

    def forward(self, chips: np.ndarray) -> np.ndarray:
        return self._call(chips).numpy()


def network() -> tuple[Any, tuple[float, float, float]]:
    """The Keras model with the installed weights, from prepared chips (n, 150, 150, 3) to descriptors (n, 128), and the mean that
    prepares them: (rgb - mean) / 256.

    Raises:
        EncoderError: the weights are missing or are something else.
    """
    read = read_face_resnet(_installed_weights())
    red, green, blue = map(float, read.mean)
    return _build(read), (red, green, blue)


def _installed_weights() -> Path:
    return installed_file(_PACKAGE, _FILE)


def _compiled(model: Any, network: FaceResnet) -> Any:
    tf = tensorflow()
    mean = tf.constant(network.mean)

    specification = tf.TensorSpec((None, network.size, network.size, 3), tf.uint8)
    return tf.function(
        lambda chips: model((tf.cast(chips, tf.float32) - mean) / 256, training=False), [specification], autograph=False
    )


def _build(network: FaceResnet) -> Any:
    tf = tensorflow()
    layers = tf.keras.layers
    convolutions = iter(network.convolutions)
    values: list[np.ndarray] = []

    def conv(x: Any, convolution: Convolution, activation: str | None) -> Any:
        values.extend([convolution.kernel, convolution.bias])
        height, width, _, filters = convolution.kernel.shape
        # A padding of 1 round a 3x3 kernel at stride 1 is what Keras calls "same".
        padding = "same" if convolution.padding else "valid"
        return layers.Conv2D(filters, (height, width), convolution.stride, padding, activation=activation)(x)

    def block(x: Any) -> Any:
        """Two convolutions beside a shortcut, added as dlib's add_prev does: what either side lacks counts as zero."""
        first, second = next(convolutions), next(convolutions)
        main = conv(conv(x, first, "relu"), second, None)
        shortcut = layers.AveragePooling2D(2, 2)(x) if first.stride == 2 else x
        extra = main.shape[-1] - shortcut.shape[-1]
        if extra:
            shortcut = tf.keras.ops.pad(shortcut, ((0, 0), (0, 0), (0, 0), (0, extra)))
        lack = shortcut.shape[1] - main.shape[1]
        if lack:
            main = layers.ZeroPadding2D(((0, lack), (0, lack)))(main)
        return layers.ReLU()(layers.Add()([main, shortcut]))

    chips = layers.Input((network.size, network.size, 3))
    x = conv(chips, next(convolutions), "relu")
    x = layers.MaxPooling2D(3, 2)(x)
    for _ in range((len(network.convolutions) - 1) // 2):
        x = block(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = tf.keras.Model(chips, layers.Dense(network.projection.shape[1], use_bias=False)(x))
    model.set_weights([*values, network.projection])
    return model
