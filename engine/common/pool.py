"""Objects that only one thread at a time may use, kept for the next one that asks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Pool(Generic[Item]):
    """Makes an object when none is idle, so that there are as many as threads ever used them at once."""

    def __init__(self, make: Callable[[], Item]) -> None:
        self._make = make
        self._idle: list[Item] = []

    @contextmanager
    def one(self) -> Iterator[Item]:
        """An object for this thread alone until the block ends; one whose use failed is not given out again."""
        try:
            item = self._idle.pop()
        except IndexError:
            item = self._make()
        yield item
        self._idle.append(item)
