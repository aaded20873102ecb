"""The covered check and the draw are one transaction, on both databases and from two processes' connections."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from flowtally.answers.account_balance import make_balance
from flowtally.core.errors import NotCovered
from flowtally.funding import user_funds
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts, managed
from flowtally.ledger.traffic import grants
from flowtally.usage.memory import MemoryStore

USE = {"series": "metered", "account": "acme", "user": "", "product": "isp", "bytes_up": 0, "requests": 1}


def test_allocations_at_once_never_overdraw(ledger: Ledger, url: str) -> None:
    other = Ledger.open(url)  # as a second process would
    usage = MemoryStore()
    usage.rows.append({**USE, "bytes_down": 100, "time": 5})
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        grants.give_grant(tx, "acme", 1000, now=1)
        for name in ("fay", "guy"):
            managed.create_user(tx, "acme", name, funded=True, now=2)

    def allocate(turn: int) -> bool:
        try:
            with (ledger, other)[turn % 2].begin() as tx:
                # The clocks of two processes differ: the later writer may come with the earlier time.
                user_funds.allocate(tx, usage, "acme", "fay" if turn % 3 else "guy", 70, now=100 - turn)
        except NotCovered:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(allocate, range(32))) == 12  # 840 of 900
    with ledger.read() as tx:
        pool = make_balance(tx, usage, "acme", 200).pools["traffic"]
    assert (pool.left, pool.overage, pool.drawn) == (60, 0, 840)
    other.close()
