"""Statements to the ledger are compiled once in a process of the tests, whichever ledger asks them.

SQLAlchemy keeps what it compiled for each engine. A server has one engine, and compiles a statement once; each test has
a ledger of its own, and spent half its time in compiling the same statements again.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

_COMPILED: Final[dict[Any, Any]] = {}


def compile_once() -> None:
    """For all engines of this process: what is compiled is kept by statement and dialect, and all dialects of a kind
    are one here, since all databases of a kind are of one version."""
    for kind in (SQLiteDialect_pysqlite, PGDialect_psycopg):
        dialect: Any = kind
        dialect.__eq__ = lambda one, other: type(one) is type(other)
        dialect.__hash__ = lambda one: hash(type(one))
    if not event.contains(Engine, "engine_connect", _take):
        event.listen(Engine, "engine_connect", _take)


def _take(connection: Connection) -> None:
    connection.execution_options(compiled_cache=_COMPILED)
