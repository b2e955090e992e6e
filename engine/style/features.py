"""Layers of the network that costs are taken over: `dlib-resnet`, which is at hand, at other sizes than a chip's."""

from typing import Any

from engine.common.tensorflow import tensorflow
from engine.encoders.dlib import resnet

SIDE, STEP = 150, 64
"""A picture's sides are 150 pixels, as a chip's, or so many times 64 more: its layers halve them alike then."""
# Of its blocks, by number: those whose style is looked at, behind the first convolution, and the one of the content.
_STYLE, _CONTENT = (0, 3, 7), 4


class Features:
    """What the network makes of pictures of one size, (height, width)."""

    def __init__(self, height: int, width: int) -> None:
        tf = tensorflow()
        model, mean = resnet.network()
        blocks = [layer.output for layer in model.layers if isinstance(layer, tf.keras.layers.ReLU)]
        first = next(layer.output for layer in model.layers if isinstance(layer, tf.keras.layers.Conv2D))
        wanted = [blocks[_CONTENT], first, *(blocks[number] for number in _STYLE)]
        cut = tf.keras.Model(model.inputs[0], wanted)
        self._model = tf.keras.models.clone_model(cut, input_tensors=tf.keras.layers.Input((height, width, 3)))
        self._model.set_weights(cut.get_weights())
        self._mean = tf.constant(mean, tf.float32)

    def __call__(self, pictures: Any) -> tuple[Any, list[Any]]:
        """The content's activations and those of the style's layers, of RGB pictures float32 (n, height, width, 3), 0 to 255."""
        content, *style = self._model((pictures - self._mean) / 256, training=False)
        return content, style


def sides(height: int, width: int, longest: int) -> tuple[int, int]:
    """The height and width nearest to a picture's proportions that the network takes, the longer one at most `longest`."""
    scale = longest / max(height, width)
    return tuple(SIDE + STEP * max(0, round((side * scale - SIDE) / STEP)) for side in (height, width))  # type: ignore[return-value]
