"""FAISS, loaded when it is first used: a command that searches for nobody does without, and starts a tenth of a second sooner."""

import importlib
from typing import Any


class _Late:
    """A module, imported by whoever first asks for something in it; two threads may."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


faiss: Any = _Late("faiss")
