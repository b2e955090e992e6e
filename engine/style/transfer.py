"""Pictures whose content is one picture's and whose style is another's, by descending the costs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from engine.common.tensorflow import tensorflow
from engine.errors import StyleError
from engine.style.costs import content_cost, style_cost, total_variation
from engine.style.descent import ADAM, OPTIMIZERS, WHITE, Told, by_adam, by_lbfgs
from engine.style.features import Features


@dataclass(frozen=True)
class Styling:
    """How a picture is made: `steps` of the `optimizer`, `adam` or `lbfgs`, and the weights of the costs of `content`, `style`
    and total `variation`.

    It begins as the content with `noise`, in grey values up to which each pixel is moved, the same for the same `seed`.
    """

    steps: int = 150
    content: float = 10.0
    style: float = 400.0
    variation: float = 1e-5
    noise: float = 20.0
    seed: int = 0
    optimizer: str = ADAM

    def check(self) -> None:
        """Refuse weights that are below 0 or no numbers, too few steps, and another optimizer. Raises `StyleError`."""
        for name in ("content", "style", "variation", "noise"):
            if not 0 <= (value := getattr(self, name)) < np.inf:
                raise StyleError(f"--{name} {value:g}: expected 0 or more")
        if self.steps < 1:
            raise StyleError(f"--steps {self.steps}: expected 1 or more")
        if self.optimizer not in OPTIMIZERS:
            raise StyleError(f"--optimizer {self.optimizer}: expected {' or '.join(OPTIMIZERS)}")


def stylised(contents: np.ndarray, style: np.ndarray, how: Styling, told: Told | None = None) -> np.ndarray:
    """Pictures of these contents in a style; no picture changes another's.

    Args:
        contents: uint8 (n, h, w, 3), RGB; h and w as `engine.style.features.sides` gives them.
        style: uint8, RGB, of any size: it is brought to the contents'.
        how: steps, weights, seed and optimizer.
        told: told of each step: how many are done, the cost of each picture (n,), and the pictures so far, as a function. With
            `lbfgs`, of one picture after the other.

    Returns:
        uint8 (n, h, w, 3).

    Raises:
        StyleError: a weight is below 0, or there is no such optimizer.
        EncoderError: the network's weights are missing.
    """
    how.check()
    if how.optimizer != ADAM and len(contents) != 1:
        alone = [stylised(contents[at : at + 1], style, how, told) for at in range(len(contents))]
        return np.concatenate([contents[:0], *alone])
    tf = tensorflow()
    tf.config.experimental.enable_op_determinism()
    height, width = contents.shape[1:3]
    features = Features(height, width)
    shrinks = min(style.shape[:2]) > min(height, width)
    fitted = cv2.resize(style, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    of_content = features(tf.constant(contents, tf.float32))[0]
    of_style = features(tf.constant(fitted[None], tf.float32))[1]
    moved = np.random.default_rng(how.seed).uniform(-how.noise, how.noise, contents.shape[1:])

    def costs(pictures: Any) -> Any:
        content, layers = features(pictures)
        styles = [style_cost(one, other) for one, other in zip(of_style, layers, strict=True)]
        found = how.content * content_cost(of_content, content) + how.style * tf.add_n(styles) / len(styles)
        return found + how.variation * total_variation(pictures)

    def tell(number: int, found: np.ndarray, so_far: Callable[[], np.ndarray]) -> None:
        if told:
            told(number, found, lambda: _pixels(so_far()))

    descend = by_adam if how.optimizer == ADAM else by_lbfgs
    return _pixels(descend(costs, np.clip(contents + moved, 0, WHITE), how.steps, tell))


def _pixels(pictures: np.ndarray) -> np.ndarray:
    return np.round(pictures).astype(np.uint8)
