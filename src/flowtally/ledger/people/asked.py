"""Whom a question about usage means: users by what they are called, or by id. UnknownUser where that is nobody.

An answer of zeros about somebody who does not exist would mean nothing: a name that is misspelled reads like a user who
used nothing. A name means who bears it at the answer's moment; who was deleted, or renamed, is asked for by id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select

from flowtally.core.edges import format_instant
from flowtally.core.errors import UnknownUser
from flowtally.core.texts import may_be_known
from flowtally.ledger.known import Known
from flowtally.ledger.people import names as history
from flowtally.ledger.people import users
from flowtally.ledger.tables import user_names
from flowtally.ledger.tables import users as all_users

SHOWN_CHARS = 100


def users_of(tx: Connection, account: str, wanted: Iterable[str], known: Known | None = None) -> tuple[str, ...]:
    """The ids of these users of the account, each given by name or id; the empty name is use without a user.
    `known`: by the names of then, and of those of later for names that were free."""
    asked = list(dict.fromkeys(wanted))
    found = users.bearers(tx, [(account, one) for one in asked], known)
    ids = {name: id for (_, name), id in found.items()}
    ids |= {id: id for id in _ids(tx, [one for one in asked if one not in ids], [account])}
    for name in asked:
        if name not in ids and known is not None and may_be_known(name):
            later = history.next_bearer(tx, (account, name), known)
            ids |= {} if later is None else {name: later}
        if name not in ids:
            raise _unknown(name, f"account {account!r} has no user", _last_of(tx, account, name))
    return tuple(sorted(set(ids.values())))


def users_anywhere(
    tx: Connection, wanted: Iterable[str], accounts: Sequence[str] | None = None, known: Known | None = None
) -> tuple[str, ...]:
    """The same over all accounts, or these."""
    ids: set[str] = set()
    for name in dict.fromkeys(wanted):
        mine = users.ids_named(tx, [name], known, accounts) or set(_ids(tx, [name], accounts))
        if not mine:
            where = "no account has a user" if accounts is None else f"none of {', '.join(accounts)[:200]} has a user"
            raise _unknown(name, where, "")
        ids |= mine
    return tuple(sorted(ids))


def _ids(tx: Connection, wanted: Sequence[str], accounts: Sequence[str] | None) -> Iterable[str]:
    """Those that are ids of users, also of deleted ones."""
    for chunk in history.chunks(one for one in wanted if may_be_known(one)):
        query = select(all_users.c.id).where(all_users.c.id.in_(chunk))
        yield from tx.execute(query if accounts is None else query.where(all_users.c.account.in_(accounts))).scalars()


def _last_of(tx: Connection, account: str, name: str) -> str:
    """Who bore a name last that is free now, in words."""
    if not may_be_known(name):
        return ""
    mine = user_names.c
    query = select(mine.user_id, mine.valid_to).where(mine.account == account, mine.name == name)
    row = tx.execute(query.where(mine.valid_to.is_not(None)).order_by(mine.valid_to.desc()).limit(1)).one_or_none()
    return "" if row is None else f"; {row[0]} bore that name until {format_instant(row[1])}: ask by that id"


def _unknown(name: str, where: str, more: str) -> UnknownUser:
    shown = name if len(name) <= SHOWN_CHARS else name[:SHOWN_CHARS] + "..."
    return UnknownUser(f"{where} {shown!r}{more}", user=shown)
