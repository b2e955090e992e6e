"""What is asked by whoever looks after the service, and the page itself."""

import json
from functools import partial
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import PlainTextResponse, Response

from engine.service.api.asked import ERRORS, AtDoor, TheService
from engine.service.api.errors import ErrorEnvelope, Refused

router = APIRouter()
_PAGE = files("engine.service.page")
_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
# Where each file of the page is; nothing else is served.
PAGES = {
    "/": "index.html",
    "/script.js": "script.js",
    "/style.css": "style.css",
    "/texts.json": "texts.json",
    "/icon.svg": "icon.svg",
    "/api": "api.html",
    "/api.js": "api.js",
}


@router.get("/healthz", summary="Does the process live?", tags=["health"])
async def healthz() -> dict[str, str]:
    """It does where this is answered."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    summary="Can it answer?",
    tags=["health"],
    responses={503: {"model": ErrorEnvelope, "description": "It starts, or a gallery cannot be looked at."}},
)
async def readyz(service: TheService) -> dict[str, Any]:
    """Networks and galleries are loaded, and each gallery could be looked at a moment ago."""
    trouble, count = sum(served.trouble is not None for served in service.galleries), len(service.galleries)
    if trouble:
        why = f"galleries that cannot be looked at: {trouble} of {count}; GET /v1/galleries says which, and the log why"
        raise Refused(503, "not_ready", why)
    if not service.ready.is_set():
        raise Refused(503, "not_ready", "the service is starting; ask again in a moment", {"Retry-After": "1"})
    return {"status": "ready", "galleries": count}


@router.get("/metrics", summary="Numbers for Prometheus", tags=["health"], responses=ERRORS, response_class=PlainTextResponse)
def metrics(service: TheService, token: AtDoor) -> Response:  # noqa: ARG001
    """Requests, times, batch sizes, decisions by kind, false alarms to expect. Takes a token where tokens are asked for."""
    for served in service.galleries:
        service.numbers.identities.labels(served.name).set(served.gallery.identity_count)
    return Response(service.numbers.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def add_pages(app: FastAPI) -> None:
    """Serve the files of the page from the package, and the description of the API."""
    described = json.dumps(app.openapi(), ensure_ascii=False).encode()
    served = {path: ((_PAGE / name).read_bytes(), _TYPES[name.rpartition(".")[2]]) for path, name in PAGES.items()}
    served["/v1/openapi.json"] = (described, _TYPES["json"])
    for path, (content, kind) in served.items():
        app.router.add_route(path, partial(_answer, content, kind), methods=["GET", "HEAD"], include_in_schema=False)


async def _answer(content: bytes, kind: str, request: Request) -> Response:  # noqa: ARG001 - nothing of it is asked
    return Response(content, media_type=kind)
