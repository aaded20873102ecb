"""Who is there: what ingest asks of the ledger for a whole block at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from sqlalchemy import Connection, select

from flowtally.ledger.tables import accounts

CHUNK: Final = 500


def statuses(tx: Connection, ids: Iterable[str]) -> dict[str, str]:
    """The status of each of these accounts that exists."""
    wanted = list(ids)
    found: dict[str, str] = {}
    for start in range(0, len(wanted), CHUNK):
        query = select(accounts.c.id, accounts.c.status).where(accounts.c.id.in_(wanted[start : start + CHUNK]))
        found |= {row.id: row.status for row in tx.execute(query)}
    return found


def missing(tx: Connection, ids: Collection[str]) -> list[str]:
    """Those of these accounts that do not exist, in order."""
    if len(ids) <= CHUNK:
        return sorted(set(ids) - statuses(tx, ids).keys())
    return sorted(set(ids).difference(tx.execute(select(accounts.c.id)).scalars()))
