"""TensorFlow, loaded late and quietly: it takes seconds, and most commands do without it."""

import importlib
import os
from typing import Any


def tensorflow() -> Any:
    """The TensorFlow module. Its start-up messages are silenced unless the user asked for them."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return importlib.import_module("tensorflow")
