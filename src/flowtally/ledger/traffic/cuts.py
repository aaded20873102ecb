"""Every instant at which somebody may have to know how much was used up to then: what cuts time in a balance, for ever,
and the closed periods, of all accounts.

Owns that the list is complete. A promise that can bring an edge into the past belongs here. All of it is append only,
so as many as before are the same as before.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, func, select

from flowtally.ledger.tables import (
    accounts,
    allocations,
    grant_voids,
    grants,
    managed_users,
    periods,
    users,
    vouchers,
)

Closing = tuple[str, int, int, int]  # (account, starts_at, ends_at, block)


def cut_instants(tx: Connection, before: int, grain_ms: int) -> set[tuple[str, int]]:
    """(account, instant) of all edges of purses and periods before an instant; multiples of `grain_ms` left out."""
    return {(row[0], row[1]) for one in _questions(before) for row in tx.execute(one) if row[1] % grain_ms}


def closings(tx: Connection) -> list[Closing]:
    """All closed periods, by account in the order they were closed. Also those of a later time: the next period's
    adjustments are all that came after the block of this one, however old."""
    query = select(periods.c.account, periods.c.starts_at, periods.c.ends_at, periods.c.block)
    query = query.order_by(periods.c.account, periods.c.number)
    return [(row[0], row[1], row[2], row[3]) for row in tx.execute(query)]


def count_cuts(tx: Connection, before: int) -> int:
    """How many there are before an instant, and closings: quick to ask while others wait."""
    asked = [*_questions(before), select(periods.c.id)]
    counts = (select(func.count()).select_from(one.subquery()) for one in asked)
    return sum(int(tx.execute(one).scalar_one()) for one in counts)


def _questions(before: int) -> list[Select[Any]]:
    columns = (
        (accounts.c.id, accounts.c.carry_from),
        (grants.c.account, grants.c.starts_at),
        (grants.c.account, grants.c.expires_at),
        (allocations.c.account, allocations.c.created_at),
        (allocations.c.account, allocations.c.starts_at),
        (allocations.c.account, allocations.c.expires_at),
        (vouchers.c.account, vouchers.c.created_at),
        (periods.c.account, periods.c.starts_at),
        (periods.c.account, periods.c.ends_at),
    )
    voided, made = grant_voids.c.voided_at, users.c.created_at
    return [
        *(select(account, instant).where(instant < before) for account, instant in columns),
        select(grants.c.account, voided).join(grants, grants.c.id == grant_voids.c.grant_id).where(voided < before),
        # A funded user's purse begins when the user was made.
        select(users.c.account, made)
        .join(managed_users, managed_users.c.user_id == users.c.id)
        .where(managed_users.c.funded == 1, made < before),
    ]
