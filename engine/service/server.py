"""The server: what it refuses to do, what it says when it starts, one process or several."""

import contextlib
import fcntl
import logging
import math
import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from engine.common.allocator import give_large_blocks_back
from engine.encoders.runtimes import in_order
from engine.errors import EncoderError, GalleryError, OnekError
from engine.service.access.connections import MOST_HEAD, PatientProtocol
from engine.service.access.listening import check_listening, listening_at
from engine.service.application import application_of, closed, make_service, warmed
from engine.service.galleries import found_galleries
from engine.service.measured import SHARED
from engine.service.settings import Settings

# What processes of one service are told.
_TOLD = "ONEK_SERVICE"
# Seconds that a process which was asked to end has for what it began.
_FINISH = 60
# The exit status of a process that cannot start, and would not the next time either.
_CANNOT_START = 3
_MOST_DAYS, _LEAST_BODY = 36_500, 1024
# What the folders of services are called, and seconds after which one that nobody holds is left over, and not just being made.
_FOLDER, _MADE = "onek-serve-", 60.0
_log = logging.getLogger("onek.service")


def checked(settings: Settings) -> list[str]:
    """What whoever starts the service is told: where it is, and warnings, one sentence each. Nothing is opened for it.

    Raises:
        GalleryError: it would listen where others reach it and ask nobody for a token, or an option is none.
        OnekError: a gallery or a file is not there.
    """
    check_listening(settings)
    _check_numbers(settings)
    try:
        in_order(settings.runtime, None)
    except EncoderError as error:
        raise EncoderError(str(error).replace("runtime=", "--runtime ")) from error
    if settings.challenge not in (None, "turn"):
        raise GalleryError(f"--challenge {settings.challenge}: expected turn")
    said = []
    if settings.tokens is None:
        said.append("nobody is asked for a token: whoever uses this machine may do everything")
    if not settings.is_loopback and settings.tls_cert is None:
        said.append(
            "without --tls-cert: whoever is on the way reads pictures and tokens, and browsers give no camera to a page that is "
            "not of this machine; put a server with TLS before it, or say --tls-cert and --tls-key"
        )
    if settings.log_names:
        said.append("--log-names: the access log has names in it, which are personal data")
    said.append(settings.warning)
    names = [name for name, _ in found_galleries(settings.names)]
    scheme = "https" if settings.tls_cert else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    called = f"{len(names)} galleries ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})" if len(names) > 1 else names[0]
    return [f"{called} at {scheme}://{host}:{settings.port}", *said]


def _check_numbers(settings: Settings) -> None:
    numbers = (("--max-megapixels", settings.megapixels), ("--rate", settings.rate), ("--timeout", settings.seconds))
    for option, number in numbers:
        if not math.isfinite(number):
            raise GalleryError(f"{option} {number}: expected a finite number")
    if settings.body < _LEAST_BODY:
        raise GalleryError(f"--max-body: found {settings.body:,} bytes, which hold no picture; expected a size such as 20MiB")
    for option, days in (("--keep", settings.keep_days), ("--events", settings.events_days)):
        if days > _MOST_DAYS:
            raise GalleryError(f"{option}: found {days:,} days; expected {_MOST_DAYS:,} at most")


def _silent(_line: str) -> None:
    """Nobody is told anything."""


def serve(settings: Settings, tell: Callable[[str], None] = _silent) -> None:
    """Serve until the process is asked to end; requests that were begun are finished first.

    `tell` is told where it is, and what `checked` warns of, line by line, once everything is opened and it listens.

    Raises:
        OutputError: the address is taken.
        OnekError: an option is none, or something that it names cannot be opened, or no process could start.
    """
    _log_plainly()
    said = checked(settings)
    with _own_state() as folder, listening_at(settings) as listening:
        settings = replace(settings, secret=settings.secret or secrets.token_hex(32), state=str(folder))
        if settings.workers == 1:
            service = make_service(settings)
            said += warmed(service)
            server = uvicorn.Server(server_config(application_of(service), settings))
            for line in said:
                tell(line)
            with contextlib.suppress(KeyboardInterrupt):  # the signal that ended it, raised once more
                server.run(sockets=[listening])
            return
        for line in said + _tried_elsewhere(settings):
            tell(line)
        shared = folder / "metrics"
        shared.mkdir()
        os.environ[_TOLD], os.environ[SHARED] = settings.to_json(), str(shared)
        processes = _Processes(server_config("engine.service.server:application", settings), sockets=[listening])
        with contextlib.suppress(KeyboardInterrupt):
            processes.run()
        if processes.cannot_start:
            raise GalleryError("a process of --workers could not start, so that all were ended; what it said stands above")


def _log_plainly() -> None:
    logging.basicConfig(level=logging.WARNING, format="onek: %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def _tried_elsewhere(settings: Settings) -> list[str]:
    """What `warmed` says. Everything is opened in a process that ends then, so that what cannot be is refused once, and this
    process keeps no networks in memory.

    Raises:
        OnekError: as `make_service` and `warmed`.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_try, args=(settings, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        said: list[str] | OnekError = ours.recv()
    except EOFError:
        process.join()
        raise GalleryError(
            f"the galleries could not be opened: exit status {process.exitcode}; what it said stands above"
        ) from None
    process.join()
    if isinstance(said, OnekError):
        raise said
    return said


def _try(settings: Settings, told: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it is told, and ends it
    _log_plainly()
    try:
        service = make_service(settings)
        said: list[str] | OnekError = warmed(service)
        closed(service)
    except OnekError as error:
        said = error
    with contextlib.suppress(BrokenPipeError):  # whoever asked is gone
        told.send(said)


@contextlib.contextmanager
def _own_state() -> Iterator[Path]:
    """A new folder for this service, gone with it; those that services left which were killed are gone too."""
    with tempfile.TemporaryDirectory(prefix=_FOLDER) as name:
        folder = Path(name)
        _hold(folder)
        _sweep(folder.parent)
        yield folder


def _hold(folder: Path) -> None:
    """Say, until this process ends, that it uses the folder. However it ends, the system takes that back."""
    fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH)


def _sweep(beside: Path) -> None:
    for folder in beside.glob(f"{_FOLDER}*"):
        with contextlib.suppress(OSError):  # another service's that runs, another user's, or gone meanwhile
            found = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                seen = os.fstat(found)
                if seen.st_uid == os.getuid() and seen.st_mtime < time.time() - _MADE:
                    fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
            finally:
                os.close(found)


class _Processes(Multiprocess):
    """Those of one service. Whichever dies gets a successor; where one cannot start, no other could, and all end."""

    @property
    def cannot_start(self) -> bool:
        return any(each.process.exitcode == _CANNOT_START for each in self.processes)

    def keep_subprocess_alive(self) -> None:
        if self.cannot_start:
            self.should_exit.set()
        else:
            super().keep_subprocess_alive()


def application() -> ASGIApp:
    """The application of one process of several; one that cannot start says why in a line, and ends."""
    give_large_blocks_back()
    _log_plainly()
    settings = Settings.from_json(os.environ[_TOLD])
    PatientProtocol.most_connections = settings.connections
    _hold(Path(settings.state))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        service = make_service(settings)
        warmed(service)  # what it says was told already
        return application_of(service)
    except OnekError as error:
        _log.error("%s", error)
    except Exception:
        _log.exception("a process cannot start")
    sys.exit(_CANNOT_START)


def _end_with_parent() -> None:
    """End politely where the process that started this one was killed: nobody would look after it, and the port stays taken."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def server_config(app: "ASGIApp | str", settings: Settings) -> uvicorn.Config:
    """The configuration of uvicorn for an application, or for an import string that makes one."""
    PatientProtocol.most_connections = settings.connections
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        workers=settings.workers,
        http=PatientProtocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=_FINISH,
        h11_max_incomplete_event_size=MOST_HEAD,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
