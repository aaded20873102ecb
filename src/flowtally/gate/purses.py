"""The purses of one account in memory: what the ledger says of them, burnt up to a block, and going on from there.

Owns how a block's use finds them, and what they say of an instant. No store is asked here. Leaves to `book` whether
what is here is still true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from flowtally.answers.account_balance import AccountPurses, Burnt, units_of
from flowtally.core import burndown
from flowtally.core.open_purse import OpenPurse, balance_at, burn_open, is_touched, make_terms, step, take
from flowtally.core.words import Unit
from flowtally.ledger.pools import Pools
from flowtally.ledger.traffic.grants import Grant
from flowtally.protocol.words import DEFAULT_POOL
from flowtally.usage.shelf import UseOf, Uses

Figures = dict[str, tuple[Unit, burndown.Balance]]


class AccountEntry(msgspec.Struct):
    """An account's open purses by pool. `block`: all its use up to that one is in; `audited`: the last row of the trail
    when the ledger was read."""

    given: Sequence[Grant]
    purses: Mapping[str, OpenPurse]
    known: Pools
    units: Mapping[str, Unit]
    funded: frozenset[str]
    block: int
    audited: int


def make_entry(read: AccountPurses, burnt: Mapping[str, Burnt], at: int, *, block: int, audited: int) -> AccountEntry:
    """What was read and burnt at `at`, to go on from there. A pool that is not among the burnt ones was never used."""
    beginning, overage = read.purses.beginning.at, read.purses.overage
    purses = {}
    for name, grants in read.purses.grants.items():
        terms = make_terms(grants, read.purses.draws[name], beginning, overage)
        edges, used = (burnt[name].edges, burnt[name].used) if name in burnt else ((), ())
        purses[name] = burn_open(terms, edges, used, at)
    funded = frozenset(read.where.without_users)
    return AccountEntry(read.given, purses, read.known, units_of(read.known), funded, block=block, audited=audited)


def follow(entries: Mapping[str, AccountEntry], blocks: Iterable[tuple[int, Uses]], now: int) -> None:
    """What these blocks did to these accounts, each block once, with all that it has of an account."""
    for number, uses in blocks:
        touched: dict[str, AccountEntry] = {}
        for (account, user, product), use in uses.items():
            entry = entries.get(account)
            if entry is not None and number > entry.block:
                _take(entry, user, product, use, now)
                touched[account] = entry
        for entry in touched.values():
            entry.block = number


def _take(entry: AccountEntry, user: str, product: str, use: UseOf, now: int) -> None:
    """One part of a block, as far as the account's purses pay for it."""
    pool = entry.known.pool_of(product)
    purse = entry.purses.get(pool)
    if purse is None or user in entry.funded:
        return
    by_request = entry.units[pool] == "requests"
    step(purse, min(use.first, now))
    for amount in (use.requests_more, use.requests_less) if by_request else (use.bytes_more, use.bytes_less):
        if amount:
            take(purse, amount, use.first, use.last, now)


def is_exact(entry: AccountEntry) -> bool:
    """Whether all that reached its purses could be placed."""
    return all(purse.exact for purse in entry.purses.values())


def figures_at(entry: AccountEntry, now: int) -> Figures | None:
    """The balance of each pool that has something to say, as `burn_purses` has it; None where it is not exact."""
    found: Figures = {}
    for name, purse in entry.purses.items():
        step(purse, now)
        if not purse.exact or purse.ahead >= now or now < purse.since:
            return None
        if name == DEFAULT_POOL or is_touched(purse) or purse.terms.grants or purse.terms.draws:
            found[name] = (entry.units[name], balance_at(purse, now))
    return found
