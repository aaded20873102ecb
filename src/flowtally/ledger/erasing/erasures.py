"""Erasures: users whose name and labels were taken away on request, and which are not done yet (decision 0024).

Owns the record. The ledger forgets the name in the very transaction that asks; what else holds text of the user (rows
of usage, bytes that a database left behind in its files) takes longer, so the record says `finished_at` only once that
is gone too: whoever starts next goes on with those that have none. A record holds no text of the user.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, bindparam, delete, insert, select, update

from flowtally.core.errors import NotFound
from flowtally.core.texts import may_be_known
from flowtally.ledger import idempotency, trail
from flowtally.ledger.erasing.erased_reconciliations import forget_names, names_borne_by
from flowtally.ledger.people import managed, names
from flowtally.ledger.people.users import read_user
from flowtally.ledger.tables import accounts, erasures, shadow_differences, shadows


class Erasure(msgspec.Struct, frozen=True):
    """`finished_at` is None while usage or files may still hold the name or a label."""

    user_id: str
    account: str
    asked_at: int
    finished_at: int | None


_WHOLE: Final = select(accounts.c.id).where(accounts.c.erased_at.is_not(None), accounts.c.erasure_finished_at.is_(None))
_PENDING: Final = (
    select(erasures.c.user_id)
    .where(erasures.c.finished_at.is_(None), erasures.c.account.not_in(_WHOLE))
    .order_by(erasures.c.asked_at, erasures.c.user_id)
    .limit(bindparam("most"))
)


def erase_user(tx: Connection, account: str, user: str, *, now: int) -> Erasure:
    """Delete the user if it is not, and forget every name it bore. A second time (by id) has the rest looked at anew.

    UnknownAccount, UnknownUser.
    """
    found = managed.delete_user(tx, account, user, now=now)
    borne = names_borne_by(tx, [found.id])
    names.forget(tx, found.id)
    forget_names(tx, found.account, borne)
    idempotency.forget_name(tx, found.id)
    # Calls and answers may name the user anywhere in them.
    tx.execute(delete(shadow_differences).where(shadow_differences.c.account == account))
    tx.execute(update(shadows).where(shadows.c.account == account).values(detail=""))
    if found.erased_at is None:
        tx.execute(insert(erasures).values(user_id=found.id, account=account, asked_at=now))
    else:
        tx.execute(update(erasures).where(erasures.c.user_id == found.id).values(finished_at=None))
    trail.note(tx, "user.erase", account=account, subject=found.id)
    return read_erasure(tx, account, found.id)


def read_erasure(tx: Connection, account: str, user: str) -> Erasure:
    """UnknownAccount, UnknownUser; NotFound for a user that was not erased."""
    found = read_user(tx, account, user)
    row = tx.execute(_erasures().where(erasures.c.user_id == found.id)).one_or_none()
    if row is None:
        raise NotFound(f"user {found.name!r} was not erased", user=found.id)
    return Erasure(*row)


def pending(tx: Connection, limit: int) -> list[str]:
    """Ids of users whose erasure is not finished, those asked for first. Those of an account that is being erased end
    with it."""
    return list(tx.execute(_PENDING, {"most": limit}).scalars())


def accounts_of(tx: Connection, user_ids: Iterable[str]) -> set[str]:
    """The accounts of these users whose erasure was asked for."""
    found: set[str] = set()
    for chunk in names.chunks(user_ids):
        found.update(tx.execute(select(erasures.c.account).where(erasures.c.user_id.in_(chunk))).scalars())
    return found


def finish(tx: Connection, user_ids: Iterable[str], *, now: int) -> None:
    """Nothing that flowtally keeps holds text of these users any more."""
    wanted = sorted(user_ids)
    for chunk in names.chunks(wanted):
        unfinished = erasures.c.user_id.in_(chunk) & erasures.c.finished_at.is_(None)
        tx.execute(update(erasures).where(unfinished).values(finished_at=now))
    trail.note(tx, "erasure.finish", after=trail.ids(wanted))


def reopen(tx: Connection) -> None:
    """All erasures are to be looked at again: beside this ledger stand rows of another moment, as after a restore."""
    opened = tx.execute(update(erasures).values(finished_at=None)).rowcount
    if opened:
        trail.note(tx, "erasure.reopen", after={"count": opened})


def erased_among(tx: Connection, user_ids: Iterable[str]) -> set[str]:
    """Those of these users whose erasure was asked for."""
    found: set[str] = set()
    for chunk in names.chunks(one for one in set(user_ids) if one and may_be_known(one)):
        found.update(tx.execute(select(erasures.c.user_id).where(erasures.c.user_id.in_(chunk))).scalars())
    return found


def finished(tx: Connection, after: str, limit: int) -> list[str]:
    """Ids of users whose erasure is finished, in order, those after this id."""
    query = select(erasures.c.user_id).where(erasures.c.finished_at.is_not(None), erasures.c.user_id > after)
    return list(tx.execute(query.order_by(erasures.c.user_id).limit(limit)).scalars())


def _erasures() -> Select[Any]:
    """Columns in the order of Erasure's fields."""
    return select(erasures.c.user_id, erasures.c.account, erasures.c.asked_at, erasures.c.finished_at)
