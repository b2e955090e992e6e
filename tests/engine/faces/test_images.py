"""The picture files that people have: each becomes the same upright picture, or a problem that says why not."""

import os
import socket
import struct
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from benchmarks.durability.fuzz import mutated, mutations
from engine.errors import ImageProblem
from engine.faces.image_formats import NAMES
from engine.faces.images import decode
from tests.image_files import (
    FIXTURES,
    LONG,
    ORIENTATION,
    RATIONAL,
    SHORT,
    TEXT,
    UNDEFINED,
    base,
    chunk,
    coded,
    deep_png,
    entry,
    exif,
    lying,
    with_segment,
    written,
)
from tests.support.other_user import as_no_root

ORIENTATIONS = range(1, 9)
SRGB, CIELAB = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
# Whatever filters a process has, what others warn of is no reason to refuse a picture.
pytestmark = pytest.mark.filterwarnings("error")
NO_IMAGE = f"not an image that can be read: expected {NAMES}"


def apart(left: np.ndarray, right: np.ndarray) -> float:
    """The mean difference of two pictures; infinite if their shapes differ."""
    return float(np.abs(left.astype(int) - right).mean()) if left.shape == right.shape else np.inf


def grey() -> np.ndarray:
    return np.asarray(Image.fromarray(base()).convert("L").convert("RGB"))


def deep_grey() -> np.ndarray:
    return grey()[:, :, :1].astype(np.uint16) * 257


def test_no_turn_of_the_base_is_taken_for_another() -> None:
    assert min(apart(lying(turn), base()) for turn in ORIENTATIONS if turn != 1) > 20


def blank() -> Image.Image:
    """What follows the base in files of several pictures."""
    return Image.new("RGB", (130, 160), "grey")


FORMATS = {
    "JPEG": (lambda: coded("JPEG", quality=95), 2),
    "progressive JPEG": (lambda: coded("JPEG", quality=95, progressive=True), 2),
    "JPEG with colours of every pixel": (lambda: coded("JPEG", quality=95, subsampling=0), 2),
    "JPEG of two lenses": (lambda: coded("MPO", quality=95, save_all=True, append_images=[blank()]), 2),
    "JPEG with bytes behind": (lambda: coded("JPEG", quality=95) + bytes(5000), 2),
    "PNG": (lambda: coded("PNG"), 0),
    "moving PNG": (lambda: coded("PNG", save_all=True, append_images=[blank()]), 0),
    "WebP": (lambda: coded("WEBP", lossless=True), 0),
    "moving WebP": (lambda: coded("WEBP", lossless=True, save_all=True, append_images=[blank(), blank()]), 0),
    "GIF": (lambda: coded("GIF"), 3),
    "moving GIF": (lambda: coded("GIF", save_all=True, append_images=[blank()]), 3),
    "BMP": (lambda: coded("BMP"), 0),
    "TIFF": (lambda: coded("TIFF"), 0),
    "TIFF of pages": (lambda: coded("TIFF", save_all=True, append_images=[blank()]), 0),
    "TIFF by LZW": (lambda: coded("TIFF", compression="tiff_lzw"), 0),
    "TIFF by JPEG": (lambda: coded("TIFF", compression="jpeg", quality=95), 2),
    "AVIF": (lambda: coded("AVIF", quality=95), 2),
    "moving AVIF": (lambda: coded("AVIF", quality=95, save_all=True, append_images=[blank()]), 2),
    "AVIF in a container of any kind": (lambda: coded("AVIF", quality=95).replace(b"ftypavif", b"ftypmif1", 1), 2),
    "JPEG 2000": (lambda: coded("JPEG2000"), 0),
    "JPEG 2000 without container": (lambda: coded("JPEG2000", no_jp2=True), 0),
    "PPM": (lambda: coded("PPM"), 0),
    "PPM as text": (lambda: b"P3\n# drawn\n130 160\n255\n" + " ".join(map(str, base().ravel())).encode() + b"\n", 0),
    "HEIC": (lambda: (FIXTURES / "upright.heic").read_bytes(), 3),
    "HEIC, turned by its container and by EXIF": (lambda: (FIXTURES / "turned.heic").read_bytes(), 3),
    "HEIC of tiles": (lambda: (FIXTURES / "grid.heic").read_bytes(), 3),
    "HEIC of several": (lambda: (FIXTURES / "several.heic").read_bytes(), 3),
    "HEIC of 10 bits": (lambda: (FIXTURES / "ten_bit.heic").read_bytes(), 3),
    "HEIC in a container of any kind": (lambda: (FIXTURES / "upright.heic").read_bytes().replace(b"ftypheic", b"ftypmif1", 1), 3),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_told_by_content(tmp_path: Path, name: str) -> None:
    build, tolerance = FORMATS[name]
    decoded = decode(written(tmp_path, build(), "photo.dat"))
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous
    assert apart(decoded, base()) <= tolerance


def test_what_a_name_ends_in_does_not_matter(tmp_path: Path) -> None:
    for name in ("a.png", "a.HEIC", "a.txt", "a", "a.nef", "a.tga"):
        assert apart(decode(written(tmp_path, coded("JPEG", quality=95), name)), base()) <= 2


@pytest.mark.parametrize("compression", [None, "tga_rle"])
def test_a_tga_is_told_by_its_ending(tmp_path: Path, compression: str | None) -> None:
    data = coded("TGA", compression=compression)
    np.testing.assert_array_equal(decode(written(tmp_path, data, "photo.TGA")), base())
    with pytest.raises(ImageProblem, match="not an image"):
        decode(written(tmp_path, data, "photo.jpg"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_orientation_is_honoured(tmp_path: Path, kind: str, orientation: int) -> None:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}, "AVIF": {"quality": 95}}.get(kind, {})
    decoded = decode(written(tmp_path, coded(kind, lying(orientation), exif=tags, **options)))
    assert apart(decoded, base()) <= (2 if kind in ("JPEG", "AVIF") else 0)


SIX = entry(ORIENTATION, SHORT, 1, 6)
# EXIF that is odd or broken, and the orientation that it means.
ODD_EXIF = {
    "0": (exif(entry(ORIENTATION, SHORT, 1, 0)), 1),
    "9": (exif(entry(ORIENTATION, SHORT, 1, 9)), 1),
    "65535": (exif(entry(ORIENTATION, SHORT, 1, 65535)), 1),
    "as a long number": (exif(entry(ORIENTATION, LONG, 1, 6)), 6),
    "as text": (exif(entry(ORIENTATION, TEXT, 2, b"6\0\0\0")), 1),
    "twice in one tag": (exif(entry(ORIENTATION, SHORT, 2, struct.pack("<HH", 6, 6))), 6),
    "big-endian": (b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, ORIENTATION, SHORT, 1, 6, 0, 0), 6),
    "garbage": (b"Exif\0\0garbage that is no directory at all", 1),
    "empty": (b"Exif\0\0", 1),
    "with two headers": (b"Exif\0\0" + exif(SIX), 6),
    "cut": (exif(SIX, entry(0x010F, TEXT, 400, 9999))[:20], 1),
    "cut behind the orientation": (exif(SIX, entry(0x010F, TEXT, 400, 9999)), 6),
    "two resolutions": (
        exif(SIX, entry(0x011A, RATIONAL, 2, 38), entry(0x0128, SHORT, 1, 2), behind=struct.pack("<4I", *(72, 1) * 2)),
        6,
    ),
    "a maker that is a number": (exif(entry(0x010F, SHORT, 1, 5), SIX, entry(0x9286, UNDEFINED, 2, b"ab\0\0")), 6),
    "no place": (exif(SIX, entry(0x8825, LONG, 1, 38), behind=struct.pack("<HHHIII", 1, 2, RATIONAL, 1, 56, 0) + bytes(24)), 6),
    "a directory inside itself": (exif(SIX, entry(0x8769, LONG, 1, 8)), 6),
    "in XMP": (b'http://ns.adobe.com/xap/1.0/\0<x><rdf:Description tiff:Orientation="6"/></x>', 6),
}


@pytest.mark.parametrize(("payload", "orientation"), ODD_EXIF.values(), ids=ODD_EXIF.keys())
def test_odd_exif_turns_a_picture_or_leaves_it(tmp_path: Path, payload: bytes, orientation: int) -> None:
    data = with_segment(coded("JPEG", lying(orientation), quality=95), payload)
    assert apart(decode(written(tmp_path, data)), base()) <= 2


def broken_exif(kind: str) -> bytes:
    """A file with an EXIF block of a few bytes that are none."""
    if kind == "PNG":
        data = coded("PNG")
        return data[:33] + chunk(b"eXIf", b"\x00\x08\x00\x02\x01\x12\x00\x03") + data[33:]
    with warnings.catch_warnings(action="ignore"):  # Pillow warns whoever writes it, too
        return coded(kind, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01", **({"lossless": True} if kind == "WEBP" else {}))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF"])
def test_broken_exif_is_no_reason_to_refuse_a_picture(tmp_path: Path, kind: str) -> None:
    assert apart(decode(written(tmp_path, broken_exif(kind))), base()) <= (3 if kind == "AVIF" else 0)


def test_nothing_is_said_on_the_terminal(tmp_path: Path) -> None:
    for name, (payload, _) in ODD_EXIF.items():
        written(tmp_path, with_segment(coded("JPEG"), payload), f"{name}.jpg")
    written(tmp_path, broken_exif("PNG"), "broken.png")
    written(tmp_path, coded("JPEG")[:900], "half.jpg")
    written(tmp_path, coded("TIFF")[:900], "half.tif")
    code = (
        "import sys, pathlib; from engine.faces.images import decode; from engine.errors import ImageProblem\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try: decode(path)\n"
        "    except ImageProblem: pass\n"
        "print('pi_heif' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout == "False\n"  # the library for HEIC is loaded when there is one


def test_filters_of_warnings_stay_as_they_are(tmp_path: Path) -> None:
    before = list(warnings.filters)
    decode(written(tmp_path, broken_exif("PNG")))
    assert list(warnings.filters) == before


def with_hole() -> Image.Image:
    """The base, with a transparent strip of violet on top."""
    picture = Image.fromarray(base()).convert("RGBA")
    picture.paste((255, 0, 255, 0), (0, 0, 130, 40))
    return picture


def white_on_top() -> np.ndarray:
    picture = base().copy()
    picture[:40] = 255
    return picture


def mode(name: str) -> Image.Image:
    return Image.fromarray(base()).convert(name)


MODES = {
    "grey JPEG": (lambda: coded("JPEG", mode("L"), quality=95), grey, 2),
    "grey PNG": (lambda: coded("PNG", mode("L")), grey, 0),
    "PGM": (lambda: coded("PPM", mode("L")), grey, 0),
    "grey TGA": (lambda: coded("JPEG2000", mode("L")), grey, 0),
    "grey and alpha": (lambda: coded("PNG", mode("LA")), grey, 0),
    "grey where one tone is transparent": (lambda: coded("PNG", mode("L"), transparency=0), grey, 3),
    "black and white": (lambda: coded("PNG", mode("1")), lambda: np.asarray(mode("1").convert("RGB")), 0),
    "PBM": (lambda: coded("PPM", mode("1")), lambda: np.asarray(mode("1").convert("RGB")), 0),
    "palette": (lambda: coded("PNG", Image.fromarray(base()).quantize(256)), base, 3),
    "palette with a transparent colour": (lambda: coded("PNG", Image.fromarray(base()).quantize(255), transparency=255), base, 3),
    "RGB where white is transparent": (lambda: coded("PNG", transparency=(255, 255, 255)), base, 0),
    "RGBA": (lambda: coded("PNG", mode("RGBA")), base, 0),
    "RGBA WebP": (lambda: coded("WEBP", mode("RGBA"), lossless=True), base, 0),
    "transparent PNG": (lambda: coded("PNG", with_hole()), white_on_top, 0),
    "transparent WebP": (lambda: coded("WEBP", with_hole(), lossless=True), white_on_top, 0),
    "transparent AVIF": (lambda: coded("AVIF", with_hole(), quality=95), white_on_top, 2),
    "transparent HEIC": (lambda: (FIXTURES / "transparent.heic").read_bytes(), white_on_top, 3),
    "CMYK JPEG": (lambda: coded("JPEG", mode("CMYK"), quality=95), base, 3),
    "CMYK TIFF": (lambda: coded("TIFF", mode("CMYK")), base, 0),
    "LAB TIFF": (lambda: coded("TIFF", ImageCms.profileToProfile(mode("RGB"), SRGB, CIELAB, outputMode="LAB")), base, 4),
    "YCbCr TIFF": (lambda: coded("TIFF", mode("YCbCr")), base, 3),
    "16-bit grey": (lambda: deep_png(deep_grey(), 0), grey, 0),
    "16-bit grey, 12 of them used": (lambda: deep_png(deep_grey() >> 4, 0), grey, 0),
    "16-bit grey, 8 of them used": (lambda: deep_png(deep_grey() >> 8, 0), grey, 0),
    "16-bit grey TIFF": (lambda: coded("TIFF", Image.fromarray(deep_grey()[:, :, 0])), grey, 0),
    "16-bit PGM": (lambda: b"P5 130 160 65535\n" + deep_grey().astype(">u2").tobytes(), grey, 0),
    "16-bit grey JPEG 2000": (lambda: coded("JPEG2000", Image.fromarray(deep_grey()[:, :, 0])), grey, 0),
    "16-bit grey where one tone is transparent": (
        lambda: deep_png(deep_grey(), 0, chunk(b"tRNS", struct.pack(">H", 1))),
        grey,
        0,
    ),
    "16-bit RGB": (lambda: deep_png(base().astype(np.uint16) * 257, 2), base, 0),
    "16-bit RGBA": (lambda: deep_png(np.dstack([base().astype(np.uint16) * 257, np.full((160, 130), 65535)]), 6), base, 0),
    "16-bit grey and alpha": (lambda: deep_png(np.dstack([deep_grey(), np.full((160, 130), 65535)]), 4), grey, 0),
}


@pytest.mark.parametrize("name", MODES)
def test_modes_become_rgb(tmp_path: Path, name: str) -> None:
    build, expected, tolerance = MODES[name]
    assert apart(decode(written(tmp_path, build())), expected()) <= tolerance


def test_deep_grey_that_lies_on_its_side(tmp_path: Path) -> None:
    tags = Image.Exif()
    tags[ORIENTATION] = 6
    deep = np.rot90(deep_grey()[:, :, 0])
    np.testing.assert_array_equal(decode(written(tmp_path, coded("PNG", Image.fromarray(deep), exif=tags))), grey())


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (20_000, 3), (5_000_000, 2)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_tiny_and_thin_pictures(tmp_path: Path, size: tuple[int, int], orientation: int) -> None:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    width, height = size
    stored = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    expected = stored if orientation == 1 else np.rot90(stored, -1)
    np.testing.assert_array_equal(decode(written(tmp_path, coded("TIFF", stored, exif=tags))), expected)


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


PROBLEMS = {
    "empty": (b"", "the file is empty"),
    "one byte": (b"\xff", NO_IMAGE),
    "text": (b"hello, I am no picture\n", NO_IMAGE),
    "text that begins like a PGM": (b"P5 and P6 are formats", NO_IMAGE),
    "text that begins like a BMP": (b"BMW, Opel and other makers of cars", NO_IMAGE),
    "web page": (b"\xef\xbb\xbf\n<!DOCTYPE html><html></html>", "a web page, not an image; download the picture itself"),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        "a Git LFS pointer, not the picture itself; fetch it with git lfs pull",
    ),
    "SVG": (b'<?xml version="1.0"?>\n<svg></svg>', "a drawing made of lines, not of pixels; export it as PNG"),
    "PDF": (b"%PDF-1.7", "a PDF document, not an image; export its pages as JPEG"),
    "JPEG XL": (b"\xff\x0a\x00", "JPEG XL, which is not decoded; export it as JPEG or PNG"),
    "video": (b"\0\0\0\x18ftypmp42", "a video, not an image; save a picture of it as JPEG"),
    "floating point": (coded("TIFF", np.ones((4, 4), np.float32)), "floating-point pixels; save it with 8 or 16 bits a channel"),
    "half a JPEG": (half(coded("JPEG")), "the JPEG file is truncated"),
    "most of a JPEG": (coded("JPEG")[:-40], "the JPEG file is truncated"),
    "two thirds of a progressive JPEG": (coded("JPEG", progressive=True)[:-900], "the JPEG file is truncated"),
    "half a PNG": (half(coded("PNG")), "the PNG file is truncated"),
    "the header of a PNG": (coded("PNG")[:33], "the PNG file is truncated"),
    "half a GIF": (half(coded("GIF")), "the GIF file is truncated"),
    "half a BMP": (half(coded("BMP")), "the BMP file is truncated"),
    "half a TIFF": (half(coded("TIFF")), "the TIFF file is truncated"),
    "half a PPM": (half(coded("PPM")), "the PNM file is truncated"),
    "half a WebP": (half(coded("WEBP")), "the WebP file is damaged or cut short: could not create decoder object"),
    "half a JPEG 2000": (
        half(coded("JPEG2000")),
        "the JPEG 2000 file is damaged or cut short: broken data stream when reading image file",
    ),
    "half an AVIF": (
        half(coded("AVIF")),
        "the AVIF file is damaged or cut short: Failed to decode image: BMFF parsing failed",
    ),
    "an AVIF without its tail": (coded("AVIF")[:-40], "the AVIF file is truncated"),
    "half a HEIC": (half((FIXTURES / "upright.heic").read_bytes()), "the HEIC file is truncated"),
    "a HEIC without its tail": ((FIXTURES / "upright.heic").read_bytes()[:-40], "the HEIC file is truncated"),
    "the first bytes of a HEIC": (
        (FIXTURES / "upright.heic").read_bytes()[:100],
        "the HEIC file is damaged or cut short: Invalid input: No 'meta' box: Cannot read full meta box",
    ),
    "a HEIC without its picture's name": (
        (FIXTURES / "upright.heic").read_bytes().replace(b"pitm", b"free", 1),
        "the HEIC file is damaged or cut short: Invalid input: No 'pitm' box",
    ),
}


@pytest.mark.parametrize(("data", "reason"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_what_cannot_be_decoded_says_why(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(ImageProblem) as caught:
        decode(written(tmp_path, data))
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.nef", "a camera's raw file, which is not decoded; export it as JPEG"),
        ("a.CR3", "a camera's raw file, which is not decoded; export it as JPEG"),
        ("a.psd", "a Photoshop file, which is not decoded; export it as JPEG or PNG"),
        ("a.jxl", "JPEG XL, which is not decoded; export it as JPEG or PNG"),
        ("a.ico", "an icon, not a photograph; save it as PNG"),
        ("a.svg", "a drawing made of lines, not of pixels; export it as PNG"),
        ("a.jpg", NO_IMAGE),
    ],
)
def test_what_nothing_reads_is_told_by_its_ending(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(ImageProblem) as caught:
        decode(written(tmp_path, b"bytes that nobody knows", name))
    assert str(caught.value) == reason


def test_a_raw_file_is_not_taken_for_the_thumbnail_in_it(tmp_path: Path) -> None:
    with pytest.raises(ImageProblem, match="a camera's raw file"):
        decode(written(tmp_path, coded("TIFF"), "photo.dng"))


def test_a_damaged_tag_is_no_tile(tmp_path: Path) -> None:
    data = coded("TIFF", tiffinfo={322: 0, 323: 0})
    assert apart(decode(written(tmp_path, data)), base()) == 0


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(ImageProblem, match=r"^cannot be read: No such file or directory$"):
        decode(tmp_path / "gone.jpg")


@pytest.mark.skipif(os.name != "posix", reason="links, pipes and sockets")
def test_what_is_no_regular_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    os.mkfifo("pipe.jpg")
    Path("folder.jpg").mkdir()
    Path("device.jpg").symlink_to("/dev/zero")
    Path("gone.jpg").symlink_to("nowhere.jpg")
    Path("itself.jpg").symlink_to("itself.jpg")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.jpg")
        for name in ("pipe.jpg", "folder.jpg", "device.jpg", "socket.jpg"):
            with pytest.raises(ImageProblem, match=r"^no regular file"):
                decode(Path(name))
    with pytest.raises(ImageProblem, match=r"^cannot be read: a link to what is not there"):
        decode(Path("gone.jpg"))
    with pytest.raises(ImageProblem, match=r"^cannot be read: Too many levels of symbolic links$"):
        decode(Path("itself.jpg"))


@pytest.mark.skipif(os.name != "posix", reason="permissions of another kind")
def test_an_unreadable_file_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    path = Path(written(tmp_path, coded("JPEG")).name)
    decode(path)
    path.chmod(0)

    def look() -> None:
        with pytest.raises(ImageProblem, match="Permission denied"):
            decode(path)

    as_no_root(look)


def test_threads_decode_at_once(tmp_path: Path) -> None:
    kinds = [name for name in FORMATS if name.endswith(("JPEG", "PNG", "WebP", "AVIF", "JPEG 2000")) or "HEIC" in name]
    paths = [written(tmp_path, FORMATS[name][0](), f"{number}.jpg") for number, name in enumerate(kinds)]
    alone = [decode(path) for path in paths]
    with ThreadPoolExecutor(8) as pool:
        for decoded, expected in zip(pool.map(decode, paths * 5), alone * 5, strict=True):
            np.testing.assert_array_equal(decoded, expected)


@given(st.sampled_from(["upright", "turned", "grid", "several", "ten_bit"]), mutations)
@settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_damaged_heic_files_give_a_picture_or_a_problem(
    tmp_path: Path, name: str, changes: list[tuple[str, int | float, int | bytes]]
) -> None:
    path = written(tmp_path, mutated((FIXTURES / f"{name}.heic").read_bytes(), changes))
    with suppress(ImageProblem):
        assert decode(path).shape[2] == 3
