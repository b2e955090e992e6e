"""Errors as a client sees them: one form for all, and a table with the HTTP status of each of our errors."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from engine import errors
from engine.errors import OnekError
from engine.service.batching import Full

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
    errors.EncoderError: 503,
    errors.PlanError: 503,
    errors.OutputError: 507,
    OnekError: 409,
    MemoryError: 503,
}
_HTTP = {404: "not_found", 405: "method_not_allowed", 400: "bad_request", 413: "too_large", 415: "media_type"}


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
    return Refused(status, code_of(type(error)), " ".join(message.split()), {"Retry-After": "1"} if status == 503 else None)


DEFECT = Refused(500, "internal", "a defect of onek's; the log says more under this request id")
BUSY = Refused(503, "busy", "more is being asked than this service can answer just now; ask again", {"Retry-After": "1"})


def envelope(refused: Refused, request_id: str) -> JSONResponse:
    """The answer."""
    said = {"error": {"code": refused.code, "message": refused.message, "request_id": request_id}}
    return JSONResponse(said, refused.status, refused.headers)


def add_handlers(app: FastAPI) -> None:
    """Answer every error that reaches the framework in that form."""
    for kind in (Refused, OnekError, MemoryError, Full, RequestValidationError, HTTPException, ClientDisconnect, Exception):
        app.add_exception_handler(kind, _answered)


async def _answered(request: Request, error: Exception) -> JSONResponse:
    refused = _refused(error)
    refused.message = request.app.state.service.named(refused.message)
    return envelope(refused, request.state.request_id)


def _refused(error: Exception) -> Refused:
    match error:
        case Refused():
            return error
        case Full():
            return BUSY
        case RequestValidationError():
            found = error.errors()[0]
            where = ".".join(str(part) for part in found["loc"])[:200]
            return Refused(422, "invalid", f"{where}: {found['msg']}")
        case HTTPException():
            code = _HTTP.get(error.status_code, "refused")
            return Refused(error.status_code, code, str(error.detail), dict(error.headers or {}))
        case ClientDisconnect():
            return Refused(499, "gone", "the client went away before its request was whole")
        case OnekError() | MemoryError():
            return as_refused(error)
    return DEFECT
