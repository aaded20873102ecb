"""Are leases what their terms made of them? No address is held twice at one instant, money is what was agreed on, and
what is said to be free is free.

Sums are made here, not in the database: a broken ledger may hold more than 64 bits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import LABEL_STYLE_TABLENAME_PLUS_COL as _LABELS
from sqlalchemy import Connection, and_, select

from flowtally.core.leasing import AgreedPrice, held_until, kept_until, spelt, upgrade_price
from flowtally.core.times import DAY_MS
from flowtally.core.units import human_money
from flowtally.ledger.checks.fault import LISTED, PAGE, Fault, Rule
from flowtally.ledger.tables import lease_plans, lease_terms, leases, stock, transfer_entries, transfers

_SIZE: Final = ("cpu_cores", "memory_mib", "bandwidth_mbps")


def _held_once(tx: Connection) -> Iterator[Fault]:
    """No address and port is held by two leases at one instant, of whichever entries; nor kept for one and held by
    another."""
    names = (leases.c.id, leases.c.starts_at, leases.c.ends_at, leases.c.grace_ms, leases.c.released_at)
    query = select(stock.c.address, stock.c.port, *names).join(stock, stock.c.id == leases.c.stock_id)
    query = query.order_by(stock.c.address, stock.c.port, leases.c.starts_at, leases.c.id)
    found = 0
    rows = tx.execute(query.execution_options(yield_per=PAGE))
    for (address, port), mine in groupby(rows, key=attrgetter("address", "port")):
        before, until = "", 0
        for row in mine:
            if row.starts_at < until and row.starts_at < held_until(row.ends_at, row.released_at) and found < LISTED:
                found += 1
                yield Fault("lease", f"lease {row.id}", f"is of {address}:{port}, as is {before} at the same time")
            kept = kept_until(row.ends_at, row.grace_ms, row.released_at)
            if kept > until:
                before, until = row.id, kept


def _as_their_terms(tx: Connection) -> Iterator[Fault]:
    """A lease is what its terms, one after the other, make of it."""
    query = select(leases, lease_terms).outerjoin(lease_terms, lease_terms.c.lease_id == leases.c.id)
    query = query.order_by(leases.c.id, lease_terms.c.number).set_label_style(_LABELS)
    rows = tx.execute(query.execution_options(yield_per=PAGE))
    prices = {row.id: (row.price, row.days) for row in tx.execute(select(lease_plans))}
    for lease, terms in groupby(rows, key=attrgetter("leases_id")):
        for said in _replayed(list(terms), prices):
            yield Fault("lease", f"lease {lease}", said)


def _replayed(rows: list[Any], prices: dict[str, tuple[int, int]]) -> Iterator[str]:
    lease, size = rows[0], _size(rows[0], "lease_terms")
    ends, released, plan = None, None, None
    stretches: list[AgreedPrice] = []
    for number, term in enumerate(rows, 1):
        what, begins, until = term.lease_terms_what, term.lease_terms_starts_at, term.lease_terms_ends_at
        price, size, at = term.lease_terms_price, _size(term, "lease_terms"), term.lease_terms_created_at
        if term.lease_terms_number != number:
            yield f"has no term {number}"
            return
        if (what in ("given", "bought")) != (number == 1) or released is not None:
            yield f"cannot be {what} by its term {number}"
        if what == "released":
            released = begins
            continue
        if begins != {"renewed": ends, "upgraded": at}.get(what, lease.leases_starts_at):
            yield f"its term {number} begins at another instant than it must"
        plan, owed = term.lease_terms_plan_id, 0
        if plan is not None:
            of_plan, days = prices[plan]
            owed = of_plan
            if what == "upgraded":
                owed = upgrade_price(at, ends or at, stretches, price=of_plan, days=days)
            if until != (ends if what == "upgraded" else begins + days * DAY_MS):
                yield f"its term {number} ends at another instant than its plan says"
        if price != owed:
            yield f"its term {number} costs {price} instead of {owed} millionths"
        ends = until
        stretches.append(AgreedPrice(begins, until, price))
    if (lease.leases_ends_at, lease.leases_released_at, lease.leases_plan_id) != (ends, released, plan):
        yield "ends, was released or has a plan otherwise than its terms say"
    if _size(lease, "leases") != size:
        yield "is of another size than its terms say"


def _size(row: Any, table: str) -> tuple[Any, ...]:
    return tuple(getattr(row, f"{table}_{name}") for name in _SIZE)


def _paid(tx: Connection) -> Iterator[Fault]:
    """What the terms of an order cost is what its transfer moved out of the wallet of who has the leases; what was
    bought is paid."""
    names = ("order_id", "transfer_id", "price", "currency", "what")
    query = select(*(lease_terms.c[name] for name in names), leases.c.account)
    query = query.join(leases, leases.c.id == lease_terms.c.lease_id)
    owed: dict[str, int] = defaultdict(int)
    orders: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
    for row in tx.execute(query.execution_options(yield_per=PAGE)):
        if row.transfer_id is not None:
            owed[row.transfer_id] += row.price
            orders[row.transfer_id].add((row.order_id, row.account, row.currency))
        elif row.what == "bought":
            yield Fault("lease", f"order {row.order_id}", "was bought and nobody paid for it")
    side = and_(transfer_entries.c.transfer_id == transfers.c.id, transfer_entries.c.book == "wallet")
    moved = select(transfers.c.id, transfers.c.kind, transfers.c.reference, transfers.c.currency)
    moved = moved.add_columns(transfer_entries.c.account, transfer_entries.c.amount).outerjoin(transfer_entries, side)
    leased = select(lease_terms.c.transfer_id).where(lease_terms.c.transfer_id.is_not(None))
    for one in tx.execute(moved.where(transfers.c.id.in_(leased)).execution_options(yield_per=PAGE)):
        expected = ("purchase", {(one.reference, one.account, one.currency)}, -owed[one.id])
        if (one.kind, orders[one.id], one.amount) != expected:
            shown = human_money(owed[one.id], one.currency), human_money(one.amount or 0, one.currency)
            yield Fault("lease", f"transfer {one.id}", f"its leases cost {shown[0]}, {shown[1]} moved")


def _free(tx: Connection) -> Iterator[Fault]:
    """An item is free from the instant on at which its leases say so, and its address is spelt in its one way."""
    kept: dict[str, int] = defaultdict(int)
    query = select(leases.c.stock_id, leases.c.ends_at, leases.c.grace_ms, leases.c.released_at)
    for item, ends_at, grace_ms, released_at in tx.execute(query.execution_options(yield_per=PAGE)):
        kept[item] = max(kept[item], kept_until(ends_at, grace_ms, released_at))
    found = 0
    for row in tx.execute(select(stock.c.id, stock.c.free_at, stock.c.address).execution_options(yield_per=PAGE)):
        if row.free_at != kept.get(row.id, 0) and (found := found + 1) <= LISTED:
            yield Fault("stock", row.id, "is free from another instant on than its leases say")
        if spelt(row.address) != row.address and (found := found + 1) <= LISTED:
            yield Fault("stock", row.id, f"{row.address!r} is not how an address is written")


RULES: Final[tuple[Rule, ...]] = (_held_once, _as_their_terms, _paid, _free)
