"""A ledger of any database as files, and back: what a backup holds of a ledger in PostgreSQL, and how a ledger moves
from one kind of database to the other.

One file per table, all of one moment: a first line that names the columns, then a line of values per row (JSON). No
program of the database's own is needed, and any supported database can take it. It goes back only into a database
without tables; the steps that later versions brought are applied after the rows are in, as to a ledger that was always
there. Either all of it is there afterwards or nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, MetaData, Table, inspect, select
from sqlalchemy.exc import DataError

from flowtally.core.errors import BackupBroken, ConfigError
from flowtally.ledger import migrations
from flowtally.ledger.database import Ledger

ROWS: Final = 1000  # at a time
SUFFIX: Final = ".jsonl"
VERSIONS: Final = "alembic_version"  # of the steps that were applied; it goes back by applying them

Say = Callable[[str, int, int], None]


def write(tx: Connection, place: Path, say: Say) -> str:
    """Every table as `tx` sees it, into files in `place`, synced. Returns the version of the schema."""
    place.mkdir(mode=0o700)
    known = _tables(tx)
    for number, one in enumerate(known):
        say("ledger", number, len(known))
        _write_table(tx, one, place / f"{one.name}{SUFFIX}")
    return migrations.version(tx)


def write_from(url: str, place: Path, say: Say) -> str:
    """The same of a ledger that nobody writes."""
    with Ledger.connected(url) as ledger, ledger.read() as tx:
        return write(tx, place, say)


def check_empty(url: str) -> None:
    """ConfigError unless this is a database without tables, that can be written."""
    with Ledger.connected(url) as ledger, ledger.read() as tx:
        found = sorted(inspect(tx).get_table_names())
        if found:
            shown = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
            raise ConfigError(
                f"ledger_url {ledger.shown}: this database is not empty, it has {shown}. A ledger is restored into a "
                "new database: make one and name it"
            )


def read(url: str, place: Path, version: str, say: Say) -> None:
    """Put the tables back, in one transaction. ConfigError as `check_empty`, and for a value that this database cannot
    keep; LedgerTooNew for files of a later flowtally; BackupBroken where they are not what `write` wrote."""
    check_empty(url)
    with Ledger.connected(url) as ledger, ledger.begin() as tx:
        migrations.upgrade(tx, version)
        known = _tables(tx)
        files = {path.name.removesuffix(SUFFIX): path for path in place.glob(f"*{SUFFIX}")}
        if files.keys() != {one.name for one in known}:
            raise BackupBroken(f"{place} does not hold the tables of a ledger of version {version}")
        for one in reversed(known):
            tx.execute(one.delete())  # what the steps themselves brought is in the files too
        for number, one in enumerate(known):
            say("ledger", number, len(known))
            for rows in _read_table(one, files[one.name]):
                _insert(tx, one, rows)
        migrations.upgrade(tx)


def take_away(url: str) -> None:
    """Empty the database again after `read`, when the restore it was part of failed later."""
    with Ledger.connected(url) as ledger, ledger.begin() as tx:
        made = MetaData()
        made.reflect(tx)
        made.drop_all(tx)


def _insert(tx: Connection, one: Table, rows: list[dict[str, Any]]) -> None:
    try:
        tx.execute(one.insert(), rows)
    except DataError as error:  # such as a text with a NUL, which an early version took and PostgreSQL does not
        raise ConfigError(f"The rows of {one.name} cannot be kept in this database: {error.orig}") from error


def _tables(tx: Connection) -> list[Table]:
    """As they are in this database, referred-to ones first."""
    there = MetaData()
    there.reflect(tx)
    return [one for one in there.sorted_tables if one.name != VERSIONS]


def _write_table(tx: Connection, one: Table, path: Path) -> None:
    columns = [str(column.name) for column in one.columns]
    rows = tx.execute(select(one).order_by(*one.primary_key.columns).execution_options(yield_per=ROWS))
    with path.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(msgspec.json.encode(columns) + b"\n")
        for some in rows.partitions():
            file.write(msgspec.json.Encoder().encode_lines([tuple(row) for row in some]))
        file.flush()
        os.fsync(file.fileno())


def _read_table(one: Table, path: Path) -> Iterator[list[dict[str, Any]]]:
    with path.open("rb") as file:
        columns = msgspec.json.decode(file.readline(), type=list[str])
        if set(columns) != {column.name for column in one.columns}:
            raise BackupBroken(f"{path} has the columns {', '.join(columns)}, which {one.name} has not")
        rows: list[dict[str, Any]] = []
        for line in file:
            values = msgspec.json.decode(line, type=list[str | int | None])
            rows.append(dict(zip(columns, values, strict=True)))
            if len(rows) == ROWS:
                yield rows
                rows = []
        if rows:
            yield rows
