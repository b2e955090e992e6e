"""Keeps the loggers of Milvus's client silent during a call: its errors come back as ours, without fifty lines of their own."""

import logging
from collections.abc import Callable

from engine.common.locks import ProcessSetting

_NOISY = tuple(map(logging.getLogger, ("pymilvus", "milvus_lite", "grpc")))


def _silence() -> Callable[[], object]:
    before = [logger.level for logger in _NOISY]

    def put_back() -> None:
        for logger, level in zip(_NOISY, before, strict=True):
            logger.setLevel(level)

    for logger in _NOISY:
        logger.setLevel(logging.CRITICAL + 1)
    return put_back


unlogged = ProcessSetting(_silence)
"""Silence until the block ends."""
