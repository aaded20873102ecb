"""Leases that are renewed by themselves: which are due, and one renewal, which happens once for each end.

Owns when a lease is due, and the renewal of one end. Leaves what a renewal is to `orders`, and when somebody looks to
`care.renewing`.
"""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Connection, and_, or_, select

from flowtally.core.times import HOUR_MS
from flowtally.ledger import trail
from flowtally.ledger.inventory.orders import Order, renew_leases
from flowtally.ledger.tables import audit, leases

NOT_RENEWED: Final = "lease.not_renewed"
LEAD_MS: Final = HOUR_MS  # how long before its end a lease is renewed: time for a few tries, and to top up


class DueLease(msgspec.Struct, frozen=True):
    """A lease that is to be renewed from this end on."""

    id: str
    account: str
    ends_at: int


def due_leases(tx: Connection, now: int, after: DueLease | None = None, *, limit: int) -> list[DueLease]:
    """Those that end within LEAD_MS, or have ended and can still be renewed: by their ends, after that one."""
    ends = leases.c.ends_at
    query = select(leases.c.id, leases.c.account, ends).where(
        leases.c.auto_renew == 1,
        leases.c.released_at.is_(None),
        ends <= now + LEAD_MS,
        ends + leases.c.grace_ms > now,
    )
    if after is not None:
        query = query.where(or_(ends > after.ends_at, and_(ends == after.ends_at, leases.c.id > after.id)))
    return [DueLease(*row) for row in tx.execute(query.order_by(ends, leases.c.id).limit(limit))]


def renew_due(tx: Connection, due: DueLease, *, now: int) -> Order | None:
    """Go on with it from this end, by the plan it has, paid from the wallet; None where it has another end by now, or
    is not to be renewed any more. The errors of `orders.renew_leases`."""
    found = tx.execute(
        select(leases.c.id).where(
            leases.c.id == due.id,
            leases.c.account == due.account,
            leases.c.ends_at == due.ends_at,
            leases.c.auto_renew == 1,
            leases.c.released_at.is_(None),
            leases.c.ends_at + leases.c.grace_ms > now,
        )
    ).one_or_none()
    return None if found is None else renew_leases(tx, due.account, [due.id], now=now)


def is_noted(tx: Connection, due: DueLease) -> bool:
    """Whether the record says already that it was not renewed from this end on."""
    told = select(audit.c.after).where(audit.c.action == NOT_RENEWED, audit.c.subject == due.id)
    return any(msgspec.json.decode(one)["ends_at"] == due.ends_at for one in tx.execute(told).scalars())


def note_not_renewed(tx: Connection, due: DueLease, why: str) -> None:
    """For the record: the holder is going to lose it, and why."""
    trail.note(tx, NOT_RENEWED, account=due.account, subject=due.id, after={"ends_at": due.ends_at, "why": why})
