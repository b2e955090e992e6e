"""`onek serve` as a process of its own, on this machine's loopback alone."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from engine.errors import ServiceError

_ROOT = Path(__file__).parents[2]
_READY = 90.0


class Running:
    """A service of galleries, started when the block begins, once it can answer; ended at its end."""

    def __init__(self, *options: object, port: int | None = None, log: Path | None = None) -> None:
        """`options` are those of the command line; `log` is where what it says goes."""
        self.port = port or free_port()
        self.options = [str(option) for option in options]
        self._log = Path(os.devnull) if log is None else log
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin, and wait until it is ready.

        Raises:
            ServiceError: it ended instead, or was not ready in time.
        """
        command = [sys.executable, "-c", "from engine.cli.app import main; main()", "serve", *self.options]
        paths = os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])
        with self._log.open("ab") as said:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                stdout=said,
                stderr=said,
                env={**os.environ, "PYTHONPATH": paths},
                start_new_session=True,
            )
        until = time.monotonic() + _READY
        while not self._is_ready():
            if self.process.poll() is not None:
                raise ServiceError(f"onek serve ended with the status {self.process.returncode}: {self.said()[-500:]}")
            if time.monotonic() > until:
                raise ServiceError(f"onek serve was not ready within {_READY:g} s")
            time.sleep(0.05)

    def said(self) -> str:
        """What it wrote, where that was kept."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.is_file() else ""

    def kill(self) -> None:
        """End it and its processes as a power cut would (SIGKILL)."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def end(self) -> int:
        """Ask it to end (SIGTERM); its exit status."""
        if self.process is None:
            return 0
        self.process.terminate()
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.wait()

    def mebibytes(self) -> float:
        """Memory that it has to itself, files that it maps left out, with all of its processes."""
        if self.process is None:
            return 0.0
        family = [psutil.Process(self.process.pid)]
        family += family[0].children(recursive=True)
        total = 0
        for each in family:
            memory = each.memory_info()
            total += memory.rss - memory.shared
        return total / (1 << 20)

    def __enter__(self) -> "Running":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process is not None and self.process.poll() is None:
            self.end()

    def _is_ready(self) -> bool:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            try:
                connection.request("GET", "/readyz")
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False


class Line:
    """One connection, kept: as little work for a client as there can be, so that the service is measured."""

    def __init__(self, port: int, gallery: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._gallery = gallery

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "application/octet-stream") -> tuple[int, Any]:
        """The status, and what JSON says."""
        headers = {"Content-Type": kind, "Content-Length": str(len(body))}
        self._connection.request(method, f"/v1/galleries/{self._gallery}/{path}", body, headers)
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()


def untold(_more: int) -> None:
    """Nobody wants to know how far it has come."""


def free_port() -> int:
    """A port that nobody listens at just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
