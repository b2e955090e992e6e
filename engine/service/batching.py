"""Work of many requests, done in batches: requests that arrive while a batch is worked on share the next one."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


class Full(Exception):
    """Too many items wait already, so that no more are accepted."""


@dataclass(frozen=True)
class _Waiting(Generic[Item, Made]):
    key: Hashable
    item: Item
    size: int
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Made]"


def _untold(_name: str, _size: int) -> None:
    """The default for `told`: ignore what is said of batches."""


class Batches(Generic[Item, Made]):
    """Threads that take what waits, up to `most` at once, and do it by `work`, which is given a key and the items that have it,
    and gives an answer or an exception for each, in order.

    A thread waits up to `longest_wait` seconds for more items, unless the last batch was of one item and nothing waited behind
    it: whoever asks alone waits for nobody. Items whose request was given up before the work began are left out.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Any, Sequence[Item]], Sequence[Made | Exception]],
        *,
        threads: int,
        most: int,
        longest_wait: float,
        waiting: int,
        told: Callable[[str, int], None] = _untold,
    ) -> None:
        self.name, self._work, self._most, self._longest_wait, self._told = name, work, most, longest_wait, told
        self._queue: queue.Queue[_Waiting[Item, Made] | None] = queue.Queue(waiting)
        # Whether others are likely to ask within the longest wait. Threads may overwrite each other's: it is a guess.
        self._in_company = False
        self._threads = [threading.Thread(target=self._serve, name=f"{name}-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, key: Hashable, item: Item, size: int = 1) -> "asyncio.Future[Made]":
        """A future for the answer to an item that counts as `size`, or for the work's exception. Call it in an event loop.

        Raises:
            Full: too much waits already.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(key, item, size, loop, loop.create_future())
        try:
            self._queue.put_nowait(waiting)
        except queue.Full:
            raise Full from None
        return waiting.answer

    def close(self) -> None:
        """Finish what waits, and end the threads."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while (batch := self._next()) is not None:
            by_key: dict[Hashable, list[_Waiting[Item, Made]]] = {}
            for waiting in batch:
                if not waiting.answer.cancelled():
                    by_key.setdefault(waiting.key, []).append(waiting)
            for key, together in by_key.items():
                self._told(self.name, sum(waiting.size for waiting in together))
                answers = self._tried(key, together)
                self._in_company = len(batch) > 1 or not self._queue.empty()
                self._answer(together, answers)

    def _tried(self, key: Hashable, together: list[_Waiting[Item, Made]]) -> Sequence[Made | Exception]:
        """The answers. Where a batch fails, each item is tried alone, so that one bad item does not fail the others."""
        try:
            return self._work(key, [waiting.item for waiting in together])
        except Exception as error:
            if len(together) == 1:
                return [error]
        return [self._tried(key, [each])[0] for each in together]

    @staticmethod
    def _answer(together: list[_Waiting[Item, Made]], answers: Sequence[Made | Exception]) -> None:
        """Hand the answers to their event loops, with one call for all the answers of a loop."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Made], Made | Exception]]] = {}
        for waiting, answer in zip(together, answers, strict=True):
            by_loop.setdefault(waiting.loop, []).append((waiting.answer, answer))
        for loop, pairs in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_set, pairs)

    def _next(self) -> list[_Waiting[Item, Made]] | None:
        """The next batch; None when the threads are to end."""
        first = self._queue.get()
        if first is None:
            return None
        batch, size = [first], first.size
        until = time.monotonic() + (self._longest_wait if self._in_company else 0)
        while size < self._most:
            try:
                left = until - time.monotonic()
                more = self._queue.get(timeout=left) if left > 0 else self._queue.get_nowait()
            except queue.Empty:
                break
            if more is None:  # the end, after this batch
                self._queue.put(None)
                break
            batch.append(more)
            size += more.size
        return batch


def _set(pairs: "list[tuple[asyncio.Future[Made], Made | Exception]]") -> None:
    for future, answer in pairs:
        if not future.done():
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
