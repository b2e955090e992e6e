"""Closed pipes: when the reader of standard output, such as `head`, has seen enough, the command ends without a message."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# The exit status of a process that SIGPIPE ended. Python ignores that signal, so that the status is given by hand.
READER_GONE = 128 + 13


@contextmanager
def ended_by_its_reader() -> Iterator[None]:
    """While the block lasts and what it wrote is flushed: a closed pipe ends the process quietly, with `READER_GONE`."""
    try:
        try:
            yield
        except SystemExit as end:
            # Typer and rich catch the error, and end with 1 in its place.
            if end.code == 1 and isinstance(end.__context__, BrokenPipeError):
                _gone()
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except BrokenPipeError:
        _gone()


def _gone() -> None:
    # The interpreter flushes once more as it ends: into nothing.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(READER_GONE)
