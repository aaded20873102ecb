"""Changes: pages that lose nobody and show nobody twice, whatever the cursor."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.soak import sampled
from tests.usage.blocks import block

from flowtally.answers.changes import BEGINNING, KIND, Place, make_changes
from flowtally.core.cursors import Walk
from flowtally.core.edges import format_instant
from flowtally.core.errors import BadRange, CursorGone
from flowtally.protocol import ChangesAnswer
from flowtally.usage.memory import MemoryStore
from flowtally.usage.values import Commit


def ask(store: MemoryStore, since: str = BEGINNING, **more: Any) -> ChangesAnswer:
    asked: dict[str, Any] = {"generation": "g", "account": None, "late_before": None, "limit": 20} | more
    return make_changes(store, since, **asked)


def after(block: int, seen: int | None = None, late: int | None = None, account: str | None = None) -> str:
    """The cursor of a place."""
    return Walk(KIND, "g", (account,)).cursor(Place(block, seen, late))


def follow(store: MemoryStore, limit: int, **more: Any) -> list[tuple[int, str]]:
    """All pages to the end."""
    seen: list[tuple[int, str]] = []
    since = BEGINNING
    for _ in range(1000):
        answer = ask(store, since, limit=limit, **more)
        assert len(answer.items) <= limit
        seen += [(one.block, one.account) for one in answer.items]
        since = answer.next
        if not answer.more:
            return seen
    raise AssertionError("it never ends")


@pytest.fixture
def store() -> MemoryStore:
    """Blocks 1, 2, 3, 40 (numbers between were never used), 41; block 3 has seven accounts."""
    made = MemoryStore()
    made.append(block(1, {"account": "a", "time": 100}, received_at=1_000))
    made.append(block(2, {"account": "a", "time": 1_900}, {"account": "b", "time": 500}, received_at=2_000))
    made.append(block(3, *({"account": name, "time": 2_500} for name in "abcdefg"), received_at=3_000))
    made.append(block(40, {"account": "b", "time": 100, "kind": "correction", "bytes_up": -5}, received_at=4_000))
    made.append(block(41, {"account": "a", "time": 50, "bytes_down": 7}, received_at=4_000))
    return made


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 100])
def test_pages_of_any_size_show_everything_once_and_in_order(store: MemoryStore, limit: int) -> None:
    everything = [(1, "a"), (2, "a"), (2, "b"), *((3, name) for name in "abcdefg"), (40, "b"), (41, "a")]
    assert follow(store, limit) == everything
    assert follow(store, limit, account="a") == [one for one in everything if one[1] == "a"]


def test_a_cursor_goes_on_where_the_answer_ended_and_what_comes_later_is_new(store: MemoryStore) -> None:
    assert ask(store, after(3, 5), limit=1).items[0].account == "f"
    assert ask(store, after(3, 5), limit=1).next == after(3, 6, 3_000)
    assert ask(store, after(3, 6), limit=1).next == after(3, late=3_000)
    end = ask(store, after(41))
    assert (end.items, end.next, end.more) == ([], after(41), False)
    store.append(block(50, {"account": "z"}))
    assert [one.account for one in ask(store, end.next).items] == ["z"]


def test_an_instant_means_what_was_received_from_it_on(store: MemoryStore) -> None:
    for at, first in ((0, 1), (1_000, 1), (1_001, 2), (3_000, 3), (3_001, 40), (4_000, 40)):
        assert ask(store, format_instant(at)).items[0].block == first
    assert ask(store, format_instant(4_001)).items == []
    assert ask(store, "2400-01-01T00:00:00Z").items == []


def test_late_is_what_is_dated_before_the_instant_that_since_stands_for(store: MemoryStore) -> None:
    by_instant = ask(store, format_instant(1_500), limit=100)
    assert by_instant.late_before == format_instant(1_500)
    assert [(one.block, one.account, one.use, one.late) for one in by_instant.items if one.late] == [
        (2, "b", 1, 1),
        (41, "a", 1, 1),
    ]
    assert ask(store, after(2)).late_before == format_instant(2_000)
    assert [one.late for one in ask(store, after(2), late_before=format_instant(60)).items if one.late] == [1]


def test_further_pages_call_late_what_the_first_did_and_following_begins_anew(store: MemoryStore) -> None:
    first = ask(store, format_instant(1_500), limit=2)
    second = ask(store, first.next, limit=100)
    assert (first.late_before, second.late_before, second.more) == (format_instant(1_500), format_instant(1_500), False)
    assert ask(store, second.next).late_before == format_instant(4_000)


def test_where_nothing_is_left_the_cursor_stands_at_the_last_commit(store: MemoryStore) -> None:
    """Else that of a quiet account stays behind, until its block is compacted."""
    quiet = ask(store, account="g")
    assert ([one.block for one in quiet.items], quiet.next) == ([3], after(41, account="g"))


def test_a_cursor_of_another_account_or_generation_is_refused(store: MemoryStore) -> None:
    for account in ("a", None):
        other = "b" if account else "a"
        with pytest.raises(BadRange, match="another account"):
            ask(store, after(2, account=account), account=other)
        with pytest.raises(CursorGone, match="Begin again from an RFC 3339 instant"):
            ask(store, after(2, account=account), account=account, generation="h")


def test_a_change_says_what_it_adds_and_where(store: MemoryStore) -> None:
    correction, late = ask(store, after(3)).items
    assert (correction.corrections, correction.use, correction.bytes, correction.earliest) == (
        1,
        0,
        -5,
        format_instant(100),
    )
    assert (late.use, late.bytes, late.received_at) == (1, 7, format_instant(4_000))


@pytest.mark.parametrize(
    "since", ["", "1", "4711", "3.5", "yesterday", "-1", "1.", "1.2.3", "9" * 19, "2026-01-01", "١"]
)
def test_what_is_no_cursor_and_no_instant_is_told(store: MemoryStore, since: str) -> None:
    with pytest.raises(BadRange):
        ask(store, since)


class Busy(MemoryStore):
    """A store in which a block is committed between any two questions. Its rows may be there before it is published:
    then it is settled when the next one comes, as committed or as never used."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.publish(Commit(0, 0))
        self.chance = chance
        self.last = Commit(0, 0)
        self.waiting: list[tuple[int, str]] = []
        self.committed: list[tuple[int, str]] = []

    def commit(self) -> None:
        self.end(committed=self.chance.random() < 0.5)
        number = self.last.block + self.chance.choice((1, 1, 1, 2, 40, 10**12))
        self.last = Commit(number, self.last.received_at + 1_000)
        self.waiting = [(number, name) for name in sorted(self.chance.sample("abc", self.chance.randint(1, 3)))]
        self.append(block(number, *({"account": name} for _, name in self.waiting), received_at=self.last.received_at))
        if self.chance.random() < 0.7:
            self.end(committed=True)

    def end(self, *, committed: bool) -> None:
        if self.waiting and committed:
            self.publish(self.last)
            self.committed += self.waiting
        elif self.waiting:
            self.rows = [row for row in self.rows if row["block"] != self.last.block]
        self.waiting = []

    def moves(self, *args: Any, **more: Any) -> Any:
        self.commit()
        found = super().moves(*args, **more)
        self.commit()
        return found


@pytest.mark.parametrize("seed", range(sampled(40, 8)))
@pytest.mark.parametrize("account", [None, "a"])
def test_what_is_committed_between_the_questions_of_a_page_is_not_skipped(seed: int, account: str | None) -> None:
    store = Busy(random.Random(seed))
    seen: list[tuple[int, str]] = []
    since = BEGINNING
    for _ in range(60):
        answer = ask(store, since, limit=store.chance.randint(1, 5), account=account)
        seen += [(one.block, one.account) for one in answer.items]
        since = answer.next
    whole = [one for one in store.committed if account in (None, one[1])]
    assert seen == whole[: len(seen)]
    assert len(seen) >= 40
