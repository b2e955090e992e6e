"""Keeps the loggers of Milvus's client silent during a call: its errors come back as ours, without fifty lines of their own."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from engine.common.locks import ThreadLock

_NOISY = tuple(map(logging.getLogger, ("pymilvus", "milvus_lite", "grpc")))
_lock = ThreadLock()
_levels: list[tuple[int, ...]] = []


@contextmanager
def unlogged() -> Iterator[None]:
    """Silence until the block ends; the levels are the process's, and the last of the blocks that overlap restores them."""
    with _lock:
        _levels.append(tuple(logger.level for logger in _NOISY))
        _set((logging.CRITICAL + 1,) * len(_NOISY))
    try:
        yield
    finally:
        with _lock:
            first = _levels[0]
            _levels.pop()
            if not _levels:
                _set(first)


def _set(levels: tuple[int, ...]) -> None:
    for logger, level in zip(_NOISY, levels, strict=True):
        logger.setLevel(level)
