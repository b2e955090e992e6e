"""Photographs of many shapes, as a telephone's folder has them: upright and lying, large and small, some without a face."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

# Width and height in pixels.
SHAPES = [
    *[(900, 1600), (1600, 900), (480, 640), (640, 480), (300, 300)],
    *[(250, 700), (1200, 500), (431, 577), (1920, 1080), (250, 250)],
]
# The share of the shorter side that the photograph takes, and every how many canvases one shows a view without anybody.
_SHARE, _VIEWS = 0.7, 12


def write_mixed(files: Sequence[Path], folder: Path) -> list[Path]:
    """Put each photograph on a canvas of the next shape, off the middle, and write it as JPEG into `folder`; in order."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number, file in enumerate(files):
        shape = SHAPES[number % len(SHAPES)]
        path = folder / f"{number:05}.jpg"
        if number % _VIEWS == _VIEWS - 1:
            Image.linear_gradient("L").resize(shape).convert("RGB").save(path, quality=92)
        else:
            _on_canvas(file, shape).save(path, quality=92)
        written.append(path)
    return written


def _on_canvas(file: Path, shape: tuple[int, int]) -> Image.Image:
    side = int(min(shape) * _SHARE)
    canvas = Image.new("RGB", shape, (150, 160, 170))
    with Image.open(file) as photograph:
        canvas.paste(photograph.convert("RGB").resize((side, side)), ((shape[0] - side) // 3, (shape[1] - side) // 4))
    return canvas
