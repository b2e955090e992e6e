"""Small residual networks of convolutions in one and in three dimensions."""

from collections.abc import Callable
from typing import Any

from engine.arrays.shapes import Cube, Window
from engine.common.tensorflow import tensorflow

DIM = 128
# Of each stage, which halves the sides (a signal's: quarters the length).
_SIGNAL_FILTERS, _VOLUME_FILTERS = (32, 64, 96, 128), (16, 32, 64)
_LONG = 7


def signal_network(window: Window) -> Any:
    """From windows (n, size, channels) to descriptors (n, 128), as a Keras model."""
    layers = tensorflow().keras.layers

    def convolution(filters: int, step: int) -> Any:
        return layers.Conv1D(filters, _LONG if step > 1 else 3, step, "same", use_bias=False)

    return _residual((window.size, window.channels), _SIGNAL_FILTERS, convolution, 4, layers.GlobalAveragePooling1D())


def volume_network(cube: Cube) -> Any:
    """From cubes (n, size, size, size, channels) to descriptors (n, 128), as a Keras model."""
    layers = tensorflow().keras.layers

    def convolution(filters: int, step: int) -> Any:
        return layers.Conv3D(filters, 3, step, "same", use_bias=False)

    return _residual((cube.size,) * 3 + (cube.channels,), _VOLUME_FILTERS, convolution, 2, layers.Flatten())


Convolution = Callable[[int, int], Any]
"""A layer of so many filters, which takes steps of so many samples or voxels."""


def _residual(shape: tuple[int, ...], stages: tuple[int, ...], convolution: Convolution, step: int, end: Any) -> Any:
    """Each stage shrinks by `step`, then adds a convolution of what it has to it (He et al. 2016)."""
    tf = tensorflow()
    layers = tf.keras.layers
    shown = layers.Input(shape)
    x = shown
    for filters in stages:
        x = layers.ReLU()(layers.BatchNormalization()(convolution(filters, step)(x)))
        y = layers.BatchNormalization()(convolution(filters, 1)(x))
        x = layers.ReLU()(layers.Add()([x, y]))
    return tf.keras.Model(shown, layers.Dense(DIM)(end(x)))
