"""Small image files that would take minutes or gigabytes: each is refused before it is decoded, or decoded within bounds."""

import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.errors import ImageProblem
from engine.faces.images import decode
from tests.image_files import FIXTURES, SHORT, base, coded, entry, exif, png, with_segment, written

# Bytes that decoding the largest picture of any format may add: 100 megapixels of RGB take 700 MB (Pillow's and the result).
MOST = 1_200_000_000
HUGE = struct.pack(">II", 60_000, 60_000)


def patched(data: bytes, mark: bytes, skip: int, *values: bytes) -> bytes:
    """A file with other bytes some way behind a mark."""
    at = data.index(mark) + len(mark) + skip
    new = b"".join(values)
    return data[:at] + new + data[at + len(new) :]


def black_png(width: int, height: int, depth: int, colour: int, pixel: int) -> bytes:
    """A PNG of zeros, `pixel` bytes each."""
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + width * pixel)) for _ in range(height)) + packer.flush()
    return png(width, height, depth, colour, rows)


def webp_of_canvas(side: int) -> bytes:
    """A moving WebP of a large canvas and a small picture on it."""

    def block(name: bytes, data: bytes) -> bytes:
        return name + struct.pack("<I", len(data)) + data

    def three(number: int) -> bytes:
        return number.to_bytes(3, "little")

    canvas = block(b"VP8X", b"\2\0\0\0" + three(side - 1) * 2)
    frame = bytes(6) + three(129) + three(159) + bytes(4) + coded("WEBP", lossless=True)[12:]
    return block(b"RIFF", b"WEBP" + canvas + block(b"ANIM", bytes(6)) + block(b"ANMF", frame))


def tiff_of_tile(side: int) -> bytes:
    """A TIFF that shows the corner of a large tile."""
    row = bytes(side)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    longs = {256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8 + 2 + 12 * 10 + 4, 325: len(data)}
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in longs.items())
    return b"II*\0" + struct.pack("<IH", 8, len(longs)) + tags + struct.pack("<I", 0) + data


def scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is there `count` times more."""
    data = coded("JPEG", Image.new("RGB", (1000, 1000), "grey"), progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * count + data[-2:]


HEIC = (FIXTURES / "upright.heic").read_bytes()
REFUSED = {
    "PNG": (lambda: png(60_000, 60_000, 8, 2, b""), "60000 x 60000 pixels is 3600 megapixels; at most 100 are decoded of PNG"),
    "one row too many": (lambda: png(10_000, 10_001, 1, 0, b""), "10000 x 10001 pixels is 100 megapixels; at most 100 are .*"),
    "GIF": (lambda: patched(coded("GIF"), b"GIF87a", 0, b"\x60\xea\x60\xea"), "60000 x 60000 pixels .*"),
    "PNM": (lambda: b"P6 60000 60000 255\n", "60000 x 60000 pixels .*"),
    "JPEG 2000": (lambda: patched(coded("JPEG2000"), b"ihdr", 0, HUGE), "60000 x 60000 pixels .* at most 50 .* of JPEG 2000"),
    "JPEG 2000 without container": (
        lambda: patched(coded("JPEG2000", no_jp2=True), b"\xff\x51", 4, HUGE),
        "60000 x 60000 pixels .*",
    ),
    "JPEG 2000 that is larger than its container says": (
        lambda: patched(coded("JPEG2000"), b"\xff\x51", 4, HUGE, bytes(8), HUGE),
        "the JPEG 2000 file is damaged .*",
    ),
    "HEIC": (lambda: patched(HEIC, b"ispe", 4, HUGE), "60000 x 60000 pixels is 3600 megapixels; at most 100 are decoded of HEIC"),
    "HEIC that is larger than it says": (
        lambda: patched(HEIC, b"ispe", 4, struct.pack(">II", 16, 16)),
        "the HEIC file is damaged or cut short: .*",
    ),
    "AVIF": (lambda: patched(coded("AVIF"), b"ispe", 4, struct.pack(">II", 15_000, 15_000)), "15000 x 15000 pixels .*"),
    "AVIF beyond its library": (lambda: patched(coded("AVIF"), b"ispe", 4, HUGE), "the AVIF file is damaged or cut short: .*"),
    "WebP": (lambda: webp_of_canvas(65_535), "more than 50 megapixels, the most that is decoded of WebP"),
    "TIFF": (lambda: tiff_of_tile(20_000), "20000 x 20000 pixels is 400 megapixels; at most 100 are decoded of TIFF"),
    "JPEG of many scans of a large picture": (
        lambda: patched(scans(60), b"\xff\xc2", 3, struct.pack(">HH", 9000, 10_000)),
        "a JPEG of [67][0-9] scans of 10000 x 9000 pixels, .*; at most 1500 megapixels are decoded over all scans",
    ),
    "JPEG of 5,000 scans": (
        lambda: scans(5000),
        "a JPEG of 50[01][0-9] scans, which takes long to decode; at most 100 are decoded",
    ),
}


@pytest.mark.parametrize(("build", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_bombs_are_refused_at_once(tmp_path: Path, build: Callable[[], bytes], reason: str) -> None:
    path = written(tmp_path, build())
    began = time.perf_counter()
    with pytest.raises(ImageProblem, match=f"^{reason}$"):
        decode(path)
    assert time.perf_counter() - began < 2


MEGAPIXELS = 25
SIDE = 5000
# Small as files; with the most megapixels of their formats.
HEAVY = {
    "16-bit grey": (lambda: black_png(SIDE, SIDE, 16, 0, 2), 100),
    "16-bit RGBA": (lambda: black_png(SIDE, SIDE, 16, 6, 8), 100),
    "progressive JPEG": (lambda: coded("JPEG", Image.new("RGB", (SIDE, SIDE)), progressive=True, subsampling=0), 100),
    "lying JPEG": (lambda: with_segment(coded("JPEG", Image.new("RGB", (SIDE, SIDE))), exif(entry(0x0112, SHORT, 1, 6))), 100),
    "JPEG 2000": (
        lambda: patched(coded("JPEG2000", no_jp2=True), b"\xff\x51", 4, *[struct.pack(">QQ", SIDE << 32 | SIDE, 0)] * 2),
        50,
    ),
    "GIF": (lambda: patched(coded("GIF"), b"GIF87a", 0, struct.pack("<HH", SIDE, SIDE)), 100),
    "AVIF": (lambda: patched(coded("AVIF"), b"ispe", 4, struct.pack(">II", SIDE, SIDE)), 100),
    "WebP": (lambda: coded("WEBP", Image.new("RGBA", (SIDE, SIDE)), lossless=True, method=0), 50),
}


def added_by_decoding(path: Path) -> int:
    """Bytes, in a process of its own."""
    code = (
        "import re, sys; from pathlib import Path; from engine.faces.images import decode\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) * 1024\n"
        "before = peak(); decode(Path(sys.argv[1])); print(peak() - before)"
    )
    return int(subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize(("build", "megapixels"), HEAVY.values(), ids=HEAVY.keys())
def test_large_pictures_take_no_gigabytes(tmp_path: Path, build: Callable[[], bytes], megapixels: int) -> None:
    path = written(tmp_path, build())
    assert path.stat().st_size < 1_000_000
    assert 3 * MEGAPIXELS * 1_000_000 < added_by_decoding(path) < MOST * MEGAPIXELS / megapixels


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_the_largest_16_bit_picture(tmp_path: Path) -> None:
    assert added_by_decoding(written(tmp_path, black_png(10_000, 10_000, 16, 0, 2))) < MOST


def test_what_looks_like_scans_and_is_none(tmp_path: Path) -> None:
    """In a segment, and behind the end, where telephones put a film."""
    jpeg = with_segment(coded("JPEG", quality=95), b"http://" + b"\xff\xda" * 500) + b"\xff\xda" * 500
    assert np.abs(decode(written(tmp_path, jpeg)).astype(int) - base()).mean() < 2


def test_a_hundred_scans_are_decoded(tmp_path: Path) -> None:
    assert decode(written(tmp_path, scans(90))).shape == (1000, 1000, 3)
