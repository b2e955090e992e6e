"""Errors as a client sees them: one form for all, and a table with the HTTP status of each of our errors."""

import logging
import re
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from engine import errors
from engine.errors import OnekError
from engine.service.batching import Full
from engine.service.liveness.pad import DetectorFailed

# By class; a class that is not listed has the status of its parent.
STATUS: dict[type[Exception], int] = {
    errors.NameRefused: 422,
    errors.ListError: 422,
    errors.ImageProblem: 422,
    errors.PhotographsError: 422,
    errors.TemplatesError: 422,
    errors.VectorsError: 422,
    errors.WrongType: 422,
    errors.EncoderMismatch: 409,
    errors.GalleryError: 409,
    errors.GalleryBusy: 503,
    errors.GalleryReplaced: 503,
    errors.IndexFileError: 503,
    errors.StorageError: 503,
    errors.EncoderError: 409,
    errors.PlanError: 507,
    errors.OutputError: 507,
    OnekError: 409,
    MemoryError: 503,
}
_HTTP = {400: "bad_request", 413: "too_large", 415: "media_type"}
# What the library advises, in its own words, and what a request says in their place.
_ADVICE = (
    (re.compile(r"; waited [\d.]+ s, so try again, or wait=60 for longer"), "; ask again in a moment"),
    (re.compile("pass merge=True to make"), 'send "merge": true to make'),
    (
        re.compile("on_duplicate='replace' gives it to the new name, on_duplicate='skip' leaves it"),
        "choose another id, or remove it",
    ),
    (re.compile("say onek compact again"), "POST compact once more"),
    (re.compile(r"if you trust these files, pass (--.*) \(in Python: .*\)"), r"whoever trusts these files starts it with \1"),
    (re.compile("pass threshold=\\.\\.\\."), "say threshold=NUMBER"),
)
_SHOWN = 60
_log = logging.getLogger("onek.service")


class Error(BaseModel):
    """What was wrong."""

    code: str = Field(description="What kind of error, for programs: `gallery_error`, `identity_not_found`, `too_large`, ...")
    message: str = Field(description="What was found, what was expected, and what to do, for people.")
    request_id: str = Field(description="What the log calls this request.")


class ErrorEnvelope(BaseModel):
    """The body of every answer that is no success."""

    error: Error


class Refused(Exception):
    """An answer that is no success, with its status."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}


def code_of(error: type[BaseException]) -> str:
    """The code of an error class: `gallery_busy` for `GalleryBusy`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in error.__name__).lstrip("_")


def as_refused(error: Exception) -> Refused:
    """What a client is told of an error of ours."""
    status = next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)
    message = str(error) if isinstance(error, OnekError) else "there is not enough memory just now; ask again"
    if isinstance(error, errors.OutputError):
        message += "; if the disk of the service is full, make room there, and ask again"
    return Refused(status, code_of(type(error)), " ".join(message.split()), {"Retry-After": "1"} if status == 503 else None)


def as_requests_say_it(message: str) -> str:
    """A message of the library, with the advice that it has for programs put in the words of a request."""
    for library, request in _ADVICE:
        message = library.sub(request, message)
    return message


DEFECT = Refused(500, "internal", "a defect of onek's; the log says more under this request id")
DETECTOR = Refused(
    500,
    "pad_failed",
    "the detector of presentation attacks failed, so that nobody is let in; the log says why under this request id",
)
BUSY = Refused(503, "busy", "more is being asked than this service can answer just now; ask again", {"Retry-After": "1"})


def envelope(refused: Refused, request_id: str) -> JSONResponse:
    """The answer."""
    said = {"error": {"code": refused.code, "message": refused.message, "request_id": request_id}}
    return JSONResponse(said, refused.status, refused.headers)


def add_handlers(app: FastAPI) -> None:
    """Answer every error that reaches the framework in that form."""
    for kind in (
        Refused,
        OnekError,
        MemoryError,
        Full,
        DetectorFailed,
        RequestValidationError,
        HTTPException,
        ClientDisconnect,
        Exception,
    ):
        app.add_exception_handler(kind, _answered)


async def _answered(request: Request, error: Exception) -> JSONResponse:
    refused = _gone(request, error) or _refused(request, error)
    refused.message = as_requests_say_it(request.app.state.service.named(refused.message))
    return envelope(refused, request.state.request_id)


def _gone(request: Request, error: Exception) -> Refused | None:
    """The error where the gallery of a request is not there just now: somebody moves it, or puts another in its place."""
    served = request.app.state.service.galleries.get(request.path_params.get("gallery", ""))
    if served is None or served.is_there or not isinstance(error, errors.GalleryError | errors.OutputError):
        return None
    _log.warning("gallery %s is not there: %s", served.name, error)
    return Refused(503, "gallery_gone", f"the gallery {served.name} is not there just now; ask again", {"Retry-After": "1"})


def _refused(request: Request, error: Exception) -> Refused:
    match error:
        case Refused():
            return error
        case Full():
            return BUSY
        case DetectorFailed():
            _log.error("request %s: the detector of --pad: %s", request.state.request_id, error, exc_info=error.__cause__)
            return DETECTOR
        case RequestValidationError():
            return Refused(422, "invalid", _invalid(request, error.errors()[0]))
        case HTTPException(status_code=404):
            said = "nothing is at this path; /v1/openapi.json describes what is, and a / in a name is sent as %2F"
            return Refused(404, "not_found", said)
        case HTTPException(status_code=405):
            methods = _methods(request, (error.headers or {}).get("Allow", ""))
            said = f"this path does not take {request.method[:_SHOWN]}; expected {methods}"
            return Refused(405, "method_not_allowed", said, {"Allow": methods})
        case HTTPException():
            code = _HTTP.get(error.status_code, "refused")
            return Refused(error.status_code, code, str(error.detail), dict(error.headers or {}))
        case ClientDisconnect():
            return Refused(499, "gone", "the client went away before its request was whole")
        case OnekError() | MemoryError():
            return as_refused(error)
    return DEFECT


def _invalid(request: Request, found: dict[str, Any]) -> str:
    """What pydantic found, with what was sent and what is expected."""
    where = ".".join(str(part) for part in found["loc"])[:200]
    match found["type"]:
        case "missing":
            return f"{where}: not found, and expected"
        case "extra_forbidden":
            known = request.scope["route"].body_field.field_info.annotation.model_fields
            return f"{where}: there is no such field; expected {', '.join(known)}"
        case "json_invalid":
            return f"the body is no JSON: {found.get('ctx', {}).get('error', found['msg'])}"
    expected = found["msg"].partition(", unable")[0].replace("Input should be ", "expected ")
    sent = found["input"] if isinstance(found["input"], str) else str(found["input"])
    return f"{where}: found {sent[:_SHOWN]!r}; {expected[:1].lower()}{expected[1:]}"


def _methods(request: Request, known: str) -> str:
    """What the path of a request takes, by any of its routes."""
    described = request.app.openapi()["paths"].get(getattr(request.scope.get("route"), "path_format", None), {})
    return ", ".join(sorted(method.upper() for method in described)) or known
