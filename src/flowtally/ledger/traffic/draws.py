"""Draws: everything that left an account's purses without being used, whatever it was for.

Owns that the list is complete, for balances and for whoever draws next. A new way to set traffic aside belongs here.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from sqlalchemy import Connection, and_, func, select

from flowtally.ledger.known import Known, is_known
from flowtally.ledger.tables import allocations, voucher_ends, vouchers
from flowtally.ledger.traffic import allocations as passed_on


class Draw(msgspec.Struct, frozen=True):
    """`amount` of the pool left at `at`; `returned` of it came back, from the beginning."""

    id: str
    pool: str
    at: int
    amount: int
    returned: int


def draws_of(tx: Connection, account: str, known: Known | None = None) -> list[Draw]:
    """All draws on the account's purses. `known`: as they were known then."""
    allocated = passed_on.allocations_of(tx, account, known)
    return [
        *(Draw(one.id, one.pool, one.created_at, one.amount, one.returned) for one in allocated),
        *_set_aside(tx, account, known),
    ]


def last_drawn_at(tx: Connection, account: str) -> int:
    """When the account last passed on or set aside something; 0 when it never did. Who draws must not come before."""
    instants = ((allocations.c.created_at, allocations.c.account), (vouchers.c.created_at, vouchers.c.account))
    found = (
        tx.execute(select(func.coalesce(func.max(at), 0)).where(whose == account)).scalar_one()
        for at, whose in instants
    )
    return max(int(at) for at in found)


def _set_aside(tx: Connection, account: str, known: Known | None) -> Iterator[Draw]:
    """Vouchers but revoked ones: those came back whole, from the beginning."""
    ends = voucher_ends.c
    revoked = and_(
        ends.voucher_id == vouchers.c.id, ends.grant_id.is_(None), is_known(known, ends.promise, ends.ended_at)
    )
    query = select(vouchers.c.id, vouchers.c.pool, vouchers.c.created_at, vouchers.c.amount)
    query = query.outerjoin(voucher_ends, revoked).where(
        vouchers.c.account == account,
        ends.voucher_id.is_(None),
        is_known(known, vouchers.c.promise, vouchers.c.created_at),
    )
    return (Draw(*row, 0) for row in tx.execute(query.order_by(vouchers.c.id)))
