"""Requests that arrive together share batches, and none suffers from another."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from engine.service.batching import Batches, Full


def test_what_waits_is_done_together_by_key() -> None:
    batches: list[tuple[str, list[int]]] = []
    gate = threading.Event()

    def work(key: str, items: Sequence[int]) -> list[int]:
        gate.wait(5)
        batches.append((key, list(items)))
        return [10 * item for item in items]

    async def ask() -> list[int]:
        made: Batches[int, int] = Batches("test", work, threads=1, most=8, longest_wait=0.05, waiting=100)
        waiting = [made.submit("odd" if number % 2 else "even", number) for number in range(20)]
        gate.set()
        answers = await asyncio.gather(*waiting)
        await asyncio.get_running_loop().run_in_executor(None, made.close)
        return answers

    assert asyncio.run(ask()) == [10 * number for number in range(20)]
    assert all(len(items) <= 8 for _, items in batches)
    assert any(len(items) > 2 for _, items in batches)
    assert all(number % 2 == (key == "odd") for key, items in batches for number in items)


def test_one_that_fails_spoils_no_other() -> None:
    def work(key: str, items: Sequence[int]) -> list[float]:
        return [1 / item for item in items]

    async def ask() -> list[object]:
        made: Batches[int, float] = Batches("test", work, threads=1, most=8, longest_wait=0.05, waiting=100)
        return await asyncio.gather(*[made.submit("", number) for number in (1, 0, 2)], return_exceptions=True)

    one, zero, two = asyncio.run(ask())
    assert (one, two) == (1, 0.5)
    assert isinstance(zero, ZeroDivisionError)


def test_a_lone_item_is_done_when_nobody_joins_it() -> None:
    async def ask() -> int:
        made: Batches[int, int] = Batches(
            "test", lambda key, items: list(items), threads=1, most=8, longest_wait=0.01, waiting=100
        )
        return await asyncio.wait_for(made.submit("", 5), 60)

    assert asyncio.run(ask()) == 5


def test_who_asks_alone_waits_for_nobody_and_who_does_not_is_waited_for() -> None:
    batches: list[int] = []

    def work(key: str, items: Sequence[int]) -> list[int]:
        batches.append(len(items))
        return list(items)

    async def ask() -> None:
        forever = 3600
        made: Batches[int, int] = Batches("test", work, threads=1, most=3, longest_wait=forever, waiting=9)
        for number in range(3):
            assert await asyncio.wait_for(made.submit("", number), 60) == number
        made._in_company = True
        assert await asyncio.gather(*[made.submit("", number) for number in range(3)]) == [0, 1, 2]
        first = made.submit("", 0)
        await asyncio.sleep(0.05)
        assert not first.done(), "the batch before was shared, so that others are waited for"
        assert await asyncio.gather(first, made.submit("", 1), made.submit("", 2)) == [0, 1, 2]

    asyncio.run(ask())
    assert batches == [1, 1, 1, 3, 3]


def test_too_much_is_refused_and_who_gave_up_is_left_out() -> None:
    gate, done = threading.Event(), list[int]()

    def work(key: str, items: Sequence[int]) -> list[int]:
        gate.wait(5)
        done.extend(items)
        return list(items)

    async def ask() -> None:
        made: Batches[int, int] = Batches("test", work, threads=1, most=1, longest_wait=0, waiting=2)
        first = made.submit("", 0)
        while not made._queue.empty():
            await asyncio.sleep(0.001)
        second, third = made.submit("", 1), made.submit("", 2)
        with pytest.raises(Full):
            made.submit("", 3)
        second.cancel()
        gate.set()
        assert await asyncio.gather(first, third) == [0, 2]

    asyncio.run(ask())
    assert done == [0, 2]
