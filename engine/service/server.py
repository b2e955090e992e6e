"""The server: what it refuses to do, what it says when it starts, one process or several."""

import contextlib
import logging
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from engine.common.allocator import give_large_blocks_back
from engine.errors import GalleryError, OutputError
from engine.service.access.connections import MOST_HEAD, PatientProtocol
from engine.service.access.tokens import is_open_to_others, read_tokens
from engine.service.application import make_application
from engine.service.galleries import Galleries, found_galleries
from engine.service.liveness.pad import load_detector
from engine.service.measured import SHARED
from engine.service.settings import Settings

# What processes of one service are told.
_TOLD = "ONEK_SERVICE"
# Seconds that a process which was asked to end has for what it began.
_FINISH = 60


def checked(settings: Settings) -> list[str]:
    """Warnings for whoever starts the service, one sentence each.

    Raises:
        GalleryError: it would listen where others reach it and ask nobody for a token, or its options do not go together.
        OnekError: a gallery or a file is not there.
    """
    if not settings.is_loopback and settings.tokens is None:
        raise GalleryError(
            f"--host {settings.host}: others reach this, and nobody would be asked for a token; expected --tokens FILE "
            "(onek token add makes one), or no --host"
        )
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise GalleryError("--tls-cert and --tls-key go together; found one of them")
    if settings.challenge not in (None, "turn"):
        raise GalleryError(f"--challenge {settings.challenge}: expected turn")
    said = []
    if settings.tokens is not None:
        path = Path(settings.tokens)
        if not read_tokens(path):
            raise GalleryError(f"--tokens {path}: there is no token in it; onek token add makes one")
        if is_open_to_others(path):
            raise GalleryError(f"--tokens {path}: others than its owner may write to it; chmod 600 {path}")
    else:
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


def serve(settings: Settings) -> None:
    """Serve until the process is asked to end; requests that were begun are finished first.

    Raises:
        OutputError: the address is taken.
        OnekError: as `engine.service.application.make_service`.
    """
    logging.basicConfig(level=logging.WARNING, format="onek: %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="onek-serve-") as folder, listening_at(settings) as listening:
        settings = replace(settings, secret=settings.secret or secrets.token_hex(32), state=folder)
        if settings.workers == 1:
            server = uvicorn.Server(server_config(make_application(settings), settings))
            with contextlib.suppress(KeyboardInterrupt):  # the signal that ended it, raised once more
                server.run(sockets=[listening])
            return
        # What cannot be opened is reported once, here, and not by each process.
        Galleries(settings.names).close()
        if settings.pad is not None:
            load_detector(settings.pad)
        shared = Path(folder, "metrics")
        shared.mkdir()
        os.environ[_TOLD], os.environ[SHARED] = settings.to_json(), str(shared)
        config = server_config("engine.service.server:application", settings)
        with contextlib.suppress(KeyboardInterrupt):
            Multiprocess(config, sockets=[listening]).run()


def application() -> ASGIApp:
    """The application of one process of several."""
    give_large_blocks_back()
    settings = Settings.from_json(os.environ[_TOLD])
    PatientProtocol.most_connections = settings.connections
    return make_application(settings)


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


@contextlib.contextmanager
def listening_at(settings: Settings) -> Iterator[socket.socket]:
    """A socket at the address."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio sends small packets at once (TCP_NODELAY) only where the socket names its protocol; else answers wait 40 ms.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((settings.host, settings.port))
    except OSError as error:
        found.close()
        raise OutputError(f"cannot listen at {settings.host}:{settings.port}: {error.strerror or error}; say --port") from error
    try:
        found.listen(1024)
        found.set_inheritable(True)
        yield found
    finally:
        found.close()
