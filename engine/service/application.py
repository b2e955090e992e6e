"""The application of one process: everything is opened when it starts, and closed when it ends."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from starlette.types import ASGIApp

from engine.common.allocator import give_free_memory_back
from engine.errors import EncoderMismatch, OnekError
from engine.service.access.guard import Guard
from engine.service.access.rates import Rates
from engine.service.access.tokens import Tokens
from engine.service.api import gallery, health, identify, liveness, people
from engine.service.api.asked import Service
from engine.service.api.errors import add_handlers
from engine.service.galleries import Galleries
from engine.service.liveness.pad import load_detector
from engine.service.measured import AccessLog, Numbers
from engine.service.recognition import Recognition
from engine.service.records.events import Events
from engine.service.records.kept import KeptPictures
from engine.service.settings import Settings

# Seconds between two deletions of what is past its time, two writings of events that wait, and two returns of memory that
# pictures took.
_EXPIRE, _LATE, _TRIM = 600.0, 1.0, 30.0
_log = logging.getLogger("onek.service")

_DESCRIPTION = """Who is on a picture, in galleries of ten people to tens of millions, at a rate of false alarms that you choose.

**{warning}**

Every error has one envelope. A request that was refused with the status 503 or 429 was not begun, and may be sent again."""


def make_service(settings: Settings) -> Service:
    """Open everything.

    Raises:
        OnekError: a gallery, a file of tokens, a folder or a detector that is not there, or cannot be read.
    """
    numbers = Numbers()
    galleries = Galleries(settings.names)
    return Service(
        settings=settings,
        galleries=galleries,
        recognition=Recognition(settings, numbers),
        numbers=numbers,
        tokens=None if settings.tokens is None else Tokens(Path(settings.tokens)),
        events={served.name: Events(served.events, settings.events_days) for served in galleries if settings.events_days},
        kept=None if settings.keep is None else KeptPictures(Path(settings.keep), settings.keep_days, numbers.told_picture_lost),
        pad=None if settings.pad is None else load_detector(settings.pad),
        rates=Rates(settings.rate / settings.workers),
    )


def make_application(settings: Settings, *, log: bool = True) -> ASGIApp:
    """The application, as ASGI; `log`: whether it writes a line of each request. Raises as `make_service`."""
    return application_of(make_service(settings), log=log)


def application_of(service: Service, *, log: bool = True) -> ASGIApp:
    """The same, of what is open already, and closed when the application ends."""
    settings = service.settings
    access = AccessLog(settings.log_names) if log else None
    app = described_application(settings)
    app.router.lifespan_context = _lifespan(service, access)
    app.state.service = service
    return Guard(app, settings, service.numbers, access)


def described_application(settings: Settings) -> FastAPI:
    """The routes, and their description, without anything behind them."""
    app = FastAPI(
        title="onek",
        version=version("onek"),
        description=_DESCRIPTION.format(warning=settings.warning),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    add_handlers(app)
    for each in (identify, people, gallery, liveness, health):
        app.include_router(each.router)
    health.add_pages(app)
    return app


def _lifespan(service: Service, access: AccessLog | None):  # type: ignore[no-untyped-def]
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001 - as the framework calls it
        service.galleries.watch(service.follow_or_warn)
        ended = threading.Event()
        late = partial(_write_late, service)
        for work, seconds in ((partial(_expire, service), _EXPIRE), (late, _LATE), (give_free_memory_back, _TRIM)):
            threading.Thread(target=_regularly, args=(work, seconds, ended), name="regularly", daemon=True).start()
        if not service.ready.is_set():
            for line in await asyncio.get_running_loop().run_in_executor(None, warmed, service):
                _log.warning("%s", line)
        try:
            yield
        finally:
            service.ready.clear()
            ended.set()
            closed(service)
            if access is not None:
                access.close()

    return lifespan


def warmed(service: Service) -> list[str]:
    """Load what the first request would otherwise have to wait for; a line of each gallery that takes no pictures.

    Raises:
        OnekError: no gallery takes any by what was named for them: an encoder, its weights, a projection, a runtime.
    """
    settings, said, refused = service.settings, [], list[OnekError]()
    for served in service.galleries:
        try:
            service.recognition.warm(served)
        except OnekError as error:  # such as of vectors from elsewhere: the gallery answers these
            said.append(f"gallery {served.name} takes no pictures: {error}")
            refused.append(error)
    if len(refused) == len(service.galleries):
        broken = [error for error in refused if not isinstance(error, EncoderMismatch)]
        named = settings.encoder or settings.weights or settings.projection
        if named or (settings.runtime and broken):
            raise _naming(settings, (broken or refused)[0])
    service.ready.set()
    return said


def _naming(settings: Settings, error: OnekError) -> OnekError:
    """The same error, of the option that named what it is about, if one did."""
    said = str(error)
    for option in ("encoder", "weights", "projection"):
        value = getattr(settings, option)
        if value and value in said:
            why = said.removeprefix(f"{option}={value!r}: ").removeprefix(f"{value}: ")
            return type(error)(f"--{option} {value}: {why}")
    return error


def closed(service: Service) -> None:
    """Finish what waits, and let go of everything."""
    service.recognition.close()
    service.galleries.close()
    for name, events in service.events.items():
        service.numbers.events_lost.labels(name).inc(events.close())
    if service.kept is not None:
        service.kept.close()


def _regularly(work: Callable[[], None], seconds: float, ended: threading.Event) -> None:
    """Do something at the start, and every so many seconds from then on."""
    while True:
        work()
        if ended.wait(seconds):
            return


def _write_late(service: Service) -> None:
    written = [name for name, events in service.events.items() if events.write_late()]
    written += service.kept.write_late() if service.kept is not None else []
    for served in service.galleries:
        if served.name in written:
            service.follow_or_warn(served)  # somebody may have left meanwhile


def _expire(service: Service) -> None:
    """Delete events and pictures that are past their time, or of nobody enrolled."""
    works: list[Callable[[], object]] = [events.expire for events in service.events.values()]
    works += [partial(service.follow_or_warn, served) for served in service.galleries]
    works += [service.kept.expire] if service.kept is not None else []
    for work in works:
        try:
            work()
        except Exception as error:  # the next look may do better
            _log.warning("what is too old could not be taken away: %s", error)
