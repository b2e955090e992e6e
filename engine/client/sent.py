"""Probes as a service takes them: pictures as files, vectors as JSON, in requests that are no larger than it allows."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from engine.errors import PhotographsError, WrongType
from engine.templates.given import Vectors, are_vectors, templates_given
from engine.templates.model import Templates

Picture = bytes | str | Path | np.ndarray
"""A picture's file as bytes, the path of one, or an RGB picture, uint8 (height, width, 3)."""
Probes = Picture | Sequence[Picture] | Vectors | Templates

# Of one request: `engine.service.settings.Settings` has the same.
MOST_PICTURES, MOST_VECTORS = 16, 1024
# Bytes of a request beside its pictures, of one picture beside its bytes, and of a number as JSON writes it.
_AROUND, _AROUND_EACH, _NUMBER = 1024, 300, 26
_BYTES = "application/octet-stream"


@dataclass(frozen=True)
class Sent:
    """A request's body, and what the probes in it are called, in order."""

    body: dict[str, Any]
    names: tuple[str, ...]


def requests_of(probes: Probes, most: Callable[[], int]) -> Iterator[Sent]:
    """As many requests as probes need; files are read when their request is sent. `most`: says how many bytes a request may have,
    and is asked where there is more than one probe.

    Raises:
        PhotographsError: a picture is none, or cannot be read.
        TemplatesError: a vector is zero, NaN or infinite.
        WrongType: something else than pictures or vectors.
    """
    if isinstance(probes, Templates) or are_vectors(probes):
        return _of_vectors(probes, most)
    if isinstance(probes, bytes | str | Path | np.ndarray):
        return iter([picture_of(probes)])
    return _of_pictures([_Picture.of(each, number) for number, each in enumerate(_several(probes))], most)


def picture_of(picture: Picture) -> Sent:
    """One picture, as the body.

    Raises:
        PhotographsError: it is none, or cannot be read.
        WrongType: something else than a picture.
    """
    made = _Picture.of(picture, 0)
    return Sent({"content": made.read(), "headers": {"Content-Type": _BYTES}}, (made.name,))


def pictures_of(pictures: Sequence[Picture]) -> Sent:
    """Several pictures, in one form. Raises as `picture_of`."""
    return _form([(made.name, made.read()) for made in (_Picture.of(each, n) for n, each in enumerate(_several(pictures)))])


def vector_of(vector: np.ndarray) -> Sent:
    """One vector (dim,), as the body. Raises `TemplatesError` where it is zero, NaN or infinite."""
    (sent,) = _of_vectors(vector, lambda: MOST_VECTORS * _NUMBER * max(1, vector.size))
    return sent


@dataclass(frozen=True)
class _Picture:
    """A picture that is known to be there; what it is called in an answer, its bytes when they are wanted."""

    name: str
    read: Callable[[], bytes]

    @classmethod
    def of(cls, picture: object, number: int) -> "_Picture":
        match picture:
            case bytes():
                return cls(f"picture:{number}", lambda: picture)
            case str() | Path():
                path = Path(picture)
                if not path.is_file():
                    raise PhotographsError(f"{path}: {'a folder; name its files' if path.is_dir() else 'no such file'}")
                return cls(str(path), partial(_read, path))
            case np.ndarray():
                if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
                    found = f"found {picture.dtype} of shape {picture.shape}"
                    raise PhotographsError(f"image {number}: {found}, expected uint8 (height, width, 3), RGB")
                return cls(f"image:{number}", partial(_png, picture))
        raise WrongType(f"found {picture!r:.60} (a {type(picture).__name__}); expected a picture: a path, bytes, or an RGB array")


def _several(pictures: object) -> Sequence[object]:
    if not isinstance(pictures, list | tuple):
        raise WrongType(f"found {pictures!r:.60} (a {type(pictures).__name__}); expected pictures, or vectors")
    if not pictures:
        raise PhotographsError("no pictures were given")
    return pictures


def _of_pictures(pictures: list[_Picture], most: Callable[[], int]) -> Iterator[Sent]:
    limit = most() if len(pictures) > 1 else 0
    part: list[tuple[str, bytes]] = []
    size = _AROUND
    for picture in pictures:
        data = picture.read()
        if part and (len(part) == MOST_PICTURES or size + len(data) + _AROUND_EACH > limit):
            yield _form(part)
            part, size = [], _AROUND
        part.append((picture.name, data))
        size += len(data) + _AROUND_EACH
    yield _form(part)


def _form(part: list[tuple[str, bytes]]) -> Sent:
    files = [("picture", (str(number), data, _BYTES)) for number, (_, data) in enumerate(part)]
    return Sent({"files": files}, tuple(name for name, _ in part))


def _of_vectors(probes: Vectors | Templates, most: Callable[[], int]) -> Iterator[Sent]:
    templates = probes if isinstance(probes, Templates) else templates_given(probes)
    # An array goes as it is, so that the service makes of its numbers what it makes of anybody's.
    rows = np.atleast_2d(np.asarray(probes, np.float64)) if isinstance(probes, np.ndarray) else templates.vectors
    sources, ids = (templates.table[column].to_pylist() for column in ("source", "template_id"))
    names = [source or own for source, own in zip(sources, ids, strict=True)]
    step = MOST_VECTORS if len(rows) == 1 else min(MOST_VECTORS, max(1, (most() - _AROUND) // (_NUMBER * rows.shape[1])))
    for at in range(0, len(rows), step):
        yield Sent({"json": {"vectors": rows[at : at + step].tolist()}}, tuple(names[at : at + step]))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PhotographsError(f"{path}: {error.strerror or error}") from error


def _png(picture: np.ndarray) -> bytes:
    made = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(made, "PNG", compress_level=1)
    return made.getvalue()
