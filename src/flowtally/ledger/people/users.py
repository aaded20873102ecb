"""Users: who inside an account used something.

A user is an immutable id; what it is called is a history (`names`), so that a rename keeps the past and a name can be
used again by someone else. Most users come into being with their first event and are nothing but a name; what somebody
set about one (a limit, a status, a password) is kept by `managed`, and read here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, insert, select

from flowtally.core.errors import UnknownAccount, UnknownUser
from flowtally.core.events import NOBODY
from flowtally.core.texts import may_be_known
from flowtally.core.times import LAST_INSTANT
from flowtally.core.words import LimitWindow, Unit, UserStatus
from flowtally.ledger import trail
from flowtally.ledger.ids import erased_name, new_id
from flowtally.ledger.known import Known
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_chosen, read_page
from flowtally.ledger.people import names as history
from flowtally.ledger.people import past
from flowtally.ledger.people.accounts import read_account
from flowtally.ledger.people.names import History, Name
from flowtally.ledger.pools import Pools, read_pools
from flowtally.ledger.tables import accounts, erasures, managed_users, user_names, users
from flowtally.ledger.texts import check_text
from flowtally.protocol.words import DEFAULT_POOL

__all__ = [
    "Limit", "Name", "User", "as_user", "ensure_users", "in_pool", "list_users",
    "names_of", "query_users", "read_user", "resolve_users", "users_named",
]  # fmt: skip


class Limit(msgspec.Struct, frozen=True):
    """At most `amount` in each window of the account's calendar. It never pays, and stops nothing by itself."""

    amount: int
    unit: Unit = "bytes"
    window: LimitWindow = "lifetime"


class User(msgspec.Struct, frozen=True):
    """`name` is what the user is called now, or was called last; `managed`: somebody set something about it. One that
    was erased has no name and is called by its id; `erased_at` says since when.

    A `funded` user's use is paid from its own purse only, and left out of the account's.
    """

    id: str
    account: str
    name: str
    created_at: int
    product: str | None = None
    status: UserStatus = "active"
    funded: bool = False
    limit: Limit | None = None
    has_password: bool = False
    managed: bool = False
    erased_at: int | None = None


def resolve_users(tx: Connection, names: Iterable[Name], at: int) -> dict[Name, str]:
    """The ids of those who bore these names at that instant; names nobody bore are left out."""
    wanted = set(names)
    found = {name: NOBODY for name in wanted if name[1] == NOBODY}
    for name, bearers in history.histories(tx, wanted).items():
        if (user_id := history.bearer_at(bearers, at)) is not None:
            found[name] = user_id
    return found


def ids_named(
    tx: Connection, names: Iterable[str], known: Known | None = None, within: Sequence[str] | None = None
) -> set[str]:
    """The ids of those who bear one of these names now, or bore it then, in any account, or `within` these, as
    `bearers` says. No index has names alone: it reads all names, which an operator's rare question may."""
    wanted = set(names)
    found = {NOBODY} & wanted
    for chunk in history.chunks(name for name in wanted if name != NOBODY and may_be_known(name)):
        query = select(user_names.c.account, user_names.c.name).where(user_names.c.name.in_(chunk)).distinct()
        if within is not None:
            query = query.where(user_names.c.account.in_(within))
        pairs = [(account, name) for account, name in tx.execute(query)]
        found.update(bearers(tx, pairs, known).values())
    return found


def ensure_users(tx: Connection, names: Iterable[Name], now: int) -> dict[Name, str]:
    """The ids of those who bear these names, making users for names that are free.

    UnknownAccount when one of the accounts does not exist, Unprocessable for a name that cannot be: none is made then.
    """
    wanted = set(names)
    found = {name: NOBODY for name in wanted if name[1] == NOBODY}
    _require_accounts(tx, {account for account, _ in found})
    made = ensure_histories(tx, wanted - found.keys(), now)
    return found | {name: bearers[-1].user_id for name, bearers in made.items()}


def ensure_histories(tx: Connection, names: Iterable[Name], now: int) -> dict[Name, History]:
    """The same, and all who bore these names, none of which is empty: one look at each."""
    wanted = sorted(set(names))
    found = history.histories(tx, wanted)
    missing = [name for name in wanted if name not in found or found[name][-1].until is not None]
    _require_accounts(tx, {account for account, _ in wanted})
    for _, name in missing:
        check_text("user", name, least=1)
    made = {name: new_id("usr_") for name in missing}
    if made:
        tx.execute(insert(users), [{"id": made[name], "account": name[0], "created_at": now} for name in made])
        found |= history.take(tx, made, now, found)
        whose = {account for account, _ in made}
        said = trail.ids(sorted(made.values())) | {"accounts": len(whose)}
        trail.note(tx, "user.see", account=whose.pop() if len(whose) == 1 else None, after=said)
    return found


def read_user(tx: Connection, account: str, user: str, known: Known | None = None) -> User:
    """The user of that account by id (also one that was deleted) or else by present name. `known`: by the name it bore
    then, or was the first to bear after; with the name, status and limit it had.

    UnknownUser, or UnknownAccount, when there is none.
    """
    row = None
    if may_be_known(account + user):
        row = tx.execute(_OF_ID, {"asked": account, "user": user}).one_or_none()
        bearer = bearers(tx, [(account, user)], known).get((account, user)) if row is None else None
        if row is None and bearer is None and known is not None:
            bearer = history.next_bearer(tx, (account, user), known)
        if bearer is not None:
            row = tx.execute(_OF_ID, {"asked": account, "user": bearer}).one()
    if row is None:
        read_account(tx, account)
        raise UnknownUser(f"account {account!r} has no user {user!r}", user=user)
    return as_user(*row) if known is None else _then(tx, as_user(*row), known)


def users_named(tx: Connection, account: str, names: Iterable[str]) -> dict[str, User]:
    """Who of the account bears these names now, by name, without those that nobody bears: as many questions for many
    names as for one."""
    present = history.present_bearers(tx, ((account, name) for name in names))
    named = {user_id: name for (_, name), user_id in present.items()}
    found: dict[str, User] = {}
    for chunk in history.chunks(named):
        rows = tx.execute(query_users(account).where(users.c.id.in_(chunk)))
        found.update((named[row.id], as_user(*row)) for row in rows)
    return found


def bearers(tx: Connection, names: Iterable[Name], known: Known | None = None) -> dict[Name, str]:
    """The ids of those who bear these names now, or bore them then; free names are left out, the empty one is
    nobody's."""
    wanted = set(names)
    found = {name: NOBODY for name in wanted if name[1] == NOBODY}
    others = wanted - found.keys()
    return found | (history.present_bearers(tx, others) if known is None else history.bearers_then(tx, others, known))


def _then(tx: Connection, user: User, known: Known) -> User:
    name = names_of(tx, [user.id], known).get(user.id)
    if name is None:  # it was made later: the first name it bore stays the first, whatever it is called since
        name = history.first_name(tx, user.id) or user.name
    before = past.settings_then(tx, user.id, known)
    if before is None:
        return msgspec.structs.replace(user, name=name)
    amount = before.limit_amount
    limit = None if amount is None else Limit(amount, before.limit_unit, before.limit_window)
    return msgspec.structs.replace(user, name=name, status=before.status, limit=limit)


def list_users(
    tx: Connection,
    account: str,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
    *,
    deleted: bool = False,
    pool: str | None = None,
    product: str | None = None,
    over: Callable[[list[User]], list[bool]] | None = None,
) -> ListPage[User]:
    """Users of the account in order of id, which is the order they were made in; `deleted`: also those that were
    deleted; only those of this pool or product. `over`: only those with a limit of whom it says so. UnknownAccount,
    NotFound (pool)."""
    read_account(tx, account)
    query = query_users(account)
    if not deleted:
        query = query.where(func.coalesce(managed_users.c.status, "active") != "deleted")
    if pool is not None:
        query = query.where(in_pool(read_pools(tx), pool))
    if product is not None:
        query = query.where(managed_users.c.product == product)
    asked = (account, deleted, pool, product)
    if over is None:
        return read_page(tx, "users", query, users.c.id, as_user, asked, after=after, limit=limit)
    query, chosen = query.where(managed_users.c.limit_amount.is_not(None)), (*asked, "exceeded")
    return read_chosen(tx, "users", query, users.c.id, as_user, over, chosen, after=after, limit=limit)


def in_pool(known: Pools, pool: str) -> ColumnElement[bool]:
    """Whether a user's product is paid from this pool; without a product it is in the default pool. NotFound."""
    known.charge(pool)
    product = managed_users.c.product
    if pool != DEFAULT_POOL:
        return product.in_(known.products_of(pool))
    elsewhere = [name for name, its in known.products.items() if its != DEFAULT_POOL]
    return product.is_(None) | product.not_in(elsewhere)


def names_of(tx: Connection, user_ids: Iterable[str], known: Known | None = None) -> dict[str, str]:
    """What these users are called now, or were called last (those erased: by their id); ids of nobody are left out.
    `known`: what they were called then."""
    wanted = set(user_ids)
    found = {NOBODY: NOBODY} if NOBODY in wanted else {}
    named = [user_id for user_id in wanted if user_id != NOBODY and may_be_known(user_id)]
    if known is not None:
        found |= history.names_then(tx, named, known)
    for chunk in history.chunks(named if known is None else ()):
        query = select(user_names.c.user_id, user_names.c.name).where(user_names.c.user_id.in_(chunk))
        found.update((user_id, name) for user_id, name in tx.execute(query.order_by(_end())))
    for chunk in history.chunks(user_id for user_id in wanted - found.keys() if may_be_known(user_id)):
        erased = tx.execute(select(erasures.c.user_id).where(erasures.c.user_id.in_(chunk))).scalars()
        found.update((user_id, erased_name(user_id)) for user_id in erased)
    return found


def _end() -> Any:
    return func.coalesce(user_names.c.valid_to, LAST_INSTANT + 1)


def query_users(account: str) -> Select[Any]:
    """Columns in the order of `as_user`'s arguments."""
    return _ALL.where(users.c.account == account)


def _all() -> Select[Any]:
    m = managed_users.c
    last = select(user_names.c.name).where(user_names.c.user_id == users.c.id).order_by(_end().desc()).limit(1)
    name = func.coalesce(m.name, last.correlate(users).scalar_subquery())
    query = select(
        users.c.id, users.c.account, name, users.c.created_at, m.product, m.status, m.funded, m.limit_amount,
        m.limit_unit, m.limit_window, m.password.is_not(None), erasures.c.asked_at,
    )  # fmt: skip
    query = query.outerjoin(managed_users, m.user_id == users.c.id)
    return query.outerjoin(erasures, erasures.c.user_id == users.c.id)


_ALL: Final = _all()
_OF_ID: Final = _ALL.where(users.c.account == bindparam("asked"), users.c.id == bindparam("user"))


def as_user(
    id: str, account: str, name: str | None, created_at: int, product: str | None, status: UserStatus | None,
    funded: int | None, amount: int | None, unit: Unit | None, window: LimitWindow | None, has_password: bool,
    erased_at: int | None,
) -> User:  # fmt: skip
    name = erased_name(id) if name is None else name
    if status is None:
        return User(id, account, name, created_at)
    limit = None if amount is None or unit is None or window is None else Limit(amount, unit, window)
    fixed = (id, account, name, created_at, product, status, bool(funded), limit, bool(has_password))
    return User(*fixed, managed=True, erased_at=erased_at)


def _require_accounts(tx: Connection, wanted: set[str]) -> None:
    known: set[str] = set()
    for chunk in history.chunks(account for account in wanted if may_be_known(account)):
        known.update(tx.execute(select(accounts.c.id).where(accounts.c.id.in_(chunk))).scalars())
    for account in sorted(wanted - known):
        raise UnknownAccount(f"there is no account {account!r}", account=account)
