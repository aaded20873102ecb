"""Lease plans: for how much something in stock is leased, for how long. A plan never changes: another price is another
plan, the old one retires."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, insert, select, update

from flowtally.core.errors import Conflict, NotFound
from flowtally.core.leasing import ANY_SIZE, ANYWHERE, Site, Size, flat
from flowtally.core.texts import may_be_known
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.inventory.stock import check_kind, check_place, check_size
from flowtally.ledger.money.plans import MAX_DAYS
from flowtally.ledger.money.wallet import MAX_MICROS
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.tables import lease_plans
from flowtally.ledger.texts import check_id, check_money, check_number, check_text

_P: Final = lease_plans.c
COLUMNS: Final = (
    *(_P.id, _P.name, _P.kind, _P.days, _P.price, _P.currency),
    *(_P.country, _P.state, _P.city, _P.region, _P.cpu_cores, _P.memory_mib, _P.bandwidth_mbps),
    *(_P.created_at, _P.retired_at),
)


class LeasePlan(msgspec.Struct, frozen=True):
    """`days` times 24 hours of something of this kind for `price` millionths of `currency`; only of the place and the
    size that it says, as far as it says some."""

    id: str
    name: str
    kind: str
    days: int
    price: int
    currency: str
    place: Site
    size: Size
    created_at: int
    retired_at: int | None = None


def create_lease_plan(
    tx: Connection,
    kind: str,
    days: int,
    price: int,
    *,
    now: int,
    currency: str,
    name: str | None = None,
    place: Site = ANYWHERE,
    size: Size = ANY_SIZE,
    plan_id: str | None = None,
) -> LeasePlan:
    """Offer things of this kind for so many days. Conflict (id taken), Unprocessable."""
    check_place(place)
    check_size(size)
    plan = LeasePlan(
        id=new_id("lpl_") if plan_id is None else check_id("id", plan_id),
        name=f"{check_kind(kind)}, {days} d" if name is None else check_text("name", name, least=1),
        kind=check_kind(kind),
        days=check_number("days", days, least=1, most=MAX_DAYS),
        price=check_money("price_micros", price, currency, least=1, most=MAX_MICROS),
        currency=currency,
        place=place,
        size=size,
        created_at=now,
    )
    if _find(tx, plan.id) is not None:
        raise Conflict(f"lease plan {plan.id!r} exists already", plan=plan.id)
    tx.execute(insert(lease_plans).values(flat(plan)))
    trail.note(tx, "lease_plan.create", subject=plan.id, after=trail.facts(plan))
    return plan


def retire_lease_plan(tx: Connection, plan_id: str, *, now: int) -> LeasePlan:
    """Sell it no more; what was leased stays. A second time changes nothing. NotFound."""
    plan = read_lease_plan(tx, plan_id)
    if plan.retired_at is not None:
        return plan
    tx.execute(update(lease_plans).where(_P.id == plan.id).values(retired_at=now))
    retired = msgspec.structs.replace(plan, retired_at=now)
    trail.change(tx, "lease_plan.retire", plan, retired, subject=plan.id)
    return retired


def read_lease_plan(tx: Connection, plan_id: str) -> LeasePlan:
    """The plan, retired or not; NotFound when there is none."""
    found = _find(tx, plan_id)
    if found is None:
        raise NotFound(f"there is no lease plan {plan_id!r}", plan=plan_id)
    return found


def list_lease_plans(
    tx: Connection,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
    *,
    kind: str | None = None,
    retired: bool = False,
) -> ListPage[LeasePlan]:
    """Plans in order of id, of one kind if asked; `retired`: also those that are sold no more."""
    query = select(*COLUMNS)
    if not retired:
        query = query.where(_P.retired_at.is_(None))
    if kind is not None:
        query = query.where(_P.kind == check_kind(kind))
    return read_page(tx, "lease plans", query, _P.id, _made, (kind, retired), after=after, limit=limit)


def plans_of(tx: Connection, kind: str) -> list[LeasePlan]:
    """All that are sold for this kind, in order of id."""
    query = select(*COLUMNS).where(_P.kind == kind, _P.retired_at.is_(None)).order_by(_P.id)
    return [_made(*row) for row in tx.execute(query)]


def _find(tx: Connection, plan_id: str) -> LeasePlan | None:
    if not may_be_known(plan_id):
        return None
    row = tx.execute(select(*COLUMNS).where(_P.id == plan_id)).one_or_none()
    return None if row is None else _made(*row)


def _made(*row: Any) -> LeasePlan:
    id, name, kind, days, price, currency, *where, created_at, retired_at = row
    place, size = Site(*where[:4]), Size(*where[4:])
    return LeasePlan(id, name, kind, days, price, currency, place, size, created_at, retired_at)
