"""What is imported when it is first used, so that a command starts without what it does not need."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


class Late:
    """A module that is imported when one of its attributes is first used; threads may do so at once."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


# Commands that search no vectors start a tenth of a second sooner without them.
faiss: Any = Late("faiss")
psutil: Any = Late("psutil")
threadpoolctl: Any = Late("threadpoolctl")


def late_names(package: str, homes: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """The `__getattr__` of a package (PEP 562) that imports each of its public names when it is first used.

    Args:
        package: its `__name__`.
        homes: the names by the modules that define them.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def imported(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(home_of[name]), name)

    return imported
