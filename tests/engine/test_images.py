import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.errors import ImageProblem
from engine.images import decode, find_images


def scene() -> Image.Image:
    """Red on the left, blue on the right, darker below: every turn of it looks different."""
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, :30, 0], picture[:, 30:, 2] = 250, 250
    picture[20:] //= 2
    return Image.fromarray(picture)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_formats_are_told_by_content(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "photo.dat"
    scene().save(path, format=kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert find_images(tmp_path) == [path]
    decoded = decode(path)
    assert decoded.shape == (40, 60, 3)
    assert decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - np.asarray(scene()).astype(int)).mean() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(tmp_path: Path, orientation: int) -> None:
    turned = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = np.asarray(scene())
    Image.fromarray(np.ascontiguousarray(turned(upright))).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(decode(tmp_path / "a.png"), upright)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("L", (4, 4), 90), 90),
        (Image.new("1", (4, 4), 1), 255),
        (Image.fromarray(np.full((4, 4), 0x5A00, np.uint16)), 0x5A),
        (Image.new("LA", (4, 4), (90, 255)), 90),
        (Image.new("RGBA", (4, 4), (10, 20, 30, 0)), 255),
        (Image.new("P", (4, 4), 0), 0),
    ],
    ids=["grey", "bilevel", "16 bit", "grey and alpha", "transparent", "palette"],
)
def test_modes_become_rgb(tmp_path: Path, image: Image.Image, expected: int) -> None:
    image.save(tmp_path / "a.png")
    decoded = decode(tmp_path / "a.png")
    assert decoded.shape == (4, 4, 3)
    assert (decoded == expected).all()


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    scene().convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert np.abs(decode(tmp_path / "a.jpg").astype(int) - np.asarray(scene()).astype(int)).mean() < 8


def bomb() -> bytes:
    """A PNG of a few hundred bytes that says it is 20,000 x 20,000."""
    buffer = io.BytesIO()
    Image.new("1", (8, 8)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    import zlib

    data[16:24] = (20_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


def coded(kind: str) -> bytes:
    buffer = io.BytesIO()
    scene().resize((300, 200)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"this is text, not a picture", "not an image"),
        (coded("JPEG")[:900], "truncated"),
        (coded("PNG")[:120], "cannot be read"),
        (coded("GIF"), "not an image that can be read"),
        (bomb(), "megapixels"),
    ],
    ids=["empty", "text", "half a JPEG", "half a PNG", "GIF", "bomb"],
)
def test_what_cannot_be_decoded_says_why(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageProblem, match=reason):
        decode(path)


def test_a_picture_just_over_the_limit(tmp_path: Path) -> None:
    Image.new("1", (10_001, 10_000)).save(tmp_path / "a.png")
    with pytest.raises(ImageProblem, match=r"10001 x 10000 pixels is 100 megapixels; at most 100"):
        decode(tmp_path / "a.png")


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(ImageProblem, match="No such file"):
        decode(tmp_path / "gone.jpg")


def test_find_images_looks_everywhere_but_in_hidden_places(tmp_path: Path, save: Callable[[np.ndarray, str], Path]) -> None:
    picture = np.asarray(scene())
    wanted = [save(picture, "a/b/c.png"), save(picture, "a/z.jpg"), save(picture, "d.webp")]
    save(picture, ".hidden/x.jpg")
    save(picture, "a/.x.jpg")
    (tmp_path / "notes.txt").write_text("not a photograph")
    (tmp_path / "broken.jpg").write_bytes(b"")
    assert sorted(find_images(tmp_path)) == sorted([*wanted, tmp_path / "broken.jpg"])


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_a_problem(tmp_path: Path, save: Callable[[np.ndarray, str], Path]) -> None:
    path = save(np.asarray(scene()), "a.jpg")
    path.chmod(0)
    with pytest.raises(ImageProblem, match="Permission denied"):
        decode(path)
