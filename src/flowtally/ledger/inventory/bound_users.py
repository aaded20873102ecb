"""Bound users: which users of its account may use a server, for as long as the account leases it.

They belong to the lease, so who leases the server next begins without any. That a gateway lets nobody else in is the
gateway's doing: it asks for the list.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from flowtally.core.errors import Conflict, LimitReached, NotFound
from flowtally.ledger import trail
from flowtally.ledger.inventory.actions import read_active_lease
from flowtally.ledger.inventory.leases import read_held
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.people.accounts import read_active_account
from flowtally.ledger.people.users import User, as_user, query_users, read_user
from flowtally.ledger.tables import bound_users, managed_users, users

MOST_BOUND: Final = 1_000  # of one lease


class BoundUser(msgspec.Struct, frozen=True):
    """A user that may use what is leased, and since when."""

    user: User
    bound_at: int


_B: Final = bound_users.c


def bind_user(tx: Connection, account: str, lease_id: str, user: str, *, now: int) -> BoundUser:
    """Let the user use what is leased. A second time changes nothing. UnknownAccount, AccountSuspended, NotFound,
    LeaseEnded, UnknownUser, LimitReached, Conflict (closed account, deleted user)."""
    read_active_account(tx, account)
    lease = read_active_lease(tx, account, lease_id, now)
    bound = read_user(tx, account, user)
    if bound.status == "deleted":
        raise Conflict(f"user {bound.name!r} ({bound.id}) was deleted", user=bound.id)
    mine = (_B.lease_id == lease.id) & (_B.user_id == bound.id)
    since = tx.execute(select(_B.bound_at).where(mine)).scalar_one_or_none()
    if since is not None:
        return BoundUser(bound, since)
    if tx.execute(select(func.count()).where(_B.lease_id == lease.id)).scalar_one() >= MOST_BOUND:
        raise LimitReached(f"{MOST_BOUND} users are bound to lease {lease.id}, which is the most", limit=MOST_BOUND)
    tx.execute(insert(bound_users).values(lease_id=lease.id, user_id=bound.id, bound_at=now))
    trail.note(tx, "lease.bind", account=account, subject=lease.id, after={"user": bound.id})
    return BoundUser(bound, now)


def unbind_user(tx: Connection, account: str, lease_id: str, user: str) -> BoundUser:
    """Take it off the list; answers it as it was. NotFound, also where it is not bound; UnknownUser."""
    lease = read_held(tx, account, lease_id).lease
    bound = read_user(tx, account, user)
    mine = (_B.lease_id == lease.id) & (_B.user_id == bound.id)
    since = tx.execute(select(_B.bound_at).where(mine)).scalar_one_or_none()
    if since is None:
        raise NotFound(f"user {bound.name!r} ({bound.id}) is not bound to lease {lease.id}", user=bound.id)
    tx.execute(delete(bound_users).where(mine))
    trail.note(tx, "lease.unbind", account=account, subject=lease.id, before={"user": bound.id})
    return BoundUser(bound, since)


def list_bound(
    tx: Connection, account: str, lease_id: str, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> ListPage[BoundUser]:
    """In the order the users were made; without those that were deleted. NotFound."""
    lease = read_held(tx, account, lease_id).lease
    query = query_users(account).add_columns(_B.bound_at).join(bound_users, _B.user_id == users.c.id)
    query = query.where(_B.lease_id == lease.id, func.coalesce(managed_users.c.status, "active") != "deleted")
    return read_page(tx, "bound", query, users.c.id, _made, (account, lease.id), after=after, limit=limit)


def _made(*row: Any) -> BoundUser:
    return BoundUser(as_user(*row[:-1]), row[-1])
