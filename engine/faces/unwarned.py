"""Keeps the warnings of a library off while it reads what somebody handed over: what is wrong with that becomes a problem."""

import re
import warnings
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from engine.common.locks import ProcessSetting


@cache
def unwarned(module: str) -> ProcessSetting:
    """A block that ignores what modules warn of, those whose names begin with the pattern `module`.

    One filter comes with the first of several such blocks and goes with the last. The others stay as they are, which
    `warnings.catch_warnings`, that puts all aside and back, cannot promise where several threads read.
    """
    return ProcessSetting(partial(_ignore, ("ignore", None, Warning, re.compile(module), 0)))


def _ignore(ours: tuple[Any, ...]) -> Callable[[], object]:
    before: Any = warnings.filters
    before.insert(0, ours)

    def put_back() -> None:
        # Where a thread of the caller's has put filters aside meanwhile, the present ones are a copy.
        present: Any = warnings.filters
        for filters in (before, present):
            if ours in filters:
                filters.remove(ours)

    return put_back
