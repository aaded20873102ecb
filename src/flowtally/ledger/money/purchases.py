"""Purchases: money out of a wallet and a grant for it, in one transaction.

What was bought is kept with the purchase: its plan may retire. Voiding the grant gives no money back: whoever wants
that too adjusts the wallet, with the purchase as the reference.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, insert, select

from flowtally.core.errors import NotFound, PlanRetired
from flowtally.core.texts import may_be_known
from flowtally.core.times import DAY_MS
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.money.plans import Plan, read_plan
from flowtally.ledger.money.wallet import Transfer, record
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.people.accounts import read_account, read_active_account
from flowtally.ledger.tables import purchases
from flowtally.ledger.traffic.grants import give_grant

SOURCE: Final = "order"  # of the grants it makes


class Purchase(msgspec.Struct, frozen=True):
    """`amount` of the pool bought for `price` millionths of `currency`, as the plan said then."""

    id: str
    account: str
    plan_id: str
    name: str
    pool: str
    amount: int
    price: int
    currency: str
    days: int | None
    transfer_id: str
    grant_id: str
    created_at: int

    @property
    def expires_at(self) -> int | None:
        """When its grant ends."""
        return None if self.days is None else self.created_at + self.days * DAY_MS


def purchase(tx: Connection, account: str, plan_id: str, *, now: int) -> Purchase:
    """Buy a plan: pay its price, and grant what it holds from now on.

    UnknownAccount, NotFound (plan), AccountSuspended, Conflict (closed account, more than can be granted), PlanRetired,
    InsufficientFunds.
    """
    read_active_account(tx, account)
    plan = read_plan(tx, plan_id)
    if plan.retired_at is not None:
        raise PlanRetired(f"plan {plan.id!r} is no longer sold", plan=plan.id)
    order = new_id("ord_")
    paid = record(tx, Transfer(new_id("trf_"), account, "purchase", -plan.price, plan.currency, order, "", now))
    made = _bought(order, account, plan, paid.id, new_id("grn_"), now)
    give_grant(
        tx,
        account,
        made.amount,
        now=now,
        pool=made.pool,
        source=SOURCE,
        reference=order,
        expires_at=made.expires_at,
        grant_id=made.grant_id,
    )
    tx.execute(insert(purchases).values(msgspec.structs.asdict(made)))
    trail.note(tx, "purchase.make", account=account, subject=made.id, after=trail.facts(made))
    return made


def read_purchase(tx: Connection, purchase_id: str, account: str) -> Purchase:
    """The purchase of that account; NotFound when there is none."""
    row = None
    if may_be_known(purchase_id + account):
        row = tx.execute(_purchases_of(account).where(purchases.c.id == purchase_id)).one_or_none()
    if row is None:
        raise NotFound(f"account {account!r} has no purchase {purchase_id!r}", purchase=purchase_id)
    return Purchase(*row)


def list_purchases(
    tx: Connection, account: str, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> ListPage[Purchase]:
    """Purchases of the account in the order they were made. UnknownAccount."""
    read_account(tx, account)
    query = _purchases_of(account)
    return read_page(tx, "purchases", query, purchases.c.id, Purchase, (account,), after=after, limit=limit)


def _bought(order: str, account: str, plan: Plan, transfer_id: str, grant_id: str, now: int) -> Purchase:
    return Purchase(
        id=order,
        account=account,
        plan_id=plan.id,
        name=plan.name,
        pool=plan.pool,
        amount=plan.amount,
        price=plan.price,
        currency=plan.currency,
        days=plan.days,
        transfer_id=transfer_id,
        grant_id=grant_id,
        created_at=now,
    )


def _purchases_of(account: str) -> Select[Any]:
    """Columns in the order of Purchase's fields."""
    return select(*purchases.c).where(purchases.c.account == account)
