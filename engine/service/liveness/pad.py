"""The user's own detector of presentation attacks: a function that says whether a face in a picture is a living person's."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.calibration.thresholds import IDENTIFIED
from engine.errors import GalleryError
from engine.faces.images import ImageBytes, decode

Detector = Callable[[np.ndarray, tuple[float, float, float, float]], bool]
"""From an RGB picture, uint8 (height, width, 3), and the box of a face, x y width height in pixels, to whether it lives."""


class DetectorFailed(Exception):
    """The detector raised, or said neither yes nor no; `__cause__` is what it raised."""


def load_detector(named: str) -> Detector:
    """The function that `package.module:function` names, of whoever starts the service: no client names one.

    Raises:
        GalleryError: there is none, or its module cannot be loaded; says what is missing.
    """
    module, _, name = named.partition(":")
    if not module or not name.isidentifier():
        raise GalleryError(f"--pad {named}: expected package.module:function")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise GalleryError(f"--pad {named}: {error}; is its folder in PYTHONPATH?") from error
    except (Exception, SystemExit) as error:  # whatever somebody's own module raises when it is loaded
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise GalleryError(f"--pad {named}: {module} cannot be loaded: {why}") from error
    if not callable(found):
        raise GalleryError(f"--pad {named}: found a {type(found).__name__}, expected a function")
    detector: Detector = found
    return detector


def refused_by_pad(detector: Detector, megapixels: float, pictures: Sequence[bytes], rows: Sequence[dict[str, Any]]) -> list[int]:
    """Which rows a detector refuses, of those whose face was identified; only these it is asked about.

    Raises:
        DetectorFailed: nobody is let in then.
    """
    refused, decoded = [], dict[str, np.ndarray]()
    for at, row in enumerate(rows):
        if row["decision"] != IDENTIFIED:
            continue
        probe = row["probe"]
        if probe not in decoded:
            decoded = {probe: decode(ImageBytes(pictures[int(probe.rpartition(":")[2])], megapixels))}
        box = row["box"]
        try:
            lives = detector(decoded[probe], (box["x"], box["y"], box["width"], box["height"]))
        except Exception as error:  # whatever somebody's own code raises, the door stays shut
            raise DetectorFailed(f"it raised {type(error).__name__}") from error
        if not isinstance(lives, bool | np.bool_):
            raise DetectorFailed(f"it said {lives!r:.60} ({type(lives).__name__}); expected True or False")
        if not lives:
            refused.append(at)
    return refused
