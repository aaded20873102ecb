"""The audit trail: who did what, on what, in the transaction that did it; append only.

Owns the notes of a transaction and the rows they become. Every command says what it did (`note`), in the words of the
ledger; whoever begins the transaction says who asks (`Actor`); its end writes one row per note (`write`). A transaction
that changed rows and noted nothing is recorded all the same, by the tables it changed: no write can go without a row.

A row holds ids, amounts and settings. It never holds a secret, nor a text that can be erased (names of users, labels,
addresses of whitelists): so nothing in it ever has to change. Each row's digest covers the row before it, and the last
one stands in `installation`: a row that was edited, moved, put in or taken away is found by `faults`. That is against
accidents and silent hands, not against somebody who can write the database and computes all later digests anew; keep a
copy of a digest elsewhere to know about those too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, bindparam, event, insert, select

from flowtally.ledger.tables import audit, installation

MAX_IDS: Final = 20  # of things made many at once
OTHER: Final = "other"  # what was done by a transaction that did not say
SECRETS: Final = frozenset(
    {"token", "key", "password", "code", "sealed", "digest", "token_hash", "key_hash", "statement", "labels", "address"}
)
# What counts no change: who answers what was answered before changes nothing, and the trail does not record itself.
BOOKKEEPING: Final = frozenset({"installation", "audit", "idempotency", "used_keys", "alembic_version"})

_NOTES: Final = "flowtally.notes"  # in a connection's `info`
_WRITES: Final = re.compile(r"""\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+["']?(\w+)""", re.IGNORECASE)


class Actor(msgspec.Struct, frozen=True):
    """Who asks for a transaction. `door`: the route it came by, or the server's own work. Without a `credential` it is
    the server itself; `account`: whose credential it is, '' for one of the installation."""

    door: str
    credential: str = ""
    account: str = ""
    request_id: str = ""
    address: str = ""


SERVER: Final = Actor("server")


def server(work: str) -> Actor:
    """The server itself, at this work."""
    return Actor(f"server: {work}")


class Note(msgspec.Struct, frozen=True):
    """One thing that was done: `action` in the words of the ledger, to the thing `subject` (an id) of an `account`."""

    action: str
    account: str | None
    subject: str
    before: str
    after: str


class Notes:
    """What one transaction has done so far."""

    def __init__(self) -> None:
        self.made: list[Note] = []
        self.tables: set[str] = set()
        self.savepoints: list[tuple[int, set[str]]] = []  # the innermost last


def watch(engine: Engine) -> None:
    """Know what every transaction of this engine writes, whether it says so or not."""
    event.listen(engine, "after_cursor_execute", _saw)
    event.listen(engine, "savepoint", _saved)
    event.listen(engine, "rollback_savepoint", _went_back)
    event.listen(engine, "release_savepoint", _went_on)


def begin(tx: Connection) -> None:
    """A transaction that has done nothing yet, whatever its connection was used for before."""
    tx.info[_NOTES] = Notes()


def note(
    tx: Connection,
    action: str,
    *,
    account: str | None = None,
    subject: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Say what was done. `before` and `after`: the thing as it was and is, without what must not be kept (`facts`)."""
    _notes(tx).made.append(Note(action, account, subject, _shown(before), _shown(after)))


@contextmanager
def unrecorded(tx: Connection) -> Iterator[None]:
    """What is written inside changes nothing that anybody answers for."""
    done = _notes(tx)
    before = set(done.tables)
    yield
    done.tables = before


def change(
    tx: Connection,
    action: str,
    was: msgspec.Struct,
    now_is: msgspec.Struct,
    *left_out: str,
    account: str | None = None,
    subject: str,
) -> None:
    """Say that a thing became another: the facts of both, but for those left out."""
    note(tx, action, account=account, subject=subject, before=facts(was, *left_out), after=facts(now_is, *left_out))


def made(tx: Connection) -> Sequence[Note]:
    """What was said so far in this transaction."""
    return tuple(_notes(tx).made)


def facts(thing: msgspec.Struct, *left_out: str) -> dict[str, Any]:
    """The fields of a thing, but for these, its id and account (a row has columns for both), and secrets."""
    unwanted = SECRETS.union(left_out, ("id", "account"))
    return {name: value for name, value in msgspec.to_builtins(thing).items() if name not in unwanted}


def ids(some: Sequence[str]) -> dict[str, Any]:
    """Many things made at once: how many, and the first of them."""
    return {"count": len(some), "ids": list(some[:MAX_IDS])}


def write(tx: Connection, actor: Actor, at: int) -> tuple[int, str] | None:
    """Make rows of what this transaction did; returns number and digest of the last one. None: it did nothing."""
    done = _notes(tx)
    if not done.made and not done.tables:
        return None
    noted = done.made or [Note(OTHER, None, "", "", _shown({"tables": sorted(done.tables)}))]
    last = tx.execute(_LAST).one()
    number, head, rows = last.audited, last.audit_head, []
    at = at or last.last_at  # work without a clock of its own is dated after all that was dated
    for one in noted:
        number += 1
        row = {"number": number, "promise": last.promises + 1, "at": at}
        row |= msgspec.structs.asdict(actor) | {"of_account": actor.account} | msgspec.structs.asdict(one)
        head = digest_of(head, tuple(row[name] for name in COLUMNS))
        rows.append(row | {"digest": head})
    tx.execute(_NEW, rows)
    return number, head


_LAST: Final = select(*(installation.c[name] for name in ("promises", "last_at", "audited", "audit_head")))
_NEW: Final = insert(audit)
COLUMNS: Final = tuple(column.name for column in audit.c if column.name != "digest")


def digest_of(previous: str, row: tuple[Any, ...]) -> str:
    """Of a row (`COLUMNS`), which comes after the one with the digest `previous` ('': it is the first)."""
    return sha256(msgspec.json.encode((previous, *row))).hexdigest()


def audited_to(tx: Connection) -> tuple[int, int]:
    """How many promises there are, and the number of the last row of the trail."""
    found = tx.execute(_STANDS).one()
    return found.promises, found.audited


def audited_accounts(tx: Connection, after: int, until: int, limit: int) -> list[str] | None:
    """Of which accounts the rows after `after` up to `until` speak; None: of no account in particular, or there are
    more than `limit` rows."""
    if until - after > limit:
        return None
    rows = tx.execute(_SPEAKS, {"after": after, "until": until}).all()
    if any(row.account is None for row in rows):
        return None
    return sorted({name for row in rows for name in (row.account, row.of_account) if name})


_STANDS: Final = select(installation.c.promises, installation.c.audited)
_SPEAKS: Final = select(audit.c.account, audit.c.of_account).where(
    audit.c.number > bindparam("after"), audit.c.number <= bindparam("until")
)


def _shown(said: Mapping[str, Any] | None) -> str:
    if said is None:
        return ""
    assert SECRETS.isdisjoint(said), f"the trail keeps no {SECRETS & said.keys()}"
    return msgspec.json.encode(said).decode()


def _notes(tx: Connection) -> Notes:
    found: Notes = tx.info[_NOTES]
    return found


def _saw(tx: Connection, cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool) -> None:
    if (done := tx.info.get(_NOTES)) is None or cursor.rowcount == 0:
        return
    found = _WRITES.match(statement)
    if found is not None and found[1] not in BOOKKEEPING:
        done.tables.add(found[1])


def _saved(tx: Connection, _name: str | None) -> None:
    if (done := tx.info.get(_NOTES)) is not None:
        done.savepoints.append((len(done.made), set(done.tables)))


def _went_back(tx: Connection, _name: str, _context: None) -> None:
    if (done := tx.info.get(_NOTES)) is not None:
        made, done.tables = done.savepoints.pop()
        del done.made[made:]


def _went_on(tx: Connection, _name: str, _context: None) -> None:
    if (done := tx.info.get(_NOTES)) is not None:
        done.savepoints.pop()
