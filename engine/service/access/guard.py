"""What every request and every answer passes through: request id, limits, allowed origins, headers, and the line in the log."""

import asyncio
import logging
import re
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.service.access.paths import told_apart
from engine.service.api.errors import DEFECT, Refused, envelope
from engine.service.measured import AccessLog, Numbers
from engine.service.settings import Settings

LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}
# Whoever looks after a service asks these by whatever address it has, and they say nothing of anybody.
_HEALTH, _METRICS = ("/healthz", "/readyz"), "/metrics"
# Routes whose work grows with the gallery, and how many times the usual limit they may take.
_LONG, _LONGER = re.compile(r"/(erase|check|compact)$"), 40
_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
_log = logging.getLogger("onek.service")


class Guard:
    """ASGI middleware around the application."""

    def __init__(self, app: ASGIApp, settings: Settings, numbers: Numbers, log: AccessLog | None) -> None:
        self._app, self._settings, self._numbers, self._log = app, settings, numbers, log
        self._headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        self._hosts = {host.strip().lower() for host in settings.allowed_hosts.split(",") if host.strip()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        passing = _Passing(self, scope, receive, send)
        started = time.perf_counter()
        try:
            await self._let_through(passing)
        finally:
            self._note(passing, time.perf_counter() - started)

    async def _let_through(self, passing: "_Passing") -> None:
        seconds = self._settings.seconds * (_LONGER if _LONG.search(passing.scope["path"]) else 1)
        try:
            async with asyncio.timeout(seconds):
                self._check(passing)
                await self._app(passing.scope, passing.receive, passing.send)
        except Refused as refused:
            await passing.refuse(refused)
        except TimeoutError:
            if passing.whole:
                await passing.refuse(Refused(504, "timeout", f"no answer within {seconds:g} seconds; it may be done yet"))
            else:
                await passing.refuse(Refused(408, "timeout", f"the request did not arrive within {seconds:g} seconds"))
        except Exception:
            _log.exception("request %s failed", passing.request_id)
            await passing.refuse(DEFECT)

    def _check(self, passing: "_Passing") -> None:
        """Refuse what comes from another page, by another name, or is too large."""
        headers = passing.headers
        host = headers.get("host", "").lower()
        if passing.scope["path"] not in _HEALTH:
            self._check_host(re.sub(r":\d+$", "", host), passing.scope["path"] == _METRICS)
        origin = headers.get("origin")
        if origin is not None and _netloc(origin) != host:
            raise Refused(403, "origin", "another page asked; this service answers its own page, and programs")
        if passing.scope["path"].startswith("/v1/") and headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            raise Refused(403, "origin", "another page asked; this service answers its own page, and programs")
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._settings.body:
            raise self.too_large()

    def _check_host(self, host: str, metrics: bool) -> None:
        """Refuse a name that this service does not have: another page may have made it point here. Metrics are asked by this
        machine's address also where the service has a name, and by any where they take a token, which no page has.
        """
        needs_no_token = self._settings.tokens is None
        if metrics and (host in LOOPBACK or not needs_no_token):
            return
        if self._hosts and host not in self._hosts:
            raise Refused(421, "host", f"this service is not called {host[:100]}; --allow-host says what it is called")
        if not self._hosts and needs_no_token and host not in LOOPBACK:
            raise Refused(421, "host", f"found {host[:100]}; expected 127.0.0.1 or localhost, since nobody is asked for a token")

    def too_large(self) -> Refused:
        """The error for a body that is too large."""
        return Refused(413, "too_large", f"the request is larger than {self._settings.body:,} bytes, the most that is read")

    @property
    def most(self) -> int:
        """Bytes of a body."""
        return self._settings.body

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that every answer has."""
        return self._headers

    def _note(self, passing: "_Passing", seconds: float) -> None:
        scope = passing.scope
        route = getattr(scope.get("route"), "path", "(none)")
        method = scope["method"] if scope["method"] in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD") else "(other)"
        self._numbers.requests.labels(method, route, passing.status).inc()
        self._numbers.seconds.labels(route).observe(seconds)
        if self._log is not None:
            said: dict[str, Any] = {
                "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "request_id": passing.request_id,
                "method": method,
                "route": route,
                "status": passing.status,
                "seconds": round(seconds, 4),
                "bytes": passing.read,
                "token": scope["state"].get("token_id"),
            }
            if self._log.names:
                said["path"] = scope["path"][:500]
            self._log.write(said)


class _Passing:
    """One request on its way: counts its bytes, and gives its answer the headers that every answer has."""

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        said = self.headers.get("x-request-id", "")
        self.request_id = said if _ID.fullmatch(said) else uuid4().hex
        self.scope = scope
        scope.setdefault("state", {})["request_id"] = self.request_id
        scope["path"] = told_apart(scope["raw_path"])
        self._guard, self._receive, self._send = guard, receive, send
        self.read, self.status = 0, 0
        # Whether the request arrived to its end.
        self.whole = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.read += len(message.get("body", b""))
            self.whole = not message.get("more_body", False)
            if self.read > self._guard.most:
                raise self._guard.too_large()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = {name.lower() for name, _ in message["headers"]}
            more = [pair for pair in self._guard.headers if pair[0] not in own]
            message["headers"] = [*message["headers"], *more, (b"x-request-id", self.request_id.encode())]
        await self._send(message)

    async def refuse(self, refused: Refused) -> None:
        """Answer with an error, unless an answer has begun already. The rest of the request is not read."""
        if self.status:
            return
        answer = envelope(refused, self.request_id)
        if not self.whole:
            answer.headers["connection"] = "close"
        await answer(self.scope, self.receive, self.send)


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None
