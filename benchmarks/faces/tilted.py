"""How well landmarks follow a head that is turned in the picture: against those of the same picture upright."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engine.errors import PhotographsError
from engine.faces.alignment import largest_landmarks
from engine.faces.images import decode

ANGLES = (5, 10, 20, 30, 45, 60, 90, 135, 180)


@dataclass(frozen=True)
class Tilt:
    """Photographs turned by `degrees`: in how many of them a face is found, and quantiles of the root mean square distance of its
    landmarks from where they were upright, in distances of the eyes.
    """

    degrees: int
    photographs: int
    found: int
    median: float
    ninetieth: float


def measure_tilts(photographs: Sequence[Path], progress: Callable[[int], None] | None = None) -> list[Tilt]:
    """Turn photographs in which a face is found upright.

    Raises:
        PhotographsError: there is none.
    """
    upright = [(picture, points) for picture in map(decode, photographs) if (points := largest_landmarks(picture)) is not None]
    if not upright:
        raise PhotographsError(f"of {len(photographs):,} photographs none shows a face")
    rows = []
    for degrees in ANGLES:
        errors = [error for picture, points in upright if (error := _error(picture, points, degrees)) is not None]
        median, ninetieth = np.quantile(errors, (0.5, 0.9)) if errors else (np.nan, np.nan)
        rows.append(Tilt(degrees, len(upright), len(errors), float(median), float(ninetieth)))
        if progress:
            progress(1)
    return rows


def _error(picture: np.ndarray, points: np.ndarray, degrees: float) -> float | None:
    height, width = picture.shape[:2]
    middle = complex((width - 1) / 2, (height - 1) / 2)
    matrix = cv2.getRotationMatrix2D((middle.real, middle.imag), degrees, 1)
    found = largest_landmarks(cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE))
    if found is None:
        return None
    expected = (points - middle) * np.exp(-1j * np.radians(degrees)) + middle
    return float(np.sqrt(np.mean(np.abs(found - expected) ** 2)) / abs(points[0] - points[1]))
