"""Is every port of a host offered once for a product?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, select

from flowtally.ledger.checks.fault import LISTED, PAGE, Fault, Rule
from flowtally.ledger.tables import gateways


def _apart(tx: Connection) -> Iterator[Fault]:
    """No two ranges of ports of a host meet within a product: a list of endpoints would name a port twice. Gone through
    in order of ports, each against that which reaches furthest of those before it."""
    one = gateways.c
    query = select(one.id, one.product, one.host, one.first_port, one.last_port)
    query = query.order_by(one.product, one.host, one.first_port, one.id)
    furthest: Any = None  # a row
    found = 0
    for row in tx.execute(query.execution_options(yield_per=PAGE)):
        if furthest is None or (furthest.product, furthest.host) != (row.product, row.host):
            furthest = row
            continue
        if row.first_port <= furthest.last_port and found < LISTED:
            found += 1
            met = f"{row.first_port} to {min(row.last_port, furthest.last_port)} of {row.host}"
            yield Fault("gateway", f"gateway {row.id}", f"offers ports {met} that gateway {furthest.id} offers, too")
        if row.last_port > furthest.last_port:
            furthest = row


RULES: Final[tuple[Rule, ...]] = (_apart,)
