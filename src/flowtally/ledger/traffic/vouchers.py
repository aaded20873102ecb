"""Vouchers: codes of an amount that an account sets aside, for any account to redeem into a grant.

A voucher is a draw on its issuer's purse from `created_at` on. It ends once, in one row: redeemed, which makes a grant
to whoever redeemed it; or revoked, which returns the draw from its beginning, as if it had never been made. Rows are
never edited. Codes come here as `codes` keeps them.

Whether the issuer's balance covers what it sets aside follows from usage, which the ledger does not know: callers say,
in the same write transaction (`flowtally.funding.vouchers`).
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, func, insert, select

from flowtally.core.errors import AccountSuspended, Conflict, NotCovered, NotFound, Unprocessable, VoucherEnded
from flowtally.core.events import MAX_QUANTITY
from flowtally.core.texts import may_be_known
from flowtally.core.words import VoucherStatus
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.people.accounts import read_account, read_active_account
from flowtally.ledger.pools import read_pools
from flowtally.ledger.tables import voucher_ends, vouchers
from flowtally.ledger.texts import check_number
from flowtally.ledger.traffic.codes import Code
from flowtally.ledger.traffic.grants import Grant, give_grant

MAX_AT_ONCE: Final = 1000
MAX_DURATION_S: Final = 100 * 366 * 86_400
SOURCE: Final = "cdk"  # of the grants that vouchers become
_MADE: Final = tuple(column for column in vouchers.c if column.name not in ("digest", "promise"))  # Voucher's, in order


class Voucher(msgspec.Struct, frozen=True):
    """`amount` in the pool's unit; the grant it becomes lasts `duration_s` seconds from then on."""

    id: str
    account: str
    pool: str
    amount: int
    duration_s: int
    sealed: str
    created_at: int
    ended_at: int | None = None
    redeemed_by: str | None = None
    grant_id: str | None = None

    @property
    def status(self) -> VoucherStatus:
        if self.ended_at is None:
            return "unused"
        return "revoked" if self.grant_id is None else "used"


def create_vouchers(
    tx: Connection, account: str, amount: int, codes: Sequence[Code], *, now: int, pool: str, duration_s: int, left: int
) -> list[Voucher]:
    """A voucher of `amount` for each of the codes, when the `left` in the account's purse covers them all.

    NotCovered, UnknownAccount, NotFound (pool), AccountSuspended, Conflict (closed account), Unprocessable.
    """
    read_active_account(tx, account)
    check_vouchers(tx, amount, len(codes), pool, duration_s)
    total = amount * len(codes)
    if total > left:
        asked, rest = read_pools(tx).words(pool, total, left)
        detail = f"account {account!r} has {rest} left in pool {pool!r}; {asked} are asked for"
        raise NotCovered(detail, account=account, pool=pool, amount=total, left=left)
    made = [Voucher(new_id("vch_"), account, pool, amount, duration_s, code.sealed, now) for code in codes]
    rows = [{column.name: getattr(one, column.name) for column in _MADE} for one in made]
    tx.execute(insert(vouchers), [row | {"digest": code.digest} for row, code in zip(rows, codes, strict=True)])
    said = {"pool": pool, "amount": amount, "duration_s": duration_s} | trail.ids([one.id for one in made])
    trail.note(tx, "voucher.create", account=account, subject=made[0].id, after=said)
    return made


def count_unused(tx: Connection, account: str) -> int:
    """How many vouchers of the account may still be redeemed."""
    ended = select(voucher_ends.c.voucher_id).where(voucher_ends.c.voucher_id == vouchers.c.id).exists()
    query = select(func.count()).select_from(vouchers).where(vouchers.c.account == account, ~ended)
    return int(tx.execute(query).scalar_one())


def check_vouchers(tx: Connection, amount: int, count: int, pool: str, duration_s: int) -> None:
    """What can be refused without knowing the balance: NotFound (pool), Unprocessable."""
    check_number("amount", amount, least=1, most=MAX_QUANTITY)
    check_number("count", count, least=1, most=MAX_AT_ONCE)
    check_number("duration_s", duration_s, least=1, most=MAX_DURATION_S)
    if read_pools(tx).charge(pool) == "nothing":
        raise Unprocessable(f"pool {pool!r} charges nothing: there is nothing to set aside", field="pool")


def redeem_voucher(tx: Connection, account: str, digest: str | None, *, now: int) -> Grant:
    """Turn the voucher whose code has this digest into a grant to the account, from now on.

    NotFound (no such code), VoucherEnded, UnknownAccount, AccountSuspended (or the one that set it aside is), Conflict
    (either is closed; more than one account may hold).
    """
    read_active_account(tx, account)
    voucher = find_voucher(tx, digest)
    if voucher is None:
        raise NotFound("there is no voucher with this code")
    _check_unused(voucher)
    _check_issuer(tx, voucher)
    at = max(now, voucher.created_at)  # were the clock set back: no grant is given before its draw
    grant = give_grant(
        tx,
        account,
        voucher.amount,
        now=at,
        pool=voucher.pool,
        source=SOURCE,
        reference=voucher.id,
        expires_at=at + voucher.duration_s * 1000,
    )
    tx.execute(insert(voucher_ends).values(voucher_id=voucher.id, ended_at=at, redeemed_by=account, grant_id=grant.id))
    said = {"redeemed_by": account, "grant_id": grant.id, "amount": voucher.amount}
    for one in dict.fromkeys((account, voucher.account)):  # who got it, and who had set it aside
        trail.note(tx, "voucher.redeem", account=one, subject=voucher.id, after=said)
    return grant


def revoke_voucher(tx: Connection, voucher_id: str, account: str, *, now: int) -> Voucher:
    """Return the draw of an unused voucher; its code is worth nothing from now on. A second time changes nothing and
    returns the voucher as it was first revoked. NotFound, VoucherEnded (used)."""
    voucher = read_voucher(tx, voucher_id, account)
    if voucher.status == "revoked":
        return voucher
    _check_unused(voucher)
    at = max(now, voucher.created_at)
    tx.execute(insert(voucher_ends).values(voucher_id=voucher.id, ended_at=at))
    gone = msgspec.structs.replace(voucher, ended_at=at)
    trail.change(tx, "voucher.revoke", voucher, gone, account=account, subject=voucher.id)
    return gone


def read_voucher(tx: Connection, voucher_id: str, account: str) -> Voucher:
    """The voucher of that account; NotFound when there is none. Not told which was asked for: it may be a code."""
    row = None
    if may_be_known(voucher_id + account):
        query = _vouchers().where(vouchers.c.account == account, vouchers.c.id == voucher_id)
        row = tx.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"account {account!r} has no voucher of this id", account=account)
    return Voucher(*row)


def read_vouchers(tx: Connection, account: str, ids: Collection[str]) -> list[Voucher]:
    """These vouchers of the account, in order of id."""
    query = _vouchers().where(vouchers.c.account == account, vouchers.c.id.in_(ids))
    return [Voucher(*row) for row in tx.execute(query.order_by(vouchers.c.id))]


def find_voucher(tx: Connection, digest: str | None, account: str | None = None) -> Voucher | None:
    """The voucher whose code has this digest, of `account` (None: of any). Found over an index: how long that takes
    tells about keyed digests only."""
    if digest is None:
        return None
    row = tx.execute(_vouchers().add_columns(vouchers.c.digest).where(vouchers.c.digest == digest)).one_or_none()
    if row is None or not hmac.compare_digest(row.digest, digest):
        return None
    found = Voucher(*row[:-1])
    return found if account in (None, found.account) else None


def list_vouchers(
    tx: Connection,
    account: str,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
    *,
    status: VoucherStatus | None = None,
    digest: str | None = None,
) -> ListPage[Voucher]:
    """Vouchers the account created, in the order they were; of one status, or the one whose code has this digest.
    UnknownAccount."""
    read_account(tx, account)
    query = _vouchers().where(vouchers.c.account == account)
    if status == "unused":
        query = query.where(voucher_ends.c.voucher_id.is_(None))
    elif status is not None:
        ended, grant = voucher_ends.c.voucher_id, voucher_ends.c.grant_id
        query = query.where(ended.is_not(None), grant.is_(None) if status == "revoked" else grant.is_not(None))
    if digest is not None:
        query = query.where(vouchers.c.digest == digest)
    asked = (account, status, digest)
    return read_page(tx, "vouchers", query, vouchers.c.id, Voucher, asked, after=after, limit=limit)


def _check_issuer(tx: Connection, voucher: Voucher) -> None:
    """Who it is stays untold."""
    status = read_account(tx, voucher.account).status
    if status != "active":
        kind = AccountSuspended if status == "suspended" else Conflict
        raise kind(f"the account that set this voucher aside is {status}")


def _check_unused(voucher: Voucher) -> None:
    if voucher.status != "unused":
        raise VoucherEnded(
            f"voucher {voucher.id} is {voucher.status}", voucher=voucher.id, voucher_status=voucher.status
        )


def _vouchers() -> Select[Any]:
    """Columns in the order of Voucher's fields."""
    ends = (voucher_ends.c.ended_at, voucher_ends.c.redeemed_by, voucher_ends.c.grant_id)
    return select(*_MADE, *ends).outerjoin(voucher_ends, voucher_ends.c.voucher_id == vouchers.c.id)
