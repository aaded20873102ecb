"""What an account has left at an instant, and which grant paid.

Owns how the two stores come together: grants and pools from the ledger give edges, one `sums` call gives the use
between them, `burndown` decides. Leaves the whole quota rule to `burndown`.

* One `sums` call serves all pools, so a balance is one moment of usage. Each pool is then burnt over its own edges:
  those of another pool would not matter, except where free adjustments make part of a span negative.
* A pool that charges nothing has no balance. The others appear when they have grants or use; `traffic` always does.
* Funded users have purses of their own: their use is left out, what was allocated to them is drawn. So is what
  vouchers set aside.
* What nothing will pay is told apart (`never_paid`). When the oldest of it was used takes a question of its own, where
  there is any and somebody looks at it: the first time in the order of the table.
* `at` in the future is allowed: what would be there if nothing more was used.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec
from msgspec import structs

from flowtally.answers.moment import Moment, show_moment
from flowtally.core import burndown, never_paid
from flowtally.core.edges import format_if_any, format_instant, merge_edges
from flowtally.core.never_paid import Beginning
from flowtally.core.words import Overage, Unit
from flowtally.ledger import pools
from flowtally.ledger.database import Tx
from flowtally.ledger.people import accounts, managed
from flowtally.ledger.pools import Pools
from flowtally.ledger.traffic import draws, grants
from flowtally.ledger.traffic.draws import Draw
from flowtally.ledger.traffic.grants import Grant
from flowtally.protocol import BalanceAnswer, GrantAnswer, NeverPaid, PoolBalance
from flowtally.protocol.words import DEFAULT_POOL
from flowtally.usage.values import Sum, Where
from flowtally.usage.verbs import Rows, Sums

Oldest = Callable[[tuple[str, ...], int], int | None]  # of these products, before an instant


class Purses(msgspec.Struct, frozen=True):
    """The purses of one owner, by pool: what was given and passed on, and what becomes of use nobody pays."""

    grants: Mapping[str, list[burndown.Grant]]
    draws: Mapping[str, list[burndown.Draw]]
    beginning: Beginning
    overage: Overage

    def plans(self, at: int) -> dict[str, list[int]]:
        """Where the use of each pool must be cut."""
        return {
            name: burndown.plan_edges(grants, self.draws[name], self.beginning.at, at)
            for name, grants in self.grants.items()
        }


class Burnt(msgspec.Struct, frozen=True):
    """One pool burnt down: `used[i]` of these products was used in [edges[i], edges[i + 1])."""

    unit: Unit
    edges: list[int]
    used: list[int]
    balance: burndown.Balance
    products: tuple[str, ...]
    never_paid: tuple[never_paid.UnpaidPart, ...]


class BalanceUsage(Sums, Rows, Protocol):
    """What a balance asks: what was used, and when the oldest of something was."""


class Asking:
    """The questions to the usage store that a balance takes: what was used, and when the oldest of something was."""

    def __init__(self, usage: BalanceUsage) -> None:
        self._usage = usage
        self._where = Where()

    def sums(self, where: Where, edges: list[int]) -> Sequence[Sum]:
        self._where = where
        return self._usage.sums(edges, where, ("product",))

    def oldest(self, products: tuple[str, ...], before: int) -> int | None:
        """When one of these was first used, of what the sums were of."""
        return oldest(self._usage, self._where, products, before)


def oldest(usage: Rows, where: Where, products: tuple[str, ...], before: int) -> int | None:
    """The instant of the first row of these products."""
    return usage.first_time(before, structs.replace(where, products=products))


def make_balance(
    tx: Tx,
    usage: BalanceUsage,
    account_id: str,
    at: int,
    moment: Moment | None = None,
    *,
    tell_never_paid: bool = False,
) -> BalanceAnswer:
    """The balance at `at`, as known at `moment`, or all that is there; with what nothing will pay, where that is asked
    for. UnknownAccount; BadRange when `at` is not after 1970 began."""
    asking = Asking(usage)
    given, burnt = burn_pools(tx, account_id, at, asking.sums, moment=moment)
    return show_balance(account_id, at, given, burnt, moment, asking.oldest if tell_never_paid else None)


def show_balance(
    account_id: str,
    at: int,
    given: Sequence[Grant],
    burnt: Mapping[str, Burnt],
    moment: Moment | None,
    oldest: Oldest | None,
) -> BalanceAnswer:
    """The pools as they were burnt; what nothing will pay, where its `oldest` can be asked."""
    figures = {name: (one.unit, one.balance) for name, one in burnt.items()}
    never = [] if oldest is None else show_never_paid(burnt, oldest)
    return show_figures(account_id, at, given, figures, moment, never)


def show_figures(
    account_id: str,
    at: int,
    given: Sequence[Grant],
    figures: Mapping[str, tuple[Unit, burndown.Balance]],
    moment: Moment | None,
    never: list[NeverPaid],
) -> BalanceAnswer:
    """The balance of each pool, and what is left of each grant."""
    return BalanceAnswer(
        account_id,
        format_instant(at),
        {name: show_pool(one, unit) for name, (unit, one) in figures.items()},
        _show_grants(given, [one for _, one in figures.values()]),
        None if moment is None else show_moment(moment),
        never,
    )


def cover_of(tx: Tx, usage: BalanceUsage, account_id: str, pool: str, at: int) -> int:
    """How much could be drawn from the account's pool at `at`: what is left, and credit."""
    purse = make_balance(tx, usage, account_id, at).pools.get(pool)
    return 0 if purse is None else purse.left + purse.credit


def burn_pools(
    tx: Tx,
    account_id: str,
    at: int,
    ask: Callable[[Where, list[int]], Sequence[Sum]],
    *,
    moment: Moment | None = None,
) -> tuple[list[Grant], dict[str, Burnt]]:
    """All grants of an account, and each of its pools burnt down, as known at `moment`, or all that is there.
    `ask` is the one question to the usage store: what was used between these edges, by product. Funded users pay from
    purses of their own."""
    read = read_purses(tx, account_id, moment)
    return read.given, burn_read(read, at, ask)


def burn_read(read: AccountPurses, at: int, ask: Callable[[Where, list[int]], Sequence[Sum]]) -> dict[str, Burnt]:
    """What was read of an account, burnt down from one question to the usage store."""
    plans = read.purses.plans(at)
    merged = merge_edges(*plans.values())
    return burn_purses(read.purses, plans, merged, ask(read.where, merged), read.known, at)


class AccountPurses(NamedTuple):
    """What the ledger says of an account's purses: all `given` grants, the purses, all pools, and which use counts."""

    given: list[Grant]
    purses: Purses
    known: Pools
    where: Where


def read_purses(tx: Tx, account_id: str, moment: Moment | None = None) -> AccountPurses:
    """As known at `moment`, or all that is there. UnknownAccount."""
    account = accounts.read_account(tx, account_id)
    known = pools.read_pools(tx)
    then = None if moment is None else moment.known
    given = grants.grants_of(tx, account_id, then)
    left = draws.draws_of(tx, account_id, then)
    units = units_of(known)
    purses = Purses(
        {name: [_payer(grant) for grant in given if grant.pool == name] for name in units},
        {name: [_draw(one) for one in left if one.pool == name] for name in units},
        Beginning(account.carry_from, "account"),
        account.overage,
    )
    until = None if moment is None else moment.block
    where = Where(account=account_id, without_users=managed.funded_users(tx, account_id), until_block=until)
    return AccountPurses(given, purses, known, where)


def burn_purses(
    purses: Purses,
    plans: Mapping[str, list[int]],
    merged: Sequence[int],
    sums: Sequence[Sum],
    known: Pools,
    at: int,
) -> dict[str, Burnt]:
    """Each pool that has something to say, burnt down from sums by product over the `merged` edges."""
    units = units_of(known)
    used = _use_by_pool(sums, merged, plans, known, units)
    balances = {
        name: burndown.burn(
            purses.grants[name],
            purses.draws[name],
            plans[name],
            used[name],
            at,
            carry_from=purses.beginning.at,
            overage=purses.overage,
        )
        for name in plans
        if name == DEFAULT_POOL or any(used[name]) or purses.grants[name] or purses.draws[name]
    }
    products: dict[str, set[str]] = {name: set() for name in balances}
    for one in sums:
        products.get(known.pool_of(one.by[0]), set()).add(one.by[0])
    return {
        name: Burnt(
            units[name],
            plans[name],
            used[name],
            one,
            tuple(sorted(products[name])),
            never_paid.find(one, purses.beginning, purses.overage),
        )
        for name, one in balances.items()
    }


def show_grant(grant: Grant) -> GrantAnswer:
    """A grant as it was given; what is left of it is a balance's to say."""
    return GrantAnswer(
        id=grant.id,
        account=grant.account,
        pool=grant.pool,
        amount=grant.amount,
        source=grant.source,
        reference=grant.reference,
        priority=grant.priority,
        starts_at=format_instant(grant.starts_at),
        expires_at=format_if_any(grant.expires_at),
        created_at=format_instant(grant.created_at),
        voided_at=format_if_any(grant.voided_at),
    )


def units_of(known: Pools) -> dict[str, Unit]:
    """What each pool that has balances counts."""
    return {name: charge for name, charge in known.charges.items() if charge != "nothing"}


def _payer(grant: Grant) -> burndown.Grant:
    return burndown.Grant(grant.id, grant.amount, grant.priority, grant.starts_at, grant.expires_at, grant.voided_at)


def _draw(left: Draw) -> burndown.Draw:
    return burndown.Draw(left.id, left.at, left.amount, left.returned)


def _use_by_pool(
    sums: Sequence[Sum], merged: Sequence[int], plans: Mapping[str, list[int]], known: Pools, units: Mapping[str, Unit]
) -> dict[str, list[int]]:
    """What each pool charges for, over the spans of its own plan."""
    used = {name: [0] * (len(plan) - 1) for name, plan in plans.items()}
    for found in sums:
        pool = known.pool_of(found.by[0])
        if pool not in plans:
            continue
        span = bisect_right(plans[pool], merged[found.span]) - 1
        used[pool][span] += found.requests if units[pool] == "requests" else found.bytes_up + found.bytes_down
    return used


def show_pool(balance: burndown.Balance, unit: Unit) -> PoolBalance:
    """The figures of one pool."""
    return PoolBalance(
        unit=unit,
        granted=balance.granted,
        spent=balance.spent,
        left=balance.left,
        pending=balance.pending,
        expired=balance.expired,
        voided=balance.voided,
        overage=balance.overage,
        credit=balance.credit,
        drawn=balance.drawn,
    )


def show_never_paid(burnt: Mapping[str, Burnt], oldest: Oldest) -> list[NeverPaid]:
    """What nothing will pay, of all pools."""
    return [_show_part(name, pool, part, oldest) for name, pool in burnt.items() for part in pool.never_paid]


def _show_part(name: str, pool: Burnt, part: never_paid.UnpaidPart, oldest: Oldest) -> NeverPaid:
    # Use before any grant lies in one span from the beginning on; when the grants of then stopped paying, spans tell.
    first = oldest(pool.products, part.before) if part.why == "no_grant" else part.first
    return NeverPaid(
        name,
        pool.unit,
        part.amount,
        format_instant(part.before),
        part.began,
        part.why,
        part.grant or None,
        format_if_any(first),
    )


def _show_grants(given: Sequence[Grant], balances: Iterable[burndown.Balance]) -> list[GrantAnswer]:
    burnt = {found.grant.id: found for balance in balances for found in balance.grants}
    return [_show_burnt(grant, burnt[grant.id]) for grant in given]


def _show_burnt(grant: Grant, found: burndown.GrantBalance) -> GrantAnswer:
    shown = show_grant(grant)
    return structs.replace(shown, spent=found.spent, left=found.left, state=found.state)
