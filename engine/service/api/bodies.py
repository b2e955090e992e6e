"""The body of a request: pictures, as the whole body or in a form, or vectors as JSON. It is kept in memory only."""

from codecs import BOM_UTF8
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
from fastapi import Request
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from engine.service.api.errors import Refused
from engine.templates.provenance import MOST_DIMENSIONS

PICTURES = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "audio/*": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"picture": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                    "required": ["picture"],
                }
            },
        },
    }
}
VECTORS = {
    "application/json": {
        "schema": {
            "type": "object",
            "properties": {"vectors": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}},
            "required": ["vectors"],
        }
    }
}
PICTURES_OR_VECTORS: dict[str, Any] = {
    "requestBody": {"required": True, "content": {**PICTURES["requestBody"]["content"], **VECTORS}}  # type: ignore[dict-item]
}
# JSON of more bytes is parsed on a thread, since parsing it here would delay other requests.
_MUCH = 1 << 19


class _InMemory(MultiPartParser):
    """A form parser that never writes pictures to a disk."""

    spool_max_size = 1 << 40


async def pictures_of(request: Request, most: int) -> list[bytes]:
    """The pictures of a request, as the files they are.

    Raises:
        Refused: none, too many, or another kind of body.
    """
    kind = _kind(request)
    body = await request.body()
    if kind == "multipart/form-data":
        pictures = await _of_form(request, body, most)
    elif kind.startswith(("image/", "audio/")) or kind in ("application/octet-stream", ""):
        pictures = [body]
    else:
        raise Refused(
            415,
            "media_type",
            f"found the Content-Type {kind[:100]}; expected a picture (image/*), a recording (audio/*), bytes "
            "(application/octet-stream), multipart/form-data, or application/json where vectors are taken",
        )
    if not pictures or not all(pictures):
        raise Refused(422, "no_picture", "the request has no picture; send it as the body, or in a form as `picture`")
    return pictures


def has_vectors(request: Request) -> bool:
    """Whether a request brings vectors."""
    return _kind(request) == "application/json"


async def vectors_of(request: Request, most: int) -> np.ndarray:
    """The vectors of a request, float64 (n, d), checked no further.

    Raises:
        Refused: it has none, too many, or they are no rectangle of numbers.
    """
    body = await request.body()
    return await run_in_threadpool(_vectors, body, most) if len(body) > _MUCH else _vectors(body, most)


def _vectors(body: bytes, most: int) -> np.ndarray:
    try:
        said = from_json(body.removeprefix(BOM_UTF8))
    except ValueError as error:
        raise Refused(422, "json", f"the body is no JSON: {str(error)[:200]}") from error
    rows = said.get("vectors") if isinstance(said, dict) else None
    if not isinstance(rows, list) or not rows:
        raise Refused(422, "vectors", 'the body has no vectors; expected {"vectors": [[...], ...]}, and nothing else')
    if len(said) != 1:
        more = ", ".join(name[:100] for name in said if name != "vectors")[:300]
        raise Refused(
            422, "vectors", f'body.{more}: there is no such field; expected {{"vectors": [[...], ...]}}, and nothing else'
        )
    if len(rows) > most:
        raise Refused(413, "too_many", f"{len(rows)} vectors; at most {most} are taken in one request")
    lengths = {len(row) if isinstance(row, list) else -1 for row in rows}
    if -1 in lengths:
        raise Refused(422, "vectors", "body.vectors: found something else than lists in it; expected [[number, ...], ...]")
    if len(lengths) != 1 or not 0 < min(lengths) <= MOST_DIMENSIONS:
        found = f"{min(lengths):,}" if len(lengths) == 1 else f"{min(lengths):,} to {max(lengths):,}"
        raise Refused(
            422, "vectors", f"body.vectors: found vectors of {found} numbers; expected one length, up to {MOST_DIMENSIONS:,}"
        )
    for number, row in enumerate(rows):
        if (odd := next((value for value in row if type(value) not in (int, float)), row)) is not row:
            raise Refused(422, "vectors", f"body.vectors[{number}]: found {odd!r:.60}; expected numbers")
    try:
        return np.array(rows, np.float64)
    except OverflowError as error:
        raise Refused(422, "vectors", "a number in the vectors is too large") from error


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _of_form(request: Request, body: bytes, most: int) -> list[bytes]:
    async def once() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await _InMemory(request.headers, once(), max_files=most, max_fields=4).parse()
    except (MultiPartException, KeyError, ValueError, AssertionError) as error:
        said = error.message if isinstance(error, MultiPartException) else "it cannot be read"
        if said.startswith("Too many files"):
            raise Refused(413, "too_many", f"more than {most} pictures, which are the most of one request") from error
        raise Refused(400, "form", f"the form: {said[:200]}") from error
    try:
        for name, value in form.multi_items():
            if name != "picture":
                raise Refused(422, "form", f"form.{name[:100]}: there is no such field; expected files, each called `picture`")
            if not isinstance(value, UploadFile):
                raise Refused(422, "form", f"form.picture: found the text {value[:60]!r}; expected a file")
        return [await value.read() for value in form.getlist("picture") if isinstance(value, UploadFile)]
    finally:
        await form.close()
