"""A service that answers on loopback while a test lasts: in a thread of its process, or as a process of its own."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from engine.service.access.connections import MOST_HEAD, PatientProtocol
from engine.service.application import make_application
from engine.service.settings import Settings

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[str]:
    """Its address. What `settings` leaves open is what `onek serve` would have there."""
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        port = listening.getsockname()[1]
        import tempfile

        state = stack.enter_context(tempfile.TemporaryDirectory())
        settings = replace(settings, secret=settings.secret or "a secret", state=state, port=port)
        config = uvicorn.Config(
            make_application(settings, log=False),
            http=PatientProtocol,
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            h11_max_incomplete_event_size=MOST_HEAD,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join(20)


def free_port() -> int:
    """A port that nobody listens at just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def process(*options: Any, environment: dict[str, str] | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`onek serve` with these options, once it can answer, and its address; killed at the end if it is still there."""
    port = free_port()
    command = [sys.executable, "-c", "from engine.cli.app import main; main()", "serve", *map(str, options), "--port", str(port)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    ours = {**os.environ, "PYTHONPATH": path, **(environment or {})}
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ours)
    try:
        wait_for(f"http://127.0.0.1:{port}", started)
        yield started, f"http://127.0.0.1:{port}"
    finally:
        if started.poll() is None:
            started.kill()
        started.communicate()


def wait_for(url: str, started: "subprocess.Popen[str]", seconds: float = 60) -> None:
    """Until it is ready."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert started.poll() is None, started.communicate()[1]
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/readyz", timeout=5, trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError("the service did not become ready")
