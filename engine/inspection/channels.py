"""What an encoder's units have learnt: the chips that excite a channel most, layer by layer."""

from dataclasses import dataclass

import numpy as np

from engine.common.tensorflow import tensorflow
from engine.errors import EncoderError
from engine.training.networks import Network

_BATCH = 64


@dataclass(frozen=True)
class Channel:
    """Number `channel` of the layer `layer`; `rows` int64 (k,) of the chips that excite it most, strongest first, and how
    much, float32 (k,).
    """

    layer: str
    channel: int
    rows: np.ndarray
    strengths: np.ndarray


def most_activating_chips(
    network: Network, chips: np.ndarray, *, layers: int = 5, channels: int = 4, shown: int = 8
) -> list[Channel]:
    """The `shown` chips that excite each of some channels most, at their strongest place.

    Args:
        network: what `engine.training.networks.begun` gives.
        chips: uint8 (n, s, s, 3), n at least `shown`.
        layers: how many convolutions, evenly from the first to the last.
        channels: how many of each: those whose excitement differs most between chips.
        shown: chips of each channel.

    Raises:
        EncoderError: it has no convolutions, or there are fewer chips.
    """
    tf = tensorflow()
    if len(chips) < shown:
        raise EncoderError(f"{len(chips)} chips; expected {shown} or more to choose from")
    convolutions = [layer for layer in network.model.layers if isinstance(layer, tf.keras.layers.Conv2D)]
    if not convolutions:
        raise EncoderError(f"{network.start} has no convolutions to look into")
    chosen = [convolutions[at] for at in np.unique(np.linspace(0, len(convolutions) - 1, layers).round().astype(int))]
    look = tf.keras.Model(network.model.inputs[0], [layer.output for layer in chosen])
    mean, scale = np.asarray(network.mean, np.float32), np.float32(network.scale)
    strongest: list[list[np.ndarray]] = [[] for _ in chosen]
    for start in range(0, len(chips), _BATCH):
        pixels = (np.asarray(chips[start : start + _BATCH], np.float32) - mean) * scale
        outputs = look(pixels, training=False)
        for kept, output in zip(strongest, outputs if isinstance(outputs, list | tuple) else [outputs], strict=True):
            kept.append(np.asarray(tf.reduce_max(output, axis=(1, 2))))
    found = []
    for layer, parts in zip(chosen, strongest, strict=True):
        values = np.concatenate(parts)
        for channel in np.argsort(-values.std(axis=0))[:channels]:
            rows = np.argsort(-values[:, channel], kind="stable")[:shown]
            found.append(Channel(layer.name, int(channel), rows, values[rows, channel]))
    return found
