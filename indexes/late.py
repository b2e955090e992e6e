"""Libraries that are imported when they are first used: commands that search no vectors start a tenth of a second sooner."""

import importlib
from typing import Any


class Late:
    """A module that is imported when one of its attributes is first used; threads may do so at once."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


faiss: Any = Late("faiss")
psutil: Any = Late("psutil")
threadpoolctl: Any = Late("threadpoolctl")
