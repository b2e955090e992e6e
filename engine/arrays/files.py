"""Finds files of arrays and reads them: its first bytes say what each is, and what it may take is seen first."""

import gzip
import zlib
from functools import partial
from pathlib import Path
from typing import IO

from engine.arrays.nifti import MARKS, MARKS_AT, read_nifti
from engine.arrays.numpy_files import read_npy, read_npz
from engine.arrays.sampled import Sampled
from engine.arrays.wave import read_wave
from engine.errors import ImageProblem
from engine.faces.images import FileKind, ImageBytes, named

# Of what is unpacked behind the voxels, at most.
_MOST_BEHIND = 1 << 24
_NUMPY, _WAVE, _NIFTI = (".npy", ".npz"), (".wav", ".wave"), (".nii", ".nii.gz")


def _ends(endings: tuple[str, ...], path: Path) -> bool:
    return path.name.lower().endswith(endings)


def _kind(noun: str, plural: str, names: str, endings: tuple[str, ...]) -> FileKind:
    return FileKind(noun, plural, names, endings, partial(_ends, endings))


SIGNALS = _kind("recording", "recordings", "NumPy (.npy, .npz), WAV", _NUMPY + _WAVE)
VOLUMES = _kind("volume", "volumes", "NumPy (.npy, .npz), NIfTI (.nii, .nii.gz)", _NUMPY + _NIFTI)


def read_named(file: Path | ImageBytes) -> tuple[Sampled, str]:
    """The numbers of one file, `.npy`, `.npz`, WAV or NIfTI, and what it is called by its bytes.

    Raises:
        ImageProblem: it cannot be read, is damaged, of another format or too large, or holds no real numbers.
        StorageError: the store does not answer, or refuses.
    """
    return named(file, _read)


def _read(stream: IO[bytes]) -> Sampled:
    head = stream.read(MARKS_AT + 4)
    stream.seek(0)
    if not head:
        raise ImageProblem("the file is empty")
    if head.startswith(b"\x93NUMPY"):
        return read_npy(stream)
    if head.startswith(b"PK"):
        return read_npz(stream)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return read_wave(stream)
    if head.startswith(b"\x1f\x8b"):
        return _unzipped(stream)
    if head[MARKS_AT:] in MARKS or head[4:8] in MARKS:
        return read_nifti(stream)
    raise ImageProblem("no array that can be read: expected NumPy (.npy, .npz), WAV, or NIfTI (.nii, .nii.gz)")


def _unzipped(stream: IO[bytes]) -> Sampled:
    try:
        with gzip.GzipFile(fileobj=stream) as unzipped:
            found = read_nifti(unzipped)
            unzipped.read(_MOST_BEHIND)  # to the end, where gzip says what the sum of the bytes is
            return found
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ImageProblem(f"the gzip file is damaged or cut short: {error}") from error
