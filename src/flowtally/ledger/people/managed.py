"""Users that somebody manages: made by hand or taken over from traffic, changed, renamed, deleted.

Owns what is set about a user and the rule of names (decisions 0073, 0124): a name that somebody manages is borne once
in its account; one that only traffic brought reserves nothing, whoever bore it gives way and keeps its past. What other
accounts call their users is neither seen nor in the way. `funded` decides who pays for use, so it is fixed when the
user is made. Passwords come here encrypted (`vault`).
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, bindparam, insert, select, update

from flowtally.core.edges import second_of
from flowtally.core.errors import Conflict, LimitReached, NameTaken
from flowtally.core.events import MAX_QUANTITY
from flowtally.core.words import SetUserStatus
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.people import names, past, roster, whitelist
from flowtally.ledger.people.accounts import read_open_account
from flowtally.ledger.people.users import Limit, User, read_user
from flowtally.ledger.tables import managed_users, users
from flowtally.ledger.texts import check_number, check_text

_FUNDED: Final = (
    select(managed_users.c.user_id)
    .where(managed_users.c.account == bindparam("asked"), managed_users.c.funded == 1)
    .order_by(managed_users.c.user_id)
)


def create_user(
    tx: Connection,
    account: str,
    name: str,
    *,
    now: int,
    product: str | None = None,
    limit: Limit | None = None,
    funded: bool = False,
    status: SetUserStatus = "active",
    password: str | None = None,
    most: int = 0,
) -> User:
    """A new user, which has used nothing under this name before `now` if anybody bore it. Whom traffic brought under it
    gives way (`_free`); its whitelists are the new user's. `most`: so many the account may have, 0 for any number;
    users that only traffic brought do not count.

    UnknownAccount, Conflict (closed account), NameTaken, LimitReached, Unprocessable.
    """
    read_open_account(tx, account)
    check_text("name", name, least=1)
    bearer = _to_give_way(tx, account, name)
    _check_room(tx, account, most)
    user_id = new_id("usr_")
    at = second_of(now) if funded else now  # its purse begins when it was made
    tx.execute(insert(users).values(id=user_id, account=account, created_at=at))
    if bearer is not None:
        whitelist.hand_over(tx, bearer.id, user_id)
        _free(tx, bearer, now)
    names.take(tx, {(account, name): user_id}, now)
    before = read_user(tx, account, user_id)
    after = msgspec.structs.replace(before, product=product, limit=limit, funded=funded, status=status)
    return _keep(tx, before, after, password, now, "user.create")


def change_user(
    tx: Connection,
    account: str,
    user: str,
    *,
    now: int,
    name: str | UnsetType = UNSET,
    product: str | UnsetType | None = UNSET,
    limit: Limit | UnsetType | None = UNSET,
    status: SetUserStatus | UnsetType = UNSET,
    password: str | UnsetType | None = UNSET,
) -> User:
    """Change what is given (None takes it away); returns the user as it is then. A new name holds from `now` on, or
    from the beginning of time where nobody ever bore it; whom traffic brought under it gives way (`_free`). A user that
    only traffic brought is managed from now on, with its past.

    UnknownUser, Conflict (deleted; a new name in a closed account), NameTaken, Unprocessable.
    """
    before = read_user(tx, account, user)
    if before.status == "deleted":
        raise Conflict(f"user {before.name!r} ({before.id}) was deleted", user=before.id)
    given = {"name": name, "product": product, "limit": limit, "status": status}
    after = msgspec.structs.replace(before, **{field: value for field, value in given.items() if value is not UNSET})
    if after == before and password is UNSET:
        return before
    if after.name != before.name:
        bearer = _to_give_way(tx, account, after.name)
        read_open_account(tx, account)
        check_text("name", after.name, least=1)
        if bearer is not None:
            _free(tx, bearer, now)
        names.give_up(tx, before.id, now)
        names.take(tx, {(account, after.name): before.id}, now)
    return _keep(tx, before, after, password, now, "user.change")


def delete_user(tx: Connection, account: str, user: str, *, now: int) -> User:
    """From now on nobody bears its name, its password and whitelists are gone; its use, history and limit stay on
    record.

    A second time (by id) changes nothing. UnknownUser.
    """
    before = read_user(tx, account, user)
    return before if before.status == "deleted" else _delete(tx, before, now, "user.delete")


def funded_users(tx: Connection, account: str) -> tuple[str, ...]:
    """Ids of the account's funded users, deleted ones included, in order."""
    return tuple(tx.execute(_FUNDED, {"asked": account}).scalars())


def sealed_password(tx: Connection, user_id: str) -> str | None:
    """The encrypted password of the user; None when it has none."""
    query = select(managed_users.c.password).where(managed_users.c.user_id == user_id)
    return tx.execute(query).scalar_one_or_none()


def _check_room(tx: Connection, account: str, most: int) -> None:
    present = roster.count_managed(tx, account) if most else 0
    if most and present >= most:
        detail = f"account {account!r} has {present} managed users; {most} are allowed"
        raise LimitReached(detail, account=account, present=present, limit=most)


def _to_give_way(tx: Connection, account: str, name: str) -> User | None:
    """Whom traffic brought and who bears this name now: it gives way. NameTaken where the bearer is managed."""
    found = names.present_bearers(tx, [(account, name)]).get((account, name))
    bearer = None if found is None else read_user(tx, account, found)
    if bearer is not None and bearer.managed:
        raise NameTaken(f"the name {name!r} is in use", name=name)
    return bearer


def _free(tx: Connection, bearer: User, now: int) -> None:
    """Let one whom only traffic brought give its name up: it is deleted, as if by hand, and what it used stays its and
    the account's."""
    _delete(tx, bearer, now, "user.give_way")


def _delete(tx: Connection, before: User, now: int, did: str) -> User:
    names.give_up(tx, before.id, now)
    whitelist.forget_user(tx, before.id)
    return _keep(tx, before, msgspec.structs.replace(before, status="deleted"), None, now, did)


def _keep(tx: Connection, before: User, after: User, password: str | UnsetType | None, now: int, did: str) -> User:
    if after.product is not None and after.product != before.product:
        check_text("product", after.product, least=1)
    if after.limit is not None:
        check_number("limit.amount", after.limit.amount, least=0, most=MAX_QUANTITY)
    row: dict[str, object] = {
        "name": None if after.status == "deleted" else after.name,
        "product": after.product,
        "status": after.status,
        "limit_amount": after.limit and after.limit.amount,
        "limit_unit": after.limit and after.limit.unit,
        "limit_window": after.limit and after.limit.window,
        "changed_at": now,
    }
    if password is not UNSET:
        row["password"] = password
    if (before.status, before.limit) != (after.status, after.limit):
        past.keep_settings(tx, after.id, now, status=before.status, limit=_limit(before))
    if before.managed:
        tx.execute(update(managed_users).where(managed_users.c.user_id == after.id).values(row))
    else:
        fixed = {"user_id": after.id, "account": after.account, "funded": int(after.funded)}
        tx.execute(insert(managed_users).values(row | fixed))
    has_password = before.has_password if password is UNSET else password is not None
    kept = msgspec.structs.replace(after, has_password=has_password, managed=True)
    was = None if did == "user.create" else trail.facts(before, "name")
    changes = {"renamed": after.name != before.name, "password_set": isinstance(password, str)}
    now_is = trail.facts(kept, "name") | {name: True for name, yes in changes.items() if yes}
    trail.note(tx, did, account=kept.account, subject=kept.id, before=was, after=now_is)
    return kept


def _limit(user: User) -> tuple[int | None, str | None, str | None]:
    one = user.limit
    return (None, None, None) if one is None else (one.amount, one.unit, one.window)
