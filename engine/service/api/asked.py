"""What every route needs: the service, the gallery in the path, and the token of the request."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, cast, get_args, get_origin

from fastapi import Depends, Path, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AfterValidator

from engine.answers.snapshot import Snapshot
from engine.errors import NameRefused, OnekError, OutputError
from engine.service.access.paths import name_in
from engine.service.access.rates import Rates
from engine.service.access.tokens import ADMIN, ANYBODY, DESK, DOOR, Token, Tokens
from engine.service.api.errors import ErrorEnvelope, Refused
from engine.service.galleries import Galleries, Served
from engine.service.measured import Numbers
from engine.service.recognition import Recognition
from engine.service.records.events import Event, Events
from engine.service.records.kept import KeptPictures
from engine.service.settings import Settings
from engine.templates.names import name_of, spellings

_log = logging.getLogger("onek.service")
# How many wrong tokens one address may send in a second.
_WRONG = 5.0


@dataclass(frozen=True)
class Service:
    """Everything that one process of a service has; `ready` is set once it can answer at once."""

    settings: Settings
    galleries: Galleries
    recognition: Recognition
    numbers: Numbers
    tokens: Tokens | None
    events: dict[str, Events]
    kept: KeptPictures | None
    pad: Callable[..., Any] | None
    rates: Rates
    wrong: Rates = field(default_factory=lambda: Rates(_WRONG))
    ready: threading.Event = field(default_factory=threading.Event)

    def named(self, message: str) -> str:
        """The same, with galleries called by their names: where they lie is nobody's business."""
        for served in self.galleries:
            message = message.replace(str(served.gallery.path), served.name)
        return message

    def note(self, served: Served, events: Iterable[Event]) -> None:
        """Record events, if the service keeps any. The request is answered all the same where one cannot be written; the log and
        a counter tell of what is lost.
        """
        if (kept := self.events.get(served.name)) is None:
            return
        events = list(events)
        if lost := kept.add(events):
            self.numbers.events_lost.labels(served.name).inc(lost)
        for event in events:
            self._forget_if_left(served, event.identity, event.request_id)

    def keep(self, served: Served, request_id: str, pictures: Sequence[tuple[bytes, Collection[str]]]) -> None:
        """Keep pictures, each under everybody who was recognised in it, if the service keeps any; otherwise as `note`."""
        if self.kept is None:
            return
        self.kept.keep(served.name, request_id, pictures)
        for name in {name for _, names in pictures for name in names}:
            self._forget_if_left(served, name, request_id)

    def _forget_if_left(self, served: Served, identity: str | None, request_id: str) -> None:
        """Take away what a request left of somebody who was removed, and forgotten, while it was under way. A change that nobody
        has seen yet, `follow` comes after.
        """
        lately = time.monotonic() - served.changed < 2 * self.settings.seconds
        if identity is not None and lately and not served.gallery.snapshot().enrols(identity):
            try:
                self.forget(served, identity, request_id)
            except OutputError as error:
                _log.warning("gallery %s: %s", served.name, error)

    def forget(self, served: Served, identity: str, request_id: str | None = None) -> tuple[int, int]:
        """Take away the events and the pictures of somebody, of one request alone if it is named; how many those were.

        Raises:
            OutputError: they could not be taken away, or not all of them; says which.
        """
        names, still = spellings(identity), []
        events = pictures = 0
        try:
            events = self.events[served.name].erase(names, request_id) if served.name in self.events else 0
        except (OutputError, OSError, sqlite3.Error) as error:
            still.append(f"events of {identity} are still there: {_why(error)}")
        try:
            pictures = self.kept.erase(served.name, names, request_id) if self.kept is not None else 0
        except (OutputError, OSError, sqlite3.Error) as error:
            still.append(f"pictures of {identity} are still there: {_why(error)}")
        if still:
            raise OutputError(", and ".join(still))
        return events, pictures

    def call(self, served: Served, old: str, new: str) -> None:
        """Give the events and pictures of somebody a new name.

        Raises:
            OutputError: that could not be.
        """
        try:
            if served.name in self.events:
                self.events[served.name].rename(old, new)
            if self.kept is not None:
                self.kept.rename(served.name, old, new)
        except (OSError, sqlite3.Error) as error:
            raise OutputError(_why(error)) from error

    def follow(self, served: Served, before: Snapshot | None = None) -> None:
        """Take away the events and pictures of whoever is enrolled no more, whichever process removed them; of whoever is called
        otherwise since `before`, by default the last look, give them the new name.

        Raises:
            OutputError: they could not be taken away.
            OnekError: the gallery cannot be read.
        """
        before = before or served.seen
        try:
            names = set(self.events[served.name].names()) if served.name in self.events else set()
            names |= set(self.kept.names(served.name)) if self.kept is not None else set()
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"events or pictures of whoever left may be still there: {_why(error)}") from error
        if not served.left_among(names):
            return
        served.gallery.refresh()  # another process may have enrolled them a moment ago
        left = served.left_among(names)
        moved = served.moved(left, before)
        for name in sorted(left):
            if name in moved:
                self.call(served, name, moved[name])
            else:
                self.forget(served, name)

    def follow_or_warn(self, served: Served, before: Snapshot | None = None) -> None:
        """As `follow`, for whoever tries again later."""
        try:
            self.follow(served, before)
        except (OnekError, OSError) as error:
            _log.warning("gallery %s: %s", served.name, error)


def _why(error: Exception) -> str:
    """What went wrong, without the path where it did."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


# Dependencies are coroutines even where they wait for nothing: the framework would call functions on another thread.
async def service_of(request: Request) -> Service:
    """The service that this request was sent to."""
    return cast(Service, request.app.state.service)


TheService = Annotated[Service, Depends(service_of)]
_bearer = HTTPBearer(auto_error=False, description="What `onek token add` printed, where the service was started with --tokens.")


def _asker(role: str) -> Callable[..., Token]:
    async def asker(
        request: Request, service: TheService, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> Token:
        address = request.client.host if request.client else ""
        if service.tokens is None:
            token = ANYBODY
        else:
            found = service.tokens.of(given.credentials) if given else None
            if found is None:
                if given is not None and (wait := service.wrong.wait(address)):
                    raise _too_many(wait)
                raise Refused(
                    401,
                    "token",
                    "no token, or one that is not known (any more); say Authorization: Bearer onek_...",
                    {"WWW-Authenticate": "Bearer"},
                )
            token = found
        request.state.token_id = token.id or None
        if wait := service.rates.wait(token.id or address):
            raise _too_many(wait)
        if not token.may(role):
            raise Refused(403, "role", f"the token has the role {token.role}; this takes {role}")
        _refuse_unknown(request)
        return token

    return cast(Callable[..., Token], asker)


def _refuse_unknown(request: Request) -> None:
    """Refuse what would be ignored: a parameter that the route does not have, one that is given twice and means one thing, a body
    where none is taken.
    """
    route, size = request.scope["route"], request.headers.get("content-length", "0")
    takes = route.body_field is not None or "requestBody" in (route.openapi_extra or {})
    if not takes and (size != "0" or "transfer-encoding" in request.headers):
        raise Refused(422, "invalid", f"body: found one (Content-Length {size[:20]}); none is expected here")
    said, fields = request.query_params, route.dependant.query_params
    several = {each.alias: _takes_several(each.field_info.annotation) for each in fields}
    for name in said:
        if name not in several:
            expected = f"expected {', '.join(several)}" if several else "none is expected here"
            raise Refused(422, "invalid", f"query.{name[:100]}: there is no such parameter; {expected}")
        if len(said.getlist(name)) > 1 and not several[name]:
            raise Refused(422, "invalid", f"query.{name}: given {len(said.getlist(name))} times; expected once")


def _takes_several(kind: Any) -> bool:
    return list in (get_origin(kind), *(get_origin(each) for each in get_args(kind)))


def _too_many(wait: float) -> Refused:
    return Refused(429, "rate", f"too many requests; ask again in {wait:.1f} s", {"Retry-After": str(max(1, round(wait)))})


AtDoor = Annotated[Token, Depends(_asker(DOOR))]
AtDesk = Annotated[Token, Depends(_asker(DESK))]
AsAdmin = Annotated[Token, Depends(_asker(ADMIN))]


GalleryPath = Annotated[str, AfterValidator(name_in), Path(description="What the gallery is called.")]
IdentityPath = Annotated[str, AfterValidator(name_in), Path(description="As enrolled; a / is sent as %2F.", max_length=500)]


async def served_of(gallery: GalleryPath, service: TheService) -> Served:
    """The gallery that the path names."""
    if (served := service.galleries.get(gallery)) is None:
        raise Refused(404, "gallery_not_found", "this service has no gallery of that name; GET /v1/galleries lists them")
    return served


TheGallery = Annotated[Served, Depends(served_of)]


def enrolled(served: Served, identity: str) -> str:
    """The identity that a name means, as it is enrolled. Nobody is told who else is.

    Raises:
        Refused: nobody is called so.
    """
    try:
        name = name_of(identity)
    except NameRefused:
        name = identity
    ways = list(dict.fromkeys([identity, *spellings(name)]))
    there = served.enrolled_among(ways)
    found = next((way for way in ways if way in there), None)
    if found is None:
        raise Refused(404, "identity_not_found", "nobody of that name is enrolled in this gallery")
    return found


ERRORS: dict[int | str, dict[str, Any]] = {
    "default": {"model": ErrorEnvelope, "description": "Something is wrong; one envelope for all that can be."}
}
