"""Locks among the threads of one process, and settings of the process that threads change together."""

import os
from collections.abc import Callable
from threading import Lock
from types import TracebackType
from weakref import WeakSet


class ThreadLock:
    """A lock that is free in a forked child process, even if a thread of the parent held it: that thread is not in the child."""

    def __init__(self) -> None:
        self._lock = Lock()
        _all.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.release()

    def forked(self) -> None:
        """In the child."""
        self._lock = Lock()


class ProcessSetting:
    """A block with a setting of the whole process changed. Blocks of several threads may overlap: the first one changes the
    setting, and the last one to end puts back what was there before.

    `change` changes it, and gives what puts it back.
    """

    def __init__(self, change: Callable[[], Callable[[], object]]) -> None:
        self._change, self._lock = change, ThreadLock()
        self._blocks = 0
        self._put_back: Callable[[], object] = lambda: None

    def __enter__(self) -> None:
        with self._lock:
            if not self._blocks:
                self._put_back = self._change()
            self._blocks += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            self._blocks -= 1
            if not self._blocks:
                self._put_back()


_all: "WeakSet[ThreadLock]" = WeakSet()


def _forked() -> None:
    for lock in list(_all):
        lock.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
