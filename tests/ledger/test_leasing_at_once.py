"""Whoever leases at once leases in turns, on both databases and from two processes' connections."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from flowtally.core.errors import InsufficientFunds, OutOfStock
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger
from flowtally.ledger.inventory import lease_plans, leases, orders, stock
from flowtally.ledger.inventory.stock import NewStock
from flowtally.ledger.money import wallet
from flowtally.ledger.people import accounts

BUYERS, ADDRESSES, PRICE, PAID_IN = 50, 10, 70, 100


def test_fifty_buyers_race_for_ten_addresses_and_ten_have_one_each_paid_once(ledger: Ledger, url: str) -> None:
    other = Ledger.open(url)  # as a second process would
    with ledger.begin() as tx:
        for n in range(BUYERS):
            accounts.create_account(tx, f"a{n}", now=1)
            wallet.deposit(tx, f"a{n}", PAID_IN, now=1, currency="USD")
        stock.import_items(tx, [NewStock("isp", f"192.0.2.{n}", 8080) for n in range(ADDRESSES)], now=1)
        lease_plans.create_lease_plan(tx, "isp", 30, PRICE, now=1, currency="USD", plan_id="isp")

    def buy(n: int) -> int:
        """Twice: who has one cannot pay for another."""
        bought = 0
        for _ in range(2):
            try:
                with (ledger, other)[n % 2].begin() as tx:
                    orders.buy_leases(tx, f"a{n}", "isp", now=2)
                bought += 1
            except (OutOfStock, InsufficientFunds):
                pass
        return bought

    with ThreadPoolExecutor(8) as threads:
        bought = list(threads.map(buy, range(BUYERS)))
    assert sorted(bought) == [0] * (BUYERS - ADDRESSES) + [1] * ADDRESSES
    with ledger.read() as tx:
        held = [one for n in range(BUYERS) for one in leases.held_by(tx, f"a{n}", at=2)]
        assert len({one.item.address for one in held}) == len(held) == ADDRESSES
        left = [wallet.balance_of(tx, f"a{n}") for n in range(BUYERS)]
        assert left == [PAID_IN - PRICE * one for one in bought]
        assert list(rules.faults(tx)) == []
    other.close()
