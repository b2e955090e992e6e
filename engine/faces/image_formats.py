"""The kinds of image files: how each is told from its first bytes, what reads it, and what is said of what nothing reads."""

import re
from dataclasses import dataclass

HEAD = 512
"""How many of a file's first bytes tell what it is."""


@dataclass(frozen=True)
class Format:
    """A kind of image file that is decoded.

    `reader` names the class that opens it, as `module:class`, so that its library is loaded when the first such file is met.
    `signature` matches its first bytes; a format without one is told by its endings. `megapixels` are decoded at most: for those
    formats whose decoders need much more memory for a pixel, fewer.
    """

    name: str
    reader: str
    endings: tuple[str, ...]
    signature: re.Pattern[bytes] | None
    megapixels: int


def _format(name: str, reader: str, endings: str, signature: bytes | None, megapixels: int = 100) -> Format:
    return Format(
        name, reader, tuple(endings.split()), None if signature is None else re.compile(signature, re.DOTALL), megapixels
    )


# AVIF before HEIC: both may begin with the mark of a container of pictures in general, and name their own kind only behind it.
# An MPO (two lenses) begins with a whole JPEG, which is its main picture; an APNG with a whole PNG.
FORMATS = (
    _format("JPEG", "PIL.JpegImagePlugin:JpegImageFile", ".jpg .jpeg .jpe .jfif .mpo", rb"\xff\xd8\xff"),
    _format("PNG", "PIL.PngImagePlugin:PngImageFile", ".png .apng", rb"\x89PNG\r\n\x1a\n"),
    _format("WebP", "PIL.WebPImagePlugin:WebPImageFile", ".webp", rb"RIFF.{4}WEBP", 50),
    _format("GIF", "PIL.GifImagePlugin:GifImageFile", ".gif", rb"GIF8[79]a"),
    _format("BMP", "PIL.BmpImagePlugin:BmpImageFile", ".bmp .dib", rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"),
    _format("TIFF", "PIL.TiffImagePlugin:TiffImageFile", ".tif .tiff", rb"II[*+]\0|MM\0[*+]"),
    _format("AVIF", "PIL.AvifImagePlugin:AvifImageFile", ".avif .avifs", rb".{4}ftyp(?:avi[fs]|m[is]f1.{4}(?:.{4})*?avi[fs])"),
    _format("HEIC", "pi_heif:HeifImageFile", ".heic .heics .heif .heifs .hif", rb".{4}ftyp(?:hei[cxms]|hev[cxms]|m[is]f1)"),
    _format(
        "JPEG 2000",
        "PIL.Jpeg2KImagePlugin:Jpeg2KImageFile",
        ".jp2 .j2k .j2c .jpc .jpf .jpx",
        rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
        50,
    ),
    _format("PNM", "PIL.PpmImagePlugin:PpmImageFile", ".pbm .pgm .ppm .pnm", rb"P[1-6](?:#|\s+(?:#|\d+\s+(?:#|\d+\s)))"),
    _format("TGA", "PIL.TgaImagePlugin:TgaImageFile", ".tga .icb .vda .vst", None),
)
NAMES = ", ".join(each.name for each in FORMATS)

_RAW = "a camera's raw file, which is not decoded; export it as JPEG"
_DRAWING = "a drawing made of lines, not of pixels; export it as PNG"
_ICON = "an icon, not a photograph; save it as PNG"
_EXPORT = "which is not decoded; export it as JPEG or PNG"
_UNREAD_ENDINGS = {
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .iiq .kdc .mef .mos .mrw": _RAW,
    ".nef .nrw .orf .pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f": _RAW,
    ".jxl": f"JPEG XL, {_EXPORT}",
    ".jxr .wdp .hdp": f"JPEG XR, {_EXPORT}",
    ".psd .psb": f"a Photoshop file, {_EXPORT}",
    ".xcf": f"a GIMP file, {_EXPORT}",
    ".exr .hdr .pfm": f"floating-point pixels, {_EXPORT}",
    ".ico .cur .icns": _ICON,
    ".svg .svgz .eps .wmf .emf": _DRAWING,
}
_UNREAD = {ending: said for endings, said in _UNREAD_ENDINGS.items() for ending in endings.split()}
_OTHERS = [
    (re.compile(signature, re.DOTALL | re.IGNORECASE), said)
    for signature, said in (
        (rb"version https://git-lfs", "a Git LFS pointer, not the picture itself; fetch it with git lfs pull"),
        (
            rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|body)\b",
            "a web page, not an image; download the picture itself",
        ),
        (rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml.*)?<svg\b", _DRAWING),
        (rb"%!PS", _DRAWING),
        (rb"%PDF", "a PDF document, not an image; export its pages as JPEG"),
        (rb"\xff\x0a|\0\0\0\x0cJXL ", _UNREAD[".jxl"]),
        (rb"8BPS", _UNREAD[".psd"]),
        (rb".{4}ftypcrx ", _RAW),
        (rb".{4}ftyp", "a video, not an image; save a picture of it as JPEG"),
    )
]
ENDINGS = frozenset(_UNREAD).union(*(each.endings for each in FORMATS))
"""What the names of image files end in, decoded or not, in lower case."""


def format_of(head: bytes, ending: str = "") -> Format | None:
    """The format of a file with these first bytes and this ending (in lower case), or None where none that is decoded fits.

    The raw files of many cameras are TIFF on the outside, with a thumbnail in it: their endings tell them from pictures.
    """
    for each in FORMATS:
        if each.signature.match(head) if each.signature else ending in each.endings:
            return None if each.name == "TIFF" and _UNREAD.get(ending) == _RAW else each
    return None


def why_unread(head: bytes, ending: str) -> str:
    """What a file is of which `format_of` knows nothing, and what to do about it, as the reason of a problem."""
    for signature, said in _OTHERS:
        if signature.match(head):
            return said
    return _UNREAD.get(ending) or f"not an image that can be read: expected {NAMES}"
