"""Is the audit trail whole? Every digest anew, no number missing, no promise without a row.

Owns the questions about the rows of `trail`; reads only. What they cannot tell: a trail whose later digests were all
computed anew by somebody who can write the database. Whoever keeps a digest elsewhere can.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Column, Connection, select

from flowtally.ledger.checks.fault import LISTED, PAGE, Fault, Rule
from flowtally.ledger.erasing import erased_audit
from flowtally.ledger.tables import audit, audit_erased, installation, metadata
from flowtally.ledger.trail import COLUMNS, digest_of

ROW: Final = tuple(audit.c[name] for name in COLUMNS)


def _chain(tx: Connection) -> Iterator[Fault]:
    """Rows are numbered from 1 without a gap, in the order of promises, each digest covers the one before, and the last
    is what `installation` says. Named are the first rows that are not: behind one all may differ."""
    number, promise, head, found = 0, 0, "", 0
    query = select(*ROW, audit.c.digest, audit_erased.c.digest.label("digest_now"))
    query = query.outerjoin(audit_erased, audit_erased.c.number == audit.c.number).order_by(audit.c.number)
    for row in tx.execute(query.execution_options(yield_per=PAGE)):
        said = _fault_of(row, number, promise, head)
        if said:
            yield Fault("audit", f"audit {row.number}", said)
            if (found := found + 1) == LISTED:
                return
        number, promise, head = row.number, row.promise, row.digest
    last = tx.execute(select(installation.c.promises, installation.c.audited, installation.c.audit_head)).one()
    if (number, head) != (last.audited, last.audit_head):
        yield Fault(
            "audit", f"audit {last.audited}", f"is the last row that was written; the last one there is {number}"
        )
    if promise > last.promises:
        yield Fault("audit", f"audit {number}", f"is of promise {promise}; there were {last.promises}")


def _fault_of(row: Any, number: int, promise: int, head: str) -> str:
    if row.number != number + 1:
        return f"comes after {number}: what is between them is missing"
    if row.promise < promise:
        return f"is of promise {row.promise}, the row before it of {promise}"
    if digest_of(head, tuple(row[:-2])) != (row.digest_now or row.digest):
        return "is not what was written, or does not come after the row before it"
    return ""


def _texts_taken(tx: Connection) -> Iterator[Fault]:
    """Records that lost their texts with an account are those, as they are, that the transaction that did it says."""
    said: dict[int, set[str]] = {}
    notes = select(audit.c.promise, audit.c.after).where(audit.c.action == erased_audit.ACTION)
    for promise, after in tx.execute(notes):
        said.setdefault(promise, set()).add(after)
    query = select(audit_erased.c.promise, audit_erased.c.number, audit_erased.c.digest)
    rows = tx.execute(query.order_by(audit_erased.c.promise, audit_erased.c.number).execution_options(yield_per=PAGE))
    for promise, mine in groupby(rows, key=lambda row: int(row.promise)):
        digests = [(row.number, row.digest) for row in mine]
        if erased_audit.said(digests) not in said.pop(promise, set()):
            told = "they lost texts, and no record of the audit trail says that they are as they were left"
            yield Fault("audit", f"audit {digests[0][0]} to {digests[-1][0]}", told)
    for promise in sorted(said)[:LISTED]:
        yield Fault("audit", f"audit of promise {promise}", "says that records lost texts, and they are not marked so")


def _unrecorded(tx: Connection) -> Iterator[Fault]:
    """Whatever carries the number of a promise was promised by a transaction that is in the trail. One that is open
    while it asks is recorded at its end."""
    since, last = tx.execute(select(installation.c.audit_since, installation.c.promises)).one()
    recorded = select(audit.c.promise).distinct().subquery()
    for column in _numbers():
        query = select(column).distinct().outerjoin(recorded, recorded.c.promise == column)
        query = (
            query.where(column > since, column != last + 1, recorded.c.promise.is_(None)).order_by(column).limit(LISTED)
        )
        for (promise,) in tx.execute(query):
            yield Fault("audit", f"{column.table.name} of promise {promise}", "nothing in the audit trail tells of it")


def _numbers() -> Iterator[Column[int]]:
    for table in metadata.sorted_tables:
        if table is not audit:
            yield from (table.c[name] for name in ("promise", "ended_promise") if name in table.c)


RULES: Final[tuple[Rule, ...]] = (_chain, _texts_taken, _unrecorded)
