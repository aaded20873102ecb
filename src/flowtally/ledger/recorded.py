"""What the audit trail holds, page by page, in the order it was written. Owns the questions, never a row."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, select

from flowtally.core.errors import BadRequest
from flowtally.core.texts import may_be_known
from flowtally.ledger.pages import DEFAULT_LIMIT, MAX_LIMIT, ListPage, walk_of
from flowtally.ledger.tables import audit


class AuditRecord(msgspec.Struct, frozen=True):
    """A row of the trail; `before` and `after` are JSON, or '' where there is nothing to say."""

    number: int
    promise: int
    at: int
    credential: str
    of_account: str
    door: str
    request_id: str
    address: str
    action: str
    account: str | None
    subject: str
    before: str
    after: str
    digest: str


class Filter(msgspec.Struct, frozen=True):
    """Only those that all given members fit; `since` included, `until` not."""

    account: str | None = None
    credential: str | None = None
    action: str | None = None
    subject: str | None = None
    since: int | None = None
    until: int | None = None


_COLUMNS: Final = [audit.c[name] for name in AuditRecord.__struct_fields__]


def list_records(
    tx: Connection, asked: Filter, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> ListPage[AuditRecord]:
    """Records that fit, the first that was written first. BadRequest for what is no cursor of this list."""
    if not 1 <= limit <= MAX_LIMIT:
        raise BadRequest(f"limit is {limit}; 1 to {MAX_LIMIT} are allowed")
    walk = walk_of(tx, "audit", tuple(None if one is None else str(one) for one in msgspec.structs.astuple(asked)))
    query = _fitting(asked)
    if query is None:
        return ListPage([], None)
    if after is not None:
        query = query.where(audit.c.number > walk.place(after, int))
    rows = tx.execute(query.order_by(audit.c.number).limit(limit + 1)).all()
    found = [AuditRecord(*row) for row in rows[:limit]]
    return ListPage(found, walk.cursor(found[-1].number) if len(rows) > limit else None)


def _fitting(asked: Filter) -> Select[Any] | None:
    """None where a text that was asked for cannot be in any row."""
    query = select(*_COLUMNS)
    for name in ("account", "credential", "action", "subject"):
        if (wanted := getattr(asked, name)) is not None:
            if not may_be_known(wanted):
                return None
            query = query.where(audit.c[name] == wanted)
    if asked.since is not None:
        query = query.where(audit.c.at >= asked.since)
    if asked.until is not None:
        query = query.where(audit.c.at < asked.until)
    return query
