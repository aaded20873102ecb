"""Finishing erasures: what the ledger's transaction could not forget at once (decision 0024).

Owns the order. Since the request the ledger knows that a user is erased and has no name for it any more; here the
labels of its rows go, then what is left in files, and only then the record says that it is finished. So whatever dies
in between, the next start finds the record and does all of it again, which is safe.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from flowtally.care.backup import BetweenBlocks
from flowtally.care.job import Progress
from flowtally.errors import Settling, Unavailable
from flowtally.ledger import erasures
from flowtally.ledger.database import Ledger
from flowtally.ledger.trail import server
from flowtally.usage.store import UsageStore

AT_ONCE: Final = 500  # users
AGAIN_S: Final = 1.0
READERS_S: Final = 600  # the longest a reader may keep the ledger's old pages: a backup of a large one


class Finished(msgspec.Struct, frozen=True):
    """How many users' erasures were finished."""

    users: int


def finish_erasures(
    ledger: Ledger,
    usage: UsageStore,
    forget_names: Callable[[str], None],
    between_blocks: BetweenBlocks,
    clock: Callable[[], int],
    say: Progress,
    forget_held: Callable[[Sequence[str]], int] = lambda users: 0,
) -> Finished:
    """All that are pending. Raises Stopped, Unavailable or StorageFull: what is not finished stays pending."""
    done = 0
    while users := _pending(ledger):
        _forget(ledger, users, forget_names)
        _let_the_block_under_way_end(between_blocks, say)
        _forget_held(forget_held, users, say)
        usage.erase_texts(users, say)
        _drop_old_bytes(ledger, say)
        with ledger.begin(server("erasing")) as tx:
            erasures.finish(tx, users, now=clock())
        done += len(users)
    return Finished(done)


def _pending(ledger: Ledger) -> list[str]:
    with ledger.read() as tx:
        return erasures.pending(tx, AT_ONCE)


def _forget(ledger: Ledger, users: list[str], forget_names: Callable[[str], None]) -> None:
    """Whoever asked does so after the commit, maybe later than this: no block may begin that remembers a name."""
    with ledger.read() as tx:
        accounts = erasures.accounts_of(tx, users)
    for account in accounts:
        forget_names(account)


def _let_the_block_under_way_end(between_blocks: BetweenBlocks, say: Progress) -> None:
    """Its names may have been resolved before the user had none; later blocks cannot name the user any more."""
    while True:
        say("blocks")
        try:
            return between_blocks(lambda _keys: None)
        except Settling:
            time.sleep(AGAIN_S)


def _forget_held(forget_held: Callable[[Sequence[str]], int], users: list[str], say: Progress) -> None:
    """Events that were held under their names: the request told which, while the names were known."""
    until = time.monotonic() + READERS_S
    while True:
        say("held")
        try:
            forget_held(users)
        except Unavailable:  # being settled, or somebody still reads the old pages
            if time.monotonic() > until:
                raise
            time.sleep(AGAIN_S)
        else:
            return


def _drop_old_bytes(ledger: Ledger, say: Progress) -> None:
    until = time.monotonic() + READERS_S
    while True:
        say("ledger")
        try:
            return ledger.drop_old_bytes()
        except Unavailable:
            if time.monotonic() > until:
                raise
            time.sleep(AGAIN_S)
