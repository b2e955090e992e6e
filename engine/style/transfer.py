"""Pictures whose content is one picture's and whose style is another's, by descending the costs with Adam."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from engine.common.tensorflow import tensorflow
from engine.errors import StyleError
from engine.style.costs import content_cost, style_cost, total_variation
from engine.style.features import Features

# Of Adam, in grey values.
_RATE = 4.0


@dataclass(frozen=True)
class Styling:
    """How a picture is made: `steps` of Adam, and the weights of the costs of `content`, `style` and total `variation`.

    It begins as the content with `noise`, in grey values up to which each pixel is moved, the same for the same `seed`.
    """

    steps: int = 150
    content: float = 10.0
    style: float = 400.0
    variation: float = 1e-5
    noise: float = 20.0
    seed: int = 0

    def check(self) -> None:
        """Refuse weights that are below 0 or no numbers, and too few steps. Raises `StyleError`."""
        for name in ("content", "style", "variation", "noise"):
            if not 0 <= (value := getattr(self, name)) < np.inf:
                raise StyleError(f"--{name} {value:g}: expected 0 or more")
        if self.steps < 1:
            raise StyleError(f"--steps {self.steps}: expected 1 or more")


# Told of each step: how many are done, the total cost of each picture (n,), and the pictures so far as a function, since most
# steps' are not looked at.
Told = Callable[[int, np.ndarray, Callable[[], np.ndarray]], None]


def stylised(contents: np.ndarray, style: np.ndarray, how: Styling, told: Told | None = None) -> np.ndarray:
    """Pictures of these contents in a style; no picture changes another's.

    Args:
        contents: uint8 (n, h, w, 3), RGB; h and w as `engine.style.features.sides` gives them.
        style: uint8, RGB, of any size: it is brought to the contents'.
        how: steps, weights and seed.
        told: told of each step.

    Returns:
        uint8 (n, h, w, 3).

    Raises:
        StyleError: a weight is below 0.
        EncoderError: the network's weights are missing.
    """
    how.check()
    tf = tensorflow()
    tf.config.experimental.enable_op_determinism()
    height, width = contents.shape[1:3]
    features = Features(height, width)
    shrinks = min(style.shape[:2]) > min(height, width)
    fitted = cv2.resize(style, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    of_content = features(tf.constant(contents, tf.float32))[0]
    of_style = features(tf.constant(fitted[None], tf.float32))[1]
    moved = np.random.default_rng(how.seed).uniform(-how.noise, how.noise, contents.shape[1:])
    pictures = tf.Variable(np.clip(contents + moved, 0, 255), dtype=tf.float32)
    optimizer = tf.keras.optimizers.Adam(_RATE)
    optimizer.build([pictures])

    def step() -> Any:
        with tf.GradientTape() as tape:
            content, layers = features(pictures)
            styles = [style_cost(one, other) for one, other in zip(of_style, layers, strict=True)]
            costs = how.content * content_cost(of_content, content) + how.style * tf.add_n(styles) / len(styles)
            costs += how.variation * total_variation(pictures)
        optimizer.apply([tape.gradient(costs, pictures)], [pictures])
        pictures.assign(tf.clip_by_value(pictures, 0, 255))
        return costs

    run = tf.function(step)
    for number in range(1, how.steps + 1):
        costs = run().numpy()
        if told:
            told(number, costs, lambda: _pixels(pictures))
    return _pixels(pictures)


def _pixels(pictures: Any) -> np.ndarray:
    return np.asarray(np.round(pictures.numpy()), np.uint8)
