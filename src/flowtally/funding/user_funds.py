"""The writes that depend on a balance: passing traffic on to funded users, taking it back, letting a user go.

Owns how an allocation is covered: whoever passes traffic on is in the ledger's one write transaction, so no other
allocation comes in between, and asks for the balance of that moment inside it. Leaves what a user has left to
`user_balance`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from flowtally.answers.account_balance import BalanceUsage, cover_of
from flowtally.answers.user_balance import burn_user
from flowtally.core.times import LAST_INSTANT
from flowtally.ledger.database import Tx
from flowtally.ledger.erasing import erasures
from flowtally.ledger.erasing.erasures import Erasure
from flowtally.ledger.people import accounts, managed, users
from flowtally.ledger.people.users import User
from flowtally.ledger.traffic import allocations, draws
from flowtally.ledger.traffic.allocations import Allocation
from flowtally.usage.values import BUCKET_MS, Part, Sum, Where
from flowtally.usage.verbs import Breakdowns, Commits, Sums


class FundingUsage(BalanceUsage, Breakdowns, Commits, Protocol):
    """What a user's funds ask: what a balance does, its sums by kind, and the last commit."""


def allocate(
    tx: Tx,
    usage: FundingUsage,
    account_id: str,
    user: str,
    amount: int,
    *,
    now: int,
    pool: str = "traffic",
    expires_at: int | None = None,
) -> Allocation:
    """Pass `amount` of the account's pool on to a funded user: a draw there, a grant here, which expires (None: never).
    Call in a write transaction, with a `now` read inside it.

    NotCovered (with what is left), UnknownAccount, UnknownUser, NotFound (pool), Conflict, Unprocessable.
    """
    found = users.read_user(tx, account_id, user)
    allocations.check_allocation(tx, found, amount, pool)
    at = _at(tx, account_id, now)
    left = cover_of(tx, usage, account_id, pool, at)
    return allocations.allocate(tx, found, amount, now=at, pool=pool, left=left, expires_at=expires_at)


def take_back(
    tx: Tx, usage: FundingUsage, account_id: str, user: str, allocation_id: str, *, now: int, amount: int | None = None
) -> Allocation:
    """Return `amount` (None: all that is unspent) of an allocation to the account: its draw and the user's grant were
    that much smaller from the beginning. Nothing comes back of one that has expired. Call in a write transaction, with
    a `now` read inside it.

    NotCovered (with what is unspent), UnknownAccount, UnknownUser, NotFound, Unprocessable.
    """
    found = users.read_user(tx, account_id, user)
    allocations.read_allocation(tx, found, allocation_id)
    at = _at(tx, account_id, now)
    unspent = _unspent(tx, usage, found, at).get(allocation_id, 0)
    return allocations.take_back(tx, found, allocation_id, now=at, unspent=unspent, amount=amount)


def delete_user(tx: Tx, usage: FundingUsage, account_id: str, user: str, *, now: int) -> User:
    """Delete the user, taking back what is unspent in its purses first. UnknownAccount, UnknownUser."""
    found = users.read_user(tx, account_id, user)
    if found.funded and found.status != "deleted":
        at = _at(tx, account_id, now)
        for allocation_id, unspent in _unspent(tx, usage, found, at).items():
            allocations.take_back(tx, found, allocation_id, now=at, unspent=unspent)
    return managed.delete_user(tx, account_id, found.id, now=now)


def erase_user(tx: Tx, usage: FundingUsage, account_id: str, user: str, *, now: int) -> Erasure:
    """Delete the user as `delete_user` does, where it is not, and forget its names. UnknownAccount, UnknownUser."""
    return erasures.erase_user(tx, account_id, delete_user(tx, usage, account_id, user, now=now).id, now=now)


def require_countable(usage: Sums, account_id: str, *instants: int) -> None:
    """RowsCompacted where use up to one of these instants cannot be told any more: nothing that needs to know it for
    ever may be promised then. Call in the write transaction of the promise: old rows are compacted in one, too."""
    for instant in instants:
        if start := instant % BUCKET_MS:
            usage.sums([instant - start, instant], Where(account=account_id))


def _at(tx: Tx, account_id: str, now: int) -> int:
    """Now, and not before the last draw, were the clock set back: each must see all those before it."""
    return max(now, draws.last_drawn_at(tx, account_id))


def _unspent(tx: Tx, usage: FundingUsage, user: User, at: int) -> dict[str, int]:
    """What nothing known now spends of each allocation to the user, at whatever instant (law 5); only where it is
    anything, and not of those that have expired: what they did not spend is lost. Clocks differ, so use may be there
    already that is dated after `at`: it has spent its part too."""
    account = accounts.read_account(tx, user.account)
    burnt = burn_user(
        tx, account, user, LAST_INSTANT, lambda where, edges: _at_most(usage, where, edges, at), cuts=(at,)
    )
    alive = {one.id for one in burnt.got if not one.ended(at)}
    left = [one for pool in burnt.pools.values() for one in pool.balance.grants if one.grant.id in alive]
    return {one.grant.id: one.unspent for one in left if one.unspent}


def _at_most(usage: FundingUsage, where: Where, edges: Sequence[int], at: int) -> list[Sum]:
    """What was used up to `at`, and the most that is used by any later instant: a free adjustment that gives is not
    counted, for what it gives may be dated after the use it would pay."""
    before, after = edges[: edges.index(at) + 1], edges[edges.index(at) :]
    used = usage.sums(before, where, ("product",)) if len(before) > 1 else []
    coming = usage.parts(after, where, usage.last_commit().block)
    return used + [_least_zero(part, len(before) - 1) for part in coming]


def _least_zero(part: Part, first_span: int) -> Sum:
    up, down, requests = part.bytes_up, part.bytes_down, part.requests
    if part.kind == "adjustment":
        up, down, requests = max(0, up), max(0, down), max(0, requests)
    return Sum(first_span + part.span, (part.product,), up, down, requests)
