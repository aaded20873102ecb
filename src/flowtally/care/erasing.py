"""Finishing erasures: what the ledger's transaction could not forget at once (decisions 0024 and 0102).

Owns the order. Since the request the ledger knows that a user is erased and has no name for it any more; here the
labels of its rows go, which all have to stand in the table for that, then what is left in files and in the journal, and
only then the record says that it is finished. Of an account the
request closed every door; here its texts go out of the ledger too, a step at a time, so that others are written in
between. Whatever dies in between, the next start finds the record and does all of it again, which is safe.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from flowtally.care.backup import BetweenBlocks
from flowtally.care.job import Progress
from flowtally.core.errors import Settling, Unavailable
from flowtally.ledger.database import Ledger
from flowtally.ledger.erasing import erased_accounts, erasures
from flowtally.ledger.trail import server
from flowtally.usage.verbs import Texts

AT_ONCE: Final = 500  # users
ACCOUNTS_AT_ONCE: Final = 50
PAUSE_S: Final = 0.002  # between two steps in the ledger: whoever waits to write has a turn
AGAIN_S: Final = 1.0
_ERASING: Final = server("erasing")
READERS_S: Final = 600  # the longest a reader may keep the ledger's old pages: a backup of a large one


class FinishedErasures(msgspec.Struct, frozen=True):
    """How many erasures were finished: of users, of whole accounts."""

    users: int
    accounts: int = 0


def finish_erasures(
    ledger: Ledger,
    usage: Texts,
    forget_names: Callable[[str], None],
    between_blocks: BetweenBlocks,
    clock: Callable[[], int],
    say: Progress,
    forget_held: Callable[[Sequence[str]], int] = lambda users: 0,
    forget_held_of: Callable[[Sequence[str]], int] = lambda accounts: 0,
    erase_journal: Callable[[int], None] = lambda block: None,
) -> FinishedErasures:
    """All that are pending. Raises Stopped, Unavailable or StorageFull: what is not finished stays pending."""
    done = whole = 0
    while accounts := _pending_accounts(ledger):
        for account in accounts:
            forget_names(account)
        last = _let_the_block_under_way_end(between_blocks, say)
        for account in accounts:
            _empty_ledger(ledger, account, say)
        _forget_held(forget_held_of, accounts, say)
        usage.erase_texts_of_accounts(accounts, say)
        _once_nobody_reads(partial(erase_journal, last), "journal", say)
        _drop_old_bytes(ledger, say)
        for account in accounts:
            _finish_account(ledger, account, clock)
        whole += len(accounts)
    while users := _pending(ledger):
        _forget(ledger, users, forget_names)
        last = _let_the_block_under_way_end(between_blocks, say)
        _forget_held(forget_held, users, say)
        usage.erase_texts(users, say)
        _once_nobody_reads(partial(erase_journal, last), "journal", say)
        _drop_old_bytes(ledger, say)
        with ledger.begin(_ERASING) as tx:
            erasures.finish(tx, users, now=clock())
        done += len(users)
    return FinishedErasures(done, whole)


def _pending_accounts(ledger: Ledger) -> list[str]:
    with ledger.read() as tx:
        return erased_accounts.pending(tx, ACCOUNTS_AT_ONCE)


def _empty_ledger(ledger: Ledger, account: str, say: Progress) -> None:
    """Each step until it finds nothing any more. After a crash it begins anew, and finds what is left."""
    with ledger.read() as tx:
        erased, users = erased_accounts.count_users(tx, account)
    for name, step in erased_accounts.STEPS:
        place = None
        while True:
            say(name, min(erased, users) if name == "users" else 0, users if name == "users" else 0)
            with ledger.begin(_ERASING) as tx:
                place = step(tx, account, place)
            if place is None:
                break
            erased += erased_accounts.ROWS
            time.sleep(PAUSE_S)


def _finish_account(ledger: Ledger, account: str, clock: Callable[[], int]) -> None:
    more = True
    while more:
        with ledger.begin(_ERASING) as tx:
            more = erased_accounts.finish_users(tx, account, now=clock())
            if not more:
                erased_accounts.finish_account(tx, account, now=clock())
        time.sleep(PAUSE_S)


def _pending(ledger: Ledger) -> list[str]:
    with ledger.read() as tx:
        return erasures.pending(tx, AT_ONCE)


def _forget(ledger: Ledger, users: list[str], forget_names: Callable[[str], None]) -> None:
    """Whoever asked does so after the commit, maybe later than this: no block may begin that remembers a name."""
    with ledger.read() as tx:
        accounts = erasures.accounts_of(tx, users)
    for account in accounts:
        forget_names(account)


def _let_the_block_under_way_end(between_blocks: BetweenBlocks, say: Progress) -> int:
    """Its names may have been resolved before the user had none; later blocks cannot name the user any more. The last
    one that may."""
    while True:
        say("blocks")
        try:
            return between_blocks(lambda keys: keys.committed().block)
        except Settling:
            time.sleep(AGAIN_S)


def _forget_held(forget_held: Callable[[Sequence[str]], int], whose: list[str], say: Progress) -> None:
    """Events that were held under users' names (the request told which, while the names were known), or of accounts."""
    _once_nobody_reads(partial(forget_held, whose), "held", say)  # or once it is settled what became of a block


def _drop_old_bytes(ledger: Ledger, say: Progress) -> None:
    _once_nobody_reads(ledger.drop_old_bytes, "ledger", say)


def _once_nobody_reads(work: Callable[[], object], step: str, say: Progress) -> None:
    """Who still reads old pages may go on for a while."""
    until = time.monotonic() + READERS_S
    while True:
        say(step)
        try:
            work()
        except Unavailable:
            if time.monotonic() > until:
                raise
            time.sleep(AGAIN_S)
        else:
            return
