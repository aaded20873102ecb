"""Statements to the ledger are compiled once in a process of the tests, whichever ledger asks them; and what SQLAlchemy
wants to know of SQLite is asked once.

SQLAlchemy keeps what it compiled for each engine. A server has one engine, and compiles a statement once; each test has
a ledger of its own, and spent half its time in compiling the same statements again. Likewise it asks each new engine
what its database is able to do: all these are of the one SQLite that Python has.
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
        _ask_once()


def _ask_once() -> None:
    """Each dialect of SQLite is told what the first one found out when it was first connected."""
    dialect: Any = SQLiteDialect_pysqlite
    ask = dialect.initialize
    found: dict[str, Any] = {}

    def initialize(new: Any, connection: Connection) -> None:
        if not found:
            before = dict(vars(new))
            ask(new, connection)
            found.update({name: value for name, value in vars(new).items() if before.get(name, found) is not value})
        vars(new).update(found)

    dialect.initialize = initialize


def _take(connection: Connection) -> None:
    connection.execution_options(compiled_cache=_COMPILED)
