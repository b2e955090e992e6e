"""Networks to train: fresh ones, and encoders to go on with."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.arrays.shapes import Cube, Window
from engine.common.tensorflow import tensorflow
from engine.encoders import arrays, custom
from engine.encoders.base import unit
from engine.encoders.dlib import resnet as dlib_resnet
from engine.encoders.keras_checked import read_keras
from engine.encoders.openface import network as openface
from engine.encoders.registry import modality_of, network_files
from engine.errors import EncoderError, TrainingError
from engine.faces.chip import Chip
from engine.files.atomic_files import whole_file
from engine.templates.provenance import PICTURE, SIGNAL, VOLUME
from engine.training.arrays.augmentation import as_it_is, changed_signals, changed_volumes, turned_volumes
from engine.training.arrays.networks import DIM, signal_network, volume_network
from engine.training.pictures.augmentation import augmented

SMALL, OPENFACE = "small", "openface"
NETWORKS = (SMALL, OPENFACE)
OF_ARRAYS = (SIGNAL, VOLUME)
Change = Callable[[np.ndarray, tuple[int, ...]], np.ndarray]
"""From a batch (n, ...) as it is shown, and a seed, to what a network learns from, the same for the same seed."""


def _same(chips: np.ndarray, _: tuple[int, ...]) -> np.ndarray:
    return chips


# How a batch is shown as it is, and how changed.
_CHANGES: dict[str, tuple[Change, Change]] = {
    PICTURE: (_same, augmented),
    SIGNAL: (as_it_is, changed_signals),
    VOLUME: (as_it_is, changed_volumes),
}
_SIDE, _FILTERS, _DIM = 64, (32, 64, 96, 128), 128
_MOMENTUM = 0.9


@dataclass(frozen=True)
class Network:
    """A Keras `model` from prepared chips (n, s, s, 3) to descriptors (n, dim) of any length, and what prepares them:
    (pixel - mean) * scale, RGB. `start` says what it began as. A network of signals or volumes takes windows or cubes, which
    come prepared. `no_up`: its volumes are turned and flipped in training.
    """

    model: Any
    chip: Chip | Window | Cube
    mean: tuple[float, ...]
    scale: float
    dim: int
    start: str
    mixed: bool = False
    no_up: bool = False

    @property
    def inputs(self) -> tuple[int, ...]:
        """The shape of what the model takes, without that of the batch."""
        return self.chip.shape if isinstance(self.chip, Chip) else self.chip.shape[1:]

    def batch(self, shown: np.ndarray, seed: tuple[int, ...], change: bool) -> np.ndarray:
        """What a step learns from, (n, *inputs), of what files show, (n, *shape), changed or as it is."""
        as_is, changed = _CHANGES[self.chip.modality]
        if change and self.no_up:
            changed = turned_volumes
        return (changed if change else as_is)(shown, seed)


def has_gpu() -> bool:
    """Whether TensorFlow sees one."""
    return bool(tensorflow().config.list_physical_devices("GPU"))


def fresh(name: str, seed: int = 0, *, mixed: bool = False) -> Network:
    """A network with random weights, the same for the same seed; `mixed`: that computes in half precision, as pays on a GPU.

    Raises:
        TrainingError: no such network.
    """
    return _seeded(lambda: _fresh(name), seed, mixed)


def fresh_of_arrays(chip: Window | Cube, seed: int = 0, *, mixed: bool = False, no_up: bool = False) -> Network:
    """As `fresh`, a network that takes signals or volumes; `no_up`: volumes that are turned and flipped in training.

    Raises:
        TrainingError: signals have no up or down.
    """
    if no_up and not isinstance(chip, Cube):
        raise TrainingError(f"--no-up goes with --network {VOLUME}; a {chip.modality} is not turned")

    def build() -> Network:
        model = signal_network(chip) if isinstance(chip, Window) else volume_network(chip)
        return Network(model, chip, (0.0,), 1.0, DIM, chip.modality, no_up=no_up)

    return _seeded(build, seed, mixed)


def _seeded(build: Callable[[], Network], seed: int, mixed: bool) -> Network:
    config = tensorflow().keras.config
    tensorflow().keras.utils.set_random_seed(seed)
    before = config.dtype_policy()
    config.set_dtype_policy("mixed_float16" if mixed else "float32")
    try:
        made = replace(build(), mixed=mixed)
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
        raise TrainingError(f"--network {name}: expected {', '.join((*NETWORKS, *OF_ARRAYS))}")
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
    if (modality := modality_of(name)) != PICTURE:
        card = arrays.read_card(files, modality)
        return Network(_keras(files), card.chip, (0.0,), 1.0, card.dim, str(path))
    card, fields = custom.read_card(files)
    if fields["channels"] != "rgb":
        raise TrainingError(f"{path} takes its channels as {fields['channels']}; expected rgb to go on with it")
    red, green, blue = map(float, fields["mean"])
    return Network(_keras(files), card.chip, (red, green, blue), float(fields["scale"]), card.dim, str(path))


def _keras(files: custom.NetworkFiles) -> Any:
    try:
        return read_keras(files.network)
    except EncoderError as error:
        raise EncoderError(f"{files.name}: {error}") from error


def save(network: Network, out: Path) -> None:
    """Write `OUT.keras` and the JSON file beside it, which `--encoder OUT.keras` reads.

    Raises:
        OutputError: they cannot be written.
    """
    model = network.model
    if network.mixed:  # it is used in single precision
        model = (fresh(network.start) if isinstance(network.chip, Chip) else fresh_of_arrays(network.chip)).model
        model.set_weights(network.model.get_weights())
    with whole_file(out) as temporary:
        model.save(temporary)
    with whole_file(out.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(_described(network), indent=1), encoding="utf-8")


def _described(network: Network) -> dict[str, Any]:
    source = f"trained by onek from {network.start}"
    if not isinstance(network.chip, Chip):
        return {"input": network.chip.modality, **asdict(network.chip), "dim": network.dim, "source": source}
    return {
        "size": network.chip.size,
        "points": [list(point) for point in network.chip.points],
        "dim": network.dim,
        "mean": list(network.mean),
        "scale": network.scale,
        "source": source,
    }


def descriptors(network: Network, chips: np.ndarray, batch: int = 256) -> np.ndarray:
    """Unit descriptors float32 (n, dim) of what files show, (n, *shape): chips uint8 (n, s, s, 3), or windows or cubes, of which
    a file has several, and one descriptor, as `engine.encoders.arrays` makes it.
    """
    tf = tensorflow()
    parts, mean = [], np.asarray(network.mean, np.float32)
    inputs = chips.reshape(-1, *network.inputs)
    for start in range(0, len(inputs), batch):
        pixels = (np.asarray(inputs[start : start + batch], np.float32) - mean) * np.float32(network.scale)
        parts.append(tf.nn.l2_normalize(tf.cast(network.model(pixels, training=False), tf.float32), axis=1).numpy())
    made = np.concatenate(parts)
    return made if len(made) == len(chips) else unit(made.reshape(len(chips), -1, network.dim).sum(axis=1))


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
