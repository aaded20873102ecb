"""Does the money add up? Transfers to zero, wallets to no less than zero, purchases to what was paid and granted.

Sums are made here, not in the database: a broken ledger may hold more than 64 bits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, and_, exists, select

from flowtally.core.edges import second_of
from flowtally.core.times import DAY_MS
from flowtally.core.units import human_money
from flowtally.ledger.checks.fault import LISTED, PAGE, Fault, Rule
from flowtally.ledger.money.purchases import SOURCE
from flowtally.ledger.money.wallet import BOOKS
from flowtally.ledger.tables import grants, lease_plans, lease_terms, plans, purchases, transfer_entries, transfers


def _zero(tx: Connection) -> Iterator[Fault]:
    """The two entries of every transfer are of its kind's books, and sum to zero."""
    names = (transfers.c.id, transfers.c.kind, transfers.c.currency)
    query = select(*names, transfer_entries.c.book, transfer_entries.c.amount)
    query = query.outerjoin(transfer_entries, transfer_entries.c.transfer_id == transfers.c.id)
    query = query.order_by(transfers.c.id, transfer_entries.c.book)
    sides: list[Any] = []
    for row in tx.execute(query.execution_options(yield_per=PAGE)):
        if sides and sides[0].id != row.id:
            yield from _check_sides(sides)
            sides = []
        sides.append(row)
    if sides:
        yield from _check_sides(sides)


def _check_sides(sides: list[Any]) -> Iterator[Fault]:
    first = sides[0]
    where, books = f"transfer {first.id}", {row.book for row in sides}
    if books != {"wallet", BOOKS.get(first.kind)}:
        shown = ", ".join(sorted(str(book) for book in books))
        yield Fault("transfer", where, f"is a {first.kind} and has entries in {shown}")
    elif total := sum(row.amount for row in sides):
        yield Fault("transfer", where, f"its entries sum to {human_money(total, first.currency)} instead of 0")


def _overdrawn(tx: Connection) -> Iterator[Fault]:
    """No wallet holds less than nothing."""
    query = select(transfer_entries.c.account, transfer_entries.c.amount).where(transfer_entries.c.account.is_not(None))
    held: dict[str, int] = defaultdict(int)
    for account, amount in tx.execute(query.execution_options(yield_per=PAGE)):
        held[account] += amount
    currency = tx.execute(select(transfers.c.currency).limit(1)).scalar() or ""
    for account in sorted(account for account, balance in held.items() if balance < 0)[:LISTED]:
        yield Fault("overdrawn", f"account {account!r}", f"its wallet holds {human_money(held[account], currency)}")


def _one_currency(tx: Connection) -> Iterator[Fault]:
    """Money of two currencies cannot be added up."""
    found = {
        row
        for table in (transfers, plans, lease_plans)
        for row in tx.execute(select(table.c.currency).distinct()).scalars()
    }
    if len(found) > 1:
        yield Fault("currency", "ledger", f"keeps money in {', '.join(sorted(found))}")


def _paid_and_granted(tx: Connection) -> Iterator[Fault]:
    """Every purchase was paid with its price and has the grant it bought."""
    paid = and_(transfer_entries.c.transfer_id == purchases.c.transfer_id, transfer_entries.c.book == "wallet")
    query = select(
        *(purchases, transfers.c.kind, transfers.c.reference, transfers.c.currency.label("paid_in")),
        *(transfer_entries.c.account.label("payer"), transfer_entries.c.amount.label("paid")),
        *(grants.c.account.label("owner"), grants.c.pool.label("granted_pool"), grants.c.amount.label("granted")),
        *(grants.c.source, grants.c.reference.label("order"), grants.c.starts_at, grants.c.expires_at),
    )
    query = query.outerjoin(transfers, transfers.c.id == purchases.c.transfer_id)
    query = query.outerjoin(transfer_entries, paid).outerjoin(grants, grants.c.id == purchases.c.grant_id)
    for row in tx.execute(query.execution_options(yield_per=PAGE)):
        where = f"purchase {row.id}"
        expected = ("purchase", row.id, row.currency, row.account, -row.price)
        if (row.kind, row.reference, row.paid_in, row.payer, row.paid) != expected:
            owed, moved = (human_money(one or 0, row.currency) for one in (row.price, row.paid))
            yield Fault("purchase", where, f"is not paid: {row.account!r} owes {owed}, {moved} moved")
        ends = None if row.days is None else row.created_at + row.days * DAY_MS
        begins = row.created_at if row.starts_at == row.created_at else second_of(row.created_at)  # as older programs
        bought = (row.account, row.pool, row.amount, SOURCE, row.id, begins, ends)
        given = (row.owner, row.granted_pool, row.granted, row.source, row.order, row.starts_at, row.expires_at)
        if given != bought:
            yield Fault("purchase", where, f"bought {row.amount} of {row.pool!r}; its grant is {given}")


def _sold(tx: Connection) -> Iterator[Fault]:
    """Nobody paid for a purchase or a lease that is not there."""
    query = select(transfers.c.id).outerjoin(purchases, purchases.c.transfer_id == transfers.c.id)
    leased = exists().where(lease_terms.c.transfer_id == transfers.c.id).correlate(transfers)
    query = query.where(transfers.c.kind == "purchase", purchases.c.id.is_(None), ~leased).limit(LISTED)
    for (transfer,) in tx.execute(query):
        yield Fault("purchase", f"transfer {transfer}", "was paid for a purchase that is not there")


RULES: Final[tuple[Rule, ...]] = (_zero, _overdrawn, _one_currency, _paid_and_granted, _sold)
