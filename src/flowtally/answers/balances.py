"""Balances of now, for whoever answers with one: through this alone, so that no two doors can differ.

Owns the protocol, and its plain form: the whole burn, from what the stores hold. `gate.book` has the other, which goes
on from the last one, and says the same to the byte.
"""

from __future__ import annotations

from typing import Protocol

from flowtally.answers.account_balance import BalanceUsage, make_balance
from flowtally.answers.moment import Moment
from flowtally.ledger.database import Tx
from flowtally.protocol import BalanceAnswer
from flowtally.usage.verbs import Commits


class BalancesUsage(BalanceUsage, Commits, Protocol):
    """What a balance of now asks, of use up to one block, and which block that is."""


class Balances(Protocol):
    """Whoever has balances of now."""

    def balance(
        self,
        tx: Tx,
        usage: BalancesUsage,
        account: str,
        now: int,
        moment: Moment | None = None,
        *,
        tell_never_paid: bool = False,
    ) -> BalanceAnswer:
        """What the account has left at `now`, as known at `moment`, or as the transaction and the last block of `usage`
        say; with what nothing will pay, where that is asked for. UnknownAccount."""


class WholeBalances:
    """Each from all that is stored."""

    def balance(
        self,
        tx: Tx,
        usage: BalancesUsage,
        account: str,
        now: int,
        moment: Moment | None = None,
        *,
        tell_never_paid: bool = False,
    ) -> BalanceAnswer:
        return make_balance(tx, usage, account, now, moment, tell_never_paid=tell_never_paid)
