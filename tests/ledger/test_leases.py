"""Leases one by one: bought, given, renewed from the end, upgraded for the rest, released; what is refused, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, text

from flowtally.core.errors import (
    AccountSuspended,
    Conflict,
    InsufficientFunds,
    LeaseEnded,
    NotFound,
    OutOfStock,
    PlanRetired,
    StockHeld,
    StockRetired,
    UnknownAccount,
    Unprocessable,
)
from flowtally.core.leasing import Site, Size
from flowtally.core.times import DAY_MS
from flowtally.core.words import LeaseState
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger
from flowtally.ledger.erasing import erased_accounts
from flowtally.ledger.inventory import lease_plans, leases, orders, stock
from flowtally.ledger.inventory.stock import NewStock
from flowtally.ledger.money import wallet
from flowtally.ledger.people import accounts
from flowtally.ledger.recorded import Filter, list_records

NOW = 1_700_000_000_000
GRACE = 3 * DAY_MS
SMALL, LARGE = Size(8, 16_384, 200), Size(16, 32_768, 200)


@pytest.fixture
def tx(ledger: Ledger) -> Iterator[Connection]:
    """Of a ledger with a rich account, a poor one, three addresses, two servers and their plans; sound at the end."""
    with ledger.begin() as tx:
        for name in ("acme", "beta"):
            accounts.create_account(tx, name, now=1)
        wallet.deposit(tx, "acme", 10_000, now=1, currency="USD")
        addresses = [NewStock("isp", f"192.0.2.{n}", 8080, place=Site("US" if n < 3 else "DE")) for n in (1, 2, 3)]
        servers = [NewStock("unlimited", f"gate-{n}.example", size=SMALL) for n in (1, 2)]
        stock.import_items(tx, [*addresses, *servers], now=2)
        plans: Any = (("isp", 30, 60, {}), ("isp", 7, 20, {}), ("de", 30, 50, {"place": Site("DE")}))
        for name, days, price, more in plans:
            lease_plans.create_lease_plan(
                tx, "isp", days, price, now=2, currency="USD", plan_id=f"{name}-{days}", **more
            )
        for name, size, price in (("small", SMALL, 300), ("large", LARGE, 700), ("cheap", LARGE, 100)):
            lease_plans.create_lease_plan(
                tx, "unlimited", 30, price, now=2, currency="USD", plan_id=name, size=size, name=name
            )
        yield tx
        assert [f"{one.where}: {one.detail}" for one in rules.faults(tx)] == []


def buy(tx: Connection, plan: str = "isp-30", now: int = NOW, account: str = "acme") -> leases.StockLease:
    [lease] = orders.buy_leases(tx, account, plan, now=now, grace_ms=GRACE).leases
    return leases.read_held(tx, account, lease).lease


def test_what_is_bought_is_paid_and_held_until_its_end(tx: Connection) -> None:
    order = orders.buy_leases(tx, "acme", "isp-30", now=NOW, count=2, grace_ms=GRACE, auto_renew=True)
    assert (order.what, order.price, wallet.balance_of(tx, "acme")) == ("bought", 120, 9_880)
    assert orders.read_order(tx, "acme", order.id) == order
    [entry] = wallet.list_entries(tx, "acme", reference=order.id).items
    assert (entry.id, entry.kind, entry.amount) == (order.transfer_id, "purchase", -120)
    held = leases.held_by(tx, "acme", at=NOW)
    assert [one.lease.id for one in held] == list(order.leases)
    assert {(one.lease.ends_at, one.lease.auto_renew, one.lease.plan_id) for one in held} == {
        (NOW + 30 * DAY_MS, True, "isp-30")
    }
    assert len({one.item.id for one in held}) == 2
    assert leases.held_by(tx, "acme", at=NOW + 30 * DAY_MS) == leases.held_by(tx, "acme", at=NOW - 1) == []
    assert leases.held_by(tx, "acme", at=NOW, kind="unlimited") == []


def test_more_than_are_free_are_refused_and_nothing_is_paid(tx: Connection) -> None:
    with pytest.raises(OutOfStock) as refused:
        orders.buy_leases(tx, "acme", "isp-30", now=NOW, count=4)
    assert refused.value.extra == {"free": 3}
    with pytest.raises(OutOfStock):
        orders.buy_leases(tx, "acme", "isp-30", now=NOW, count=2, place=Site("DE"))
    with pytest.raises(OutOfStock):
        orders.buy_leases(tx, "acme", "large", now=NOW)  # servers of another size
    assert wallet.balance_of(tx, "acme") == 10_000
    order = orders.buy_leases(tx, "acme", "de-30", now=NOW)
    assert leases.read_held(tx, "acme", order.leases[0]).item.place == Site("DE")


def test_some_can_be_chosen(tx: Connection) -> None:
    free = [one.id for one in stock.list_items(tx, at=NOW, kind="isp").items]
    order = orders.buy_leases(tx, "acme", "isp-30", now=NOW, some=free[1:])
    assert [one.item.id for one in leases.held_by(tx, "acme", at=NOW)] == free[1:]
    assert order.price == 120
    with pytest.raises(StockHeld):
        orders.buy_leases(tx, "acme", "isp-30", now=NOW, some=free)
    with pytest.raises(Unprocessable, match="twice"):
        orders.buy_leases(tx, "acme", "isp-30", now=NOW, some=[free[0], free[0]])
    with pytest.raises(Unprocessable, match="place"):
        orders.buy_leases(tx, "acme", "de-30", now=NOW, some=free[:1])
    with pytest.raises(Unprocessable, match="'unlimited'"):
        orders.buy_leases(tx, "acme", "small", now=NOW, some=free[:1])
    stock.retire_item(tx, free[0], now=NOW)
    with pytest.raises(StockRetired):
        orders.buy_leases(tx, "acme", "isp-30", now=NOW, some=free[:1])
    with pytest.raises(NotFound):
        orders.buy_leases(tx, "acme", "isp-30", now=NOW, some=["stk_9"])


def test_what_nobody_held_for_longest_is_leased_first(tx: Connection) -> None:
    first = buy(tx, "isp-7")
    orders.release_lease(tx, "acme", first.id, now=NOW + 1)
    bought = [buy(tx, now=NOW + 2).stock_id for _ in range(3)]
    assert bought[-1] == first.stock_id
    assert len(set(bought)) == 3


def test_who_cannot_pay_gets_nothing(tx: Connection) -> None:
    with pytest.raises(InsufficientFunds):
        buy(tx, account="beta")
    assert leases.list_leases(tx, "beta", at=NOW).items == []
    assert stock.list_items(tx, at=NOW, state="leased").items == []


def test_whose_account_is_not_active_buys_renews_and_upgrades_nothing(tx: Connection) -> None:
    lease = buy(tx, "small")
    accounts.change_account(tx, "acme", status="suspended", now=NOW)
    with pytest.raises(AccountSuspended):
        buy(tx)
    with pytest.raises(AccountSuspended):
        orders.renew_leases(tx, "acme", [lease.id], now=NOW)
    with pytest.raises(AccountSuspended):
        orders.upgrade_lease(tx, "acme", lease.id, "large", now=NOW)
    assert orders.renew_leases(tx, "acme", [lease.id], now=NOW, paid=False).transfer_id is None
    with pytest.raises(UnknownAccount):
        buy(tx, account="nobody")


@pytest.mark.parametrize("late", [-DAY_MS, 0, GRACE - 1])
def test_a_renewal_goes_on_from_the_end_also_within_the_grace(tx: Connection, late: int) -> None:
    lease = buy(tx)
    assert lease.ends_at is not None
    order = orders.renew_leases(tx, "acme", [lease.id], now=lease.ends_at + late, plan_id="isp-7")
    after = leases.read_held(tx, "acme", lease.id).lease
    assert (after.ends_at, after.plan_id, order.price) == (lease.ends_at + 7 * DAY_MS, "isp-7", 20)
    assert wallet.balance_of(tx, "acme") == 10_000 - 60 - 20
    [bought, renewed] = leases.terms_of(tx, lease.id)
    assert (bought.ends_at, renewed.starts_at, renewed.ends_at) == (lease.ends_at, lease.ends_at, after.ends_at)


def test_after_the_grace_it_is_over_and_free_for_others(tx: Connection) -> None:
    lease = buy(tx)
    assert lease.ends_at is not None
    over = lease.ends_at + GRACE
    with pytest.raises(StockHeld):
        orders.give_lease(tx, "beta", lease.stock_id, now=over - 1)
    with pytest.raises(LeaseEnded):
        orders.renew_leases(tx, "acme", [lease.id], now=over)
    orders.give_lease(tx, "beta", lease.stock_id, now=over)
    assert [one.account for one in leases.list_holders(tx, lease.stock_id).items] == ["acme", "beta"]
    assert orders.release_lease(tx, "acme", lease.id, now=over + 1) == lease


def test_a_renewal_that_would_be_over_by_now_is_refused(tx: Connection) -> None:
    [id] = orders.buy_leases(tx, "acme", "isp-7", now=NOW, grace_ms=20 * DAY_MS).leases
    with pytest.raises(Unprocessable, match="over by now"):
        orders.renew_leases(tx, "acme", [id], now=NOW + 14 * DAY_MS)
    orders.renew_leases(tx, "acme", [id], now=NOW + 14 * DAY_MS - 1)


def test_some_are_renewed_together_or_none(tx: Connection) -> None:
    first, second = buy(tx), buy(tx)
    order = orders.renew_leases(tx, "acme", [first.id, second.id], now=NOW)
    assert (order.price, len(wallet.list_entries(tx, "acme").items)) == (120, 4)
    stock.retire_item(tx, second.stock_id, now=NOW)
    with pytest.raises(StockRetired):
        orders.renew_leases(tx, "acme", [first.id, second.id], now=NOW)
    lease_plans.retire_lease_plan(tx, "isp-30", now=NOW)
    with pytest.raises(PlanRetired):
        orders.renew_leases(tx, "acme", [first.id], now=NOW)
    with pytest.raises(NotFound):
        orders.renew_leases(tx, "beta", [first.id], now=NOW)
    with pytest.raises(Unprocessable, match="'unlimited'"):
        orders.renew_leases(tx, "acme", [first.id], now=NOW, plan_id="small")


def test_an_upgrade_costs_the_difference_for_the_rest_and_renewals_are_of_the_new_size(tx: Connection) -> None:
    lease = buy(tx, "small")
    at = NOW + 15 * DAY_MS
    order = orders.upgrade_lease(tx, "acme", lease.id, "large", now=at)
    after = leases.read_held(tx, "acme", lease.id).lease
    assert (order.what, order.price, after.size, after.plan_id) == ("upgraded", 200, LARGE, "large")
    assert (after.ends_at, wallet.balance_of(tx, "acme")) == (lease.ends_at, 10_000 - 300 - 200)
    with pytest.raises(Unprocessable, match="another size"):
        orders.renew_leases(tx, "acme", [lease.id], now=at, plan_id="small")
    assert orders.renew_leases(tx, "acme", [lease.id], now=at).price == 700
    with pytest.raises(Conflict, match="not larger"):
        orders.upgrade_lease(tx, "acme", lease.id, "large", now=at)


def test_what_is_no_upgrade_is_refused(tx: Connection) -> None:
    lease = buy(tx, "small")
    with pytest.raises(Conflict, match="costs less"):
        orders.upgrade_lease(tx, "acme", lease.id, "cheap", now=NOW)
    with pytest.raises(Conflict, match="not larger"):
        orders.upgrade_lease(tx, "acme", lease.id, "small", now=NOW)
    with pytest.raises(Unprocessable, match="'isp'"):
        orders.upgrade_lease(tx, "acme", lease.id, "isp-30", now=NOW)
    assert lease.ends_at is not None
    with pytest.raises(LeaseEnded, match="renew it first"):
        orders.upgrade_lease(tx, "acme", lease.id, "large", now=lease.ends_at)
    stock.retire_item(tx, lease.stock_id, now=NOW)
    with pytest.raises(StockRetired):
        orders.upgrade_lease(tx, "acme", lease.id, "large", now=NOW)


def test_what_is_given_costs_nothing_and_may_have_no_end(tx: Connection) -> None:
    free = [one.id for one in stock.list_items(tx, at=NOW, kind="isp").items]
    by_plan, until, endless = (
        orders.give_lease(tx, "beta", free[0], now=NOW, plan_id="isp-7", auto_renew=True),
        orders.give_lease(tx, "beta", free[1], now=NOW, starts_at=5, ends_at=NOW + 9),
        orders.give_lease(tx, "beta", free[2], now=NOW),
    )
    held = [leases.read_held(tx, "beta", one.leases[0]).lease for one in (by_plan, until, endless)]
    assert [one.ends_at for one in held] == [NOW + 7 * DAY_MS, NOW + 9, None]
    assert [one.price for one in (by_plan, until, endless)] == [20, 0, 0]
    assert wallet.list_entries(tx, "beta").items == []
    with pytest.raises(LeaseEnded, match="no end"):
        orders.renew_leases(tx, "beta", [held[2].id], now=NOW, plan_id="isp-7")
    with pytest.raises(Unprocessable, match="without a plan"):
        orders.renew_leases(tx, "beta", [held[1].id], now=NOW)
    assert orders.renew_leases(tx, "beta", [held[1].id], now=NOW, plan_id="isp-7", paid=False).price == 20
    with pytest.raises(StockHeld):
        orders.give_lease(tx, "acme", free[2], now=NOW + DAY_MS, starts_at=4)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"starts_at": NOW + 1}, "begins now or earlier"),
        ({"starts_at": -1}, "starts_at"),
        ({"ends_at": NOW}, "ends_at"),
        ({"plan_id": "isp-7", "ends_at": NOW + 1}, "the plan says when"),
        ({"plan_id": "small"}, "'unlimited'"),
        ({"auto_renew": True}, "with a plan"),
        ({"grace_ms": -1}, "grace_ms"),
    ],
)
def test_what_cannot_be_given_is_refused(tx: Connection, more: dict[str, object], said: str) -> None:
    item = stock.list_items(tx, at=NOW, kind="isp").items[0]
    with pytest.raises(Unprocessable, match=said):
        orders.give_lease(tx, "beta", item.id, now=NOW, **more)  # type: ignore[arg-type]


def test_a_release_frees_it_at_once_and_gives_nothing_back(tx: Connection) -> None:
    lease = buy(tx)
    released = orders.release_lease(tx, "acme", lease.id, now=NOW + 5)
    assert (released.released_at, released.auto_renew) == (NOW + 5, False)
    assert orders.release_lease(tx, "acme", lease.id, now=NOW + 9) == released
    orders.give_lease(tx, "beta", lease.stock_id, now=NOW + 5)
    assert wallet.balance_of(tx, "acme") == 9_940
    with pytest.raises(LeaseEnded):
        orders.renew_leases(tx, "acme", [lease.id], now=NOW + 9)
    with pytest.raises(LeaseEnded):
        orders.set_auto_renew(tx, "acme", [lease.id], True, now=NOW + 9)


def test_lists_show_what_a_lease_is_at_an_instant(tx: Connection) -> None:
    first, second, third = buy(tx), buy(tx, "isp-7"), buy(tx, "small")
    orders.release_lease(tx, "acme", third.id, now=NOW + 1)

    def listed(state: LeaseState, at: int) -> list[str]:
        found = [one.lease for one in leases.list_leases(tx, "acme", at=at, state=state).items]
        assert all(one.state(at) == state for one in found)
        return [one.id for one in found]

    assert second.ends_at is not None
    for at, active, grace, ended in (
        (NOW + 1, [first.id, second.id], [], []),
        (second.ends_at, [first.id], [second.id], []),
        (second.ends_at + GRACE, [first.id], [], [second.id]),
    ):
        assert [listed(one, at) for one in ("active", "grace", "ended")] == [active, grace, ended]
        assert listed("released", at) == [third.id]
    assert [one.lease.id for one in leases.list_leases(tx, "acme", at=NOW, kind="unlimited").items] == [third.id]


def test_whether_it_is_renewed_by_itself_can_be_said(tx: Connection) -> None:
    lease = buy(tx)
    [on] = orders.set_auto_renew(tx, "acme", [lease.id], True, now=NOW)
    assert on.auto_renew
    assert leases.read_held(tx, "acme", lease.id).lease == on
    [off] = orders.set_auto_renew(tx, "acme", [lease.id], False, now=NOW)
    assert off == lease
    given = orders.give_lease(tx, "beta", buy_nothing(tx), now=NOW, ends_at=NOW + 9).leases[0]
    with pytest.raises(Unprocessable, match="no plan"):
        orders.set_auto_renew(tx, "beta", [given], True, now=NOW)


def buy_nothing(tx: Connection) -> str:
    return stock.list_items(tx, at=NOW, kind="isp", state="free").items[0].id


def test_an_order_is_read_by_its_account_alone(tx: Connection) -> None:
    order = orders.buy_leases(tx, "acme", "isp-30", now=NOW)
    for account, id in (("beta", order.id), ("acme", "ord_9"), ("acme", "\x00")):
        with pytest.raises(NotFound):
            orders.read_order(tx, account, id)


def test_plans_are_listed_by_kind_and_without_those_that_are_retired(tx: Connection) -> None:
    lease_plans.retire_lease_plan(tx, "isp-7", now=NOW)
    assert lease_plans.retire_lease_plan(tx, "isp-7", now=NOW + 1).retired_at == NOW
    assert [one.id for one in lease_plans.list_lease_plans(tx, kind="isp").items] == ["de-30", "isp-30"]
    assert len(lease_plans.list_lease_plans(tx, retired=True).items) == 6
    assert lease_plans.read_lease_plan(tx, "small").size == SMALL
    with pytest.raises(PlanRetired):
        buy(tx, "isp-7")
    with pytest.raises(Conflict, match="exists already"):
        lease_plans.create_lease_plan(tx, "isp", 1, 1, now=NOW, currency="USD", plan_id="isp-7")
    with pytest.raises(Unprocessable):
        lease_plans.create_lease_plan(tx, "isp", 0, 1, now=NOW, currency="USD")


def test_an_erased_account_lets_go_of_what_it_had_and_the_history_stays(tx: Connection) -> None:
    item = buy_nothing(tx)
    orders.give_lease(tx, "beta", item, now=NOW)
    accounts.change_account(tx, "beta", status="closed", now=NOW + 1)
    erased_accounts.erase_account(tx, "beta", now=NOW + 2)
    [lease] = leases.list_holders(tx, item).items
    assert (lease.account, lease.released_at) == ("beta", NOW + 2)
    assert orders.give_lease(tx, "acme", item, now=NOW + 2).leases


def test_what_happened_to_a_lease_is_in_the_audit_trail(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        made = stock.add_item(tx, NewStock("isp", "192.0.2.1", sealed="hidden"), now=2)
        [lease] = orders.give_lease(tx, "acme", made.id, now=3).leases
        orders.release_lease(tx, "acme", lease, now=4)
    with ledger.read() as tx:
        records = list_records(tx, Filter()).items
        told = [(one.action, one.subject) for one in records]
    assert told[-3:] == [("stock.add", made.id), ("lease.give", lease), ("lease.release", lease)]
    assert not [one for one in records if "hidden" in str(one)]


BREAKS = [
    ("UPDATE leases SET released_at = NULL WHERE account = 'acme'", "ends, was released or has a plan otherwise"),
    ("UPDATE leases SET ends_at = ends_at + 1", "ends, was released or has a plan otherwise"),
    ("UPDATE leases SET cpu_cores = 64", "is of another size"),
    ("UPDATE leases SET starts_at = starts_at - 1", "begins at another instant"),
    ("UPDATE lease_terms SET price = price + 1 WHERE what = 'upgraded'", "costs 401 instead of 400"),
    ("UPDATE lease_terms SET price = 59 WHERE number = 1 AND price = 60", "its leases cost 0.000059 USD"),
    ("UPDATE lease_terms SET ends_at = ends_at + 1 WHERE number = 1", "ends at another instant"),
    ("UPDATE lease_terms SET number = 9 WHERE number = 2", "has no term 2"),
    ("UPDATE lease_terms SET what = 'renewed' WHERE what = 'bought'", "cannot be renewed by its term 1"),
    ("UPDATE lease_terms SET transfer_id = NULL WHERE what = 'bought'", "was bought and nobody paid"),
    ("UPDATE lease_terms SET order_id = 'ord_1' WHERE what = 'renewed'", "its leases cost"),
    ("UPDATE lease_terms SET currency = 'EUR'", "its leases cost"),
    ("UPDATE transfer_entries SET account = 'beta' WHERE amount = -60", "its leases cost"),
    ("UPDATE leases SET stock_id = (SELECT stock_id FROM leases WHERE account = 'beta')", "at the same time"),
    ("DELETE FROM lease_terms WHERE transfer_id IS NOT NULL", "a purchase that is not there"),
    ("UPDATE lease_plans SET currency = 'EUR'", "keeps money in EUR, USD"),
]


@pytest.mark.parametrize(("statement", "said"), BREAKS)
def test_leases_that_are_not_what_their_terms_say_are_named(ledger: Ledger, statement: str, said: str) -> None:
    with ledger.begin() as tx:
        fill(tx)
        assert list(rules.faults(tx)) == []
        tx.execute(text(statement))
        found = [fault.detail for fault in rules.faults(tx)]
    assert [one for one in found if said in one], found


def fill(tx: Connection) -> None:
    """One lease that was bought, renewed and released; one that was given; one that was upgraded."""
    for name in ("acme", "beta"):
        accounts.create_account(tx, name, now=1)
    wallet.deposit(tx, "acme", 10_000, now=1, currency="USD")
    stock.import_items(tx, [NewStock("isp", f"192.0.2.{n}", 1) for n in (1, 2)], now=2)
    server = stock.add_item(tx, NewStock("unlimited", "gate.example", size=SMALL), now=2)
    lease_plans.create_lease_plan(tx, "isp", 30, 60, now=2, currency="USD", plan_id="isp")
    for name, size, price in (("small", SMALL, 300), ("large", LARGE, 700)):
        lease_plans.create_lease_plan(tx, "unlimited", 30, price, now=2, currency="USD", plan_id=name, size=size)
    [first] = orders.buy_leases(tx, "acme", "isp", now=NOW).leases
    orders.renew_leases(tx, "acme", [first], now=NOW)
    orders.release_lease(tx, "acme", first, now=NOW + 9)
    [second] = orders.buy_leases(tx, "acme", "small", now=NOW, some=[server.id]).leases
    orders.upgrade_lease(tx, "acme", second, "large", now=NOW)
    [free] = stock.list_items(tx, at=NOW, state="free").items
    orders.give_lease(tx, "beta", free.id, now=NOW)
