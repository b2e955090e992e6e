"""A call in a process of its own, with limits, watched: what it cost, how it ended, and what it should not have opened."""

import faulthandler
import io
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import OnekError

SECONDS, BYTES = 10.0, 512 << 20
"""The longest that a call may compute, and the most that it may add to the memory."""
# A call that is not done after so many seconds on the clock has hung: the machine may be busy with other things.
_HUNG = 300.0
# Address space is reserved more freely than memory is used: beyond so many times as much of it, the system refuses.
_SPACE = 3
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# What no file may bring about: another program, a connection, an object out of a pickle.
_NEVER = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect", "socket.getaddrinfo", "pickle.find_class"}
)


@dataclass(frozen=True)
class Ended:
    """How a call ended: `refused` is our error's sentence, `fault` what must not be; `memory` in bytes that it added at most,
    `seconds` that it computed.
    """

    refused: str | None
    fault: str | None
    memory: int
    seconds: float


def apart(call: Callable[[], str]) -> str:
    """What a call returns, made in a fork of this process, so that nothing that it needed is left here.

    Raises:
        OnekError: it failed; says how.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reading)
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                said = call()
            with os.fdopen(writing, "w") as stream:
                stream.write(f"+{said}")
        except BaseException:
            os.write(writing, traceback.format_exc(limit=-8).encode())
        finally:
            os._exit(0)
    os.close(writing)
    told, _ = _told(reading, child)
    os.waitpid(child, 0)
    if not told.startswith(b"+"):
        raise OnekError(told.decode() or "it died")
    return told[1:].decode()


def isolated(call: Callable[[], object], within: Path, forbidden: Path, most: int = BYTES) -> Ended:
    """Call it in a fork of this process, which may write below `within`, open nothing below `forbidden`, and add `most` bytes."""
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as crash:
        child = os.fork()
        if not child:
            os.close(reading)
            _inside(call, writing, crash.fileno(), within, forbidden, most)
        os.close(writing)
        told, hung = _told(reading, child)
        _, status = os.waitpid(child, 0)
        crash.seek(0)
        trace = crash.read().decode(errors="replace")
    if hung:
        return Ended(None, f"it had not ended after {_HUNG:g} s\n{trace}", 0, 0.0)
    if status:
        died = f"signal {signal.Signals(os.WTERMSIG(status)).name}" if os.WIFSIGNALED(status) else f"status {status}"
        return Ended(None, f"its process died: {died}\n{trace}", 0, 0.0)
    found = Ended(**json.loads(told))
    over = found.seconds > SECONDS or found.memory > most
    return Ended(
        found.refused,
        found.fault or (f"{found.seconds:.1f} s and {found.memory >> 20} MiB: {found.refused}" if over else None),
        found.memory,
        found.seconds,
    )


def _told(reading: int, child: int) -> tuple[bytes, bool]:
    """What the child writes until it ends, and whether it had to be ended."""
    told, ends = b"", time.monotonic() + _HUNG
    try:
        while select.select([reading], [], [], max(0.0, ends - time.monotonic()))[0]:
            if not (more := os.read(reading, 1 << 16)):
                return told, False
            told += more
        os.kill(child, signal.SIGABRT)  # `faulthandler` then says where it was
        time.sleep(0.2)
        os.kill(child, signal.SIGKILL)
        return told, True
    finally:
        os.close(reading)


def _inside(call: Callable[[], object], writing: int, crash: int, within: Path, forbidden: Path, most: int) -> None:
    """The child's whole life."""
    code = 1
    try:
        faulthandler.enable(crash)
        opened: list[str] = []
        _limit(most)
        _forget_peak()
        sys.addaudithook(_watch(opened, os.path.realpath(within), os.path.realpath(forbidden)))
        before, began = _memory("VmRSS"), time.process_time()
        refused, fault = None, None
        try:
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                call()
        except OnekError as error:
            refused = str(error)
            if "\n" in refused:
                fault = f"more than one line: {refused!r}"
            elif _is_of_memory(error):
                fault = f"it ran out of memory: {refused}"
        except BaseException:
            fault = traceback.format_exc(limit=-8)
        took, added = time.process_time() - began, _memory("VmHWM") - before
        if opened and fault is None:
            fault = f"it opened {'; '.join(opened[:3])}"
        ended = {"refused": refused, "fault": fault, "memory": added, "seconds": took}
        with os.fdopen(writing, "wb") as stream:
            stream.write(json.dumps(ended).encode())
        code = 0
    finally:
        os._exit(code)


def _is_of_memory(error: BaseException) -> bool:
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, MemoryError):
            return True
        found = found.__cause__ or found.__context__
    return False


def _limit(most: int) -> None:
    seconds = int(SECONDS) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if (space := _memory("VmSize")) > 0:
        resource.setrlimit(resource.RLIMIT_AS, (space + _SPACE * most, space + _SPACE * most))


def _watch(opened: list[str], within: str, forbidden: str) -> Callable[[str, tuple[Any, ...]], None]:
    """A hook that notes what Python, and libraries by way of it, do that they should not (PEP 578)."""

    def hook(event: str, about: tuple[Any, ...]) -> None:
        if event in _NEVER:
            opened.append(f"{event}{about}"[:200])
        elif event == "open" and isinstance(about[0], str | bytes | os.PathLike) and _says_where(os.fsdecode(about[0])):
            path, flags = os.path.realpath(os.fsdecode(about[0])), about[2] or 0
            outside = flags & _WRITES and not path.startswith((f"{within}/", "/dev/null"))
            if outside or path.startswith(f"{forbidden}/"):
                opened.append(f"{path} {'for writing' if flags & _WRITES else 'for reading'}")

    return hook


def _says_where(path: str) -> bool:
    """Whether a path leads to one place. A name alone may be in a folder that a descriptor is of, which no event says; and what a
    descriptor's path is called, somebody else may change between two looks.
    """
    return Path(path).is_absolute() and not path.startswith("/proc/self/fd/")


def _forget_peak() -> None:
    """Let the system count the peak of memory anew."""
    if (counted := Path("/proc/self/clear_refs")).exists():
        counted.write_text("5")


def _memory(what: str) -> int:
    """A line of the system's, in bytes; Linux alone has it, elsewhere the peak since the start stands for all."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0 if what == "VmSize" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = next(line for line in status.read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) * 1024
