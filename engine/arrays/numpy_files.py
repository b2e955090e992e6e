"""`.npy` and `.npz`: their headers are looked at first, and nothing in them is unpickled."""

import math
import os
import zipfile
import zlib
from typing import IO

import numpy as np

from engine.arrays.sampled import Sampled, damaged, refuse_huge
from engine.errors import ImageProblem
from engine.files.budgets import BASE, TIMES

# Arrays of an `.npz` that say something of the other one.
_RATE, _SPACING = "rate", "spacing"
_FIRST = (1, 0)


def read_npy(stream: IO[bytes]) -> Sampled:
    """The array of an `.npy` file. Raises `ImageProblem`."""
    return Sampled(_array(stream, stream.seek(0, os.SEEK_END)))


def read_npz(stream: IO[bytes]) -> Sampled:
    """The array of an `.npz` file, and what its `rate` or `spacing` say. Raises `ImageProblem`."""
    packed = stream.seek(0, os.SEEK_END)
    try:
        with zipfile.ZipFile(stream) as archive:
            unpacked, most = sum(member.file_size for member in archive.infolist()), BASE + TIMES * packed
            if unpacked > most:
                raise ImageProblem(f"{packed:,} bytes unpack to {unpacked:,}; at most {most:,} are unpacked of such a file")
            held = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            meant = [name for name in held if name not in (_RATE, _SPACING)]
            if len(meant) != 1:
                names = ", ".join(ascii(name)[1:-1][:40] for name in sorted(meant)[:5]) or "none"
                raise ImageProblem(f"{len(meant)} arrays ({names}); expected one, and rate or spacing beside it")
            values = _member(archive, held[meant[0]])
            rate = _numbers(archive, held.get(_RATE), _RATE, 1)
            spacing = _numbers(archive, held.get(_SPACING), _SPACING, 3)
            return Sampled(values, rate[0] if rate else None, spacing)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ImageProblem(f"the .npz file is damaged: {' '.join(str(error).split())}") from error


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as stream:
        return _array(stream, member.file_size)


def _numbers(archive: zipfile.ZipFile, member: zipfile.ZipInfo | None, name: str, count: int) -> tuple[float, ...] | None:
    if member is None:
        return None
    found = _member(archive, member)
    if found.size != count or not (np.isfinite(found) & (found > 0)).all():
        what = "a number above 0" if count == 1 else f"{count} numbers above 0"
        raise ImageProblem(f"{name} is {np.array2string(found, threshold=4)[:40]}, expected {what}")
    return tuple(map(float, found.ravel()))


def _array(stream: IO[bytes], size: int) -> np.ndarray:
    """The array in a stream of so many bytes, if it is one of real numbers that may be read."""
    try:
        stream.seek(0)
        newer = np.lib.format.read_magic(stream) > _FIRST
        read = np.lib.format.read_array_header_2_0 if newer else np.lib.format.read_array_header_1_0
        shape, _, kind = read(stream)
        if kind.hasobject:
            raise ImageProblem("an array of Python objects, which are not unpickled; expected numbers")
        if kind.kind not in "biuf":
            raise ImageProblem(f"an array of {str(kind)[:40]}; expected real numbers")
        count = math.prod(shape)
        refuse_huge(count, max(4, kind.itemsize))
        if stream.tell() + count * kind.itemsize > size:
            raise ImageProblem(f"the file is truncated: it says {count:,} numbers, and holds fewer")
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)
    except (ImageProblem, MemoryError):
        raise
    except Exception as error:  # NumPy and what it parses a header with raise whatever they trip over in damaged bytes
        raise damaged("NumPy", error) from error
