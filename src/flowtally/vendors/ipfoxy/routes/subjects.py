"""Whom `account` names: a user of the caller's account by its present name, else the caller's own account.

A sub-account is a funded user: its use is paid from its own purse only. The residential side of a purse is the pool
`traffic`, the mobile one the pool `mobile`; the main account's own figures leave its sub-accounts' use out, which is
theirs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from flowtally.answers import account_balance
from flowtally.answers.user_balance import burn_user
from flowtally.core.burndown import Balance, GrantBalance
from flowtally.core.errors import UnknownUser
from flowtally.ledger.people import accounts, managed, names, users
from flowtally.ledger.people.users import User
from flowtally.usage.values import Sum, Where
from flowtally.vendors import figures
from flowtally.vendors.base import DialectCall
from flowtally.vendors.figures import RunningTotal

RESIDENTIAL: Final = "traffic"
MOBILE: Final = "mobile"

Subject = User | None  # None: the caller's own account


def subject_of(call: DialectCall, name: str) -> Subject:
    """UnknownUser when the name is nobody's, or somebody else's."""
    mine = (call.account, name)
    bearer = names.present_bearers(call.tx, [mine]).get(mine)
    if bearer is not None:
        return users.read_user(call.tx, call.account, bearer)
    if name != call.account:
        raise UnknownUser(f"{name!r} is no account of yours.", user=name)
    return None


def sub_account(call: DialectCall, name: str) -> User:
    """A funded user; UnknownUser for anybody else."""
    found = subject_of(call, name)
    if found is None or not found.funded:
        raise UnknownUser(f"{name!r} is no sub-account of yours.", user=name)
    return found


def used(call: DialectCall, subject: Subject, edges: Sequence[int], of: Collection[str]) -> RunningTotal:
    """What the subject used of products of these pools, since ever and between the edges."""
    if subject is not None:
        return figures.running(call.tx, call.usage, call.account, edges, of=of, users=(subject.id,))
    funded = managed.funded_users(call.tx, call.account)
    return figures.running(call.tx, call.usage, call.account, edges, of=of, without_users=funded)


def purses(call: DialectCall, subject: Subject) -> dict[str, Balance]:
    """The subject's purses by pool, those that have something to say. UnknownUser for a user who has none of its
    own."""

    def ask(where: Where, edges: list[int]) -> Sequence[Sum]:
        return call.usage.sums(edges, where, ("product",))

    if subject is None:
        burnt = account_balance.burn_pools(call.tx, call.account, call.now, ask)[1]
    elif subject.funded:
        account = accounts.read_account(call.tx, call.account)
        burnt = burn_user(call.tx, account, subject, call.now, ask).pools
    else:
        raise UnknownUser(f"{subject.name!r} is no sub-account of yours.", user=subject.name)
    return {name: one.balance for name, one in burnt.items()}


def expires_at(call: DialectCall, purse: Balance | None) -> int | None:
    """When the first of what is left ends (or the last of it: a setting); where nothing is left, when the last ended
    of what ever was there. None: never."""
    given: Sequence[GrantBalance] = () if purse is None else purse.grants
    left = [one.grant.expires_at for one in given if one.left]
    ends = left or [one.grant.expires_at for one in given]
    finite = [end for end in ends if end is not None]
    if left and call.settings.expiration == "first":
        return min(finite, default=None)
    return max(finite) if finite and len(finite) == len(ends) else None
