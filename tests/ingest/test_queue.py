"""Who waits for the committer: turns of accounts, and bounds of each and of all."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.errors import QueueFull
from flowtally.core.events import UsageEvent
from flowtally.ingest import queue as queues
from flowtally.ingest.admission import Submitter
from flowtally.ingest.queue import LARGE, WaitingQueue
from flowtally.ingest.submission import Correcting, LookedUp, Submission, Sweeping
from flowtally.ingest.sweeps import BEGINNING
from flowtally.keys.values import HeldWhere

ALL = 10**9


def sent(account: str | None, count: int = 1, *, size: int = 1, sender: str = "snd_1") -> Submission:
    event = UsageEvent("gw", account or "acme", "1", None, None)
    return Submission(Submitter(sender, account), [event] * count, {}, size)


def test_accounts_take_turns_and_each_in_its_own_order() -> None:
    queue = WaitingQueue(1000, 1000)
    greedy = [sent("acme") for _ in range(4)]
    others = [sent("bob"), sent(None, sender="snd_a"), sent(None, sender="snd_b")]
    for one in (*greedy, *others):
        queue.put(one)
    assert queue.take(ALL, ALL) == [greedy[0], *others, *greedy[1:]]


def test_the_next_block_begins_with_who_had_to_wait() -> None:
    queue = WaitingQueue(1000, 1000)
    large, more, small = sent("acme", 8), sent("acme", 8), sent("bob", 3)
    for one in (large, more, small):
        queue.put(one)
    assert queue.take(10, ALL) == [large]
    assert queue.take(10, ALL) == [small]
    assert queue.take(10, ALL) == [more]


def test_one_account_fills_half_of_the_queue_and_others_find_room() -> None:
    queue = WaitingQueue(100, 1000)
    queue.put(sent("acme", 50))
    with pytest.raises(QueueFull, match="50 events of the account 'acme' wait already; at most 50"):
        queue.put(sent("acme"))
    queue.put(sent("bob", 40))
    queue.put(sent(None, 10))
    with pytest.raises(QueueFull, match="100 events wait already; at most 100"):
        queue.put(sent(None))


def test_the_bytes_of_one_account_are_bounded_likewise() -> None:
    queue = WaitingQueue(100, 1000)
    queue.put(sent("acme", size=500))
    with pytest.raises(QueueFull):
        queue.put(sent("acme", size=1))
    queue.put(sent("bob", size=500))


def test_the_first_request_of_an_account_may_be_larger_than_its_part() -> None:
    queue = WaitingQueue(100, 1000)
    queue.put(sent("bob"))
    queue.put(sent("acme", 90))
    with pytest.raises(QueueFull):
        queue.put(sent("acme"))


NOTHING: Final = LookedUp(0, frozenset(), {}, {})


def test_what_is_alone_comes_alone_when_it_is_its_turn() -> None:
    queue = WaitingQueue(100, 1000)
    correcting: Any = Correcting(Submitter("snd_1", "acme"), [object()], NOTHING, 1)  # type: ignore[list-item]
    sweeping = Sweeping(HeldWhere(), BEGINNING)
    first, second = sent("bob"), sent("bob")
    for one in (first, correcting, sweeping, second):
        queue.put(one)
    assert [queue.take(ALL, ALL) for _ in range(4)] == [[first], [correcting], [sweeping], [second]]


def test_small_ones_are_not_kept_by_a_large_one_of_somebody_else() -> None:
    queue = WaitingQueue(ALL, ALL)
    small = [sent("bob"), sent("carl", LARGE)]
    large, late = [sent("acme", LARGE + 1), sent("dora", LARGE + 1)], sent("bob")
    for one in (*small, *large):
        queue.put(one)
    assert queue.take(ALL, ALL) == small
    queue.put(late)
    assert queue.take(ALL, ALL) == [*large, late]  # they had to wait for one block, and are first now


def test_large_ones_are_written_together_and_with_what_their_own_account_sent() -> None:
    queue = WaitingQueue(ALL, ALL)
    sends = [sent("acme"), sent("acme", 50_000), sent("bob", 50_000), sent("carl", 2)]
    queue.put(sends[0])
    queue.put(sends[1])
    assert queue.take(ALL, ALL) == sends[:2]
    for one in sends[1:]:
        queue.put(one)
    assert queue.take(ALL, ALL) == sends[1:]


@given(
    st.lists(
        st.tuples(st.sampled_from(["acme", "bob", "carl", None]), st.sampled_from([1, 7, LARGE, LARGE + 1, 5 * LARGE])),
        max_size=25,
    ),
    st.lists(st.integers(0, 5), max_size=10),
)
def test_a_block_begins_with_a_large_one_or_has_none_behind_others_small_ones(
    sends: list[tuple[str | None, int]], puts: list[int]
) -> None:
    queue, most = WaitingQueue(ALL, ALL), 20 * LARGE
    put = [sent(account, count) for account, count in sends]
    waiting, taken, steps = deque(put), list[Any](), deque(puts)
    while waiting or queue.events:
        for _ in range(steps.popleft() if steps else len(put)):  # some come between two blocks
            if waiting:
                queue.put(waiting.popleft())
        if not queue.events:
            continue
        block = queue.take(most, ALL)
        assert block
        assert len(block) == 1 or sum(one.count for one in block) <= most
        first = next((index for index, one in enumerate(block) if one.count > LARGE), 0)
        assert {one.queue_key for one in block[:first]} <= {block[first].queue_key}
        taken += block
    for key in {one.queue_key for one in put}:
        assert [one for one in taken if one.queue_key == key] == [one for one in put if one.queue_key == key]
    assert len(taken) == len(put)


def test_what_is_put_back_comes_next_in_its_order_also_when_closed() -> None:
    queue = WaitingQueue(1000, 1000)
    mine, its, free = [sent("acme") for _ in range(4)], [sent("bob") for _ in range(3)], sent(None)
    for one in (*mine[:3], *its[:2]):
        queue.put(one)
    taken = queue.take(ALL, ALL) or []
    for one in (free, mine[3], its[2]):
        queue.put(one)
    queue.close()
    queue.put_back([one for one in taken if one is not mine[0]])
    assert queue.events == 7
    assert queue.take(ALL, ALL) == [its[0], mine[1], free, its[1], mine[2], its[2], mine[3]]
    assert (queue.take(ALL, ALL), queue.events, queue.bytes, queue._events_of) == (None, 0, 0, {})


@given(st.lists(st.tuples(st.sampled_from(["acme", "bob", None]), st.integers(1, 40), st.booleans()), max_size=40))
def test_everything_comes_out_once_in_its_account_s_order_and_nothing_stays_counted(
    steps: list[tuple[str | None, int, bool]],
) -> None:
    queue, put, taken = WaitingQueue(200, 200), deque[Submission](), list[Any]()
    for account, count, take in steps:
        try:
            queue.put(one := sent(account, count, size=count))
            put.append(one)
        except QueueFull:
            pass
        if take and queue.events:
            taken += queue.take(50, ALL) or []
        assert queue.events == queue.bytes == sum(one.count for one in put) - sum(one.count for one in taken)
    while queue.events:
        taken += queue.take(50, ALL) or []
    for account in ("acme", "bob", None):
        assert [one for one in taken if one.account == account] == [one for one in put if one.account == account]
    assert (queue.events, queue.bytes, queue._events_of, queue._bytes_of, queue._waiting) == (0, 0, {}, {}, {})


class Together:
    """A queue from which five were taken together, and how often it was waited for more since then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.queue, self.lingered = WaitingQueue(1000, 1000), 0
        for _ in range(5):
            self.queue.put(sent(None))
        assert len(self.queue.take(ALL, ALL) or ()) == 5
        monkeypatch.setattr(queues, "time", self)

    def sleep(self, _seconds: float) -> None:
        self.lingered += 1

    def monotonic(self) -> float:
        return time.monotonic()


def test_who_comes_back_with_others_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    together = Together(monkeypatch)
    together.queue.put(sent(None))
    together.queue.take(ALL, ALL)
    assert together.lingered == queues.QUIET


def test_those_who_came_while_a_block_was_written_wait_for_those_who_were_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else two groups would take turns for ever, each with blocks of half the size."""
    together = Together(monkeypatch)
    for _ in range(3):
        together.queue.put(sent(None))
    answered = [5]

    def one_comes_back(_seconds: float) -> None:
        if answered[0]:
            answered[0] -= 1
            together.queue.put(sent(None))

    monkeypatch.setattr(together, "sleep", one_comes_back)
    assert len(together.queue.take(ALL, ALL) or ()) == 3 + 5


def test_very_many_who_come_back_have_longer_until_the_first_of_them_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    together = Together(monkeypatch)
    for _ in range(120):
        together.queue.put(sent(None))
    together.queue.take(ALL, ALL)
    together.lingered = 0
    together.queue.put(sent(None))
    together.queue.take(ALL, ALL)
    assert together.lingered == 121 // 6


def test_many_events_wait_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    together = Together(monkeypatch)
    together.queue.put(sent(None, queues.ENOUGH))
    together.queue.take(ALL, ALL)
    assert together.lingered == 0


def test_a_lone_request_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    together = Together(monkeypatch)
    monkeypatch.setattr(queues, "TOGETHER_S", 0.0)  # the others would have come back by now
    coming = threading.Timer(0.05, together.queue.put, [sent(None)])
    coming.start()
    while not (taken := together.queue.take(ALL, ALL)):
        pass
    coming.join()
    assert len(taken) == 1
    assert together.lingered == 0
