"""Accounts: the customers of whoever runs flowtally.

Owns who exists, under which zone they count their days, and whether they are active. `carry_from` and `overage` decide
what past use does to later grants, so they are fixed at creation; nothing that would alter a past balance can change.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, bindparam, insert, select, update

from flowtally.core.edges import load_zone, second_of
from flowtally.core.errors import AccountErased, AccountSuspended, Conflict, UnknownAccount
from flowtally.core.texts import may_be_known
from flowtally.core.words import AccountStatus, Overage
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.known import Known
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.people import past
from flowtally.ledger.tables import accounts
from flowtally.ledger.texts import check_id, check_instant, check_text


class Account(msgspec.Struct, frozen=True):
    """`carry_from`: unpaid use before it is reported, never carried. `changed_at`: name, zone or status, last.
    `erased_at`: since when it is erased (`erased_accounts`); it is closed then, and has no name."""

    id: str
    name: str
    timezone: str
    status: AccountStatus
    carry_from: int
    overage: Overage
    created_at: int
    changed_at: int
    erased_at: int | None = None


_COLUMNS = [accounts.c[field] for field in Account.__struct_fields__]
_OF_ID = select(*_COLUMNS).where(accounts.c.id == bindparam("asked"))
_NEW = insert(accounts)


def create_account(
    tx: Connection,
    account_id: str | None = None,
    *,
    now: int,
    name: str = "",
    timezone: str = "UTC",
    carry_from: int | None = None,
    overage: Overage = "carry",
) -> Account:
    """A new active account. `account_id` is the operator's choice, or made when None; `carry_from` defaults to the
    second that it is made in.

    Conflict when the id is taken, UnknownZone, Unprocessable for a field that cannot be.
    """
    account = Account(
        id=new_id("acc_") if account_id is None else check_id("id", account_id),
        name=check_text("name", name),
        timezone=_checked_zone(timezone),
        status="active",
        carry_from=check_instant("carry_from", second_of(now) if carry_from is None else carry_from),
        overage=overage,
        created_at=now,
        changed_at=now,
    )
    if _find(tx, account.id) is not None:
        raise Conflict(f"account {account.id!r} exists already", account=account.id)
    tx.execute(_NEW, msgspec.structs.asdict(account))
    trail.note(tx, "account.create", account=account.id, subject=account.id, after=trail.facts(account, "erased_at"))
    return account


def read_account(tx: Connection, account_id: str, known: Known | None = None) -> Account:
    """The account; UnknownAccount when there is none. `known`: with the zone it had then."""
    account = _find(tx, account_id)
    if account is None:
        raise UnknownAccount(f"there is no account {account_id!r}", account=account_id)
    before = None if known is None else past.zone_then(tx, account_id, known)
    return account if before is None else msgspec.structs.replace(account, timezone=before)


def read_open_account(tx: Connection, account_id: str) -> Account:
    """The account, to give it something new: Conflict when it is closed, UnknownAccount when there is none."""
    account = read_account(tx, account_id)
    if account.status == "closed":
        raise Conflict(f"account {account_id!r} is closed", account=account_id)
    return account


def read_active_account(tx: Connection, account_id: str) -> Account:
    """The account, to let it pass something on or take something for itself: AccountSuspended, Conflict when it is
    closed, UnknownAccount."""
    account = read_open_account(tx, account_id)
    if account.status == "suspended":
        raise AccountSuspended(f"account {account_id!r} is suspended", account=account_id)
    return account


def require_not_erased(tx: Connection, account_id: str) -> None:
    """AccountErased for an account that was erased: nothing about it can be changed. Whether there is one is not
    asked."""
    at = None
    if may_be_known(account_id):
        at = tx.execute(select(accounts.c.erased_at).where(accounts.c.id == account_id)).scalar_one_or_none()
    if at is not None:
        raise AccountErased(f"account {account_id!r} was erased: nothing about it can be changed", account=account_id)


def list_accounts(tx: Connection, after: str | None = None, limit: int = DEFAULT_LIMIT) -> ListPage[Account]:
    """Accounts in order of id; `after` is the cursor of the page before."""
    return read_page(tx, "accounts", select(*_COLUMNS), accounts.c.id, Account, after=after, limit=limit)


def change_account(
    tx: Connection,
    account_id: str,
    *,
    now: int,
    name: str | None = None,
    timezone: str | None = None,
    status: AccountStatus | None = None,
) -> Account:
    """Change what is given; returns the account as it is then. A closed account stays closed (Conflict)."""
    account = read_account(tx, account_id)
    if account.status == "closed" and status not in (None, "closed"):
        raise Conflict(f"account {account_id!r} is closed and stays closed", account=account_id)
    changed = msgspec.structs.replace(
        account,
        name=account.name if name is None else check_text("name", name),
        timezone=account.timezone if timezone is None else _checked_zone(timezone),
        status=account.status if status is None else status,
    )
    if changed == account:
        return account
    if changed.timezone != account.timezone:
        past.keep_zone(tx, account_id, account.timezone, now)
    changed = msgspec.structs.replace(changed, changed_at=now)
    tx.execute(update(accounts).where(accounts.c.id == account_id).values(msgspec.structs.asdict(changed)))
    trail.change(tx, "account.change", account, changed, "erased_at", account=account_id, subject=account_id)
    return changed


def _find(tx: Connection, account_id: str) -> Account | None:
    if not may_be_known(account_id):
        return None
    row = tx.execute(_OF_ID, {"asked": account_id}).one_or_none()
    return None if row is None else Account(*row)


def _checked_zone(timezone: str) -> str:
    load_zone(timezone)
    return timezone
