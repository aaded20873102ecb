"""Leases: who holds what is in stock, from when until when; what is asked of them.

A lease is as its terms have made it (`orders`), and stays for ever: who had which address when can be asked years
later. Its end is an instant, so nothing has to happen for it to end. Owns no money and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from flowtally.core import leasing
from flowtally.core.errors import NotFound
from flowtally.core.leasing import Size
from flowtally.core.texts import may_be_known
from flowtally.core.words import LeaseState, LeaseStep
from flowtally.ledger.inventory import stock as items
from flowtally.ledger.inventory.stock import CHUNK, StockItem, check_kind, holding, make_item, read_item
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.people.accounts import read_account
from flowtally.ledger.tables import lease_terms, leases, stock


class StockLease(msgspec.Struct, frozen=True):
    """plan_id: What it is renewed by; None for one that was given without. ends_at: None, without an end.
    grace_ms: For so long after its end it can be renewed, and nobody else can have what it is of.
    auto_renew: Whether the server renews it before its end.
    size: What its holder may use, where the item has a size; an upgrade makes it larger.
    """

    id: str
    account: str
    stock_id: str
    plan_id: str | None
    starts_at: int
    ends_at: int | None
    grace_ms: int
    auto_renew: bool
    released_at: int | None
    size: Size
    created_at: int

    def state(self, at: int) -> LeaseState:
        return leasing.state_at(at, self.ends_at, self.grace_ms, self.released_at)

    @property
    def kept_until(self) -> int:
        return leasing.kept_until(self.ends_at, self.grace_ms, self.released_at)

    @property
    def held_until(self) -> int:
        return leasing.held_until(self.ends_at, self.released_at)


class LeasedItem(msgspec.Struct, frozen=True):
    """A lease with what it is of."""

    lease: StockLease
    item: StockItem


class Term(msgspec.Struct, frozen=True):
    """What happened to a lease, and for which stretch of time. price: Of the plan for it, which nobody paid where there
    is no transfer. size: Of the lease from then on."""

    lease_id: str
    number: int
    what: LeaseStep
    order_id: str
    plan_id: str | None
    starts_at: int
    ends_at: int | None
    price: int
    currency: str
    transfer_id: str | None
    size: Size
    created_at: int


_L: Final = leases.c
_T: Final = lease_terms.c
COLUMNS: Final = (
    *(_L.id, _L.account, _L.stock_id, _L.plan_id, _L.starts_at, _L.ends_at, _L.grace_ms, _L.auto_renew),
    *(_L.released_at, _L.cpu_cores, _L.memory_mib, _L.bandwidth_mbps, _L.created_at),
)
TERM_COLUMNS: Final = (
    *(_T.lease_id, _T.number, _T.what, _T.order_id, _T.plan_id, _T.starts_at, _T.ends_at, _T.price, _T.currency),
    *(_T.transfer_id, _T.cpu_cores, _T.memory_mib, _T.bandwidth_mbps, _T.created_at),
)


def read_held(tx: Connection, account: str, lease_id: str) -> LeasedItem:
    """The lease of that account, whatever became of it; NotFound when there is none."""
    row = None
    if may_be_known(lease_id + account):
        row = tx.execute(_held().where(_L.id == lease_id, _L.account == account)).one_or_none()
    if row is None:
        raise NotFound(f"account {account!r} has no lease {lease_id!r}", lease=lease_id)
    return make_held(*row)


def held_in_order(tx: Connection, account: str, order_id: str) -> list[LeasedItem]:
    """The leases of an order, as they are now."""
    query = _held().join(lease_terms, _T.lease_id == _L.id).where(_T.order_id == order_id, _L.account == account)
    return [make_held(*row) for row in tx.execute(query)]


def list_leases(
    tx: Connection,
    account: str,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
    *,
    at: int,
    kind: str | None = None,
    state: LeaseState | None = None,
) -> ListPage[LeasedItem]:
    """Leases of the account in the order they were made; of one kind, or what they are at the instant `at`, if asked.
    UnknownAccount."""
    read_account(tx, account)
    query = _held().where(_L.account == account)
    if kind is not None:
        query = query.where(stock.c.kind == check_kind(kind))
    if state is not None:
        query = query.where(_in_state(state, at))
    return read_page(tx, "leases", query, _L.id, make_held, (account, kind, state), after=after, limit=limit)


def list_holders(
    tx: Connection, item_id: str, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> ListPage[StockLease]:
    """Who had this item, and when, in the order the leases were made. NotFound."""
    read_item(tx, item_id)
    query = select(*COLUMNS).where(_L.stock_id == item_id)
    return read_page(tx, "holders", query, _L.id, make_lease, (item_id,), after=after, limit=limit)


def terms_of(tx: Connection, lease_id: str) -> list[Term]:
    """How the lease became what it is, the first term first."""
    query = select(*TERM_COLUMNS).where(_T.lease_id == lease_id).order_by(_T.number)
    return [make_term(*row) for row in tx.execute(query)]


def count_terms(tx: Connection, lease_id: str) -> int:
    return int(tx.execute(select(func.count()).where(_T.lease_id == lease_id)).scalar_one())


def held_by(tx: Connection, account: str, *, at: int, kind: str | None = None) -> list[LeasedItem]:
    """All that the account holds at that instant, in the order of its leases."""
    query = _held().where(_L.account == account, holding(at))
    if kind is not None:
        query = query.where(stock.c.kind == check_kind(kind))
    return [make_held(*row) for row in tx.execute(query.order_by(_L.id))]


def renewable(tx: Connection, account: str, *, at: int, kind: str) -> list[LeasedItem]:
    """What the account holds at that instant or could still renew, in the order of its leases."""
    query = _held().where(_L.account == account, stock.c.kind == kind)
    query = query.where(or_(_in_state("active", at), _in_state("grace", at)), _L.starts_at <= at)
    return [make_held(*row) for row in tx.execute(query.order_by(_L.id))]


def held_page(
    tx: Connection,
    account: str,
    *,
    at: int,
    kinds: Collection[str],
    offset: int,
    limit: int,
    some: Sequence[str] | None = None,
) -> tuple[list[LeasedItem], int]:
    """A page of what the account holds at that instant of these kinds, in the order of its leases, and how many there
    are in all; `some`: only these items."""
    those = [_L.account == account, holding(at), stock.c.kind.in_(kinds)]
    if some is not None:
        those.append(stock.c.id.in_(some))
    query = _held().where(*those).order_by(_L.id).offset(offset).limit(limit)
    count = select(func.count()).select_from(leases.join(stock, stock.c.id == _L.stock_id)).where(*those)
    return [make_held(*row) for row in tx.execute(query)], int(tx.execute(count).scalar_one())


def renewable_of(tx: Connection, account: str, some: Sequence[str], *, at: int) -> dict[str, LeasedItem]:
    """Of these items those that the account holds at that instant or could still renew, by the items' ids."""
    query = _held().where(_L.account == account, stock.c.id.in_(some), _L.starts_at <= at)
    query = query.where(or_(_in_state("active", at), _in_state("grace", at)))
    return {one.item.id: one for one in (make_held(*row) for row in tx.execute(query.order_by(_L.id)))}


def last_renewals(tx: Connection, some: Sequence[str]) -> dict[str, int]:
    """When those of these leases were renewed last that ever were."""
    query = select(_T.lease_id, func.max(_T.created_at)).where(_T.what == "renewed", _T.lease_id.in_(some))
    return {lease_id: int(at) for lease_id, at in tx.execute(query.group_by(_T.lease_id))}


def first_orders(tx: Connection, some: Sequence[str]) -> dict[str, str]:
    """By which order each of these leases began."""
    found: dict[str, str] = {}
    for start in range(0, len(some), CHUNK):
        query = select(_T.lease_id, _T.order_id).where(_T.number == 1, _T.lease_id.in_(some[start : start + CHUNK]))
        found |= {row.lease_id: row.order_id for row in tx.execute(query)}
    return found


def make_lease(*row: Any) -> StockLease:
    """Of COLUMNS."""
    id, account, stock_id, plan_id, starts_at, ends_at, grace_ms, renew, released_at, *size, created_at = row
    given = (id, account, stock_id, plan_id, starts_at, ends_at, grace_ms, bool(renew), released_at)
    return StockLease(*given, Size(*size), created_at)


def make_held(*row: Any) -> LeasedItem:
    """Of COLUMNS and those of an item."""
    return LeasedItem(make_lease(*row[: len(COLUMNS)]), make_item(*row[len(COLUMNS) :]))


def make_term(*row: Any) -> Term:
    """Of TERM_COLUMNS."""
    lease_id, number, what, order_id, plan_id, starts_at, ends_at, price, currency, transfer, *size, created_at = row
    given = (lease_id, number, what, order_id, plan_id, starts_at, ends_at, price, currency, transfer)
    return Term(*given, Size(*size), created_at)


def _held() -> Select[Any]:
    return select(*COLUMNS, *items.COLUMNS).join(stock, stock.c.id == _L.stock_id)


def _in_state(state: LeaseState, at: int) -> ColumnElement[bool]:
    """As `leasing.state_at`."""
    if state == "released":
        return _L.released_at <= at
    alive = or_(_L.released_at.is_(None), _L.released_at > at)
    over = _L.ends_at + _L.grace_ms
    which = {
        "active": or_(_L.ends_at.is_(None), _L.ends_at > at),
        "grace": and_(_L.ends_at <= at, over > at),
        "ended": and_(_L.ends_at <= at, over <= at),
    }
    return and_(alive, which[state])
