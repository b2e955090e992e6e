"""Finding the rows of a few strings among millions."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa


class Lookup:
    """Of strings (n,), where the last counts of one that comes twice; nothing is done before the first question, which takes some
    tenths of a second a million.
    """

    def __init__(self, strings: pa.Array | pa.ChunkedArray) -> None:
        self._strings = strings

    @cached_property
    def _hashes(self) -> tuple[np.ndarray, np.ndarray]:
        chunks = self._strings.chunks if isinstance(self._strings, pa.ChunkedArray) else [self._strings]
        parts = [np.fromiter(map(hash, chunk.to_pylist()), np.int64, len(chunk)) for chunk in chunks]
        hashes = np.concatenate([np.empty(0, np.int64), *parts])
        order = np.argsort(hashes, kind="stable")
        return hashes[order], order

    def rows(self, strings: Sequence[str]) -> np.ndarray:
        """The row of each, int64 (m,); -1 where it is none of them."""
        if not len(self._strings):
            return np.full(len(strings), -1, np.int64)
        hashes, order = self._hashes
        first = np.searchsorted(hashes, np.fromiter(map(hash, strings), np.int64, len(strings)))
        result = np.full(len(strings), -1, np.int64)
        for number, (string, at) in enumerate(zip(strings, first.tolist(), strict=True)):
            wanted = hash(string)
            while at < len(hashes) and hashes[at] == wanted:
                if self._strings[int(order[at])].as_py() == string:
                    result[number] = order[at]
                at += 1
        return result
