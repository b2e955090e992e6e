"""The costs of a picture in the style of another, as TensorFlow operations; small is good.

Activations are float32 (n, h, w, c), of n pictures; each has a cost of its own, (n,), so that none changes another's.
"""

from typing import Any

from engine.common.tensorflow import tensorflow

_SIDES = (1, 2, 3)


def content_cost(content: Any, generated: Any) -> Any:
    """1 / (4 h w c) times the sum of (content - generated)^2, of activations (n, h, w, c) of one layer: (n,)."""
    tf = tensorflow()
    _, h, w, c = generated.shape
    return tf.reduce_sum(tf.square(content - generated), axis=_SIDES) / (4 * h * w * c)


def gram(activations: Any) -> Any:
    """A A^T, (n, c, c), where A (c, h w) holds a row for each channel: how often two channels are active together."""
    return tensorflow().einsum("nhwc,nhwd->ncd", activations, activations)


def style_cost(style: Any, generated: Any) -> Any:
    """1 / (2 h w c)^2 times the sum of (gram(style) - gram(generated))^2, of activations (n, h, w, c) of one layer: (n,)."""
    tf = tensorflow()
    _, h, w, c = generated.shape
    return tf.reduce_sum(tf.square(gram(style) - gram(generated)), axis=(1, 2)) / (2.0 * h * w * c) ** 2


def total_variation(pictures: Any) -> Any:
    """The sum of |differences| between neighbouring pixels, over both axes and all channels, of pictures (n, h, w, 3): (n,)."""
    tf = tensorflow()
    return tf.image.total_variation(tf.convert_to_tensor(pictures))
