"""A service that answers on loopback while a test lasts, in a thread of its process."""

import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import uvicorn

from engine.service.application import make_application
from engine.service.server import server_config
from engine.service.settings import Settings


def soon(true: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether something comes true: a service sees changes within a second, and a busy machine may take longer."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[str]:
    """Its address. What `settings` leaves open is what `onek serve` would have there."""
    with socket.socket(proto=socket.IPPROTO_TCP) as listening, contextlib.ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        port = listening.getsockname()[1]
        state = stack.enter_context(tempfile.TemporaryDirectory())
        settings = replace(settings, secret=settings.secret or "a secret", state=state, port=port)
        config = server_config(make_application(settings, log=False), settings)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join(20)
