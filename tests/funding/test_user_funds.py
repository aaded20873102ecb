"""Limits, purses and allocations: two stores brought together under the ledger's one writer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from tests.conftest import NOW
from tests.usage.counting import CountingStore

from flowtally.answers import user_balance
from flowtally.answers.account_balance import make_balance
from flowtally.core.edges import parse_instant
from flowtally.core.errors import BadRange, Conflict, NotCovered, UnknownAccount, UnknownUser, Unprocessable
from flowtally.funding import user_funds
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts, managed, users
from flowtally.ledger.people.users import Limit
from flowtally.ledger.traffic import grants
from flowtally.ledger.traffic.allocations import Allocation
from flowtally.protocol import PoolBalance, UserBalanceAnswer

MARCH = parse_instant("2026-03-01T00:00:00Z")


class World(msgspec.Struct):
    """Account acme in Berlin with 1000 bytes of traffic since 1 March; fay and guy are funded, ann is not."""

    ledger: Ledger
    usage: CountingStore
    now: int = NOW

    def use(self, user: str, time: str | int, amount: int, product: str = "residential", requests: int = 1) -> None:
        at = parse_instant(time) if isinstance(time, str) else time
        with self.ledger.begin() as tx:
            user_id = users.ensure_users(tx, [("acme", user)], self.now)["acme", user] if user else ""
        row = {"series": "metered", "account": "acme", "user": user_id, "bytes_up": 0, "bytes_down": amount}
        row |= {"block": 1, "received_at": 0}
        self.usage.rows.append({**row, "product": product, "requests": requests, "time": at})

    def allocate(self, user: str, amount: int, pool: str = "traffic", *, expires_at: int | None = None) -> Allocation:
        with self.ledger.begin() as tx:
            return user_funds.allocate(
                tx, self.usage, "acme", user, amount, now=self.now, pool=pool, expires_at=expires_at
            )

    def take_back(self, user: str, allocation: str, amount: int | None = None) -> Allocation:
        with self.ledger.begin() as tx:
            return user_funds.take_back(tx, self.usage, "acme", user, allocation, now=self.now, amount=amount)

    def limit(self, user: str, limit: Limit | None) -> None:
        with self.ledger.begin() as tx:
            managed.change_user(tx, "acme", user, limit=limit, now=self.now)

    def of(self, user: str, at: int | str | None = None) -> UserBalanceAnswer:
        at = parse_instant(at) if isinstance(at, str) else self.now if at is None else at
        with self.ledger.read() as tx:
            return user_balance.make_user_balance(tx, self.usage, "acme", user, at)

    def account(self, at: int | None = None) -> PoolBalance:
        with self.ledger.read() as tx:
            return make_balance(tx, self.usage, "acme", self.now if at is None else at).pools["traffic"]


@pytest.fixture
def world(app_ledger: Ledger) -> World:
    with app_ledger.begin() as tx:
        accounts.create_account(tx, "acme", timezone="Europe/Berlin", now=MARCH)
        accounts.create_account(tx, "beta", now=MARCH)
        grants.give_grant(tx, "acme", 1000, now=MARCH)
        for name in ("fay", "guy"):
            managed.create_user(tx, "acme", name, funded=True, now=MARCH)
        managed.create_user(tx, "acme", "ann", now=MARCH)
    return World(app_ledger, CountingStore())


# -- Limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "used", "left", "resets"),
    [
        # Berlin: 15 March began at 23:00 UTC the day before, March at 23:00 UTC on 28 February.
        (Limit(100, "bytes", "day"), 7, 93, "2026-03-15T23:00:00Z"),
        (Limit(100, "bytes", "month"), 37, 63, "2026-03-31T22:00:00Z"),
        (Limit(100, "bytes", "lifetime"), 1037, 0, None),
        (Limit(2, "requests", "month"), 3, 0, "2026-03-31T22:00:00Z"),
        (Limit(7, "bytes", "day"), 7, 0, "2026-03-15T23:00:00Z"),
        (Limit(0, "requests", "day"), 1, 0, "2026-03-15T23:00:00Z"),
    ],
)
def test_a_limit_counts_in_the_window_of_the_accounts_zone(
    world: World, limit: Limit, used: int, left: int, resets: str | None
) -> None:
    """
    usage   28 Feb 22:59 1000 | 28 Feb 23:00 10 | 14 Mar 22:59 20 | 14 Mar 23:00 7
    """
    for time, amount in (("02-28T22:59", 1000), ("02-28T23:00", 10), ("03-14T22:59", 20), ("03-14T23:00", 7)):
        world.use("ann", f"2026-{time}:00Z", amount)
    world.use("", "2026-03-15T01:00:00Z", 99)
    world.limit("ann", limit)
    world.usage.asked = 0
    state = world.of("ann").limit
    assert state is not None
    assert (state.used, state.left, state.resets_at) == (used, left, resets)
    assert (state.limit, state.exceeded) == (limit.amount, left == 0)
    assert world.usage.asked == 1


def test_a_window_that_has_just_begun_is_empty(world: World) -> None:
    world.use("ann", "2026-03-14T12:00:00Z", 10)
    world.limit("ann", Limit(5, "bytes", "day"))
    state = world.of("ann", "2026-03-14T23:00:00Z").limit
    assert state is not None
    assert (state.used, state.left, state.exceeded) == (0, 5, False)


def test_a_limit_never_pays_and_a_user_without_one_has_none(world: World) -> None:
    world.use("ann", "2026-03-14T12:00:00Z", 10)
    world.limit("ann", Limit(5))
    assert (world.account().spent, world.account().left) == (10, 990)
    answer = world.of("ann")
    assert (answer.funded, answer.pools, answer.allocations) == (False, {}, [])
    world.limit("ann", None)
    assert world.of("ann").limit is None


# -- Purses -----------------------------------------------------------------------------------------------------------


def test_a_funded_users_use_is_paid_from_its_own_purse_and_left_out_of_the_accounts(world: World) -> None:
    """
    account  granted 1000, allocated 300, used 50   -> left 650
    fay      allocated 300, used 120                -> left 180
    """
    made = world.allocate("fay", 300)
    world.now += 1000
    world.use("ann", NOW + 1, 50)
    world.use("fay", NOW + 1, 120)
    world.usage.asked = 0
    account, fay = world.account(), world.of("fay")
    assert world.usage.asked == 2  # one for each answer
    assert (account.granted, account.drawn, account.spent, account.left, account.overage) == (1000, 300, 350, 650, 0)
    assert (fay.pools["traffic"].granted, fay.pools["traffic"].spent, fay.pools["traffic"].left) == (300, 120, 180)
    [shown] = fay.allocations
    assert (shown.id, shown.amount, shown.returned, shown.spent, shown.left) == (made.id, 300, 0, 120, 180)


def test_more_than_the_account_has_left_is_refused_and_nothing_changes(world: World) -> None:
    world.use("ann", "2026-03-14T12:00:00Z", 400)
    with pytest.raises(NotCovered) as refused:
        world.allocate("fay", 601)
    assert refused.value.extra == {"account": "acme", "pool": "traffic", "amount": 601, "left": 600}
    assert world.account().drawn == 0
    world.allocate("fay", 600)
    with pytest.raises(NotCovered):
        world.allocate("guy", 1)
    with pytest.raises(NotCovered):
        world.allocate("guy", 1, "mobile")
    assert (world.account().left, world.account().overage) == (0, 0)


def test_a_credit_covers_like_a_grant(world: World) -> None:
    world.use("", "2026-03-14T12:00:00Z", -50)  # a free adjustment
    world.allocate("fay", 1050)
    assert (world.account().left, world.account().credit, world.account().overage) == (0, 0, 0)


def test_an_allocation_sees_those_before_it_though_the_clock_was_set_back(world: World) -> None:
    world.allocate("fay", 600)
    world.now -= 60_000
    with pytest.raises(NotCovered):
        world.allocate("guy", 600)
    assert world.allocate("guy", 400).created_at == NOW


def test_what_is_taken_back_is_the_accounts_again_from_the_beginning(world: World) -> None:
    made = world.allocate("fay", 300)
    world.now += 1000
    world.use("fay", NOW + 1, 120)
    assert world.take_back("fay", made.id, 100).returned == 100
    assert (world.account().left, world.of("fay").pools["traffic"].left) == (800, 80)
    assert world.account(NOW).left == 800
    with pytest.raises(NotCovered) as refused:
        world.take_back("fay", made.id, 81)
    assert refused.value.extra["left"] == 80
    assert world.take_back("fay", made.id).returned == 180
    assert (world.account().left, world.of("fay").pools["traffic"].left) == (880, 0)
    assert world.of("fay").pools["traffic"].spent == 120
    assert world.take_back("fay", made.id).returned == 180


def test_an_allocation_returned_whole_is_listed_and_pays_nothing(world: World) -> None:
    made = world.allocate("fay", 300)
    world.take_back("fay", made.id)
    [shown] = world.of("fay").allocations
    assert (shown.returned, shown.spent, shown.left) == (300, 0, 0)
    assert (world.account().left, world.account().drawn) == (1000, 0)


def test_what_comes_back_from_an_expired_grant_comes_back_expired(world: World) -> None:
    with world.ledger.begin() as tx:
        grants.give_grant(tx, "acme", 100, now=MARCH, priority=1, expires_at=NOW + 10)
    made = world.allocate("fay", 150)
    world.now += 20
    world.take_back("fay", made.id)
    assert (world.account().left, world.account().expired) == (1000, 100)


def test_a_funded_user_without_an_allocation_is_in_overage_until_the_next_one(world: World) -> None:
    world.use("fay", "2026-03-10T12:00:00Z", 40)
    assert (world.of("fay").pools["traffic"].overage, world.account().overage) == (40, 0)
    world.allocate("fay", 100)
    assert (world.of("fay").pools["traffic"].left, world.of("fay").pools["traffic"].overage) == (60, 0)


def test_use_from_before_a_funded_user_was_made_eats_no_allocation(world: World) -> None:
    world.use("fay", "2026-02-01T00:00:00Z", 40)
    world.allocate("fay", 100)
    assert (world.of("fay").pools["traffic"].left, world.of("fay").pools["traffic"].overage) == (100, 40)


def test_deleting_a_funded_user_gives_back_what_is_unspent_and_keeps_what_is_spent(world: World) -> None:
    world.allocate("fay", 100)
    world.allocate("fay", 200)
    world.now += 10
    world.use("fay", NOW + 1, 130)
    with world.ledger.begin() as tx:
        gone = user_funds.delete_user(tx, world.usage, "acme", "fay", now=world.now)
        assert user_funds.delete_user(tx, world.usage, "acme", gone.id, now=world.now) == gone
    assert (world.account().left, world.account().drawn) == (870, 130)
    assert world.of(gone.id).pools["traffic"].spent == 130
    with pytest.raises(Conflict, match="was deleted"):
        world.allocate(gone.id, 1)


def test_what_use_dated_after_now_has_spent_is_not_taken_back(world: World) -> None:
    """Clocks differ: the gateway's is a minute ahead, and what it counted is paid by the allocation."""
    made = world.allocate("fay", 300)
    world.use("fay", NOW + 60_000, 120)
    with pytest.raises(NotCovered) as refused:
        world.take_back("fay", made.id, 181)
    assert refused.value.extra["left"] == 180
    assert world.take_back("fay", made.id).returned == 180
    then = world.of("fay", NOW + 60_001).pools["traffic"]
    assert (then.spent, then.left, then.overage) == (120, 0, 0)
    assert world.account(NOW + 60_001).left == 880


def test_a_deleted_user_keeps_what_use_dated_after_now_has_spent(world: World) -> None:
    world.allocate("fay", 300)
    world.use("fay", NOW + 60_000, 120)
    with world.ledger.begin() as tx:
        gone = user_funds.delete_user(tx, world.usage, "acme", "fay", now=world.now)
    assert world.of(gone.id, NOW + 60_001).pools["traffic"].overage == 0
    assert world.account().left == 880


def test_an_adjustment_that_gives_later_lets_no_more_be_taken_back_now(world: World) -> None:
    """
    fay   allocated 300 | +1 s use 120 | +2 s adjusted by -120, of which nothing is there at +1 s
    """
    made = world.allocate("fay", 300)
    world.use("fay", NOW + 1000, 120)
    world.use("fay", NOW + 2000, -120)
    world.usage.rows[-1]["kind"] = "adjustment"
    assert world.take_back("fay", made.id).returned == 180
    assert world.of("fay", NOW + 1001).pools["traffic"].overage == 0


def test_a_user_of_another_account_is_unknown(world: World) -> None:
    with world.ledger.begin() as tx:
        other = managed.create_user(tx, "beta", "bob", funded=True, now=MARCH).id
    for ask in (world.of, lambda user: world.allocate(user, 1), lambda user: world.take_back(user, "alc_x")):
        for user in (other, "bob", "nobody"):
            with pytest.raises(UnknownUser):
                ask(user)
    with pytest.raises(UnknownAccount), world.ledger.read() as tx:
        user_balance.make_user_balance(tx, world.usage, "nobody", "fay", NOW)
    for at in (0, -1):
        with pytest.raises(BadRange):
            world.of("ann", at)
        with pytest.raises(BadRange):
            world.of("fay", at)


def test_the_past_shows_allocations_made_by_then(world: World) -> None:
    world.allocate("fay", 100)
    assert world.of("fay", NOW - 1).allocations == []
    assert world.of("fay", NOW - 1).pools["traffic"].pending == 100
    assert world.account(NOW - 1).drawn == 0


def test_a_pool_of_requests_is_passed_on_in_requests(world: World) -> None:
    with world.ledger.begin() as tx:
        grants.give_grant(tx, "acme", 10, pool="api", now=MARCH)
    world.allocate("fay", 4, "api")
    world.now += 10
    world.use("fay", NOW + 1, 5000, "api", requests=3)
    assert world.of("fay").pools["api"] == PoolBalance("requests", 4, 3, 1, 0, 0, 0, 0, 0)
    assert "api" not in {name for name, pool in world.of("guy").pools.items() if pool.granted}


# -- Allocations that end ---------------------------------------------------------------------------------------------


def test_what_an_allocation_has_not_spent_when_it_ends_is_expired_and_the_accounts_draw_stays(world: World) -> None:
    """
    fay   allocated 300 until +10 | +1 use 120 | +10 (no more of it) use 5
    """
    world.allocate("fay", 300, expires_at=NOW + 10)
    world.use("fay", NOW + 1, 120)
    [alive] = world.of("fay", NOW + 9).allocations
    assert (alive.spent, alive.left, alive.expired) == (120, 180, 0)
    world.use("fay", NOW + 10, 5)
    purse, [ended] = world.of("fay", NOW + 11).pools["traffic"], world.of("fay", NOW + 11).allocations
    assert (purse.granted, purse.spent, purse.left, purse.expired, purse.overage) == (300, 120, 0, 180, 5)
    assert (ended.spent, ended.left, ended.expired, ended.returned) == (120, 0, 180, 0)
    assert (world.account(NOW + 11).left, world.account(NOW + 11).drawn) == (700, 300)


def test_nothing_comes_back_of_an_allocation_that_has_ended_not_even_when_its_user_is_deleted(world: World) -> None:
    ending, staying = world.allocate("fay", 300, expires_at=NOW + 10), world.allocate("fay", 50)
    world.now = NOW + 10  # the very instant: use is not paid any more, and nothing returned
    with pytest.raises(NotCovered) as refused:
        world.take_back("fay", ending.id, 1)
    assert refused.value.extra["left"] == 0
    assert world.take_back("fay", ending.id).returned == 0
    with world.ledger.begin() as tx:
        gone = user_funds.delete_user(tx, world.usage, "acme", "fay", now=world.now)
    assert [(one.id, one.returned) for one in world.of(gone.id).allocations] == [(ending.id, 0), (staying.id, 50)]
    assert (world.account().left, world.account().drawn) == (700, 300)


def test_before_its_end_what_is_unspent_comes_back_as_ever_and_what_ends_first_pays_first(world: World) -> None:
    staying, ending = world.allocate("fay", 50), world.allocate("fay", 300, expires_at=NOW + 1000)
    world.use("fay", NOW + 1, 120)
    world.use("fay", NOW + 500, 30)  # dated after now: clocks differ
    world.now = NOW + 10
    assert world.take_back("fay", ending.id).returned == 150
    later = world.of("fay", NOW + 2000)
    assert [(one.spent, one.left, one.expired) for one in later.allocations] == [(0, 50, 0), (150, 0, 0)]
    assert (later.pools["traffic"].overage, world.account().left) == (0, 800)
    assert world.take_back("fay", staying.id).returned == 50


def test_use_after_the_end_is_not_counted_as_spent_by_it(world: World) -> None:
    made = world.allocate("fay", 300, expires_at=NOW + 100)
    world.use("fay", NOW + 100, 40)
    world.now = NOW + 99
    assert world.take_back("fay", made.id).returned == 300


@pytest.mark.parametrize("expires_at", [NOW, NOW - 1, -1, 253_402_300_800_000])
def test_an_allocation_ends_after_it_began_or_is_refused(world: World, expires_at: int) -> None:
    with pytest.raises(Unprocessable) as refused:
        world.allocate("fay", 300, expires_at=expires_at)
    assert refused.value.extra["field"] == "expires_at"
    assert (world.account().drawn, world.of("fay").allocations) == (0, [])


# -- At once ----------------------------------------------------------------------------------------------------------


def test_allocations_at_once_never_overdraw(world: World) -> None:
    def one(number: int) -> Allocation | None:
        try:
            return world.allocate("fay" if number % 2 else "guy", 90)
        except NotCovered:
            return None

    with ThreadPoolExecutor(8) as threads:
        made = [one for one in threads.map(one, range(24)) if one is not None]
    assert len(made) == 11  # 990 of 1000
    assert (world.account().left, world.account().overage) == (10, 0)


def test_the_same_allocation_taken_back_at_once_comes_back_once(world: World) -> None:
    made = world.allocate("fay", 300)

    def back(_: int) -> bool:
        try:
            world.take_back("fay", made.id, 200)
        except NotCovered:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(back, range(16))) == 1
    assert world.account().left == 900
