"""Pictures that are small as files and large, slow or endless to decode."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from benchmarks.attacks.case import Attack, Place
from engine.faces.images import decode

# Of 100 megapixels, the largest picture that is decoded.
_MOST = 1_200_000_000
_SIDES = (0, 1, 3000, 4000, 10_001, 60_000, (1 << 31) - 1)


def _block(name: bytes, held: bytes) -> bytes:
    return struct.pack(">I", len(held)) + name + held + struct.pack(">I", zlib.crc32(name + held))


def _blank(kind: str, side: int = 64, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "grey").save(buffer, kind, **options)
    return buffer.getvalue()


def _png(work: Path, chance: random.Random) -> Path:
    width, height = chance.choice([(60_000, 60_000), (4000, 4000), (10_000, 10_001), (1 << 31, 1), (3000, 3000), (9000, 9000)])
    depth, colour, pixel = chance.choice([(16, 0, 2), (16, 6, 8), (8, 2, 3), (1, 0, 1), (8, 3, 1)])
    data = zlib.compress(bytes(min(1 << 25, height * (1 + width * pixel))), 1)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, chance.randrange(2))
    more = chance.choice(
        [
            b"",
            b"",
            _block(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 24))),
            _block(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 24))),
            _block(b"tEXt", b"a\0b") * 50_000,
            _block(b"acTL", struct.pack(">2I", 1 << 30, 0)),
            _block(b"PLTE", bytes(768)),
        ]
    )
    parts = _block(b"IHDR", header) + more + _block(b"IDAT", data) + _block(b"IEND", b"")
    (work / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    return work / "a.png"


def _jpeg(work: Path, chance: random.Random) -> Path:
    data = _blank("JPEG", chance.choice([200, 1000, 3000]), progressive=True)
    kind = chance.randrange(3)
    if kind == 0:
        last = data[data.rindex(b"\xff\xda") : -2]
        data = data[:-2] + last * chance.choice([10, 85, 5000]) + data[-2:]
    elif kind == 1:
        at = data.index(b"\xff\xc2") + 5
        data = data[:at] + struct.pack(">2H", *(min(65535, chance.choice(_SIDES)) for _ in range(2))) + data[at + 4 :]
    else:
        note = b"\xff" + chance.choice([b"\xe0", b"\xe1", b"\xe2", b"\xed", b"\xfe"]) + struct.pack(">H", 65_535)
        exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + struct.pack("<HHHII", 1, 0x8769, 4, 1, 8)
        data = data[:2] + (note + exif.ljust(65_533, b"\0")) * chance.choice([1, 300]) + data[2:]
    (work / "a.jpg").write_bytes(data)
    return work / "a.jpg"


def _gif(work: Path, chance: random.Random) -> Path:
    held = struct.pack("<2H", *(min(65_535, chance.choice(_SIDES)) for _ in range(2)))
    data = _blank("GIF")
    (work / "a.gif").write_bytes(data[:6] + held + data[10:])
    return work / "a.gif"


def _boxed(kind: str, ending: str) -> Callable[[Path, random.Random], Path]:
    """A format of ISO's boxes, whose `ispe` says how large the picture is."""

    def heif(work: Path, chance: random.Random) -> Path:
        data = bytearray(_heif_bytes() if kind == "HEIF" else _blank(kind))
        at = 0
        while (at := data.find(b"ispe", at + 1)) > 0:
            data[at + 8 : at + 16] = struct.pack(">2I", chance.choice(_SIDES), chance.choice(_SIDES))
        if chance.random() < 0.3 and (at := data.find(b"iloc")) > 0:
            data[at + 12 : at + 16] = struct.pack(">I", chance.choice([0, 1 << 16, (1 << 32) - 1]))
        if chance.random() < 0.2:
            deep = b"".join(struct.pack(">I", 8 * (500 - level)) + b"meta" for level in range(500))
            data += deep
        (work / f"a.{ending}").write_bytes(data)
        return work / f"a.{ending}"

    heif.__name__ = kind.lower()
    return heif


def _heif_bytes() -> bytes:
    """A whole HEIC file, as `pi_heif` cannot write one: boxes for a picture without any data."""

    def box(name: bytes, held: bytes) -> bytes:
        return struct.pack(">I", 8 + len(held)) + name + held

    full = bytes(4)
    size = box(b"ispe", full + struct.pack(">2I", 64, 64))
    config = box(b"hvcC", b"\x01\x01\x60\0\0\0\x90\0\0\0\0\0\x5d\xf0\0\xfc\xfd\xf8\xf8\0\0\x0f\0")
    held = box(b"iprp", box(b"ipco", size + config) + box(b"ipma", full + struct.pack(">IHBBB", 1, 1, 2, 1, 0x82)))
    item = box(b"iinf", full + struct.pack(">H", 1) + box(b"infe", b"\x02\0\0\0" + struct.pack(">HH4s", 1, 0, b"hvc1") + b"\0"))
    place = box(b"iloc", full + b"\x44\0" + struct.pack(">HHHHII", 1, 1, 0, 1, 0, 64))
    handler = box(b"hdlr", full + bytes(4) + b"pict" + bytes(13))
    meta = box(b"meta", full + handler + box(b"pitm", full + struct.pack(">H", 1)) + place + item + held)
    return box(b"ftyp", b"heic\0\0\0\0mif1heic") + meta + box(b"mdat", bytes(200))


def _webp(work: Path, chance: random.Random) -> Path:
    kind = chance.randrange(3)
    if kind == 0:
        frames = [Image.new("RGB", (64, 64), (number, 0, 0)) for number in range(chance.choice([2, 100]))]
        buffer = io.BytesIO()
        frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
        data = bytearray(buffer.getvalue())
        if (at := data.find(b"VP8X")) > 0:
            data[at + 12 : at + 18] = b"".join(min(chance.choice(_SIDES), (1 << 24) - 1).to_bytes(3, "little") for _ in range(2))
    else:
        data = bytearray(_blank("WEBP", lossless=kind == 1))
        at = data.find(b"VP8L") + 9 if kind == 1 else data.find(b"\x9d\x01\x2a") + 3
        data[at : at + 4] = struct.pack("<I", chance.choice([0xFFFFFFF, 0x3FFF3FFF, 0x1FFF1FFF]))
    (work / "a.webp").write_bytes(data)
    return work / "a.webp"


def _jpeg2000(work: Path, chance: random.Random) -> Path:
    data = bytearray(_blank("JPEG2000"))
    at = data.find(b"\xff\x51")
    for offset in chance.sample([6, 10, 14, 18, 22, 26, 30, 34], 2):  # size, origin, tile
        data[at + offset : at + offset + 4] = struct.pack(">I", chance.choice(_SIDES))
    if (head := data.find(b"ihdr")) > 0:
        data[head + 4 : head + 12] = struct.pack(">2I", chance.choice(_SIDES), chance.choice(_SIDES))
    (work / "a.jp2").write_bytes(data)
    return work / "a.jp2"


def _tiff(work: Path, chance: random.Random) -> Path:
    buffer = io.BytesIO()
    kind = chance.choice(["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4"])
    Image.new("1" if kind == "group4" else "RGB", (64, 64)).save(buffer, "TIFF", compression=kind)
    data = bytearray(buffer.getvalue())
    start = struct.unpack("<I", data[4:8])[0]
    (entries,) = struct.unpack("<H", data[start : start + 2])
    for number in chance.sample(range(entries), 3):
        at = start + 2 + 12 * number + 4
        data[at : at + 8] = struct.pack("<2I", chance.choice([1, 3, 1 << 28]), chance.choice([*_SIDES, (1 << 32) - 1, start]))
    if chance.random() < 0.2:  # the next directory is this one
        end = start + 2 + 12 * entries
        data[end : end + 4] = struct.pack("<I", start)
    (work / "a.tif").write_bytes(data)
    return work / "a.tif"


def _plain(work: Path, chance: random.Random) -> Path:
    """Formats that say their size in a few bytes and may keep runs of one colour."""
    ending = chance.choice(["bmp", "ppm", "tga", "pgm", "pfm"])
    width, height = (chance.choice(_SIDES) for _ in range(2))
    if ending == "bmp":
        kind = chance.choice([0, 1, 2, 3])
        data = b"BM" + struct.pack("<3I", 100, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, kind, 0, 0, 0, 0, 0)
        data += b"\xff\0" * 40_000
    elif ending == "tga":
        data = (
            struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, min(width, 65_535), min(height, 65_535), 24, 0)
            + b"\xff\0\0\0" * 9000
        )
    else:
        mark = {"ppm": b"P6", "pgm": chance.choice([b"P5", b"P2"]), "pfm": b"Pf"}[ending]
        digits = b"9" * chance.choice([1, 1_000_000])
        data = mark + f"\n{width} {height}\n".encode() + chance.choice([b"255\n", digits, b"65535\n", b"-1.0\n"]) + bytes(9000)
    (work / f"a.{ending}").write_bytes(data)
    return work / f"a.{ending}"


_PICTURES = (_png, _png, _jpeg, _jpeg, _gif, _boxed("AVIF", "avif"), _boxed("HEIF", "heic"), _webp, _jpeg2000, _tiff, _plain)


class Pictures(Attack):
    """By format. A large picture within the limit of megapixels is no attack, so what it takes is allowed."""

    most = _MOST

    def lay(self, place: Place, chance: random.Random) -> str:
        return chance.choice(_PICTURES)(place.work, chance).suffix.removeprefix(".")

    def ask(self, place: Place, chance: random.Random) -> None:  # noqa: ARG002
        (file,) = place.work.iterdir()
        decode(file)
