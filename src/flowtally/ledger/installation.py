"""Whose ledger this is, and how many promises it holds: the one row of `installation`.

Owns the row. A promise is a write transaction; its number is counted inside it, under the lock that lets one writer in
at a time, so the numbers are those of the commits, in their order, whatever a clock says. Rows that answers depend on
carry the number of the transaction that wrote them (`promise`). Leaves what must be equal elsewhere to whoever opens
the stores.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, case, select, update

from flowtally.ledger.tables import installation


class Installation(msgspec.Struct, frozen=True):
    """`id` and `generation` are empty until they are bound; `promises`: write transactions ever, `last_at`: the latest
    instant of one, 0 before the first."""

    id: str
    generation: str
    promises: int
    last_at: int


def read_installation(tx: Connection) -> Installation:
    row = installation.c
    return Installation(*tx.execute(select(row.id, row.generation, row.promises, row.last_at)).one())


def bind(tx: Connection, id: str, generation: str) -> None:
    """From now on this ledger belongs to that installation, in that generation."""
    tx.execute(update(installation).values(id=id, generation=generation))


def count_promise(tx: Connection, at: int) -> None:
    """This transaction is one more. `at`: its instant; the latest one is kept."""
    latest = case((installation.c.last_at < at, at), else_=installation.c.last_at)
    tx.execute(update(installation).values(promises=installation.c.promises + 1, last_at=latest))
