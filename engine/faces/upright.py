"""Make a picture of any mode, whichever way it lies, an upright RGB one."""

from collections.abc import Callable

import numpy as np
from PIL import ExifTags, Image

from engine.errors import ImageProblem

# Pixels that are converted at a time, so that no mode takes more memory than the decoded picture and the result.
_STRIP = 1 << 22
# A pixel of three bytes as one value: NumPy turns pictures of such values twice as fast.
_PIXEL = np.dtype("V3")

# EXIF's eight orientations: how the picture, as it is stored, lies in the upright one. Each gives a view.
_AS_STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
_ON_ITS_SIDE = (5, 6, 7, 8)


def upright_rgb(image: Image.Image) -> np.ndarray:
    """Decode an opened picture as upright RGB: grey becomes RGB, transparent parts lie on white, 16-bit grey is scaled to 8.

    Returns:
        uint8, shape (height, width, 3), C-contiguous.

    Raises:
        ImageProblem: its pixels are floating-point numbers.
    """
    image.load()
    if image.mode == "F":
        raise ImageProblem("floating-point pixels; save it with 8 or 16 bits a channel")
    width, height = image.size
    orientation = _orientation(image)
    upright = np.empty((width, height) if orientation in _ON_ITS_SIDE else (height, width), _PIXEL)
    stored = _AS_STORED[orientation](upright)
    rows = max(1, _STRIP // width)
    strips = [(top, min(top + rows, height)) for top in range(0, height, rows)]
    shift = max(_excess_bits(image.crop((0, top, width, end))) for top, end in strips)
    for top, end in strips:
        stored[top:end] = _rgb(image.crop((0, top, width, end)), shift).view(_PIXEL)[:, :, 0]
    return upright.view(np.uint8).reshape(*upright.shape, 3)


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 (upright) where there is none that can be read. HEIC pictures come turned already."""
    if image.format == "HEIF":
        return 1
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # whatever Pillow trips over in damaged EXIF: the picture itself may be whole
        return 1
    return next((each for each in _AS_STORED if each == orientation), 1)


def _excess_bits(strip: Image.Image) -> int:
    """How many bits more than 8 a deep grey picture uses: cameras write 10, 12 or 14 bits into files of 16."""
    if not strip.mode.startswith("I"):
        return 0
    used = int(np.asarray(strip).max()).bit_length()
    return max(0, used + used % 2 - 8)


def _rgb(strip: Image.Image, shift: int) -> np.ndarray:
    if strip.mode.startswith("I"):
        strip = Image.fromarray((np.asarray(strip) >> shift).clip(0, 255).astype(np.uint8))
    if strip.has_transparency_data:
        layered = strip.convert("RGBA")
        strip = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
    return np.asarray(strip.convert("RGB"))
