"""Locks among the threads of one process."""

import os
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


_all: "WeakSet[ThreadLock]" = WeakSet()


def _forked() -> None:
    for lock in list(_all):
        lock.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
