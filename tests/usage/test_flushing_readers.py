"""Readers while blocks come and are flushed: no answer has a block twice, in part, or not at all.

Every block adds its number to two accounts, so an answer tells up to which block it is; it must be one that was
published when the question began, or later. A block comes with every question and a flush with every eighth block, so
that all of it overlaps as much on a loaded machine as on an idle one: three of four questions meet a flush. Most of
what this costs is the engine's planning, some 15 ms a statement. So the verbs whose statements are short are asked
most, and most is asked in this process, where a question costs half of what it costs over HTTP.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random
from typing import Final

import pytest
from tests.soak import done, rounds
from tests.usage.blocks import block

from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.values import BUCKET_MS, Commit, Where

READERS: Final = 3
# Of each reader: 2,000 questions in all, and 100,000 in `make soak`, whose rounds are ten times the long ones.
QUESTIONS: Final = {"chdb": rounds(600, 3_000), "server": rounds(67, 334)}
BLOCKS_OF_A_FLUSH: Final = 8
END: Final = 64 * BUCKET_MS
ACCOUNTS: Final = ("a", "b")
TRIANGLES: Final = {number * (number + 1) // 2: number for number in range(200_000)}


def ask_sums(store: ClickHouseStore, chance: Random) -> set[int]:
    edges = sorted({0, END, *(chance.randrange(1, END) for _ in range(chance.randrange(3)))})
    found = store.sums(edges, Where(), ("account",))
    return {TRIANGLES[sum(one.bytes_up for one in found if one.by == (name,))] for name in ACCOUNTS}


def ask_until(store: ClickHouseStore, chance: Random) -> set[int]:
    last = store.published().block
    until = chance.randint(max(0, last - 5), last)
    found = store.sums([0, END], Where(account="a", until_block=until))
    assert TRIANGLES[sum(one.bytes_up for one in found)] == until
    return {last}


def ask_extent(store: ClickHouseStore, chance: Random) -> set[int]:
    found = store.extent(0, END, Where(account=chance.choice(ACCOUNTS)))
    return {TRIANGLES[found.bytes_up], found.rows}


def ask_moves(store: ClickHouseStore, chance: Random) -> set[int]:
    last = store.published().block
    first = max(1, last - 20)
    found = store.moves(first, 0, 1_000, until_block=last)
    assert [(one.block, one.account) for one in found] == [(n, a) for n in range(first, last + 1) for a in ACCOUNTS]
    return {last}


def ask_event(store: ClickHouseStore, chance: Random) -> set[int]:
    last = store.published().block
    if last:
        number = chance.randint(max(1, last - 10), last)
        event = store.find("gw", id=f"a{number}", sequence=None, block=number)
        assert event is not None, f"block {number} of {last}"
        assert event.bytes_up == number
    return {last}


SHARES: Final[dict[Callable[[ClickHouseStore, Random], set[int]], int]] = {
    ask_sums: 1,
    ask_until: 1,
    ask_moves: 1,
    ask_extent: 4,
    ask_event: 3,
}


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_no_answer_has_a_block_twice_in_part_or_not_at_all(clickhouse: ClickHouseStore) -> None:
    questions = QUESTIONS["chdb" if clickhouse.engine.embedded else "server"]
    ended, wrong, asked = threading.Event(), [], []
    due, full = threading.Semaphore(1), threading.Semaphore(0)  # a block, a flush
    clickhouse.publish(Commit(0, 0))

    def write() -> None:
        number = 0
        while due.acquire() and not ended.is_set():
            number += 1
            at = number % 64 * BUCKET_MS + number % 1000
            rows = ({"account": one, "id": f"{one}{number}", "bytes_up": number, "time": at} for one in ACCOUNTS)
            clickhouse.append(block(number, *rows))
            clickhouse.publish(Commit(number, number * 1000))
            if number % BLOCKS_OF_A_FLUSH == 0:
                full.release()

    def flush() -> None:
        while full.acquire() and not ended.is_set():
            clickhouse.flush()

    def read(seed: int) -> None:
        chance = Random(seed)
        for turn, ask in enumerate(chance.choices([*SHARES], [*SHARES.values()], k=questions)):
            due.release()
            before = clickhouse.published().block
            try:
                found = ask(clickhouse, chance)
                after = clickhouse.published().block
                assert len(found) == 1, f"torn: {found}"
                assert before <= min(found) <= after, f"{before} <= {found} <= {after}"
            except Exception as error:
                wrong.append(f"{ask.__name__}, question {turn} of reader {seed}: {error!r}")
                return
            asked.append(turn)

    writers = [threading.Thread(target=write), threading.Thread(target=flush)]
    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(READERS)]
    for thread in (*writers, *readers):
        thread.start()
    for thread in readers:
        thread.join()
    ended.set()
    due.release()
    full.release()
    for thread in writers:
        thread.join()
    assert wrong == []
    assert len(asked) == READERS * questions
    done(questions=len(asked))
    last = clickhouse.published().block
    clickhouse.settle()
    assert clickhouse.engine.rows("SELECT sum(bytes_up) FROM usage_events") == [(last * (last + 1),)]
