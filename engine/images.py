"""Find image files, and decode them safely."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from engine import places
from engine.errors import ImageProblem, PhotographsError, StorageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
MAX_PIXELS = 100_000_000
IMAGE_ENDINGS = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".gif",
        ".heic",
        ".heif",
        ".avif",
        ".jp2",
        ".jxl",
        ".ico",
        ".psd",
        ".raw",
    ]
)
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")

# Our own limit is lower than the size from which Pillow warns.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


def find_images(folder: Path) -> list[Path]:
    """The image files under `folder`, recursively, in the order of their names.

    A file counts when its ending or its first bytes say "image": a photograph under a wrong name is found, and a broken
    file with an image's ending is kept, so that it is reported and does not vanish. Hidden files do not count. In object
    storage the ending alone decides.

    Raises:
        PhotographsError: the folder, or one below it, cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise PhotographsError(f"cannot list {error.filename}: {error.strerror}")

    if places.is_remote(folder):  # every object's first bytes would be a request
        return [path for path in places.below(folder) if path.suffix.lower() in IMAGE_ENDINGS]
    found = []
    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (Path(parent, name) for name in sorted(names) if not name.startswith("."))
        found += [path for path in paths if is_image_file(path)]
    return found


def is_image_file(path: Path) -> bool:
    """Whether the ending or the first bytes of a file say "image"."""
    if path.suffix.lower() in IMAGE_ENDINGS:
        return True
    try:
        with path.open("rb") as stream:
            head = stream.read(12)
    except OSError:
        return False
    return head.startswith(_SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def decode(path: Path) -> np.ndarray:
    """Read one image as RGB, upright.

    The format is told from the content. EXIF orientation is applied, grey becomes RGB, transparent parts lie on white,
    16-bit grey is scaled to 8, of several frames the first counts.

    Returns:
        uint8, shape (height, width, 3), C-contiguous.

    Raises:
        ImageProblem: the file cannot be read, is empty, truncated, of another format, or larger than `MAX_PIXELS`.
    """
    try:
        with Image.open(io.BytesIO(places.read(path)) if places.is_remote(path) else path, formats=FORMATS) as image:
            _refuse_huge(*image.size)
            return _to_rgb(ImageOps.exif_transpose(image))
    except (ImageProblem, StorageError):
        raise
    except FileNotFoundError as error:
        raise ImageProblem("cannot be read: No such file or directory") from error
    except Image.DecompressionBombError as error:
        raise ImageProblem(f"more than {MAX_PIXELS / 1e6:.0f} megapixels, the most that is decoded") from error
    except UnidentifiedImageError as error:
        raise ImageProblem(_why_unidentified(path)) from error
    except MemoryError as error:
        raise ImageProblem("not enough memory to decode it") from error
    except Exception as error:  # Pillow's decoders raise whatever they trip over in damaged bytes
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ImageProblem(f"cannot be read: {reason}") from error


def _refuse_huge(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageProblem(
            f"{width} x {height} pixels is {width * height / 1e6:.0f} megapixels; at most {MAX_PIXELS / 1e6:.0f} are decoded"
        )


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode == "F":
        raise ImageProblem("floating-point pixels; save it with 8 or 16 bits a channel")
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64)
        image = Image.fromarray((grey >> 8 if grey.max(initial=0) > 255 else grey).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
    return np.ascontiguousarray(image.convert("RGB"))


def _why_unidentified(path: Path) -> str:
    if not places.is_remote(path) and path.stat().st_size == 0:
        return "the file is empty"
    return f"not an image that can be read: expected {', '.join(FORMATS)}"
