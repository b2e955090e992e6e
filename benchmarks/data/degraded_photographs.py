"""Photographs made worse, as cameras and networks make them: what probes are like when the enrolled pictures were better."""

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np

from engine.embedding.photographs import Photograph
from engine.faces.images import decode

Degrade = Callable[[np.ndarray], np.ndarray]


def blurred(picture: np.ndarray) -> np.ndarray:
    """Out of focus: a Gaussian of 1.2 % of the picture's side (3 pixels of LFW's 250)."""
    return cv2.GaussianBlur(picture, (0, 0), 0.012 * max(picture.shape[:2]))


def small(picture: np.ndarray) -> np.ndarray:
    """Taken from far away: a third of its side in each direction, and enlarged again."""
    height, width = picture.shape[:2]
    reduced = cv2.resize(picture, (max(1, width // 3), max(1, height // 3)), interpolation=cv2.INTER_AREA)
    return cv2.resize(reduced, (width, height), interpolation=cv2.INTER_CUBIC)


def recompressed(picture: np.ndarray) -> np.ndarray:
    """Sent too often: JPEG of quality 12."""
    _, coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 12])
    return cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def darkened(picture: np.ndarray) -> np.ndarray:
    """A fifth of the light in linear terms, with the noise of a sensor that is short of it; the same noise every time."""
    linear = (picture / 255.0) ** 2.2 / 5
    noise = np.random.default_rng(0).normal(size=picture.shape) * 0.008
    return (255 * np.clip(linear + noise, 0, 1) ** (1 / 2.2)).astype(np.uint8)


DEGRADATIONS: dict[str, Degrade] = {
    "blurred": blurred,
    "small": small,
    "recompressed": recompressed,
    "darkened": darkened,
}


def degraded(photographs: Sequence[Photograph], degrade: Degrade) -> Iterator[Photograph]:
    """The same photographs, made worse as they are asked for."""
    for photograph in photographs:
        picture = photograph.image if isinstance(photograph.image, np.ndarray) else decode(photograph.image)
        yield Photograph(photograph.source, degrade(picture), photograph.identity)
