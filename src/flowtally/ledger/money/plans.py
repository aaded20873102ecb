"""Plans: what can be bought, for how much. A plan never changes: another price is another plan, the old one retires."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Connection, insert, select, update

from flowtally.core.errors import Conflict, NotFound, Unprocessable
from flowtally.core.events import MAX_QUANTITY
from flowtally.core.texts import may_be_known
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.money.wallet import MAX_MICROS
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.pools import read_pools
from flowtally.ledger.tables import plans
from flowtally.ledger.texts import check_id, check_money, check_number, check_text

MAX_DAYS: Final = 36_500


class Plan(msgspec.Struct, frozen=True):
    """`amount` of the pool for `price` millionths of `currency`; what it grants lasts `days` times 24 hours (None: for
    ever)."""

    id: str
    name: str
    pool: str
    amount: int
    price: int
    currency: str
    days: int | None
    created_at: int
    retired_at: int | None = None


def create_plan(
    tx: Connection,
    name: str,
    amount: int,
    price: int,
    *,
    now: int,
    currency: str,
    pool: str = "traffic",
    days: int | None = None,
    plan_id: str | None = None,
) -> Plan:
    """Offer `amount` of the pool for `price`. NotFound (pool), Conflict (id taken), Unprocessable."""
    plan = Plan(
        id=new_id("pln_") if plan_id is None else check_id("id", plan_id),
        name=check_text("name", name, least=1),
        pool=pool,
        amount=check_number("amount", amount, least=1, most=MAX_QUANTITY),
        price=check_money("price_micros", price, currency, least=1, most=MAX_MICROS),
        currency=currency,
        days=None if days is None else check_number("days", days, least=1, most=MAX_DAYS),
        created_at=now,
    )
    if read_pools(tx).charge(pool) == "nothing":
        raise Unprocessable(f"pool {pool!r} charges nothing: there is nothing to sell", field="pool")
    if _find(tx, plan.id) is not None:
        raise Conflict(f"plan {plan.id!r} exists already", plan=plan.id)
    tx.execute(insert(plans).values(msgspec.structs.asdict(plan)))
    trail.note(tx, "plan.create", subject=plan.id, after=trail.facts(plan))
    return plan


def retire_plan(tx: Connection, plan_id: str, *, now: int) -> Plan:
    """Sell it no more; what was bought stays. A second time changes nothing. NotFound."""
    plan = read_plan(tx, plan_id)
    if plan.retired_at is not None:
        return plan
    tx.execute(update(plans).where(plans.c.id == plan.id).values(retired_at=now))
    retired = msgspec.structs.replace(plan, retired_at=now)
    trail.change(tx, "plan.retire", plan, retired, subject=plan.id)
    return retired


def read_plan(tx: Connection, plan_id: str) -> Plan:
    """The plan, retired or not; NotFound when there is none."""
    found = _find(tx, plan_id)
    if found is None:
        raise NotFound(f"there is no plan {plan_id!r}", plan=plan_id)
    return found


def list_plans(
    tx: Connection, after: str | None = None, limit: int = DEFAULT_LIMIT, *, retired: bool = False
) -> ListPage[Plan]:
    """Plans in order of id; `retired`: also those that are sold no more."""
    query = select(*plans.c)
    if not retired:
        query = query.where(plans.c.retired_at.is_(None))
    return read_page(tx, "plans", query, plans.c.id, Plan, (retired,), after=after, limit=limit)


def _find(tx: Connection, plan_id: str) -> Plan | None:
    if not may_be_known(plan_id):
        return None
    row = tx.execute(select(*plans.c).where(plans.c.id == plan_id)).one_or_none()
    return None if row is None else Plan(*row)
