"""Pictures that are read for style transfer, and written."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from engine.errors import ImageProblem, OutputError, StyleError
from engine.faces.images import decode, find_images
from engine.files.atomic_files import whole_file
from engine.style.features import sides


def check_picture(path: Path) -> None:
    """Refuse, before any work, a name that is no PNG's. Raises `OutputError`."""
    if path.suffix.lower() != ".png":
        raise OutputError(f"{path}: a picture is written as PNG; expected a name that ends in .png")


def step_path(out: Path, number: int) -> Path:
    """Where the picture after so many steps goes."""
    return out.with_suffix(f".{number:04d}{out.suffix}")


def read_content(path: Path, side: int) -> np.ndarray:
    """A picture, uint8 RGB, brought to sides that the network takes, the longer one about `side`. Raises `StyleError`."""
    picture = read_style(path)
    height, width = sides(picture.shape[0], picture.shape[1], side)
    shrinks = min(picture.shape[:2]) > min(height, width)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def read_style(path: Path) -> np.ndarray:
    """A picture, uint8 RGB. Raises `StyleError` where there is none."""
    try:
        return decode(path)
    except ImageProblem as problem:
        raise StyleError(f"{path}: {problem}") from problem


def read_styles(folder: Path) -> dict[str, np.ndarray]:
    """The pictures below a folder, uint8 RGB, by their paths in it without the ending.

    Raises:
        StyleError: there is none, one cannot be read, or two have the same name.
        PhotographsError: there is no such folder.
    """
    found: dict[str, np.ndarray] = {}
    for path in find_images(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise StyleError(f"{path}: another picture there is called {name} too; expected a name for each style")
        found[name] = read_style(path)
    if not found:
        raise StyleError(f"{folder}: no pictures in it; expected some, in whose styles to bring others")
    return found


def write_picture(picture: np.ndarray, path: Path) -> None:
    """Write an RGB picture as PNG. Raises `OutputError`."""
    with whole_file(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")
