"""Balances of now, for whoever answers with one: through this alone, so that no two doors can differ.

Owns the protocol. `account_balance` is the whole burn, from what the stores hold; `gate.book` fulfils this with purses
that go on from the last one, and says the same to the byte.
"""

from __future__ import annotations

from typing import Protocol

from flowtally.answers.account_balance import BalanceUsage
from flowtally.answers.moment import Moment
from flowtally.ledger.database import Tx
from flowtally.protocol import BalanceAnswer
from flowtally.usage.verbs import Commits


class PresentUsage(BalanceUsage, Commits, Protocol):
    """What a balance of now asks, of use up to one block, and which block that is."""


class PresentBalances(Protocol):
    """Whoever has balances of now."""

    def balance(
        self,
        tx: Tx,
        usage: PresentUsage,
        account: str,
        now: int,
        moment: Moment | None = None,
        *,
        tell_never_paid: bool = False,
    ) -> BalanceAnswer:
        """What the account has left at `now`, as known at `moment`, or as the transaction and the last block of `usage`
        say; with what nothing will pay, where that is asked for. UnknownAccount."""
