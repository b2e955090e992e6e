"""Pictures without anybody: patterns in any size, from a random generator."""

from collections.abc import Callable

import cv2
import numpy as np


def grey(width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """One shade."""
    return np.full((height, width, 3), random.integers(40, 216), np.uint8)


def noise(width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """Each pixel for itself."""
    return random.integers(0, 256, (height, width, 3), np.uint8)


def clouds(width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """Blurred noise, coarse and fine."""
    layers = [resized(noise(width // block, height // block, random), (width, height)) for block in (64, 16, 4)]
    return cv2.addWeighted(cv2.addWeighted(layers[0], 0.5, layers[1], 0.5, 0), 0.7, layers[2], 0.3, 0)


def gradient(width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """From one colour at each corner to the others."""
    return resized(noise(2, 2, random), (width, height))


def stripes(width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """Two colours in turns, in any direction."""
    angle, period = random.uniform(0, np.pi), random.uniform(4, 80)
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    return _of_two(((x * np.cos(angle) + y * np.sin(angle)) / period).astype(int) % 2, random)


def checkerboard(width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """Two colours in squares."""
    side = int(random.integers(4, 80))
    return _of_two((np.arange(width) // side + np.arange(height)[:, None] // side) % 2, random)


def text(width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """Lines of letters and digits, dark on light."""
    picture = np.full((height, width, 3), 240, np.uint8)
    size = float(random.uniform(0.4, 3))
    for line in range(1, int(height / (32 * size)) + 1):
        letters = "".join(random.choice(list("abcdefghij klmnopqrst uvwxyzABCDEFGHIJKLMNOPQ0123456789.,:;"), 200))
        cv2.putText(
            picture, letters, (5, int(32 * size * line)), cv2.FONT_HERSHEY_SIMPLEX, size, (30, 30, 30), max(1, int(2 * size))
        )
    return picture


Pattern = Callable[[int, int, np.random.Generator], np.ndarray]
PATTERNS: dict[str, Pattern] = {each.__name__: each for each in (grey, noise, clouds, gradient, stripes, checkerboard, text)}


def _of_two(which: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return random.integers(0, 256, (2, 3), np.uint8)[which]


def resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture in another size (width, height)."""
    shrinks = size[0] < picture.shape[1]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
