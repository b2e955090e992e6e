"""MTCNN (Zhang et al. 2016) from the package `mtcnn`, with its three networks compiled.

The package calls them operation by operation. Compiled they take half the time; the two that see patches of a fixed size run
in chunks, so that XLA compiles each once whatever the number of patches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

import cv2
import numpy as np

from engine.backend import tensorflow

PATCH = 48
# Of copies in one call; the networks' activations take some 200 bytes for each.
PIXELS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Detection:
    """One face. `box` (4,) is x, y, width, height in pixels of the picture; `quality` 0 to 1."""

    box: np.ndarray
    quality: float

    @property
    def area(self) -> float:
        """In square pixels."""
        return float(self.box[2] * self.box[3])


def detect(pictures: Sequence[np.ndarray], side: int) -> list[list[Detection]]:
    """The faces of each picture, looked for on a copy whose longer side is at most `side` pixels.

    A face must be 20 pixels wide on the copy. (The package's own `min_face_size` above 20 finds nothing, so the picture shrinks.)
    """
    step = max(1, PIXELS_AT_ONCE // side**2)
    return [found for first in range(0, len(pictures), step) for found in _detect(pictures[first : first + step], side)]


def _detect(pictures: Sequence[np.ndarray], side: int) -> list[list[Detection]]:
    copies = [_shrunk(picture, side) for picture in pictures]
    # Columns: picture, x, y, width, height, confidence, and landmarks, which are finer on the whole picture.
    rows = np.asarray(_mtcnn().detect_faces(copies, fit_to_image=False, output_type="numpy"))
    found: list[list[Detection]] = [[] for _ in pictures]
    for row in rows:
        i = int(row[0])
        scale = np.array(pictures[i].shape[1::-1]) / copies[i].shape[1::-1]
        found[i].append(Detection(row[1:5] * np.tile(scale, 2), float(row[5])))
    return found


def landmarks_on(patches: np.ndarray) -> np.ndarray:
    """Where the landmarks are on patches that show one face each.

    Args:
        patches: uint8, shape (n, PATCH, PATCH, 3), RGB, the square round a detection's box.

    Returns:
        float32, shape (n, 5, 2), x and y in pixels of the patch: left eye, right eye, nose, left and right corner of the mouth,
        as the picture shows them.
    """
    network = _mtcnn().get_stage(stage_name="Stage ONET").model
    _, found, _ = network(tensorflow().constant((patches.astype(np.float32) - 127.5) / 128))
    return np.asarray(found).reshape(-1, 2, 5).transpose(0, 2, 1) * PATCH - 0.5


_building = Lock()


def _mtcnn() -> Any:
    with _building:
        return _build()


@cache
def _build() -> Any:
    tf = tensorflow()
    from mtcnn import MTCNN
    from mtcnn.stages import StageONet, StagePNet, StageRNet

    class Proposals(StagePNet):
        def __init__(self) -> None:
            super().__init__()
            network = self.model
            self._model = tf.function(lambda pictures: network(pictures), [tf.TensorSpec((None, None, None, 3), tf.float32)])

    class Refinement(StageRNet):
        def __init__(self) -> None:
            super().__init__()
            self._model = _in_chunks(self.model, size=24, chunk=128)

    class Landmarks(StageONet):
        def __init__(self) -> None:
            super().__init__()
            self._model = _in_chunks(self.model, size=48, chunk=32)

    return MTCNN(stages=[Proposals, Refinement, Landmarks])


def _in_chunks(network: Any, size: int, chunk: int) -> Any:
    """The network over any number of patches (n, size, size, 3), compiled for `chunk` of them."""
    tf = tensorflow()
    compiled = tf.function(lambda x: network(x), [tf.TensorSpec((chunk, size, size, 3), tf.float32)], jit_compile=True)

    def call(patches: Any) -> Any:
        count = patches.shape[0]
        chunks = max(1, -(-count // chunk))
        whole = tf.pad(patches, ((0, chunks * chunk - count), (0, 0), (0, 0), (0, 0)))
        outputs = [compiled(part) for part in tf.split(whole, chunks)]
        return [tf.concat(parts, axis=0)[:count] for parts in zip(*outputs, strict=True)]

    return call


def _shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    height, width = picture.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return picture
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
