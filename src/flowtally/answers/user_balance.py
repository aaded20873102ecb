"""What a user has left: its purses burnt down, and where its limit stands.

Leaves the quota rule to `burndown`, allocating and taking back to `user_funds`, what a limit refuses to whoever stands
at the gate: a limit never pays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec import structs

from flowtally.answers.account_balance import (
    Asking,
    BalanceUsage,
    Burnt,
    Purses,
    burn_purses,
    show_never_paid,
    show_pool,
    units_of,
)
from flowtally.answers.limits import limit_state, window_at
from flowtally.answers.moment import Moment, show_moment
from flowtally.core import burndown
from flowtally.core.edges import format_if_any, format_instant, merge_edges
from flowtally.core.errors import BadRange
from flowtally.core.never_paid import Beginning
from flowtally.core.times import BEGINNING
from flowtally.ledger import pools
from flowtally.ledger.database import Tx
from flowtally.ledger.people import accounts, users
from flowtally.ledger.people.accounts import Account
from flowtally.ledger.people.users import User
from flowtally.ledger.traffic import allocations
from flowtally.ledger.traffic.allocations import Allocation
from flowtally.ledger.traffic.grants import DEFAULT_PRIORITY, Grant
from flowtally.protocol import AllocationAnswer, UserBalanceAnswer
from flowtally.usage.values import Sum, Where

Ask = Callable[[Where, list[int]], Sequence[Sum]]


class UserBurnt(msgspec.Struct, frozen=True):
    """A user's purses burnt down: what it got, the pools that have something to say, and what they were told from:
    `sums[i]` by product, over `edges`."""

    got: list[Allocation]
    pools: dict[str, Burnt]
    edges: list[int]
    sums: Sequence[Sum]


def make_user_balance(
    tx: Tx,
    usage: BalanceUsage,
    account_id: str,
    user: str,
    at: int,
    moment: Moment | None = None,
    *,
    tell_never_paid: bool = False,
) -> UserBalanceAnswer:
    """What the user (by id or name) has left at `at`, as known at `moment`, or all that is there, from one `sums`; with
    what nothing will pay, where that is asked for.

    UnknownAccount, UnknownUser; BadRange when `at` is not after 1970 began.
    """
    _check_at(at)
    then = None if moment is None else moment.known
    account = accounts.read_account(tx, account_id, then)
    found = users.read_user(tx, account_id, user, then)
    start, resets_at = window_at(found.limit, account, at)
    asking = Asking(usage)
    burnt = burn_user(
        tx,
        account,
        found,
        at,
        asking.sums,
        cuts=() if found.limit is None else (start, at),
        moment=moment,
    )
    in_window = [one for one in burnt.sums if burnt.edges[one.span] >= start]
    return UserBalanceAnswer(
        account=account_id,
        user=found.name,
        user_id=found.id,
        at=format_instant(at),
        status=found.status,
        funded=found.funded,
        limit=None if found.limit is None else limit_state(found.limit, in_window, resets_at),
        pools={name: show_pool(one.balance, one.unit) for name, one in burnt.pools.items()},
        allocations=_show_burnt(found, burnt, at),
        as_of=None if moment is None else show_moment(moment),
        never_paid=show_never_paid(burnt.pools, asking.oldest) if tell_never_paid else [],
    )


def burn_user(
    tx: Tx,
    account: Account,
    user: User,
    at: int,
    ask: Ask,
    *,
    cuts: Sequence[int] = (),
    moment: Moment | None = None,
) -> UserBurnt:
    """The purses of a user (of one that is not funded: none) at `at`, as known at `moment`, or all that is there. `ask`
    is the one question to the usage store: what was used between these edges, by product; `cuts` are edges besides
    those of the purses.

    BadRange when `at` is not after 1970 began.
    """
    _check_at(at)
    known = pools.read_pools(tx)
    got = allocations.allocations_to(tx, user.id, None if moment is None else moment.known)
    purses = _purses(account, user, got, list(units_of(known)) if user.funded else [])
    plans = purses.plans(at)
    edges = merge_edges(*plans.values(), cuts)
    where = Where(account=account.id, users=(user.id,), until_block=None if moment is None else moment.block)
    sums = ask(where, edges) if len(edges) > 1 else []
    return UserBurnt(got, burn_purses(purses, plans, edges, sums, known, at), edges, sums)


def burn_funded(
    tx: Tx, account_id: str, funded: Sequence[User], at: int, ask: Callable[[Where, list[int]], Sequence[Sum]]
) -> dict[str, dict[str, burndown.Balance]]:
    """The purses of these funded users at `at`, by user id and pool, from one question by user and product."""
    account, known = accounts.read_account(tx, account_id), pools.read_pools(tx)
    got = allocations.allocations_to_each(tx, [one.id for one in funded])
    purses = {one.id: _purses(account, one, got[one.id], list(units_of(known))) for one in funded}
    plans = {id: purse.plans(at) for id, purse in purses.items()}
    edges = merge_edges(*(plan for mine in plans.values() for plan in mine.values()))
    used: dict[str, list[Sum]] = {id: [] for id in purses}
    for one in ask(Where(account=account_id, users=tuple(purses)), edges):
        used[one.by[0]].append(Sum(one.span, one.by[1:], one.bytes_up, one.bytes_down, one.requests))
    burnt = {id: burn_purses(purse, plans[id], edges, used[id], known, at) for id, purse in purses.items()}
    return {id: {name: one.balance for name, one in mine.items()} for id, mine in burnt.items()}


def show_allocation(allocation: Allocation, name: str) -> AllocationAnswer:
    """An allocation as it was made, to the user of that name; what is left of it is a balance's to say."""
    return AllocationAnswer(
        id=allocation.id,
        account=allocation.account,
        user=name,
        user_id=allocation.user_id,
        pool=allocation.pool,
        amount=allocation.amount,
        returned=allocation.returned,
        created_at=format_instant(allocation.created_at),
        expires_at=format_if_any(allocation.expires_at),
    )


def grant_of(allocation: Allocation) -> Grant:
    """The same as a grant to the user, less what was taken back."""
    one = allocation
    left = one.amount - one.returned
    return Grant(
        one.id,
        one.account,
        one.pool,
        left,
        "allocation",
        "",
        DEFAULT_PRIORITY,
        one.pays_from,
        one.expires_at,
        one.created_at,
    )


def _check_at(at: int) -> None:
    if at <= BEGINNING:
        raise BadRange(f"No balance at {format_instant(at)}: time begins at {format_instant(BEGINNING)}")


def _purses(account: Account, user: User, got: Sequence[Allocation], names: Sequence[str]) -> Purses:
    """A grant is what was allocated less what was taken back. Use from before the user was made is never carried: an
    imported log must not eat what is allocated today."""
    return Purses(
        {
            name: [
                burndown.Grant(one.id, one.amount - one.returned, DEFAULT_PRIORITY, one.pays_from, one.expires_at)
                for one in got
                if one.pool == name and one.amount > one.returned
            ]
            for name in names
        },
        {name: [] for name in names},
        max(Beginning(account.carry_from, "account"), Beginning(user.created_at, "user"), key=lambda one: one.at),
        account.overage,
    )


def _show_burnt(user: User, burnt: UserBurnt, at: int) -> list[AllocationAnswer]:
    """All that were made by then. Of one that was returned whole nothing can be spent, nor of one that has expired."""
    paid = {one.grant.id: one for pool in burnt.pools.values() for one in pool.balance.grants}
    shown = []
    for allocation in burnt.got:
        if allocation.pays_from <= at:
            found = paid.get(allocation.id)
            spent, unspent = (found.spent, found.unspent) if found is not None else (0, 0)
            left, expired = (0, unspent) if allocation.ended(at) else (unspent, 0)
            told = show_allocation(allocation, user.name)
            shown.append(structs.replace(told, spent=spent, left=left, expired=expired))
    return shown
