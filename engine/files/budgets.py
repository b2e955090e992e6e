"""How much files may unpack to, checked before anything is unpacked: a file of a few kilobytes could ask for gigabytes."""

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from math import prod
from pathlib import Path
from struct import Struct
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import TemplatesError
from engine.files.atomic_files import UNREADABLE
from engine.files.parquet_pages import BY_NUMBER, BY_PREFIX, DICTIONARY, Page, pages

# A file may unpack to `BASE` bytes and `TIMES` its own size. Vectors of photographs hardly compress: they unpack to less than
# twice the size of their file.
BASE, TIMES = 1 << 24, 32
MOST_TEXT = 65_535
"""The longest name, id or path that is read, in bytes, where a file keeps them in a dictionary."""

# The bytes that a value of each of Parquet's types takes in memory; a text takes its own length beside them.
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 4}
_TEXT = "BYTE_ARRAY"
_LENGTH = Struct("<I")


def refuse_bomb(path: Path) -> None:
    """Refuse a Parquet or `.npz` file that would unpack to far more than its own size; other files are not looked at. The answer
    is remembered for as long as the file does not change.

    Raises:
        TemplatesError: it would, or it is damaged; names what was found and the limit.
    """
    found = path.stat()
    _refuse_bomb(path, found.st_size, (found.st_dev, found.st_ino, found.st_mtime_ns))


@lru_cache(maxsize=64)
def _refuse_bomb(path: Path, size: int, _: tuple[int, int, int]) -> None:
    most = BASE + TIMES * size
    try:
        if path.suffix.lower() == ".npz" and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(max(member.file_size, _claimed(archive, member)) for member in archive.infolist())
        elif path.suffix.lower() == ".parquet" and _is_parquet(path):
            unpacked = _unpacked(path, most)
        else:
            return
    except (*UNREADABLE, zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise TemplatesError(f"{path}: damaged: {' '.join(str(error).split())}") from error
    if unpacked > most:
        raise TemplatesError(
            f"{path}: {size:,} bytes unpack to {unpacked:,} or more; at most {most:,} are unpacked of a file of this size"
        )


def _claimed(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
    """The size in bytes that the header of an array in an archive states: NumPy reserves that much before it reads any of it."""
    if not member.filename.endswith(".npy"):
        return 0
    with archive.open(member) as stream:
        newer = np.lib.format.read_magic(stream) > (1, 0)
        read = np.lib.format.read_array_header_2_0 if newer else np.lib.format.read_array_header_1_0
        shape, _, kind = read(stream)
    return prod(shape) * max(1, kind.itemsize)


def _is_parquet(path: Path) -> bool:
    try:
        pq.read_metadata(path)
    except UNREADABLE:
        return False
    return True


def _unpacked(path: Path, most: int) -> int:
    """How many bytes a Parquet file's columns take in memory; counting stops once there are more than `most`."""
    total = 0
    with path.open("rb") as stream:
        metadata = pq.ParquetFile(stream).metadata
        for group in range(metadata.num_row_groups):
            for column in range(metadata.num_columns):
                chunk, length = metadata.row_group(group).column(column), metadata.schema.column(column).length
                for size in _sizes(path, stream, chunk, _WIDTHS.get(chunk.physical_type, max(1, length))):
                    total += size
                    if total > most:
                        return total
    return total


def _sizes(path: Path, stream: IO[bytes], chunk: pq.ColumnChunkMetaData, width: int) -> Iterator[int]:
    """How many bytes each page of a column takes in memory, if each of its values takes at least `width`."""
    longest = 0
    for page in pages(stream, chunk):
        more = longest if page.encoding in BY_NUMBER else page.unpacked if page.encoding == BY_PREFIX else 0
        yield max(page.unpacked, page.values * (width + more))
        if page.kind == DICTIONARY and chunk.physical_type == _TEXT:
            longest = _longest(path, stream, chunk, page)


def _longest(path: Path, stream: IO[bytes], chunk: pq.ColumnChunkMetaData, page: Page) -> int:
    """The length in bytes of the longest text in a dictionary page: every row of the column may be that text."""
    stream.seek(page.at)
    data = stream.read(page.packed)
    if chunk.compression.startswith("LZ4"):
        data = _of_lz4(data, page.unpacked)
    elif chunk.compression != "UNCOMPRESSED":
        data = pa.Codec(chunk.compression.lower()).decompress(data, page.unpacked, asbytes=True)
    # There is one step for each name of a large gallery whenever it is opened, so that nothing is done twice in one.
    at, longest, last = 0, 0, len(data) - _LENGTH.size
    length_at = _LENGTH.unpack_from
    while at <= last:
        (length,) = length_at(data, at)
        at += _LENGTH.size + length
        if length > longest:
            longest = length
    if longest > MOST_TEXT:
        raise TemplatesError(
            f"{path}: {chunk.path_in_schema[:60]} holds a text of {longest:,} bytes; at most {MOST_TEXT:,} are read"
        )
    return longest


def _of_lz4(data: bytes, unpacked: int) -> bytes:
    """Decompress LZ4: today's form, or Hadoop's, in which two lengths come first."""
    try:
        return pa.Codec("lz4_raw").decompress(data, unpacked, asbytes=True)
    except OSError:
        return pa.Codec("lz4_raw").decompress(data[8:], unpacked, asbytes=True)
