"""The tables of a new usage store are made by all migrations once in an engine, and copied from then on.

The migrations take a tenth of a second, and hundreds of tests begin with a database of their own.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final

MADE: Final = "made_once"


class Copying:
    """Databases of the engine whose URL this is, as a first start leaves them."""

    def __init__(self, url: str) -> None:
        from flowtally.usage.clickhouse import ClickHouseStore
        from flowtally.usage.engine import Engine

        with closing(ClickHouseStore(Engine(f"{url}?database={MADE}"))):
            self._engine: Any = Engine(f"{url}?database={MADE}")
        self._tables = [name for (name,) in self._engine.rows("SHOW TABLES")]

    def copy(self, name: str) -> None:
        self._engine.command(f"CREATE DATABASE {name}")
        for table in self._tables:
            self._engine.command(f"CREATE TABLE {name}.{table} AS {MADE}.{table}")
        self._engine.command(f"INSERT INTO {name}.schema_migrations SELECT * FROM {MADE}.schema_migrations")

    def close(self) -> None:
        self._engine.close()
