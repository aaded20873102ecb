"""Requests that wait: answered when something is there, when their time is over, and at once when the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from flowtally.web.waiting import Waiters

LONG_S = 3_600  # no test waits so long: it is woken


class Things:
    """What is waited for, and how often it was looked at."""

    def __init__(self) -> None:
        self.there: list[str] = []
        self.looks = 0
        self.looked = asyncio.Event()

    async def look(self) -> list[str]:
        self.looks += 1
        self.looked.set()
        return list(self.there)


async def waiting_for(things: Things, waiting: Waiters, wait_s: float = LONG_S) -> asyncio.Task[list[str]]:
    """One that has looked and found nothing."""
    things.looked.clear()
    task = asyncio.create_task(waiting.until(things.look, bool, wait_s))
    await things.looked.wait()
    return task


def run(test: Callable[[Things, Waiters], Awaitable[None]]) -> None:
    async def inside() -> None:
        await test(Things(), Waiters(2))

    asyncio.run(inside())


def test_what_is_there_is_answered_at_once() -> None:
    async def test(things: Things, waiting: Waiters) -> None:
        things.there = ["a"]
        assert await waiting.until(things.look, bool, LONG_S) == ["a"]
        assert (things.looks, waiting.count) == (1, 0)

    run(test)


def test_who_waits_is_woken_from_another_thread() -> None:
    async def test(things: Things, waiting: Waiters) -> None:
        task = await waiting_for(things, waiting)
        things.there = ["a"]
        await asyncio.to_thread(waiting.wake)
        assert await task == ["a"]
        assert (things.looks, waiting.count) == (2, 0)

    run(test)


def test_what_happens_while_it_looks_is_heard() -> None:
    async def test(things: Things, waiting: Waiters) -> None:
        async def look() -> list[str]:
            seen = await things.look()
            if things.looks == 1:  # it comes after the look and before the wait
                things.there = ["a"]
                await asyncio.to_thread(waiting.wake)
            return seen

        assert await waiting.until(look, bool, LONG_S) == ["a"]

    run(test)


def test_a_nudge_for_nothing_goes_on_waiting_and_a_stop_ends_it() -> None:
    async def test(things: Things, waiting: Waiters) -> None:
        task = await waiting_for(things, waiting)
        things.looked.clear()
        waiting.wake()
        await things.looked.wait()
        assert not task.done()
        waiting.stop()
        assert await task == []
        assert await waiting.until(things.look, bool, LONG_S) == []  # nor does one that comes later

    run(test)


def test_its_time_is_bounded() -> None:
    async def test(things: Things, waiting: Waiters) -> None:
        assert await waiting.until(things.look, bool, 0.001) == []
        assert await waiting.until(things.look, bool, 0) == []

    run(test)


def test_one_too_many_is_answered_without_waiting() -> None:
    async def test(things: Things, waiting: Waiters) -> None:
        tasks = [await waiting_for(things, waiting), await waiting_for(things, waiting)]
        assert waiting.count == 2
        assert await waiting.until(things.look, bool, LONG_S) == []
        waiting.stop()
        assert await asyncio.gather(*tasks) == [[], []]

    run(test)


def test_who_gives_up_is_forgotten() -> None:
    async def test(things: Things, waiting: Waiters) -> None:
        task = await waiting_for(things, waiting)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert waiting.count == 0

    run(test)
