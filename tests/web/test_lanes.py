"""Threads for requests: turns by account, two lanes, and nothing that waits in vain or runs uncounted."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.usage import readers
from flowtally.web.capacity.lanes import Lane, Lanes

PATIENCE_S = 10


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110 - what it waits for is told by nobody
            await asyncio.sleep(0.001)


class Gate:
    """Work that notes that it began, and ends when it is let: at the end of the block at the latest."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.began: list[str] = []

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *error: object) -> None:
        self.open.set()

    def work(self, name: str) -> Callable[[], str]:
        def work() -> str:
            self.began.append(name)
            assert self.open.wait(PATIENCE_S)
            return name

        return work


def turns(asked: Sequence[str]) -> list[str]:
    """The slow, obvious model of whose turn is when: in each round everybody who is left, in the order they came."""
    left: dict[str, int] = defaultdict(int)
    order: list[str] = []
    for account in asked:
        left[account] += 1
    while any(left.values()):
        round_ = [account for account, count in left.items() if count]
        order += round_
        for account in round_:
            left[account] -= 1
    return order


@given(st.lists(st.sampled_from("abcd"), max_size=12))
def test_those_who_wait_take_turns_whoever_asked_how_much(asked: list[str]) -> None:
    async def run() -> list[str]:
        with closing(Lane("turns", 1, 1)) as lane, Gate() as gate:
            first = asyncio.create_task(lane.run("first", gate.work("first")))
            await until(lambda: gate.began == ["first"])
            others = [asyncio.create_task(lane.run(one, gate.work(one))) for one in asked]
            await until(lambda: lane.waiting == len(asked))
            gate.open.set()
            await asyncio.gather(first, *others)
            await until(lambda: not lane.running)
            assert not lane.waiting
            return gate.began[1:]

    assert asyncio.run(run()) == turns(asked)


@pytest.mark.parametrize(
    ("threads", "large", "small", "each"), [(8, 2, 6, 1), (1, 1, 1, 1), (2, 1, 1, 1), (32, 8, 24, 4)]
)
def test_large_questions_have_a_quarter_of_the_threads_and_one_account_half_of_these(
    threads: int, large: int, small: int, each: int
) -> None:
    async def run() -> None:
        with closing(Lanes(threads)) as lanes, Gate() as gate:
            greedy = [asyncio.create_task(lanes.run("greedy", gate.work("greedy"), large=True)) for _ in range(40)]
            await until(lambda: len(gate.began) == each)
            others = [
                asyncio.create_task(lanes.run(f"other{n}", gate.work("other"), large=True)) for n in range(large + 1)
            ]
            await until(lambda: len(gate.began) == large)
            assert await lanes.run("greedy", lambda: 7) == 7, "a small question of the same account is answered"
            assert (lanes.large.width, lanes.small.width) == (large, small)
            gate.open.set()
            await asyncio.gather(*greedy, *others)

    asyncio.run(run())


def test_one_account_cannot_take_all_threads_of_small_questions() -> None:
    async def run() -> None:
        with closing(Lanes(8)) as lanes, Gate() as gate:
            greedy = [asyncio.create_task(lanes.run("greedy", gate.work("greedy"))) for _ in range(40)]
            await until(lambda: len(gate.began) == lanes.small.width - 1)
            assert await lanes.run("quiet", lambda: "answered") == "answered"
            gate.open.set()
            await asyncio.gather(*greedy)

    asyncio.run(run())


def test_one_account_cannot_take_all_threads_that_read_bodies_nor_those_of_questions_with_them() -> None:
    async def run() -> None:
        with closing(Lanes(8)) as lanes, Gate() as gate:
            greedy = [asyncio.create_task(lanes.read.run("greedy", gate.work("greedy"))) for _ in range(40)]
            await until(lambda: len(gate.began) == lanes.read.width // 2)
            assert await lanes.read.run("quiet", lambda: "read") == "read"
            assert await lanes.run("greedy", lambda: "answered") == "answered"
            gate.open.set()
            await asyncio.gather(*greedy)

    asyncio.run(run())


async def _cancelled(task: asyncio.Task[str]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_who_gives_up_waiting_was_never_there() -> None:
    async def run() -> None:
        with closing(Lane("gone", 1, 1)) as lane, Gate() as gate:
            first = asyncio.create_task(lane.run("a", gate.work("a")))
            await until(lambda: gate.began == ["a"])
            gone = asyncio.create_task(lane.run("b", gate.work("b")))
            last = asyncio.create_task(lane.run("b", gate.work("c")))
            await until(lambda: lane.waiting == 2)
            await _cancelled(gone)
            assert lane.waiting == 1
            gate.open.set()
            assert [await first, await last] == ["a", "c"]
            assert gate.began == ["a", "c"]

    asyncio.run(run())


def test_work_that_nobody_waits_for_any_more_holds_its_thread_until_it_ends() -> None:
    async def run() -> None:
        with closing(Lane("held", 1, 1)) as lane, Gate() as gate:
            first = asyncio.create_task(lane.run("a", gate.work("a")))
            await until(lambda: gate.began == ["a"])
            await _cancelled(first)
            second = asyncio.create_task(lane.run("b", gate.work("b")))
            await asyncio.sleep(0.02)
            assert (lane.running, lane.waiting, gate.began) == (1, 1, ["a"])
            gate.open.set()
            assert await second == "b"

    asyncio.run(run())


def test_an_error_is_the_askers_and_the_thread_is_free_again() -> None:
    async def run() -> None:
        lane = Lane("failing", 1, 1)

        def fail() -> int:
            raise ValueError("no")

        try:
            for _ in range(3):
                with pytest.raises(ValueError, match="no"):
                    await lane.run("a", fail)
            await until(lambda: not lane.running)
        finally:
            lane.close()

    asyncio.run(run())


def test_threads_that_answer_are_readers_and_others_are_not() -> None:
    async def run() -> list[bool]:
        lanes = Lanes(4)
        try:
            asked: list[Awaitable[bool]] = [lanes.run("a", readers.is_one, large=large) for large in (True, False)]
            return [readers.is_one(), *await asyncio.gather(*asked)]
        finally:
            lanes.close()

    assert asyncio.run(run()) == [False, True, True]
