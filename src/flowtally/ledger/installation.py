"""Whose ledger this is, and how many promises it holds: the one row of `installation`.

Owns the row. A promise is a write transaction; its number is counted inside it, under the lock that lets one writer in
at a time, so the numbers are those of the commits, in their order, whatever a clock says. Rows that answers depend on
carry the number of the transaction that wrote them (`promise`). Leaves what must be equal elsewhere to whoever opens
the stores.

Every transaction asks these statements, so each is put together once: that takes five times as long as its answer. So
are others of the ledger that most requests ask.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, bindparam, case, inspect, select, update

from flowtally.ledger import trail
from flowtally.ledger.tables import accounts, installation


class InstallationState(msgspec.Struct, frozen=True):
    """`id` and `generation` are empty until they are bound; `promises`: write transactions ever, `last_at`: the latest
    instant of one, 0 before the first; `epoch`: how often the lease on a ledger in PostgreSQL was taken."""

    id: str
    generation: str
    promises: int
    last_at: int
    epoch: int = 0


_STATE = select(*(installation.c[field] for field in InstallationState.__struct_fields__))
_NEXT = select(installation.c.promises + 1)
_LATEST = case((installation.c.last_at < bindparam("at"), bindparam("at")), else_=installation.c.last_at)
_COUNTED = (
    update(installation)
    .values(promises=installation.c.promises + 1, last_at=_LATEST)
    .returning(installation.c.promises)
)
_AUDITED = _COUNTED.values(audited=bindparam("number"), audit_head=bindparam("head"))


def read_installation(tx: Connection) -> InstallationState:
    return InstallationState(*tx.execute(_STATE).one())


class State(msgspec.Struct, frozen=True):
    """A ledger as a start finds it, of whatever version. `exists`: it has tables; `accounts`: one at least."""

    exists: bool = False
    accounts: bool = False
    installation: InstallationState = InstallationState("", "", 0, 0)


def look(tx: Connection) -> State:
    """Changes nothing. Before version 0010 a ledger belongs to nobody and has no numbers."""
    tables = set(inspect(tx).get_table_names())
    if accounts.name not in tables:
        return State()
    some = tx.execute(select(accounts.c.id).limit(1)).first() is not None
    found = read_installation(tx) if installation.name in tables else InstallationState("", "", 0, 0)
    return State(True, some, found)


def bind(tx: Connection, id: str, generation: str) -> None:
    """From now on this ledger belongs to that installation, in that generation."""
    before = read_installation(tx)
    tx.execute(update(installation).values(id=id, generation=generation))
    trail.note(
        tx, "installation.bind", subject=id, before={"generation": before.generation}, after={"generation": generation}
    )


def take_epoch(tx: Connection, holder: str) -> int:
    """Whoever had the lease before commits nothing any more."""
    counted = update(installation).values(epoch=installation.c.epoch + 1, holder=holder)
    return int(tx.execute(counted.returning(installation.c.epoch)).scalar_one())


def count_promise(
    tx: Connection, at: int, epoch: int | None = None, audited: tuple[int, str] | None = None
) -> int | None:
    """This transaction is one more; its number. `at`: its instant; the latest one is kept. `audited`: number and digest
    of the last row of the audit trail, where it wrote one. None where the epoch is no longer this one: the transaction
    must not be committed."""
    counted = _COUNTED
    values: dict[str, int | str] = {"at": at}
    if audited is not None:
        counted, values = _AUDITED, {"at": at, "number": audited[0], "head": audited[1]}
    if epoch is not None:
        counted = counted.where(installation.c.epoch == epoch)
    return tx.execute(counted, values).scalar_one_or_none()


def this_promise(tx: Connection) -> int:
    """The number of the write transaction this is."""
    return int(tx.execute(_NEXT).scalar_one())
