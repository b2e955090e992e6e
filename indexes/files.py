"""The two files of an index on disk: the vectors as one NumPy array, and a file that says what it is before FAISS reads it."""

import hashlib
import json
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from indexes.errors import IndexFileError, VectorsError

# Before the header of an index file: what it is, and the version of its format.
_MAGIC = b"onek index "
FORMAT = 1
_LONGEST_HEADER = 1 << 20
# A header as NumPy writes it for our arrays. NumPy would read it as Python, which is more than a changed byte should reach.
_NPY_HEADER = 128
_NPY = re.compile(
    rb"\x93NUMPY\x01\x00\x76\x00\{'descr': '<f4', 'fortran_order': False, 'shape': \((\d{1,15}), (\d{1,6})\), \} *\n\Z"
)


class VectorWriter:
    """Write vectors to a `.npy` file as they come: float32 (n, d), n known at the end. `sha256` is that of the closed file."""

    def __init__(self, path: Path, dim: int) -> None:
        self._path, self._dim, self.count, self.sha256 = path, dim, 0, ""
        self._stream = path.open("wb")
        self._header()

    def _header(self) -> None:
        # NumPy leaves room in the header for a first dimension of any size, so it can be written again when the count is known.
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


def write_index(path: Path, kind: str, settings: dict[str, Any], payload: np.ndarray) -> None:
    """Write an index file: magic and format, a line of JSON with the SHA-256 of all, and the `payload`, uint8 (n,)."""
    header = {"kind": kind, "bytes": len(payload), **settings}
    line = json.dumps({**header, "sha256": _digest(header, payload)})
    with path.open("wb") as stream:
        stream.write(_MAGIC + f"{FORMAT}\n".encode() + line.encode() + b"\n")
        stream.write(payload.data)


def read_index(path: Path) -> tuple[str, dict[str, Any], np.ndarray]:
    """The kind, the other settings and the payload of an index file, which are known to be what was written.

    Raises:
        IndexFileError: no index file, of a newer format (names both), cut off, or changed.
    """
    try:
        with path.open("rb") as stream:
            first = stream.readline(64)
            if not first.startswith(_MAGIC) or not (version := first[len(_MAGIC) :].strip()).isdigit():
                raise IndexFileError(f"{path}: not an index file of onek; it begins with {first[:16]!r}")
            if int(version) != FORMAT:
                raise IndexFileError(
                    f"{path}: an index file of format {int(version)}; this onek reads format {FORMAT}, so take a newer onek"
                )
            header = json.loads(stream.readline(_LONGEST_HEADER))
            digest, expected = str(header.pop("sha256")), int(header["bytes"])
            found = os.fstat(stream.fileno()).st_size - stream.tell()
            if found != expected:
                raise IndexFileError(f"{path}: {found} bytes behind the header, {expected} were written; the file is cut off")
            payload = np.fromfile(stream, np.uint8)
    except OSError as error:
        raise IndexFileError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise IndexFileError(f"{path}: its header is damaged: {error}") from error
    if (now := _digest(header, payload)) != digest:
        raise IndexFileError(f"{path}: its bytes have the SHA-256 {now[:12]}, {digest[:12]} was written: they have changed")
    return str(header.pop("kind")), {name: value for name, value in header.items() if name != "bytes"}, payload


def _digest(header: dict[str, Any], payload: np.ndarray) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    digest.update(payload.data)
    return digest.hexdigest()
