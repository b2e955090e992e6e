"""Iterators over long inputs: in batches, and a little ahead of the reader."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Generic, TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")


def batched(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """Tuples of `size` items, the last one shorter (`itertools.batched`, which Python has from 3.12 on)."""
    iterator = iter(items)
    while part := tuple(islice(iterator, size)):
        yield part


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, the next one made on a thread of its own while the reader works on this one."""
    iterator = iter(items)
    with ThreadPoolExecutor(1) as pool:
        nothing = object()
        waiting: Future[Item | object] = pool.submit(next, iterator, nothing)
        while (item := waiting.result()) is not nothing:
            waiting = pool.submit(next, iterator, nothing)
            yield cast(Item, item)


def map_ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Map in order on one thread a core, with one item more under way than there are threads."""
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


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
