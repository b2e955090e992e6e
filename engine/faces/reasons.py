"""What is wrong with a face, in words: they are told to the user, and decide nothing.

Beyond each limit lies about one in a hundred ordinary photographs (`onek benchmark quality`).
"""

import cv2
import numpy as np

from engine.faces.alignment import AlignedFace

# Pixels between the eyes; the mean light of the chip's middle, of 255.
_SMALL, _DARK = 20.0, 70.0
# The spread of the chip's Laplacian in units of that of its light.
_BLURRED = 0.115
# How far the nose lies from the middle of eyes and mouth, in units of the distance between the eyes.
_TURNED = 0.5
# The share of the chip, in squares of 14 pixels, that is of one colour, while the rest is not.
_COVERED, _SQUARE, _FLAT = 0.18, 14, 2.0


def reasons_of(face: AlignedFace) -> tuple[str, ...]:
    """What is wrong with a face that was cut out, by five signals; nothing, where none of them says so."""
    grey = cv2.cvtColor(face.chip, cv2.COLOR_RGB2GRAY).astype(np.float32)
    dark = light(grey) < _DARK
    signals = {
        "too small": face.points is not None and eye_distance(face.points) < _SMALL,
        "blurred": sharpness(grey) < _BLURRED,
        "dark": dark,
        "turned": face.points is not None and turn(face.points) > _TURNED,
        "covered": not dark and flat_share(grey) > _COVERED,
    }
    return tuple(name for name, seen in signals.items() if seen)


def eye_distance(points: np.ndarray) -> float:
    """In pixels of the picture."""
    return float(abs(points[1] - points[0]))


def light(grey: np.ndarray) -> float:
    """The mean of the middle of a chip, 0 to 255."""
    edge = len(grey) // 4
    return float(grey[edge:-edge, edge:-edge].mean())


def sharpness(grey: np.ndarray) -> float:
    """What changes from pixel to pixel, in units of what changes over the chip."""
    return float(cv2.Laplacian(grey, cv2.CV_32F).std() / max(float(grey.std()), 1e-3))


def turn(points: np.ndarray) -> float:
    """How far the nose lies to one side: 0 of a face that looks into the camera."""
    middle, across = (points[0] + points[1] + points[3] + points[4]) / 4, points[1] - points[0]
    return float(abs(((points[2] - middle) / across).real)) if abs(across) else 0.0


def flat_share(grey: np.ndarray) -> float:
    """The share of a chip's squares that are of one colour."""
    many = len(grey) // _SQUARE
    squares = grey[: many * _SQUARE, : many * _SQUARE].reshape(many, _SQUARE, many, _SQUARE).swapaxes(1, 2)
    return float((squares.std(axis=(2, 3)) < _FLAT).mean())
