"""Image files for tests, built of drawn pictures."""

import io
import struct
import zlib
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.data.drawn_people import picture_of

FIXTURES = Path(__file__).parent / "fixtures" / "images"
"""HEIC files of the base, which `fixtures/make_images.py` made."""

SHORT, LONG, TEXT, RATIONAL, UNDEFINED = 3, 4, 2, 5, 7
ORIENTATION = 0x0112


@cache
def base() -> np.ndarray:
    """A drawn person, 160 x 130: no turn and no mirror image of it looks the same."""
    return np.ascontiguousarray(picture_of(3, 1, size=160, nuisance=0.6)[:, :130])


def coded(kind: str, picture: np.ndarray | Image.Image | None = None, **options: object) -> bytes:
    """A picture (the base, if none is given) as a file of one of Pillow's formats."""
    buffer = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(base() if picture is None else picture)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def written(folder: Path, data: bytes, name: str = "photo.jpg") -> Path:
    """A file of these bytes."""
    path = folder / name
    path.write_bytes(data)
    return path


def lying(orientation: int) -> np.ndarray:
    """The base as a camera stores it that writes this EXIF orientation."""
    upright = base()
    return np.ascontiguousarray(
        {
            1: upright,
            2: upright[:, ::-1],
            3: upright[::-1, ::-1],
            4: upright[::-1],
            5: upright.transpose(1, 0, 2),
            6: np.rot90(upright, 1),
            7: upright[::-1, ::-1].transpose(1, 0, 2),
            8: np.rot90(upright, -1),
        }[orientation]
    )


def entry(tag: int, kind: int, count: int, value: bytes | int) -> bytes:
    """One tag of a little-endian EXIF directory; a number is written as its kind says."""
    if isinstance(value, int):
        value = struct.pack("<HH" if kind == SHORT else "<I", *((value, 0) if kind == SHORT else (value,)))
    return struct.pack("<HHI", tag, kind, count) + value


def exif(*entries: bytes, behind: bytes = b"") -> bytes:
    """An EXIF block of one directory, with bytes behind it that its tags may point at."""
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + struct.pack("<I", 0) + behind


def with_segment(jpeg: bytes, payload: bytes) -> bytes:
    """A JPEG with one more APP1 segment, which holds EXIF or XMP."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + jpeg[2:]


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *more: bytes) -> bytes:
    """A PNG of packed rows (each begins with a zero), with more chunks before them."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), *more, chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def deep_png(samples: np.ndarray, colour: int, *more: bytes) -> bytes:
    """A PNG of 16 bits a channel, from uint16 (height, width, channels)."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    return png(width, height, 16, colour, zlib.compress(rows), *more)
