"""Whitelists: from which IP addresses an account, or one of its users, may use a pool.

Owns the entries, nothing about refusing: whoever stands at the gate reads them. A list belongs to an account or to one
user, and to a pool; an address is in it once (`addresses` says which texts are the same one), enabled or not. What is
taken out is gone: there is no history to keep. A user that is deleted or erased has no entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, delete, insert, select, update

from flowtally.core.errors import Conflict, LimitReached, NotFound, Unprocessable
from flowtally.core.texts import may_be_known
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.people.accounts import read_account, read_open_account
from flowtally.ledger.people.addresses import canonical, within
from flowtally.ledger.people.names import chunks
from flowtally.ledger.people.users import read_user
from flowtally.ledger.pools import read_pools
from flowtally.ledger.tables import accounts, whitelist
from flowtally.protocol.words import DEFAULT_POOL


class WhitelistEntry(msgspec.Struct, frozen=True):
    """`user_id` is None in an account's own list."""

    id: str
    account: str
    user_id: str | None
    pool: str
    address: str
    enabled: bool
    created_at: int
    changed_at: int


def put_address(
    tx: Connection,
    account: str,
    user: str | None,
    address: str,
    *,
    now: int,
    most: int,
    pool: str = DEFAULT_POOL,
    enabled: bool = True,
) -> WhitelistEntry:
    """Put an address into a list that holds `most` at most; one that is there is enabled or disabled.

    UnknownAccount, UnknownUser, NotFound (pool), Conflict (closed account, deleted user), LimitReached, Unprocessable.
    """
    owner = _writable(tx, account, user, pool)
    text = canonical(address)
    present = {one.address: one for one in read_list(tx, account, owner, pool)}
    if text not in present and len(present) >= most:
        raise _full(len(present) + 1, most, pool)
    before = present.get(text)
    after = _put(tx, before, WhitelistEntry(new_id("wip_"), account, owner, pool, text, enabled, now, now))
    if after != before:
        was = None if before is None else trail.facts(before)
        trail.note(tx, "whitelist.put", account=account, subject=after.id, before=was, after=trail.facts(after))
    return after


def replace_addresses(
    tx: Connection,
    account: str,
    user: str | None,
    addresses: Iterable[str],
    *,
    now: int,
    most: int,
    pool: str = DEFAULT_POOL,
) -> list[WhitelistEntry]:
    """Let a list hold these addresses and no others, all enabled; those that stay keep when they came. All or nothing.

    The errors of `put_address`.
    """
    owner = _writable(tx, account, user, pool)
    wanted = list(dict.fromkeys(canonical(one) for one in addresses))
    if len(wanted) > most:
        raise _full(len(wanted), most, pool)
    present = {one.address: one for one in read_list(tx, account, owner, pool)}
    for gone in chunks(present[text].id for text in present.keys() - set(wanted)):
        tx.execute(delete(whitelist).where(whitelist.c.id.in_(gone)))
    for text in wanted:
        _put(tx, present.get(text), WhitelistEntry(new_id("wip_"), account, owner, pool, text, True, now, now))
    kept = read_list(tx, account, owner, pool)
    if kept != list(present.values()):
        of = {"user_id": owner, "pool": pool}
        was, now_is = (of | trail.ids([one.id for one in some]) for some in (present.values(), kept))
        trail.note(tx, "whitelist.replace", account=account, subject=owner or account, before=was, after=now_is)
    return kept


def remove_address(
    tx: Connection, account: str, user: str | None, address: str, *, pool: str = DEFAULT_POOL
) -> WhitelistEntry:
    """Take an address out of a list; returns it as it was. UnknownAccount, UnknownUser, Unprocessable; NotFound when it
    is not there."""
    owner, text = _owner(tx, account, user), canonical(address)
    found = next((one for one in read_list(tx, account, owner, pool) if one.address == text), None)
    if found is None:
        raise NotFound(f"{text} is not on this whitelist of pool {pool!r}", address=text, pool=pool)
    tx.execute(delete(whitelist).where(whitelist.c.id == found.id))
    trail.note(tx, "whitelist.remove", account=account, subject=found.id, before=trail.facts(found))
    return found


def read_list(tx: Connection, account: str, user_id: str | None, pool: str) -> list[WhitelistEntry]:
    """A whole list in the order its addresses came; lists are bounded."""
    query = _entries().where(_in_list(account, user_id), whitelist.c.pool == pool)
    return [_entry(*row) for row in tx.execute(query.order_by(whitelist.c.id))]


def entries_of(tx: Connection, user_ids: Sequence[str]) -> dict[str, list[WhitelistEntry]]:
    """Everything that these users' lists hold, of all pools, by user id in the order it came."""
    found: dict[str, list[WhitelistEntry]] = {user_id: [] for user_id in user_ids}
    for some in chunks(found):
        query = _entries().where(whitelist.c.user_id.in_(some)).order_by(whitelist.c.id)
        for row in tx.execute(query):
            entry = _entry(*row)
            found[str(entry.user_id)].append(entry)
    return found


def list_addresses(
    tx: Connection,
    account: str,
    user: str | None,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
    *,
    pool: str | None = None,
) -> ListPage[WhitelistEntry]:
    """What an account's own lists hold, or a user's, in the order it came; `pool`: only that one's. UnknownAccount,
    UnknownUser, NotFound (pool)."""
    owner = _owner(tx, account, user)
    query = _entries().where(_in_list(account, owner))
    if pool is not None:
        read_pools(tx).charge(pool)
        query = query.where(whitelist.c.pool == pool)
    return read_page(tx, "whitelist", query, whitelist.c.id, _entry, (account, owner, pool), after=after, limit=limit)


def lets_in(tx: Connection, account: str, address: str, *, pool: str | None = None) -> bool:
    """Whether an address is on one of the account's own lists (of the pool), and enabled there. Nobody is on those of a
    closed account; what is no address is on none."""
    if not may_be_known(account):
        return False
    try:
        asked = canonical(address.partition("%")[0])  # after a % is the name of a link of this machine
    except Unprocessable:
        return False
    query = select(whitelist.c.address).join(accounts, accounts.c.id == whitelist.c.account)
    query = query.where(_in_list(account, None), whitelist.c.enabled == 1, accounts.c.status != "closed")
    if pool is not None:
        query = query.where(whitelist.c.pool == pool)
    return within(asked, tx.execute(query).scalars())


def forget_user(tx: Connection, user_id: str) -> None:
    """Take everything out of the user's lists."""
    tx.execute(delete(whitelist).where(whitelist.c.user_id == user_id))


def hand_over(tx: Connection, user_id: str, heir: str) -> None:
    """Let the user's lists be those of a new one of the same account, which has none."""
    tx.execute(update(whitelist).where(whitelist.c.user_id == user_id).values(user_id=heir))


def _put(tx: Connection, before: WhitelistEntry | None, wanted: WhitelistEntry) -> WhitelistEntry:
    if before is None:
        row = msgspec.structs.asdict(wanted) | {"enabled": int(wanted.enabled)}
        tx.execute(insert(whitelist).values(row))
        return wanted
    if before.enabled == wanted.enabled:
        return before
    changed = {"enabled": int(wanted.enabled), "changed_at": wanted.changed_at}
    tx.execute(update(whitelist).where(whitelist.c.id == before.id).values(changed))
    return msgspec.structs.replace(before, enabled=wanted.enabled, changed_at=wanted.changed_at)


def _writable(tx: Connection, account: str, user: str | None, pool: str) -> str | None:
    """The user's id (None: the account's own lists), when something may be put into its list of the pool."""
    read_open_account(tx, account)
    read_pools(tx).charge(pool)
    found = None if user is None else read_user(tx, account, user)
    if found is not None and found.status == "deleted":
        raise Conflict(f"user {found.name!r} ({found.id}) was deleted", user=found.id)
    return None if found is None else found.id


def _owner(tx: Connection, account: str, user: str | None) -> str | None:
    if user is not None:
        return read_user(tx, account, user).id
    read_account(tx, account)
    return None


def _full(wanted: int, most: int, pool: str) -> LimitReached:
    detail = f"{wanted} addresses are more than the {most} that one whitelist of a pool may hold"
    return LimitReached(detail, pool=pool, limit=most)


def _in_list(account: str, user_id: str | None) -> ColumnElement[bool]:
    mine = whitelist.c.user_id.is_(None) if user_id is None else whitelist.c.user_id == user_id
    return (whitelist.c.account == account) & mine


def _entries() -> Select[Any]:
    """Columns in the order of WhitelistEntry's fields."""
    return select(*(whitelist.c[name] for name in WhitelistEntry.__struct_fields__))


def _entry(
    id: str, account: str, user_id: str | None, pool: str, address: str, enabled: int, created_at: int, changed_at: int
) -> WhitelistEntry:
    return WhitelistEntry(id, account, user_id, pool, address, bool(enabled), created_at, changed_at)
