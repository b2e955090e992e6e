"""TensorFlow, loaded late and quietly: it takes seconds, and most commands do without it."""

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@cache
def tensorflow() -> Any:
    """The TensorFlow module. Its start-up messages are silenced unless the user asked for them."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _quiet():
        module = importlib.import_module("tensorflow")
        module.keras  # noqa: B018 - loads Keras, which is late too
    return module


def tensorflow_version() -> str:
    """What templates say of the runtime that made them."""
    return f"TensorFlow {tensorflow().__version__}, float32"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what native code writes to standard error while TensorFlow loads, and show it only if that fails."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
        except BaseException:
            messages.seek(0)
            os.write(saved, messages.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
