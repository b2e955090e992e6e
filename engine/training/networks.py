"""Networks to train: fresh ones, and encoders to go on with."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.common.tensorflow import tensorflow
from engine.encoders import custom
from engine.encoders.dlib import resnet as dlib_resnet
from engine.encoders.keras_checked import read_keras
from engine.encoders.openface import network as openface
from engine.encoders.registry import network_files
from engine.errors import EncoderError, TrainingError
from engine.faces.chip import Chip
from engine.files.atomic_files import whole_file

SMALL, OPENFACE = "small", "openface"
NETWORKS = (SMALL, OPENFACE)
_SIDE, _FILTERS, _DIM = 64, (32, 64, 96, 128), 128
_MOMENTUM = 0.9


@dataclass(frozen=True)
class Network:
    """A Keras `model` from prepared chips (n, s, s, 3) to descriptors (n, dim) of any length, and what prepares them:
    (pixel - mean) * scale, RGB. `start` says what it began as.
    """

    model: Any
    chip: Chip
    mean: tuple[float, float, float]
    scale: float
    dim: int
    start: str
    mixed: bool = False


def has_gpu() -> bool:
    """Whether TensorFlow sees one."""
    return bool(tensorflow().config.list_physical_devices("GPU"))


def fresh(name: str, seed: int = 0, *, mixed: bool = False) -> Network:
    """A network with random weights, the same for the same seed; `mixed`: that computes in half precision, as pays on a GPU.

    Raises:
        TrainingError: no such network.
    """
    config = tensorflow().keras.config
    tensorflow().keras.utils.set_random_seed(seed)
    before = config.dtype_policy()
    config.set_dtype_policy("mixed_float16" if mixed else "float32")
    try:
        made = replace(_fresh(name), mixed=mixed)
        for layer in made.model.layers:
            if isinstance(layer, tensorflow().keras.layers.BatchNormalization):
                # Keras's 0.99 takes hundreds of steps to forget the statistics of random weights, which validation would see.
                layer.momentum = _MOMENTUM
        return made
    finally:
        config.set_dtype_policy(before)


def _fresh(name: str) -> Network:
    if name == OPENFACE:
        # Without the layers that only code could load again, as the course's variant is.
        card = openface.COURSE_CARD
        return Network(openface.build(course=True), card.chip, (0.0, 0.0, 0.0), 1 / 255, card.dim, OPENFACE)
    if name != SMALL:
        raise TrainingError(f"--network {name}: expected {' or '.join(NETWORKS)}")
    share = _SIDE / openface.CARD.chip.size
    points = tuple((x * share, y * share) for x, y in openface.CARD.chip.points)
    return Network(_small(), Chip(_SIDE, points), (127.5, 127.5, 127.5), 1 / 127.5, _DIM, SMALL)


def begun(name: str) -> Network:
    """An encoder to go on with: `dlib-resnet`, or a `.keras` file with a JSON file beside it.

    Raises:
        TrainingError: another encoder, which has no Keras network.
        EncoderError: it cannot be read.
    """
    if name == dlib_resnet.CARD.name:
        model, mean = dlib_resnet.network()
        return Network(model, dlib_resnet.CARD.chip, mean, 1 / 256, dlib_resnet.CARD.dim, name)
    path = Path(name)
    if path.suffix.lower() != ".keras":
        raise TrainingError(f"--from {name}: expected {dlib_resnet.CARD.name}, or a .keras file with a JSON file beside it")
    files = network_files(name)
    card, fields = custom.read_card(files)
    if fields["channels"] != "rgb":
        raise TrainingError(f"{path} takes its channels as {fields['channels']}; expected rgb to go on with it")
    try:
        model = read_keras(files.network)
    except EncoderError as error:
        raise EncoderError(f"{path}: {error}") from error
    red, green, blue = map(float, fields["mean"])
    return Network(model, card.chip, (red, green, blue), float(fields["scale"]), card.dim, str(path))


def save(network: Network, out: Path) -> None:
    """Write `OUT.keras` and the JSON file beside it, which `--encoder OUT.keras` reads.

    Raises:
        OutputError: they cannot be written.
    """
    model = network.model
    if network.mixed:  # it is used in single precision
        model = fresh(network.start).model
        model.set_weights(network.model.get_weights())
    with whole_file(out) as temporary:
        model.save(temporary)
    described = {
        "size": network.chip.size,
        "points": [list(point) for point in network.chip.points],
        "dim": network.dim,
        "mean": list(network.mean),
        "scale": network.scale,
        "source": f"trained by onek from {network.start}",
    }
    with whole_file(out.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(described, indent=1), encoding="utf-8")


def descriptors(network: Network, chips: np.ndarray, batch: int = 256) -> np.ndarray:
    """Unit descriptors float32 (n, dim) of chips uint8 (n, s, s, 3)."""
    tf = tensorflow()
    parts, mean = [], np.asarray(network.mean, np.float32)
    for start in range(0, len(chips), batch):
        pixels = (np.asarray(chips[start : start + batch], np.float32) - mean) * np.float32(network.scale)
        parts.append(tf.nn.l2_normalize(tf.cast(network.model(pixels, training=False), tf.float32), axis=1).numpy())
    return np.concatenate(parts)


def structure(network: Network) -> str:
    """What tells a network's shape from another's: its start, and the shape of each weight."""
    return json.dumps([network.start, asdict(network.chip), [list(weight.shape) for weight in network.model.weights]])


def _small() -> Any:
    tf = tensorflow()
    layers = tf.keras.layers
    chips = layers.Input((_SIDE, _SIDE, 3))
    x = chips
    for filters in _FILTERS:
        x = layers.Conv2D(filters, 3, 2, "same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        y = layers.Conv2D(filters, 3, 1, "same", use_bias=False)(x)
        x = layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(y)]))
    return tf.keras.Model(chips, layers.Dense(_DIM)(layers.Flatten()(x)))
