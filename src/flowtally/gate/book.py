"""The purse book: the balances of accounts in memory, each followed block by block, and read anew when in doubt.

Owns which accounts are in it, and when an entry is no longer true: `book.balance` says what the whole burn says, to the
byte, or asks for that one. It is followed, never told (nobody who writes waits for it):

* Use comes from the shelf of the usage store, where a block lies before its receipts go out. Blocks that are no longer
  there empty the book.
* What the ledger changed stands in its trail, in the transaction that did it. Whoever asks reads the rows of the trail
  that came since, and the entries of their accounts are forgotten; a row of no account forgets all.
* An answer is of the block and the transaction of who asks. An entry that has gone further is left alone.

Everything here can be forgotten at any moment: it is made of the stores, and they alone decide.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from flowtally.answers.account_balance import (
    Asking,
    burn_read,
    make_balance,
    read_purses,
    show_balance,
    show_figures,
)
from flowtally.answers.balances import PresentUsage
from flowtally.answers.moment import Moment
from flowtally.core.times import END_OF_TIME
from flowtally.gate.purses import AccountEntry, Figures, figures_at, follow, is_exact, make_entry
from flowtally.ledger.database import Tx
from flowtally.ledger.trail import audited_accounts, audited_to
from flowtally.protocol import BalanceAnswer
from flowtally.usage.shelf import Shelf

MOST_ACCOUNTS: Final = 20_000
MOST_ROWS: Final = 1_000  # of the trail that are read at once: with more all is read anew


class PurseBook:
    """`PresentBalances` of one server. Any thread may ask; the lock is held for what memory has, never for a store."""

    def __init__(self, shelf: Shelf, most_accounts: int = MOST_ACCOUNTS) -> None:
        self._shelf = shelf
        self._most = most_accounts
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, AccountEntry] = OrderedDict()  # who was asked for last is the last
        self._block = 0
        self._audited = 0
        self._answered = 0
        self._burnt = 0

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
        """As `answers.balances.PresentBalances` says."""
        promises, audited = audited_to(tx)
        if moment is not None and moment.promise != promises:
            return make_balance(tx, usage, account, now, moment, tell_never_paid=tell_never_paid)
        block = usage.published().block
        changed = self._changed(tx, audited)
        with self._lock:
            self._catch_up(block, audited, changed, now)
            found = self._look(account, block, audited, now)
            if found is not None and not (tell_never_paid and _has_lost(found[1])):
                self._answered += 1
                entry, figures = found
                return show_figures(account, now, entry.given, figures, moment, [])
            self._burnt += 1
        return self._read(tx, usage, account, now, moment, block, audited, tell_never_paid=tell_never_paid)

    def clear(self) -> None:
        """Forget all of it."""
        with self._lock:
            self._entries.clear()

    def measures(self) -> dict[str, float]:
        """Gauges for /metrics."""
        with self._lock:
            return {
                "accounts": float(len(self._entries)),
                "answered": float(self._answered),
                "burnt": float(self._burnt),
                **{f"shelf_{name}": value for name, value in self._shelf.measures().items()},
            }

    def _changed(self, tx: Tx, audited: int) -> list[str] | None:
        """Whose promises changed since the book last looked; None: everybody's."""
        known = self._audited
        return [] if audited <= known else audited_accounts(tx, known, audited, MOST_ROWS)

    def _catch_up(self, block: int, audited: int, changed: list[str] | None, now: int) -> None:
        if audited > self._audited:
            self._forget(changed)
            self._audited = audited
        if block > self._block:
            blocks = self._shelf.since(self._block, block)
            if blocks is None:
                self._entries.clear()
            else:
                follow(self._entries, blocks, now)
            self._block = block

    def _forget(self, accounts: list[str] | None) -> None:
        if accounts is None:
            self._entries.clear()
        else:
            for account in accounts:
                self._entries.pop(account, None)

    def _look(self, account: str, block: int, audited: int, now: int) -> tuple[AccountEntry, Figures] | None:
        """What the entry says of this block, these promises and this instant; None: it does not."""
        entry = self._entries.get(account)
        if entry is None or entry.block > block or entry.audited > audited:
            return None
        figures = figures_at(entry, now)
        if figures is None:
            if not is_exact(entry):
                del self._entries[account]
            return None
        self._entries.move_to_end(account)
        return entry, figures

    def _read(
        self,
        tx: Tx,
        usage: PresentUsage,
        account: str,
        now: int,
        moment: Moment | None,
        block: int,
        audited: int,
        *,
        tell_never_paid: bool,
    ) -> BalanceAnswer:
        """The whole burn, which is the entry from now on."""
        read = read_purses(tx, account, moment)
        asking = Asking(usage)
        burnt = burn_read(read, now, asking.sums)
        # What is dated ahead is in no sum: who has such use is burnt whole until it is past.
        if not usage.extent(now, END_OF_TIME, read.where).rows:
            self._keep(account, make_entry(read, burnt, now, block=block, audited=audited), now)
        return show_balance(account, now, read.given, burnt, moment, asking.oldest if tell_never_paid else None)

    def _keep(self, account: str, entry: AccountEntry, now: int) -> None:
        """Where the book has gone further meanwhile: with what came since, if that is known."""
        with self._lock:
            if entry.audited != self._audited:
                return
            later = self._shelf.since(entry.block, self._block)
            if later is None:
                return
            follow({account: entry}, later, now)
            self._entries[account] = entry
            self._entries.move_to_end(account)
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)


def _has_lost(figures: Figures) -> bool:
    """Whether there is use that nothing will ever pay: what it was, and when, only a whole burn tells."""
    return any(one.overage_before_carry or one.forgiven for _, one in figures.values())
