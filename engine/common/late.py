"""Imports that commands put off or avoid, since they take a good part of the time that a command needs to start."""

import sys
from typing import Any

from indexes.late import Late

pc: Any = Late("pyarrow.compute")
"""Arrow's functions: it writes the documentation of all of them when it is imported."""


class _Nowhere:
    """A module finder that says pandas is not installed."""

    @staticmethod
    def find_spec(name: str, *_: Any) -> None:
        """As all finders of modules."""
        if name == "pandas":
            raise ModuleNotFoundError(name)


def keep_pandas_out() -> None:
    """Let pyarrow find no pandas, for which it looks when it first makes an array of a list. It takes longer to load than all
    else that a command loads, and commands hand out no data frames. Whoever imports pandas himself gets it as ever.
    """
    import pyarrow as pa

    sys.meta_path.insert(0, _Nowhere)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(_Nowhere)
