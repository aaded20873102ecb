"""Leases that are renewed by themselves: once for each end, whoever is interrupted; and what cannot be renewed is told
once and tried again."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from sqlalchemy import Connection, event

from flowtally.care.renewing import LOOK_S, PAGE, Renewing
from flowtally.core.errors import ClockJumped, Unavailable
from flowtally.core.times import DAY_MS, HOUR_MS, MINUTE_MS
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger
from flowtally.ledger.inventory import lease_plans, leases, orders, stock
from flowtally.ledger.inventory.leases import StockLease
from flowtally.ledger.inventory.renewals import LEAD_MS, DueLease, due_leases, renew_due
from flowtally.ledger.inventory.stock import NewStock
from flowtally.ledger.money import wallet
from flowtally.ledger.people import accounts
from flowtally.ledger.recorded import Filter, list_records

NOW = 1_700_000_000_000
MONTH = 30 * DAY_MS
GRACE = 3 * DAY_MS


class Shop:
    """Addresses at 100 for 30 days, a clock that is moved by hand, and who renews."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.now = ledger, NOW
        self.renewing = Renewing(ledger, lambda: self.now)
        with ledger.begin() as tx:
            accounts.create_account(tx, "acme", now=1)
            wallet.deposit(tx, "acme", 1_000, now=1, currency="USD")
            stock.import_items(tx, [NewStock("isp", f"192.0.2.{n}", 8080) for n in range(1, 9)], now=2)
            lease_plans.create_lease_plan(tx, "isp", 30, 100, now=2, currency="USD", plan_id="isp-30")

    def buy(self, count: int = 1, *, auto_renew: bool = True) -> list[str]:
        with self.ledger.begin() as tx:
            made = orders.buy_leases(
                tx, "acme", "isp-30", now=self.now, count=count, grace_ms=GRACE, auto_renew=auto_renew
            )
        return list(made.leases)

    def lease(self, id: str) -> StockLease:
        with self.ledger.read() as tx:
            return leases.read_held(tx, "acme", id).lease

    def wallet(self) -> int:
        with self.ledger.read() as tx:
            return wallet.balance_of(tx, "acme")

    def told(self) -> list[str]:
        """Why leases were not renewed, as the record has it."""
        with self.ledger.read() as tx:
            found = list_records(tx, Filter(action="lease.not_renewed")).items
        return [msgspec.json.decode(one.after)["why"] for one in found]


@pytest.fixture
def shop(ledger: Ledger) -> Iterator[Shop]:
    made = Shop(ledger)
    yield made
    with ledger.read() as tx:
        assert [f"{one.where}: {one.detail}" for one in rules.faults(tx)] == []


def test_a_lease_is_renewed_from_its_end_within_the_last_hour_and_paid(shop: Shop) -> None:
    [one] = shop.buy()
    shop.now += MONTH - LEAD_MS - 1
    assert (shop.renewing.turn(), shop.wallet()) == (0, 900)
    shop.now += 1
    assert (shop.renewing.turn(), shop.wallet()) == (1, 800)
    assert shop.lease(one).ends_at == NOW + 2 * MONTH
    assert (shop.renewing.turn(), shop.wallet()) == (0, 800)


def test_one_that_is_not_to_be_renewed_ends(shop: Shop) -> None:
    [one] = shop.buy(auto_renew=False)
    shop.now += MONTH - 1
    assert shop.renewing.turn() == 0
    assert shop.lease(one).ends_at == NOW + MONTH


def test_after_its_end_it_is_renewed_until_the_grace_is_over(shop: Shop) -> None:
    """The server was off meanwhile."""
    [one] = shop.buy()
    shop.now += MONTH + GRACE - 1
    assert shop.renewing.turn() == 1
    assert shop.lease(one).ends_at == NOW + 2 * MONTH
    shop.now = NOW + 2 * MONTH + GRACE
    assert shop.renewing.turn() == 0


def test_an_empty_wallet_is_told_once_and_asked_again(shop: Shop) -> None:
    with shop.ledger.begin() as tx:
        wallet.adjust(tx, "acme", -850, now=shop.now, currency="USD", reason="paid out")
    [one] = shop.buy()
    shop.now += MONTH - LEAD_MS
    for _ in range(3):
        assert shop.renewing.turn() == 0
    assert shop.told() == ["insufficient_funds"]
    assert shop.renewing.measures() == {"renewed": 0.0, "failed": 1.0, "waiting": 1.0}
    with shop.ledger.begin() as tx:
        wallet.deposit(tx, "acme", 100, now=shop.now, currency="USD")
    shop.now += 5 * MINUTE_MS - 1
    assert shop.renewing.turn() == 0
    shop.now += 1
    assert shop.renewing.turn() == 1
    assert shop.lease(one).ends_at == NOW + 2 * MONTH
    assert shop.renewing.measures() == {"renewed": 1.0, "failed": 1.0, "waiting": 0.0}


def test_after_a_restart_it_is_not_told_again(shop: Shop) -> None:
    with shop.ledger.begin() as tx:
        wallet.adjust(tx, "acme", -900, now=shop.now, currency="USD", reason="paid out")
    shop.buy()
    shop.now += MONTH - LEAD_MS
    shop.renewing.turn()
    shop.renewing = Renewing(shop.ledger, lambda: shop.now)
    shop.renewing.turn()
    assert shop.renewing.measures()["failed"] == 1
    assert shop.told() == ["insufficient_funds"]


def test_tries_come_less_and_less_often_and_at_last_once_an_hour(shop: Shop) -> None:
    with shop.ledger.begin() as tx:
        wallet.adjust(tx, "acme", -900, now=shop.now, currency="USD", reason="paid out")
    shop.buy()
    shop.now += MONTH - LEAD_MS
    start, tried = shop.now, []
    while shop.now < start + 4 * HOUR_MS:
        before = shop.renewing.measures()["failed"]
        shop.renewing.turn()
        if shop.renewing.measures()["failed"] > before:
            tried.append((shop.now - start) // MINUTE_MS)
        shop.now += LOOK_S * 1000
    assert tried == [0, 5, 20, 80, 140, 200]
    assert shop.told() == ["insufficient_funds"]


def test_what_holds_up_one_lease_holds_up_no_other(shop: Shop) -> None:
    first, second = *shop.buy(), *shop.buy()
    item = shop.lease(first).stock_id
    with shop.ledger.begin() as tx:
        stock.retire_item(tx, item, now=shop.now)
    shop.now += MONTH - 1
    assert shop.renewing.turn() == 1
    assert (shop.lease(first).ends_at, shop.lease(second).ends_at) == (NOW + MONTH, NOW + 2 * MONTH)
    assert shop.told() == ["stock_retired"]


def test_one_that_was_renewed_by_hand_meanwhile_is_not_renewed_again(shop: Shop) -> None:
    [one] = shop.buy()
    due = DueLease(one, "acme", NOW + MONTH)
    with shop.ledger.begin() as tx:
        orders.renew_leases(tx, "acme", [one], now=shop.now)
    with shop.ledger.begin() as tx:
        assert renew_due(tx, due, now=shop.now) is None
    assert (shop.lease(one).ends_at, shop.wallet()) == (NOW + 2 * MONTH, 800)


def test_one_that_was_released_or_taken_off_meanwhile_is_left(shop: Shop) -> None:
    released, off = shop.buy(2)
    with shop.ledger.begin() as tx:
        orders.release_lease(tx, "acme", released, now=shop.now)
        orders.set_auto_renew(tx, "acme", [off], False, now=shop.now)
    with shop.ledger.begin() as tx:
        for one in (released, off):
            assert renew_due(tx, DueLease(one, "acme", NOW + MONTH), now=shop.now) is None
    shop.now += MONTH - 1
    assert shop.renewing.turn() == 0


def test_who_is_interrupted_before_the_commit_has_renewed_nothing_and_goes_on_next_time(shop: Shop) -> None:
    [one] = shop.buy()
    shop.now += MONTH - 1

    def cut(tx: Connection) -> None:
        raise Unavailable("the plug was pulled")

    event.listen(shop.ledger._writing, "commit", cut)
    with pytest.raises(Unavailable):
        shop.renewing.turn()
    event.remove(shop.ledger._writing, "commit", cut)
    assert (shop.lease(one).ends_at, shop.wallet()) == (NOW + MONTH, 900)
    assert shop.told() == []
    assert (shop.renewing.turn(), shop.wallet()) == (1, 800)


def test_a_clock_that_nobody_believes_is_not_the_fault_of_a_lease(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.buy()
    shop.now += MONTH - 1

    def refuse(*args: object) -> None:
        raise ClockJumped("an hour ahead")

    with monkeypatch.context() as patch:
        patch.setattr(shop.ledger, "begin", refuse)
        with pytest.raises(ClockJumped):
            shop.renewing.turn()
    assert shop.renewing.measures()["waiting"] == 0
    assert shop.renewing.turn() == 1


def test_all_that_are_due_are_found_page_by_page(shop: Shop) -> None:
    made = shop.buy(5)
    shop.now += MONTH - 1
    found: list[DueLease] = []
    with shop.ledger.read() as tx:
        while page := due_leases(tx, shop.now, found[-1] if found else None, limit=2):
            found += page
    assert sorted(one.id for one in found) == sorted(made)
    assert PAGE > 2


def test_the_thread_renews_and_stops(shop: Shop) -> None:
    [one] = shop.buy()
    shop.now += MONTH - 1
    shop.renewing.begin()
    for _ in range(1_000):
        if shop.lease(one).ends_at == NOW + 2 * MONTH:
            break
        shop.renewing._stop.wait(0.01)
    shop.renewing.close()
    assert shop.lease(one).ends_at == NOW + 2 * MONTH
