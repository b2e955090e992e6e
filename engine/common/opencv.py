"""Settings of OpenCV that hold for the whole process: its log messages, and its threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2

from engine.common.locks import ThreadLock

_lock = ThreadLock()
_levels: list[int] = []


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keep OpenCV from logging until the block ends. The level holds for the whole process; the last block to end restores it."""
    with _lock:
        _levels.append(cv2.utils.logging.getLogLevel())
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        with _lock:
            first = _levels[0]
            _levels.pop()
            if not _levels:
                cv2.utils.logging.setLogLevel(first)


_threads = ThreadLock()
_before: list[int] = []


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let OpenCV's functions use the thread that calls them alone, while we have a thread for each core ourselves.

    Blocks may overlap: the number of threads that it was comes back when the last one ends.
    """
    with _threads:
        _before.append(_before[0] if _before else cv2.getNumThreads())
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        with _threads:
            before = _before.pop()
            if not _before:
                cv2.setNumThreads(before)
