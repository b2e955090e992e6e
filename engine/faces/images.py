"""Find image files, and decode them safely."""

import errno
import io
import logging
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from operator import itemgetter
from pathlib import Path
from pkgutil import resolve_name
from typing import IO, TypeVar

import numpy as np
from PIL import ExifTags, Image

from engine.errors import ImageProblem, PhotographsError
from engine.faces.image_formats import ENDINGS, HEAD, NAMES, Format, format_of, why_unread
from engine.faces.unwarned import unwarned
from engine.faces.upright import upright_rgb
from engine.files import object_storage as places
from engine.files.content_ids import of_file

MAX_SCANS = 100
"""A progressive JPEG of a photograph has about 10 scans; each goes over the whole picture once more."""
MAX_SCANNED = 1500
"""Megapixels over all scans of a JPEG: a dozen of the largest picture."""
_TILE = (ExifTags.Base.TileWidth, ExifTags.Base.TileLength)
_MOST_JPEG = 1 << 28  # bytes of a JPEG that are looked through for them
_SCAN = b"\xff\xda"
_FEW = 12  # so many scans are always decoded, and need not be counted
# Markers that a length follows; FF 00 and the others belong to the data of a scan.
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")

# In lower case: what network drives, systems and archivers make beside photographs, with thumbnails and deleted files in it.
_MACHINES = {
    "@eadir",
    "@recently-snapshot",
    "@recycle",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "__macosx",
    "lost+found",
    "system volume information",
}
_BY_MACHINE = "{plural} in folders that machines make"
Read = TypeVar("Read")
_NOWHERE = "links that lead nowhere"
_AGAIN = "folders entered already by another way"

# Pillow warns and tells of each damaged tag, with paths of this installation; what is wrong with a picture becomes a problem.
_PILLOW = r"PIL\."
logging.getLogger("PIL").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class ImageBytes:
    """An image file in memory: its bytes, and how many `megapixels` are decoded of it at most, where that is less than its format
    may have. It has no ending to tell a format by.
    """

    data: bytes
    megapixels: float = math.inf


@dataclass(frozen=True)
class LeftOut:
    """Something below a folder that is not taken for a photograph, and why."""

    path: Path
    why: str


@dataclass(frozen=True)
class FileKind:
    """Files that are looked for below folders: what one and several are called, the `names` of their formats, how their names
    end, in lower case, and which count.
    """

    noun: str
    plural: str
    names: str
    endings: tuple[str, ...]
    counts: Callable[[Path], bool]

    def is_named(self, path: Path) -> bool:
        """Whether a file's name ends as theirs do."""
        return path.name.lower().endswith(self.endings)


def find_images(folder: Path, left_out: Callable[[LeftOut], None] | None = None) -> list[Path]:
    """The image files under `folder`, as `find_files`.

    A file counts when its ending or its first bytes say "image": a photograph under a wrong name is found, and a file with an
    image's ending that cannot be decoded is kept, so that it is reported and does not vanish.
    """
    return find_files(folder, IMAGES, left_out)


def find_files(folder: Path, kind: FileKind, left_out: Callable[[LeftOut], None] | None = None) -> list[Path]:
    """The files of a kind under `folder`, recursively, in the order of their names.

    Links are followed, but each folder is entered once: by its own name, if that lies below `folder`. Hidden files do not count.
    In object storage endings decide.

    Args:
        folder: where to look.
        kind: what counts.
        left_out: is told each such file in a folder that machines make, such as `@eaDir`; each link that leads nowhere, unless
            its ending says that it counts; and each other way to a folder.

    Raises:
        PhotographsError: the folder, or one below it, cannot be listed.
    """
    found = []
    listed = _stored(folder, kind) if places.is_remote(folder) else _on_disk(folder, kind)
    for path, why in sorted(listed, key=itemgetter(0)):
        if why is None:
            found.append(path)
        elif left_out is not None:
            left_out(LeftOut(path, why))
    return found


def summary(left_out: Sequence[LeftOut]) -> str:
    """What was left out, in one line: for each reason, how many, and the first."""
    first = {each.why: each.path for each in reversed(left_out)}
    counts = Counter(each.why for each in left_out)
    return "left out: " + ", ".join(f"{why} ({count:,}, first {first[why]})" for why, count in counts.items())


def is_image_file(path: Path) -> bool:
    """Whether the ending or the first bytes of a file say "image". What is no regular file is told by its ending alone."""
    if path.suffix.lower() in ENDINGS:
        return True
    try:
        with _opened(path) as stream:
            return format_of(stream.read(HEAD)) is not None
    except (OSError, ImageProblem):
        return False


IMAGES = FileKind("image", "images", NAMES, tuple(sorted(ENDINGS)), is_image_file)


def decode(path: Path | ImageBytes) -> np.ndarray:
    """Read one image as RGB, upright.

    The format is told from the content (TGA, which has no mark, by its ending). The orientation of EXIF or of the container is
    applied, grey becomes RGB, transparent parts lie on white, 16-bit grey is scaled to 8, of several pictures the first counts,
    or the one that the file calls its primary one.

    Returns:
        uint8, shape (height, width, 3), C-contiguous.

    Raises:
        ImageProblem: the file cannot be read, is empty, truncated, of another format, or too large.
        StorageError: the store does not answer, or refuses.
    """
    return decode_named(path)[0]


def decode_named(path: Path | ImageBytes) -> tuple[np.ndarray, str]:
    """As `decode`, and what the photograph is called by its bytes (see `engine.files.content_ids`)."""
    if isinstance(path, ImageBytes):
        return named(path, partial(_decoded, ending="", megapixels=path.megapixels))
    return named(path, partial(_decoded, ending=path.suffix.lower()))


def named(path: Path | ImageBytes, read: Callable[[IO[bytes]], Read]) -> tuple[Read, str]:
    """What `read` makes of the bytes of a file, and what it is called by them (see `engine.files.content_ids`).

    Raises:
        ImageProblem: it cannot be read, or there is not enough memory.
        StorageError: the store does not answer, or refuses.
    """
    try:
        with io.BytesIO(path.data) if isinstance(path, ImageBytes) else _opened(path) as stream:
            return read(stream), of_file(stream)
    except FileNotFoundError as error:
        link = "a link to what is not there: " if isinstance(path, Path) and path.is_symlink() else ""
        raise ImageProblem(f"cannot be read: {link}{os.strerror(errno.ENOENT)}") from error
    except OSError as error:
        raise ImageProblem(f"cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise ImageProblem("not enough memory to decode it") from error


def _decoded(stream: IO[bytes], ending: str, megapixels: float = math.inf) -> np.ndarray:
    head = stream.read(HEAD)
    if not head:
        raise ImageProblem("the file is empty")
    known = format_of(head, ending)
    if known is None:
        raise ImageProblem(why_unread(head, ending))
    reader = resolve_name(known.reader)
    scans = _scans_of(stream) if known.name == "JPEG" else 1
    stream.seek(0)
    try:
        with unwarned(_PILLOW), reader(stream) as image:
            _refuse_huge(known, image.size, megapixels)
            _refuse_scans(scans, *image.size)
            if known.name == "TIFF":  # a tile is decoded whole, however little of it is shown
                _refuse_huge(known, tuple(image.tag_v2.get(tag, 0) for tag in _TILE), megapixels)
            return upright_rgb(image)
    except (ImageProblem, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise ImageProblem(f"more than {known.megapixels} megapixels, the most that is decoded of {known.name}") from error
    except Exception as error:  # decoders raise whatever they trip over in damaged bytes
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the picture's
            raise
        raise ImageProblem(_damage(known, str(error))) from error


def _damage(known: Format, said: str) -> str:
    if re.search("truncat|end of file|not enough|insufficient|requires a buffer", said, re.IGNORECASE):
        return f"the {known.name} file is truncated"
    return f"the {known.name} file is damaged or cut short: {' '.join(said.split())}"


def _refuse_huge(known: Format, size: tuple[int, ...], megapixels: float) -> None:
    width, height = size
    most = min(known.megapixels, megapixels)
    if width * height > most * 1_000_000:
        raise ImageProblem(
            f"{width} x {height} pixels is {width * height / 1e6:.0f} megapixels; at most {most:g} are decoded of {known.name}"
        )


def _scans_of(stream: IO[bytes]) -> int:
    stream.seek(0)
    data = stream.read(_MOST_JPEG)
    count = _scans(data) if data.count(_SCAN) > _FEW else _FEW
    if count > MAX_SCANS:
        raise ImageProblem(f"a JPEG of {count} scans, which takes long to decode; at most {MAX_SCANS} are decoded")
    return count


def _refuse_scans(count: int, width: int, height: int) -> None:
    if count * width * height > MAX_SCANNED * 1_000_000:
        raise ImageProblem(
            f"a JPEG of {count} scans of {width} x {height} pixels, which takes long to decode; at most {MAX_SCANNED} megapixels "
            "are decoded over all scans"
        )


def _scans(data: bytes) -> int:
    """How many scans a JPEG has. What looks like a scan in its thumbnail, or behind its end, is none."""
    count, at = 0, 0
    while (marker := _MARKER.search(data, at)) and marker[1] != b"\xd9":
        count += marker[1] == b"\xda"
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    return count


def _opened(path: Path) -> IO[bytes]:
    """A file's bytes. Waits for nobody to write into a pipe, and opens no device."""
    if places.is_remote(path):
        return io.BytesIO(places.read(path))
    if not stat.S_ISREG(path.stat().st_mode):
        raise ImageProblem("no regular file")
    return open(path, "rb", opener=_without_waiting)  # Path.open takes no opener


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _stored(folder: Path, kind: FileKind) -> Iterator[tuple[Path, str | None]]:
    """The files among the objects below a name, told by their endings: reading first bytes would be a request each."""
    for path in places.below(folder):
        if kind.is_named(path) and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path, _BY_MACHINE.format(plural=kind.plural) if _is_by_machine(path, folder) else None


def _on_disk(root: Path, kind: FileKind) -> Iterator[tuple[Path, str | None]]:
    """The files below a folder, each with why it is left out, if it is.

    Links to folders come last, so that a folder goes by its own name.
    """
    folders, links = [root], list[Path]()
    entered = set[tuple[int, int]]()
    while folders or links:
        folder = folders.pop() if folders else heappop(links)
        by_machine = _is_by_machine(folder, root)
        try:
            found = folder.stat()
            with os.scandir(folder) as listing:
                entries = [each for each in listing if not each.name.startswith(".")]
        except OSError as error:
            if by_machine:  # such folders are often the system's own
                continue
            raise PhotographsError(f"cannot list {error.filename}: {error.strerror}") from error
        here = (found.st_dev, found.st_ino)
        if here in entered:
            yield folder, _AGAIN
            continue
        entered.add(here)
        for each in entries:
            path = folder / each.name
            if not _is_folder(each):
                if kind.counts(path):
                    yield path, _BY_MACHINE.format(plural=kind.plural) if by_machine else None
                elif _leads_nowhere(each):
                    yield path, _NOWHERE
            elif each.is_symlink():
                heappush(links, path)
            else:
                folders.append(path)


def _is_by_machine(path: Path, root: Path) -> bool:
    return any(part.lower() in _MACHINES for part in path.relative_to(root).parts)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _leads_nowhere(entry: "os.DirEntry[str]") -> bool:
    try:
        entry.stat()
    except OSError:
        return True
    return False
