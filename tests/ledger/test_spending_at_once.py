"""Whoever spends at once spends in turns, on both databases and from two processes' connections."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from flowtally.core.errors import InsufficientFunds
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger
from flowtally.ledger.money import plans, purchases, wallet
from flowtally.ledger.people import accounts
from flowtally.ledger.traffic import grants


def test_purchases_and_payments_at_once_never_overdraw(ledger: Ledger, url: str) -> None:
    other = Ledger.open(url)  # as a second process would
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        wallet.deposit(tx, "acme", 1000, now=1, currency="USD")
        plans.create_plan(tx, "Small", 5, 70, now=1, currency="USD", plan_id="small")

    def spend(turn: int) -> bool:
        try:
            with (ledger, other)[turn % 2].begin() as tx:
                if turn % 4:
                    purchases.purchase(tx, "acme", "small", now=2)
                else:
                    wallet.adjust(tx, "acme", -70, now=2, currency="USD", reason="paid out")
        except InsufficientFunds:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(spend, range(32))) == 14  # 980 of 1000
    with ledger.read() as tx:
        assert wallet.balance_of(tx, "acme") == 20
        bought = purchases.list_purchases(tx, "acme").items
        assert [one.grant_id for one in bought] == [one.id for one in grants.grants_of(tx, "acme")]
        assert list(rules.faults(tx)) == []
    other.close()
