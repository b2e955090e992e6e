"""The two files of an index on disk: its vectors as one NumPy array, and all else as plain arrays behind a header.

FAISS reads neither. FAISS's own files may name further files, which FAISS would open for writing, and hold offsets that it does
not check; and a hash shows that a file is whole, not who wrote it. So an index is kept as arrays: `stored.plain` takes them out
of FAISS's objects, and makes such objects from them.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from indexes.errors import IndexFileError, VectorsError

# How an index file begins; the version of its format follows.
_MAGIC = b"onek index "
FORMAT = 3
# Those that are read: up to format 2 an index never stopped early, and said nothing of it.
_READ = (2, 3)
_LONGEST_HEADER = 1 << 20
# Arrays begin at a multiple of so many bytes, so that they can be used where they lie in a mapped file.
_ALIGNED = 64
# The types that an array in an index file may have, and how many dimensions at most.
_TYPES, _MOST_DIMENSIONS = ("<f4", "<i4", "<i8", "|u1"), 3
# The header that NumPy writes for our arrays. It is matched here, because NumPy would parse it as Python, damaged or not.
_NPY_HEADER = 128
_NPY = re.compile(
    rb"\x93NUMPY\x01\x00\x76\x00\{'descr': '<f4', 'fortran_order': False, 'shape': \((\d{1,15}), (\d{1,6})\), \} *\n\Z"
)


class VectorWriter:
    """Write vectors to a `.npy` file in batches: float32 (n, d), where n is known only at the end."""

    def __init__(self, path: Path, dim: int) -> None:
        self._path, self._dim, self.count = path, dim, 0
        self._stream = path.open("wb")
        self._header()

    def _header(self) -> None:
        # NumPy pads the header for a first dimension of any size, so it can be written again when the count is known.
        self._stream.seek(0)
        np.lib.format.write_array_header_1_0(
            self._stream, {"descr": "<f4", "fortran_order": False, "shape": (self.count, self._dim)}
        )

    def write(self, vectors: np.ndarray) -> None:
        """Append vectors (n, d). Raises `VectorsError` for another dimension."""
        if vectors.ndim != 2 or vectors.shape[1] != self._dim:
            raise VectorsError(f"vectors of the shape {vectors.shape} were to be written; expected (n, {self._dim})")
        self._stream.write(np.ascontiguousarray(vectors, "<f4").data)
        self.count += len(vectors)

    def __enter__(self) -> "VectorWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self._header()
        self._stream.close()


def open_vectors(path: Path) -> np.ndarray:
    """The vectors of a `.npy` file, memory-mapped: float32 (n, d).

    Raises:
        IndexFileError: the file is missing, cut off, or holds something else.
    """
    try:
        with path.open("rb") as stream:
            found = _NPY.match(stream.read(_NPY_HEADER))
        if not found:
            raise ValueError("its header is not that of an array float32 (n, d)")
        count, dim = int(found[1]), int(found[2])
        if (size := path.stat().st_size) != _NPY_HEADER + 4 * count * dim:
            raise ValueError(f"its header says {count} vectors of {dim} dimensions, but it has {size} bytes")
        if not count * dim:
            return np.empty((count, dim), np.float32)
        return np.memmap(path, np.dtype("<f4"), "r", _NPY_HEADER, (count, dim))
    except (OSError, ValueError) as error:
        raise IndexFileError(f"{path}: no array of vectors: {error}") from error


def write_index(path: Path, kind: str, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write an index file: magic and format, a line of JSON with the SHA-256 of all, and the bytes of the `arrays` in turn."""
    header = {
        "kind": kind,
        "format": FORMAT,
        **settings,
        "arrays": [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()],
    }
    line = json.dumps({**header, "sha256": _digest(header, arrays)})
    with path.open("wb") as stream:
        head = _MAGIC + f"{FORMAT}\n".encode() + line.encode()
        stream.write(head + b" " * (-(len(head) + 1) % _ALIGNED) + b"\n")
        for array in arrays.values():
            stream.write(_bytes(array).data)


Opened = tuple[str, dict[str, Any], dict[str, np.ndarray]]
"""The kind, the other settings and the arrays of an index file."""


@contextmanager
def checked_index(path: Path) -> Iterator[Opened]:
    """An index file whose hash is reckoned while the block makes something of its arrays, which are memory-mapped. The hash shows
    that they are what was written, but anybody may have written them: the block must check what they hold.

    Raises:
        IndexFileError: it is no index file, has another format (names both), or is cut off; or, once the block has ended, in
            whatever way, it is damaged.
    """
    header, arrays = _mapped(path)
    digest = header.pop("sha256")
    with ThreadPoolExecutor(1) as beside:
        reckoned = beside.submit(_digest, dict(header), arrays)
        try:
            yield header["kind"], _settings(header), arrays
        finally:
            if (now := reckoned.result()) != digest:
                raise IndexFileError(
                    f"{path}: its bytes have the SHA-256 {now[:12]}, {digest[:12]} was written: they have changed"
                )


def read_index(path: Path) -> Opened:
    """An index file that was found undamaged, its arrays in memory. Raises as `checked_index`."""
    with checked_index(path) as (kind, settings, arrays):
        return kind, settings, {name: array.copy() for name, array in arrays.items()}


def _mapped(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header of an index file, and its arrays, memory-mapped."""
    header, described, at = _header(path)
    try:
        whole = np.memmap(path, np.uint8, "r")
    except (OSError, ValueError) as error:
        raise IndexFileError(f"{path}: cannot be read: {error}") from error
    arrays = {}
    for name, each, shape in described:
        end = at + np.dtype(each).itemsize * prod(shape)
        array = np.asarray(whole[at:end]).view(each).reshape(shape)
        # Up to galleries of format 7 arrays began anywhere.
        arrays[name] = array if array.flags.aligned else array.copy()
        at = end
    return header, arrays


def _header(path: Path) -> tuple[dict[str, Any], list[tuple[str, str, list[int]]], int]:
    """The header of an index file, what it says of its arrays, and where they begin; the file is as long as they are."""
    try:
        with path.open("rb") as stream:
            first = stream.readline(64)
            if not first.startswith(_MAGIC) or not (version := first[len(_MAGIC) :].strip()).isdigit():
                raise IndexFileError(f"{path}: not an index file of onek; it begins with {first[:16]!r}")
            if int(version) not in _READ:
                todo = "take a newer onek" if int(version) > FORMAT else "have it made anew: what it holds only FAISS reads"
                raise IndexFileError(
                    f"{path}: an index file of format {int(version)}; this onek reads formats {_READ[0]} and {FORMAT}, so {todo}"
                )
            header = json.loads(stream.readline(_LONGEST_HEADER))
            # So that the format is among what the hash is of; files of before galleries of format 8 say it once.
            if header.get("format", int(version)) != int(version):
                raise ValueError(f"it is of format {int(version)} and says {str(header['format'])[:20]}")
            for key in ("sha256", "kind"):
                header[key] = str(header[key])
            described = list(_described(header["arrays"]))
            expected = sum(np.dtype(each).itemsize * prod(shape) for _, each, shape in described)
            start = stream.tell()
            found = os.fstat(stream.fileno()).st_size - start
            if found != expected:
                raise IndexFileError(f"{path}: {found} bytes behind the header, which speaks of {expected}; the file is cut off")
    except OSError as error:
        raise IndexFileError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise IndexFileError(f"{path}: its header is damaged: {error}") from error
    return header, described, start


def _settings(header: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in header.items() if name not in ("kind", "format", "arrays", "sha256")}


def _described(arrays: Any) -> Iterator[tuple[str, str, list[int]]]:
    """Name, type and shape of each array that a header describes. Raises `ValueError` where one is not allowed."""
    for name, kind, shape in arrays:
        lengths = [length for length in shape if type(length) is int and length >= 0]
        if not isinstance(name, str) or kind not in _TYPES or lengths != shape or len(shape) > _MOST_DIMENSIONS:
            raise ValueError(f"no array: {str([name, kind, shape])[:100]}")
        yield name, kind, shape


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _digest(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for array in arrays.values():
        digest.update(_bytes(array).data)
    return digest.hexdigest()
