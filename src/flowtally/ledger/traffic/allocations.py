"""Allocations: traffic passed on from an account to one of its funded users, and taken back.

One row is both sides, so they cannot fall apart: a draw on the account's purse at `created_at`, and a grant to the
user's purse from that second on (`starts_at`). What is taken back is a row of its own; it lessens the draw and the
grant alike, as if they had been that much smaller from the beginning.

An allocation may end: at `expires_at` the user's grant expires, as any grant does, and what it did not spend is lost
there. The account's draw knows no end: it bought a life, and nothing of what has ended comes back (decision 0048).

Whether the account's balance covers an allocation, and how much of one is unspent, follow from usage, which the ledger
does not know: callers say, in the same write transaction (`flowtally.funding.user_funds`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, func, insert, select

from flowtally.core.edges import second_of
from flowtally.core.errors import Conflict, NotCovered, NotFound, Unprocessable
from flowtally.core.events import MAX_QUANTITY
from flowtally.core.texts import may_be_known
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.known import Known, is_known
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.people.accounts import read_active_account
from flowtally.ledger.people.names import chunks
from flowtally.ledger.people.users import User
from flowtally.ledger.pools import read_pools
from flowtally.ledger.tables import allocation_returns, allocations
from flowtally.ledger.texts import check_instant, check_number

_MADE: Final = tuple(column for column in allocations.c if column.name != "promise")


class Allocation(msgspec.Struct, frozen=True):
    """`amount` as allocated, in the pool's unit; `returned` of it was taken back. None never expires.
    `starts_at`: in rows of before there was one, None."""

    id: str
    account: str
    user_id: str
    pool: str
    amount: int
    created_at: int
    expires_at: int | None = None
    returned: int = 0
    starts_at: int | None = None

    @property
    def pays_from(self) -> int:
        """From when on it pays for the user's use."""
        return self.created_at if self.starts_at is None else self.starts_at

    def ended(self, at: int) -> bool:
        """Whether nothing of it can be spent or taken back any more."""
        return self.expires_at is not None and self.expires_at <= at


def allocate(
    tx: Connection, user: User, amount: int, *, now: int, pool: str, left: int, expires_at: int | None = None
) -> Allocation:
    """Pass `amount` of the account's pool on to the user until it expires, when the `left` in the account's purse
    covers it.

    NotCovered, NotFound (pool), AccountSuspended, Conflict (closed account; the user is not funded, or deleted),
    Unprocessable.
    """
    read_active_account(tx, user.account)
    check_allocation(tx, user, amount, pool)
    if expires_at is not None:
        check_instant("expires_at", expires_at, least=now + 1)
    if amount > left:
        asked, rest = read_pools(tx).words(pool, amount, left)
        detail = f"account {user.account!r} has {rest} left in pool {pool!r}; {asked} are asked for"
        raise NotCovered(detail, account=user.account, pool=pool, amount=amount, left=left)
    made = Allocation(new_id("alc_"), user.account, user.id, pool, amount, now, expires_at, starts_at=second_of(now))
    tx.execute(insert(allocations).values({column.name: getattr(made, column.name) for column in _MADE}))
    trail.note(tx, "allocation.make", account=made.account, subject=made.id, after=trail.facts(made))
    return made


def check_allocation(tx: Connection, user: User, amount: int, pool: str) -> None:
    """What can be refused without knowing the balance; the errors of `allocate` but NotCovered."""
    check_number("amount", amount, least=1, most=MAX_QUANTITY)
    if read_pools(tx).charge(pool) == "nothing":
        raise Unprocessable(f"pool {pool!r} charges nothing: there is nothing to allocate", field="pool")
    if user.status == "deleted":
        raise Conflict(f"user {user.name!r} ({user.id}) was deleted", user=user.id)
    if not user.funded:
        raise Conflict(f"user {user.name!r} is not funded: the account pays for it", user=user.id)


def take_back(
    tx: Connection, user: User, allocation_id: str, *, now: int, unspent: int, amount: int | None = None
) -> Allocation:
    """Return `amount` (None: all) of the `unspent` part of the allocation to the account. Nothing unspent and no
    amount asked for: nothing changes. Of one that has expired nothing is there to be returned. NotCovered when it is
    more than is unspent, NotFound, Unprocessable."""
    found = read_allocation(tx, user, allocation_id)
    unspent = 0 if found.ended(now) else unspent
    wanted = unspent if amount is None else check_number("amount", amount, least=1, most=MAX_QUANTITY)
    if wanted > unspent:
        detail = f"{wanted} are more than the {unspent} that are unspent of allocation {found.id!r}"
        raise NotCovered(detail, allocation=found.id, pool=found.pool, amount=wanted, left=unspent)
    if wanted == 0:
        return found
    row = {"id": new_id("ret_"), "allocation_id": found.id, "amount": wanted, "returned_at": now}
    tx.execute(insert(allocation_returns).values(row))
    less = msgspec.structs.replace(found, returned=found.returned + wanted)
    trail.change(tx, "allocation.return", found, less, account=found.account, subject=found.id)
    return less


def read_allocation(tx: Connection, user: User, allocation_id: str) -> Allocation:
    """The allocation to that user; NotFound when there is none."""
    row = None
    if may_be_known(allocation_id):
        query = _allocations().where(allocations.c.user_id == user.id, allocations.c.id == allocation_id)
        row = tx.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"user {user.name!r} has no allocation {allocation_id!r}", allocation=allocation_id)
    return _allocation(*row)


def list_allocations(
    tx: Connection, user: User, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> ListPage[Allocation]:
    """Allocations to the user in the order they were made, returned ones included."""
    query = _allocations().where(allocations.c.user_id == user.id)
    return read_page(tx, "allocations", query, allocations.c.id, _allocation, (user.id,), after=after, limit=limit)


def allocations_of(tx: Connection, account: str, known: Known | None = None) -> list[Allocation]:
    """All that the account ever passed on, in order of id: the draws on its purses. `known`: as it was known then."""
    return _known_allocations(tx, allocations.c.account == account, known)


def allocations_to(tx: Connection, user_id: str, known: Known | None = None) -> list[Allocation]:
    """All that the user ever got, in order of id: the grants of its purses. `known`: as it was known then."""
    return _known_allocations(tx, allocations.c.user_id == user_id, known)


def allocations_to_each(tx: Connection, user_ids: Sequence[str]) -> dict[str, list[Allocation]]:
    """The same of each of these users, by id: as many questions for many as for one."""
    found: dict[str, list[Allocation]] = {user_id: [] for user_id in user_ids}
    for some in chunks(found):
        for one in _known_allocations(tx, allocations.c.user_id.in_(some), None):
            found[one.user_id].append(one)
    return found


def _known_allocations(tx: Connection, whose: ColumnElement[bool], known: Known | None) -> list[Allocation]:
    query = _allocations(known).where(whose, is_known(known, allocations.c.promise, allocations.c.created_at))
    return [_allocation(*row) for row in tx.execute(query.order_by(allocations.c.id))]


def _allocations(known: Known | None = None) -> Select[Any]:
    """Columns in the order of `_allocation`: PostgreSQL gives sums of BIGINT as decimals."""
    back = allocation_returns.c
    mine = and_(back.allocation_id == allocations.c.id, is_known(known, back.promise, back.returned_at))
    returned = select(func.coalesce(func.sum(allocation_returns.c.amount), 0)).where(mine).scalar_subquery()
    return select(*_MADE, returned)


def _allocation(
    id: str,
    account: str,
    user_id: str,
    pool: str,
    amount: int,
    created_at: int,
    expires_at: int | None,
    starts_at: int | None,
    returned: int,
) -> Allocation:
    return Allocation(id, account, user_id, pool, amount, created_at, expires_at, int(returned), starts_at)
