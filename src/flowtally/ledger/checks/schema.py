"""Does every row keep the constraints of its table? They are asked anew: a database looks at its own writes only.

Owns the questions, which are made from the tables; reads only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import msgspec
from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    Connection,
    ForeignKeyConstraint,
    Select,
    Table,
    TextClause,
    UniqueConstraint,
    and_,
    exists,
    func,
    or_,
    select,
    text,
)

from flowtally.ledger.checks.fault import LISTED, Fault
from flowtally.ledger.tables import metadata


class _Question(msgspec.Struct, frozen=True):
    """A rule of the schema as a query for the rows that break it, and how they are named."""

    query: Select[Any]
    fault: Callable[[Any], Fault]


def faults(tx: Connection) -> Iterator[Fault]:
    """What the constraints say, table by table."""
    for table in metadata.sorted_tables:
        yield from faults_of(tx, table)


def faults_of(tx: Connection, table: Table) -> Iterator[Fault]:
    """A table that breaks no rule of single rows is read once for all of them."""
    any_broken, of_rows, of_table = _questions(table)
    broken = tx.execute(any_broken).first() is not None
    for question in (*of_rows, *of_table) if broken else of_table:
        for row in tx.execute(question.query):
            yield question.fault(row)


@cache
def _questions(table: Table) -> tuple[Select[Any], list[_Question], list[_Question]]:
    """Is there a row that breaks a rule of single rows; these rules; those of rows together. Made once in a process: to
    make them takes longer than to ask them of a small ledger."""
    single = list(_of_rows(table))
    keys = select(*table.primary_key.columns)
    any_broken = keys.where(or_(*(condition for condition, _ in single))).limit(1)
    of_rows = [_Question(keys.where(condition).limit(LISTED), fault) for condition, fault in single]
    return any_broken, of_rows, [*_uniques(table), *_references(table)]


def _of_rows(table: Table) -> Iterator[tuple[ColumnElement[bool] | TextClause, Callable[[Any], Fault]]]:
    """What no row may be, and what is said of one that is."""
    for constraint in sorted(table.constraints, key=lambda one: str(one.name)):
        if isinstance(constraint, CheckConstraint):
            said = f"breaks {constraint.name}: {constraint.sqltext}"
            yield text(f"NOT ({constraint.sqltext})"), partial(_of_row, "constraint", table, said)
    for column in table.c:
        if not column.nullable:
            yield column.is_(None), partial(_of_row, "constraint", table, f"{column.name} is empty")


def _uniques(table: Table) -> Iterator[_Question]:
    keys: list[tuple[list[Any], Any]] = [(list(table.primary_key.columns), None)]
    keys += [(list(one.columns), None) for one in table.constraints if isinstance(one, UniqueConstraint)]
    for index in table.indexes:
        if index.unique:
            keys.append((list(index.columns), index.dialect_options["sqlite"]["where"]))
    for columns, where in keys:
        given = [column.is_not(None) for column in columns]
        twice = select(*columns, func.count()).where(*given).group_by(*columns).having(func.count() > 1).limit(LISTED)
        names = ", ".join(column.name for column in columns)
        yield _Question(twice if where is None else twice.where(where), partial(_twice, table, names))


def _twice(table: Table, names: str, row: Any) -> Fault:
    return Fault("twice", f"{table.name} {tuple(row[:-1])}", f"{row[-1]} rows have the same {names}")


def _references(table: Table) -> Iterator[_Question]:
    for constraint in table.constraints:
        if isinstance(constraint, ForeignKeyConstraint):
            other = constraint.referred_table.alias()
            pairs = [(one.parent, other.c[one.column.name]) for one in constraint.elements]
            there = exists().where(and_(*(mine == theirs for mine, theirs in pairs)))
            given = and_(*(mine.is_not(None) for mine, _ in pairs))
            query = select(*table.primary_key.columns).where(given, ~there).limit(LISTED)
            names = ", ".join(mine.name for mine, _ in pairs)
            said = f"{names} names nothing in {constraint.referred_table.name}"
            yield _Question(query, partial(_of_row, "reference", table, said))


def _of_row(code: str, table: Table, said: str, row: Any) -> Fault:
    return Fault(code, f"{table.name} {', '.join(map(str, row))}", said)
