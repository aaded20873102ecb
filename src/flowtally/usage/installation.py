"""Whose usage this is: one small table beside the rows, and the accounts that the rows name.

Owns the SQL. What must be equal elsewhere is `ingest.identity`'s.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from flowtally.core.clock import now_ms
from flowtally.usage.engine import Engine
from flowtally.usage.values import Identity

_MS = pa.timestamp("ms", "UTC")


def read_identity(engine: Engine) -> Identity:
    """The last one that was written."""
    rows = engine.rows("SELECT id, generation FROM installation ORDER BY bound_at DESC LIMIT 1")
    return Identity(*rows[0]) if rows else Identity()


def write_identity(engine: Engine, identity: Identity) -> None:
    """A row more, later than all before it whatever the clock says: rows are never changed here."""
    [(latest,)] = engine.rows("SELECT toUnixTimestamp64Milli(max(bound_at)) FROM installation")
    row: Any = pa.table(
        {
            "id": pa.array([identity.installation]),
            "generation": pa.array([identity.generation]),
            "bound_at": pa.array([max(now_ms(), latest + 1)], _MS),
        }
    )
    engine.insert("installation", row, f"flowtally-bind-{identity.generation}")


def accounts_of(engine: Engine, table: str) -> list[str]:
    """Every account that rows name. From the rows: a projection may be torn when a start asks, and the column is
    small."""
    text = f"SELECT DISTINCT toString(account) AS a FROM {table} WHERE account != '' ORDER BY a"
    return [row[0] for row in engine.rows(text, optimize_use_projections=0)]
