"""Records of the audit trail that lose their texts with an account: what they become, and how the trail stays whole.

Nothing but texts is taken out of a record: who did what to which thing when, with which amounts, stays. Its digest
stays the one it was written with, so all that comes after it is covered as before. Beside it stands the digest of what
the record is now, and the transaction that took the texts out says, in a record of its own, which digests it put there.
So whoever edits such a record later is found like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, insert, select, update

from flowtally.ledger import trail
from flowtally.ledger.people.forgotten import without_texts
from flowtally.ledger.tables import audit, audit_erased
from flowtally.ledger.trail import COLUMNS, digest_of

ACTION: Final = "account.erase_audit"
ROWS: Final = 500  # of one transaction
_ROW: Final = tuple(audit.c[name] for name in COLUMNS)


def take_texts(tx: Connection, account: str, which: ColumnElement[bool], after: int) -> int | None:
    """Of the next records `which` says, after this number; where to go on, None where that was all. Records that the
    account's own credentials caused lose the address that was asked from, too, and the id of the request, which whoever
    asks may choose."""
    query = select(*_ROW, audit.c.digest).where(which, audit.c.number > after).order_by(audit.c.number).limit(ROWS)
    rows = tx.execute(query).all()
    found = {row.number: now for row in rows if (now := _without(row, account)) is not None}
    if found:
        _put(tx, account, found)
    return rows[-1].number if len(rows) == ROWS else None


def said(digests: Sequence[tuple[int, str]]) -> str:
    """What the record of the transaction says that put these digests beside others, in the order of their numbers."""
    covering = sha256(msgspec.json.encode(digests)).hexdigest()
    told = {"count": len(digests), "first": digests[0][0], "last": digests[-1][0], "sha256": covering}
    return msgspec.json.encode(told).decode()


def _without(row: Any, account: str) -> dict[str, Any] | None:
    """What changes of the record; None where it has no text."""
    now: dict[str, Any] = {}
    for name in ("before", "after"):
        told = getattr(row, name)
        if told and (kept := _shown(told)) != told:
            now[name] = kept
    if row.of_account == account:
        now |= {name: "" for name in ("address", "request_id") if getattr(row, name)}
    return now or None


def _shown(told: str) -> str:
    return msgspec.json.encode(without_texts(msgspec.json.decode(told.encode()))).decode()


def _put(tx: Connection, account: str, found: dict[int, dict[str, Any]]) -> None:
    befores = select(audit.c.number, audit.c.digest).where(audit.c.number.in_([number - 1 for number in found]))
    heads = {number + 1: digest for number, digest in tx.execute(befores)}
    digests: list[tuple[int, str]] = []
    for number, now in found.items():
        tx.execute(update(audit).where(audit.c.number == number).values(now))
        row = tx.execute(select(*_ROW).where(audit.c.number == number)).one()
        digests.append((number, digest_of(heads.get(number, ""), tuple(row))))
    tx.execute(insert(audit_erased), [{"number": number, "digest": digest} for number, digest in digests])
    trail.note(tx, ACTION, account=account, subject=account, after=msgspec.json.decode(said(digests)))
