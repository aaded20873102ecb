"""The schema of a new ledger is made by all steps of all versions once in a process of the tests, and from then on by
the statements those came to.

The steps take fifty milliseconds, and every test that starts a whole server begins with them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

from sqlalchemy import Connection, create_engine

from flowtally.ledger import migrations

BY_ALL_STEPS: Final[Callable[..., None]] = migrations.upgrade


def write_once() -> None:
    """For all ledgers of this process that are files, and new."""
    migrations.upgrade = written_at_once


def written_at_once(tx: Connection, to: str = "head") -> None:
    is_file = tx.dialect.name == "sqlite"
    if to != "head" or not is_file or tx.exec_driver_sql("SELECT 1 FROM sqlite_master").first():
        BY_ALL_STEPS(tx, to)
        return
    for statement in _statements():
        tx.exec_driver_sql(statement)


@cache
def _statements() -> list[str]:
    engine = create_engine("sqlite://")
    with engine.begin() as tx:
        BY_ALL_STEPS(tx)
        found = list(tx.connection.driver_connection.iterdump())  # type: ignore[union-attr]
    engine.dispose()
    assert (found[0], found[-1]) == ("BEGIN TRANSACTION;", "COMMIT;")
    return found[1:-1]
