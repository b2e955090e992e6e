"""Keeps the warnings of a library off while it reads what somebody handed over: what is wrong with that becomes a problem."""

import re
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.common.locks import ThreadLock

_lock = ThreadLock()
_blocks: Counter[str] = Counter()
_places: dict[str, list[Any]] = {}


@contextmanager
def unwarned(module: str) -> Iterator[None]:
    """Ignore what modules warn of, those whose names begin with the pattern `module`, until the block ends.

    Threads may have such blocks at once: one filter comes with the first of them and goes with the last. The others stay as they
    are, which `warnings.catch_warnings`, that puts all aside and back, cannot promise where several threads read.
    """
    ours = ("ignore", None, Warning, re.compile(module), 0)
    with _lock:
        if not _blocks[module]:
            filters: Any = warnings.filters
            filters.insert(0, ours)
            _places[module] = filters
        _blocks[module] += 1
    try:
        yield
    finally:
        with _lock:
            _blocks[module] -= 1
            if not _blocks[module]:
                # Where a thread of the caller's has put filters aside meanwhile, the present ones are a copy.
                for filters in (_places.pop(module), warnings.filters):
                    if ours in filters:
                        filters.remove(ours)
