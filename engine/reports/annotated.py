"""Copies of photographs with a box around each face, its name and its score."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pyarrow as pa

from engine.calibration.thresholds import IDENTIFIED
from engine.errors import OutputError
from engine.faces.images import decode
from engine.files.atomic_files import own_folder, whole_file
from engine.files.escaping import shown
from engine.files.outputs import refuse_inputs

if TYPE_CHECKING:
    from engine.embedding.outcome import Outcome


# Pixels of a photograph's longer side, at most; colours of boxes whose faces have a name, and of others.
_LONGEST = 1600
_KNOWN, _UNKNOWN = (46, 139, 87), (200, 80, 40)


@dataclass(frozen=True)
class Label:
    """What is written beside a face's box."""

    box: tuple[float, float, float, float]
    text: str
    identified: bool


def prepare_folder(folder: Path, inputs: Sequence[Path], overwrite: bool) -> None:
    """Make the folder for annotated photographs, before any work.

    Raises:
        OutputError: it is read, or there is something in it and `overwrite` is false.
    """
    refuse_inputs([folder], inputs)
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not overwrite)):
        raise OutputError(f"{folder} exists already; choose another folder, or pass --overwrite to write into it")
    own_folder(folder)


def write_annotated(folder: Path, outcomes: Sequence["Outcome"], results: pa.Table, done: int) -> None:
    """Write photographs with the names of their faces, as `NUMBER-NAME.jpg`, counted from `done` on; those without a face too.

    Args:
        folder: where to.
        outcomes: what was found in the photographs.
        results: a row for each face of theirs, or for a photograph that has none, in the same order.
        done: photographs that were written before.

    Raises:
        OutputError: a file cannot be written.
    """
    rows, at = results.to_pylist(), 0
    for number, outcome in enumerate(outcomes, start=done + 1):
        own = rows[at : at + max(len(outcome.faces), 1)]
        at += len(own)
        if outcome.problem is not None and not outcome.picture:
            continue  # nothing that could be read
        image = outcome.photograph.image
        picture = image if isinstance(image, np.ndarray) else decode(image)
        labels = [
            Label(face.box, _said(row), row["decision"] == IDENTIFIED) for face, row in zip(outcome.faces, own, strict=False)
        ]
        path = folder / f"{number:06d}-{Path(outcome.photograph.source).stem[:80]}.jpg"
        done_, coded = cv2.imencode(".jpg", np.ascontiguousarray(annotated(picture, labels)[..., ::-1]))
        if not done_:
            raise OutputError(f"{path}: the picture cannot be written as JPEG")
        with whole_file(path) as temporary:
            temporary.write_bytes(coded.tobytes())


def _said(row: dict[str, object]) -> str:
    said = str(row["identity"] or row["decision"])
    return said if row["score"] is None else f"{said} {row['score']:.3f}"


def annotated(picture: np.ndarray, labels: Sequence[Label]) -> np.ndarray:
    """A copy of a picture, uint8 (h, w, 3), no larger than 1,600 pixels, with boxes and what is written beside them."""
    scale = min(1.0, _LONGEST / max(picture.shape[:2]))
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    copy = cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if scale < 1 else picture.copy()
    for label in labels:
        x, y, width, height = (value * scale for value in label.box)
        colour = _KNOWN if label.identified else _UNKNOWN
        line = max(1, round(max(size) / 400))
        cv2.rectangle(copy, (round(x), round(y)), (round(x + width), round(y + height)), colour, line)
        _write(copy, shown(label.text), round(x), round(y), round(y + height), colour)
    return copy


def _write(picture: np.ndarray, text: str, x: int, top: int, bottom: int, colour: tuple[int, int, int]) -> None:
    """Write a text on its colour, above a box or, where there is no room, below; names in any script."""
    from PIL import Image, ImageDraw, ImageFont

    size = max(11, round(max(picture.shape[:2]) / 45))
    font = ImageFont.truetype(_font(), size)
    left, upper, right, lower = font.getbbox(text)
    width, height = int(right - left) + 6, int(lower - upper) + 6
    y = top - height if top >= height else min(bottom, picture.shape[0] - height)
    x = max(0, min(x, picture.shape[1] - width))
    drawn = Image.fromarray(picture)
    draw = ImageDraw.Draw(drawn)
    draw.rectangle((x, y, x + width, y + height), fill=colour)
    draw.text((x + 3 - left, y + 3 - upper), text, font=font, fill=(255, 255, 255))
    picture[:] = np.asarray(drawn)


def _font() -> str:
    """DejaVu Sans, which comes with matplotlib: Latin, Greek, Cyrillic, Arabic letters and more."""
    import matplotlib as mpl

    return str(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
