"""What templates are called: after what they were made of, so that two pictures never share an id, and one has the same always.

A photograph counts by the bytes of its file, a vector by its numbers: SHA-256, of which the first 128 bits are kept. Bytes, and
not the decoded pixels, because they are what is read anyway, and because pixels depend on the decoder and its version: the ids of
one file would change with it. A file that was written anew, with other EXIF or another compression, is another picture.
"""

import hashlib
from itertools import chain
from typing import IO

import numpy as np

_DIGITS = 32
# Numbers that are looked at at once, in double precision.
_AT_ONCE = 1 << 20


def of_file(stream: IO[bytes]) -> str:
    """The name of a photograph, from its bytes; the stream is read from its beginning."""
    stream.seek(0)
    digest = hashlib.sha256()
    while part := stream.read(1 << 20):
        digest.update(part)
    return digest.hexdigest()[:_DIGITS]


def of_picture(picture: np.ndarray) -> str:
    """The name of a picture in memory, uint8 (height, width, 3), from its pixels."""
    shape = "x".join(map(str, picture.shape))
    return _named(shape.encode() + np.ascontiguousarray(picture).tobytes())


def of_face(picture: str, face: int) -> str:
    """The id of the template of one face, by the name of its picture and the face's number in it."""
    return f"{picture}#{face}"


def picture_of(template_id: str) -> str:
    """The name of the picture in an id that `of_face` made."""
    return template_id.rpartition("#")[0]


def of_vectors(vectors: np.ndarray, first: int = 0) -> list[str]:
    """The ids of vectors (n, d) of any float type, from their numbers and their rows, which count from `first` on."""
    part = max(1, _AT_ONCE // max(1, vectors.shape[1]))
    parts = (_scaled(vectors[start : start + part]) for start in range(0, len(vectors), part))
    return [f"{_named(row.tobytes())}:{number}" for number, row in enumerate(chain.from_iterable(parts), first)]


def _scaled(vectors: np.ndarray) -> np.ndarray:
    """As float32, whatever they were kept as: scaled by a power of two, which changes no digit, none is too large or small."""
    exponents = np.frexp(np.abs(vectors).max(axis=1, initial=0).astype(np.float64))[1]
    return np.ldexp(vectors.astype(np.float64), -exponents[:, None]).astype("<f4")


def _named(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]
