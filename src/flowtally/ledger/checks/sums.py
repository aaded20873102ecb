"""What was promised, added up one by one: the other side of the laws that `verify` checks.

Owns the questions to the tables themselves, past the code that balances are made with. Sums are made here, not in the
database: a broken ledger may hold more than 64 bits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, exists, func, select

from flowtally.ledger.tables import (
    accounts,
    allocation_returns,
    allocations,
    grant_voids,
    grants,
    managed_users,
    periods,
    voucher_ends,
    vouchers,
)

PAGE: Final = 1000
LISTED: Final = 20

Sums = dict[tuple[str, str], int]  # by (account or user, pool)


def account_ids(tx: Connection, after: str, limit: int) -> list[str]:
    """The next accounts in order of id."""
    query = select(accounts.c.id).where(accounts.c.id > after).order_by(accounts.c.id).limit(limit)
    return list(tx.execute(query).scalars())


def accounts_with_periods(tx: Connection, after: str, limit: int) -> list[str]:
    """The next accounts that closed a period, in order of id."""
    query = select(periods.c.account).distinct().where(periods.c.account > after)
    return list(tx.execute(query.order_by(periods.c.account).limit(limit)).scalars())


def count_accounts_with_periods(tx: Connection) -> int:
    return int(tx.execute(select(func.count(periods.c.account.distinct()))).scalar_one())


def funded_ids(tx: Connection, account: str, after: str, limit: int) -> list[str]:
    """The next funded users of the account in order of id, deleted ones included."""
    mine = (managed_users.c.account == account, managed_users.c.funded == 1, managed_users.c.user_id > after)
    query = select(managed_users.c.user_id).where(*mine).order_by(managed_users.c.user_id).limit(limit)
    return list(tx.execute(query).scalars())


def count_funded(tx: Connection, account: str) -> int:
    mine = (managed_users.c.account == account, managed_users.c.funded == 1)
    return int(tx.execute(select(func.count()).select_from(managed_users).where(*mine)).scalar_one())


def granted(tx: Connection, wanted: Sequence[str]) -> Sums:
    """What these accounts were given, by account and pool."""
    query = select(grants.c.account, grants.c.pool, grants.c.amount).where(grants.c.account.in_(wanted))
    found: Sums = defaultdict(int)
    for account, pool, amount in tx.execute(query.execution_options(yield_per=PAGE)):
        found[account, pool] += amount
    return found


def allocated_by(tx: Connection, wanted: Sequence[str]) -> Sums:
    """What these accounts passed on and did not get back, by account and pool."""
    return _allocated(tx, allocations.c.account, wanted)


def allocated_to(tx: Connection, wanted: Sequence[str]) -> Sums:
    """What was passed on to these users and not taken back, by user and pool."""
    return _allocated(tx, allocations.c.user_id, wanted)


def set_aside_by(tx: Connection, wanted: Sequence[str]) -> Sums:
    """What the vouchers of these accounts hold or became, by account and pool; revoked ones hold nothing."""
    ends = voucher_ends.c  # looked up voucher by voucher: a list of all that were revoked is made anew for each page
    revoked = exists().where(ends.voucher_id == vouchers.c.id, ends.grant_id.is_(None)).correlate(vouchers)
    query = select(vouchers.c.account, vouchers.c.pool, vouchers.c.amount).where(vouchers.c.account.in_(wanted))
    found: Sums = defaultdict(int)
    for account, pool, amount in tx.execute(query.where(~revoked).execution_options(yield_per=PAGE)):
        found[account, pool] += amount
    return found


def last_draw(tx: Connection, wanted: Sequence[str]) -> int:
    """When one of these accounts last passed on or set aside something; 0 when none ever did."""
    instants = ((allocations.c.created_at, allocations.c.account), (vouchers.c.created_at, vouchers.c.account))
    queries = (select(func.coalesce(func.max(at), 0)).where(whose.in_(wanted)) for at, whose in instants)
    return max(int(tx.execute(query).scalar_one()) for query in queries)


def changes_between(tx: Connection, account: str, first: int, last: int) -> list[int]:
    """The instants in [first, last] at which something was given to the account, voided, passed on or taken back,
    set aside or revoked."""
    voids = grant_voids.join(grants, grants.c.id == grant_voids.c.grant_id)
    returns = allocation_returns.join(allocations, allocations.c.id == allocation_returns.c.allocation_id)
    ends = voucher_ends.join(vouchers, vouchers.c.id == voucher_ends.c.voucher_id)
    found: set[int] = set()
    for where, whose, instant in (
        (grants, grants.c.account, grants.c.created_at),
        (voids, grants.c.account, grant_voids.c.voided_at),
        (allocations, allocations.c.account, allocations.c.created_at),
        (returns, allocations.c.account, allocation_returns.c.returned_at),
        (vouchers, vouchers.c.account, vouchers.c.created_at),
        (ends, vouchers.c.account, voucher_ends.c.ended_at),
    ):
        query = select(instant).select_from(where).where(whose == account, instant.between(first, last))
        found.update(tx.execute(query.order_by(instant.desc()).limit(LISTED)).scalars())
    return sorted(found, reverse=True)


def _allocated(tx: Connection, whose: ColumnElement[str], wanted: Sequence[str]) -> Sums:
    found: Sums = defaultdict(int)
    mine = select(whose, allocations.c.pool, allocations.c.amount).where(whose.in_(wanted))
    for one, pool, amount in tx.execute(mine.execution_options(yield_per=PAGE)):
        found[one, pool] += amount
    back = select(whose, allocations.c.pool, allocation_returns.c.amount).join(
        allocations, allocations.c.id == allocation_returns.c.allocation_id
    )
    for one, pool, amount in tx.execute(back.where(whose.in_(wanted)).execution_options(yield_per=PAGE)):
        found[one, pool] -= amount
    return found
