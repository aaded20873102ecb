"""The purse book says what the whole burn says, to the byte, whatever came and in whatever order; and mostly without
asking the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import NOW, open_copy
from tests.usage.blocks import block
from tests.usage.counting import CountingStore

from flowtally.answers.account_balance import make_balance
from flowtally.answers.moment import Moments
from flowtally.core.clock import SteadyClock
from flowtally.core.words import Overage
from flowtally.gate.book import PurseBook
from flowtally.ledger import pools
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts
from flowtally.ledger.traffic import grants
from flowtally.protocol import BalanceAnswer
from flowtally.usage.shelf import Shelf
from flowtally.usage.until_block import UntilBlock
from flowtally.usage.values import Commit

HOUR = 3_600_000
START = NOW - 10 * HOUR


class Desk:
    """A ledger, a store and a book beside them, at a clock that is moved by hand."""

    def __init__(self, ledger: Ledger, shelf: Shelf | None = None, overage: Overage = "carry") -> None:
        self.ledger, self.now, self.blocks = ledger, NOW, 0
        self.usage = CountingStore()
        if shelf is not None:
            self.usage.shelf = shelf
        self.book = PurseBook(self.usage.shelf)
        with self.promising() as tx:
            for name in ("acme", "beta"):
                accounts.create_account(tx, name, now=START, overage=overage)

    @contextmanager
    def promising(self) -> Iterator[Any]:
        with self.ledger.begin() as tx:
            yield tx

    def give(self, amount: int, account: str = "acme", **more: Any) -> str:
        with self.promising() as tx:
            return grants.give_grant(tx, account, amount, now=self.now, **more).id

    def use(self, *rows: dict[str, Any]) -> None:
        """A block of these rows, published."""
        self.blocks += 1
        self.usage.append(block(self.blocks, *rows, received_at=self.now))
        self.usage.publish(Commit(self.blocks, self.now))

    def used(self, down: int, ago: int = 0, **more: Any) -> None:
        self.use({"time": self.now - ago, "bytes_down": down, **more})
        self.now += 1

    def whole(self, account: str = "acme") -> BalanceAnswer:
        with self.ledger.read() as tx:
            return make_balance(tx, UntilBlock(self.usage, self.usage.published()), account, self.now)

    def told(self, account: str = "acme", *, tell_never_paid: bool = False) -> BalanceAnswer:
        with self.ledger.read() as tx:
            usage = UntilBlock(self.usage, self.usage.published())
            return self.book.balance(tx, usage, account, self.now, tell_never_paid=tell_never_paid)

    def same(self, account: str = "acme") -> BalanceAnswer:
        told = self.told(account)
        assert told == self.whole(account)
        return told

    def quickly(self, account: str = "acme") -> BalanceAnswer:
        """The same, and from memory."""
        answered = self.book.measures()["answered"]
        told = self.same(account)
        assert self.book.measures()["answered"] == answered + 1, "the whole burn was asked"
        return told

    def left(self) -> int:
        return self.quickly().pools["traffic"].left


@pytest.fixture
def desk(app_ledger: Ledger) -> Desk:
    return Desk(app_ledger)


def test_once_asked_for_a_balance_goes_on_with_every_block_without_asking_the_store(desk: Desk) -> None:
    desk.give(1_000)
    assert desk.same().pools["traffic"].left == 1_000
    asked = desk.usage.asked
    for left in (900, 800, 700):
        desk.used(100)
        with desk.ledger.read() as tx:
            usage = UntilBlock(desk.usage, desk.usage.published())
            assert desk.book.balance(tx, usage, "acme", desk.now).pools["traffic"].left == left
    assert desk.usage.asked == asked
    assert desk.left() == 700


def test_use_of_others_changes_nothing_and_costs_nothing(desk: Desk) -> None:
    desk.give(1_000)
    desk.give(5, "beta")
    desk.same(), desk.same("beta")
    desk.used(2, account="beta")
    assert desk.left() == 1_000
    assert desk.quickly("beta").pools["traffic"].left == 3


def test_a_block_has_use_of_several_users_and_products_of_an_account(desk: Desk) -> None:
    desk.give(1_000)
    desk.same()
    desk.use(
        *(
            {"time": desk.now, "bytes_down": 1, "user": user, "product": product}
            for user in ("", "usr_1", "usr_2")
            for product in ("residential", "mobile")
        )
    )
    desk.now += 1
    assert desk.quickly().pools["traffic"].left == 997
    assert desk.quickly().pools["mobile"].overage == 3


def test_a_promise_is_heard_of_by_the_next_question(desk: Desk) -> None:
    grant = desk.give(1_000)
    desk.same()
    desk.give(500)
    assert desk.same().pools["traffic"].left == 1_500
    with desk.promising() as tx:
        grants.void_grant(tx, grant, "acme", desk.now)
    assert desk.same().pools["traffic"].left == 500
    assert desk.left() == 500


def test_a_promise_to_others_forgets_them_alone(desk: Desk) -> None:
    desk.give(1_000)
    desk.same()
    desk.give(5, "beta")
    assert desk.left() == 1_000


def test_a_pool_that_is_made_is_everybodys_affair(desk: Desk) -> None:
    desk.give(1_000)
    desk.same()
    with desk.promising() as tx:
        pools.create_pool(tx, "isp", "bytes", desk.now)
        pools.map_product(tx, "isp-static", "isp", desk.now)
    desk.used(7, product="isp-static")
    assert desk.same().pools["isp"].overage == 7


def test_grants_begin_and_end_while_nothing_is_written(desk: Desk) -> None:
    desk.give(1_000, expires_at=desk.now + 10_000)
    desk.give(300, starts_at=desk.now + 20_000)
    desk.same()
    desk.used(100)
    assert desk.left() == 900
    desk.now += 9_999
    assert desk.left() == 0
    assert desk.quickly().pools["traffic"].expired == 900
    desk.now += 10_000
    assert desk.left() == 300


def test_late_use_is_burnt_anew_once(desk: Desk) -> None:
    desk.give(1_000, starts_at=START)
    desk.give(500, starts_at=NOW - HOUR)
    desk.same()
    desk.used(100, ago=2 * HOUR)
    assert desk.same().pools["traffic"].left == 1_400
    assert desk.left() == 1_400


def test_use_dated_ahead_counts_when_its_instant_has_come(desk: Desk) -> None:
    desk.give(1_000)
    desk.same()
    desk.use({"time": desk.now + 5_000, "bytes_down": 100})
    assert desk.same().pools["traffic"].left == 1_000
    desk.now += 5_001
    assert desk.left() == 900


def test_use_that_lay_ahead_when_it_was_read_is_not_overlooked_later(desk: Desk) -> None:
    desk.give(1_000)
    desk.use({"time": desk.now + 5_000, "bytes_down": 100})
    assert desk.same().pools["traffic"].left == 1_000
    desk.now += 5_001
    assert desk.same().pools["traffic"].left == 900


def test_a_question_of_an_earlier_block_is_not_told_of_later_ones(desk: Desk) -> None:
    desk.give(1_000)
    desk.same()
    desk.used(100)
    earlier = UntilBlock(desk.usage, desk.usage.published())
    desk.used(100)
    assert desk.left() == 800
    with desk.ledger.read() as tx:
        told = desk.book.balance(tx, earlier, "acme", desk.now)
        assert told == make_balance(tx, earlier, "acme", desk.now)
    assert told.pools["traffic"].left == 900


def test_a_question_that_saw_the_ledger_earlier_is_not_told_of_later_promises(desk: Desk) -> None:
    desk.give(1_000)
    with desk.ledger.read() as tx:
        usage = UntilBlock(desk.usage, desk.usage.published())
        assert make_balance(tx, usage, "acme", desk.now).pools["traffic"].left == 1_000  # it sees this from here on
        desk.give(500)
        assert desk.same().pools["traffic"].left == 1_500
        assert desk.book.balance(tx, usage, "acme", desk.now).pools["traffic"].left == 1_000
    assert desk.left() == 1_500


def test_what_earlier_promises_made_of_an_account_is_not_kept_for_later(desk: Desk) -> None:
    """Who read the ledger before a promise comes last: what it read is not believed afterwards."""
    desk.give(1_000)
    with desk.ledger.read() as tx:
        usage = UntilBlock(desk.usage, desk.usage.published())
        make_balance(tx, usage, "acme", desk.now)
        desk.give(500)
        desk.same("beta")  # the book has heard of it
        assert desk.book.balance(tx, usage, "acme", desk.now).pools["traffic"].left == 1_000
    assert desk.same().pools["traffic"].left == 1_500


def test_the_moment_of_an_answer_is_told_and_a_moment_of_the_past_is_burnt_whole(desk: Desk) -> None:
    desk.give(1_000)
    moments = Moments(desk.usage, desk.ledger, SteadyClock(lambda: desk.now))

    def ask(as_of: str | None = None) -> BalanceAnswer:
        begun = moments.begin(as_of)
        with desk.ledger.read() as tx:
            moment = moments.hold(tx, begun)
            usage = UntilBlock(desk.usage, begun.commit)
            told = desk.book.balance(tx, usage, "acme", moment.instant, moment, tell_never_paid=True)
            assert told == make_balance(tx, usage, "acme", moment.instant, moment, tell_never_paid=True)
            return told

    desk.used(100)
    then = ask()
    assert then.as_of is not None
    desk.used(100)
    desk.give(50)
    ask()
    desk.used(100)
    now = ask()
    assert now.pools["traffic"].left == 750
    assert ask(then.as_of.token) == then


def test_what_nothing_will_pay_is_told_by_the_whole_burn(desk: Desk) -> None:
    with desk.promising() as tx:
        accounts.create_account(tx, "gone", now=START, overage="forgive")
    desk.give(10, "gone")
    desk.told("gone")
    desk.used(25, account="gone")
    with desk.ledger.read() as tx:
        usage = UntilBlock(desk.usage, desk.usage.published())
        whole = make_balance(tx, usage, "gone", desk.now, tell_never_paid=True)
    assert desk.told("gone", tell_never_paid=True) == whole


def test_blocks_that_are_no_longer_on_the_shelf_empty_the_book(app_ledger: Ledger) -> None:
    desk = Desk(app_ledger, Shelf(most_blocks=2))
    desk.give(1_000)
    desk.same()
    for _ in range(3):
        desk.used(100)
    assert desk.same().pools["traffic"].left == 700
    desk.used(100)
    assert desk.left() == 600


def test_another_writer_empties_the_shelf(desk: Desk) -> None:
    desk.give(1_000)
    desk.same()
    desk.used(100)
    desk.usage.take_over("another")
    desk.usage.publish(Commit(desk.blocks, desk.now))
    assert desk.same().pools["traffic"].left == 900


def test_no_more_accounts_are_kept_than_it_may(app_ledger: Ledger) -> None:
    desk = Desk(app_ledger)
    desk.book = PurseBook(desk.usage.shelf, most_accounts=1)
    desk.same(), desk.same("beta"), desk.same()
    found = desk.book.measures()
    assert (found["accounts"], found["answered"], found["burnt"]) == (1.0, 0.0, 3.0)


def test_an_account_that_is_not_there_is_refused(desk: Desk) -> None:
    with pytest.raises(Exception, match="nobody"):
        desk.told("nobody")


spans = st.integers(0, 40)
amounts = st.integers(-30, 60)
products = st.sampled_from(["residential", "residential", "mobile", "api"])
steps: st.SearchStrategy[tuple[Any, ...]] = st.one_of(
    st.tuples(
        st.just("use"),
        st.lists(st.tuples(amounts, st.integers(-3, 40), st.booleans(), products), min_size=1, max_size=4),
    ),
    st.tuples(st.just("give"), st.integers(1, 90), st.integers(-20, 20), st.none() | st.integers(1, 40)),
    st.tuples(st.just("void"), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.integers(0, 15)),
    st.tuples(st.just("ask"), st.just("beta")),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(steps, max_size=14), st.sampled_from(["carry", "forgive"]))
def test_whatever_happens_it_says_what_the_whole_burn_says(
    new_ledger: Path, tmp_path_factory: pytest.TempPathFactory, history: list[tuple[Any, ...]], overage: Overage
) -> None:
    place = tmp_path_factory.mktemp("book") / "ledger.db"
    place.write_bytes(new_ledger.read_bytes())
    ledger = open_copy(place)
    try:
        desk = Desk(ledger, overage=overage)
        given: list[str] = []
        for step in history:
            play(desk, step, given)
            desk.same(), desk.same("beta")
            assert desk.told(tell_never_paid=True) == whole_with_losses(desk)
    finally:
        ledger.close()


def whole_with_losses(desk: Desk) -> BalanceAnswer:
    with desk.ledger.read() as tx:
        usage = UntilBlock(desk.usage, desk.usage.published())
        return make_balance(tx, usage, "acme", desk.now, tell_never_paid=True)


def play(desk: Desk, step: tuple[Any, ...], given: list[str]) -> None:
    match step:
        case "use", rows:
            desk.use(
                *(
                    {
                        "time": desk.now - ago * 1000,
                        "bytes_down": size,
                        "account": "beta" if other else "acme",
                        "product": product,
                    }
                    for size, ago, other, product in rows
                )
            )
        case "give", size, starts, lasts:
            start = desk.now + starts * 1000
            end = None if lasts is None else start + lasts * 1000
            given.append(desk.give(size, starts_at=start, expires_at=end))
        case "void", index if index < len(given):
            with desk.promising() as tx:
                grants.void_grant(tx, given[index], "acme", desk.now)
        case "wait", seconds:
            desk.now += seconds * 1000 + 1
        case _:
            pass
