"""Senders: who owns the sources of events. Credentials of a sender come and go; what it began it can go on with.

Which sender a source belongs to is kept beside its mark, in the keys database. Leaves to `credentials` who may act for
a sender.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, insert, select, update

from flowtally.core.errors import NotFound, Unprocessable
from flowtally.core.texts import may_be_known
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.people.accounts import read_account, require_not_erased
from flowtally.ledger.tables import senders
from flowtally.ledger.texts import check_text


class Sender(msgspec.Struct, frozen=True):
    """`account`: whose events alone it sends; None: anybody's."""

    id: str
    account: str | None
    name: str
    created_at: int


_COLUMNS: Final = [senders.c[field] for field in Sender.__struct_fields__]


def create_sender(tx: Connection, account: str | None, name: str, now: int) -> Sender:
    """A new one, that owns nothing yet. The caller has checked account and name."""
    made = Sender(new_id("snd_"), account, name, now)
    tx.execute(insert(senders).values(msgspec.structs.asdict(made)))
    trail.note(tx, "sender.create", account=account, subject=made.id, after=trail.facts(made))
    return made


def read_sender(tx: Connection, sender_id: str) -> Sender:
    """NotFound."""
    row = None
    if may_be_known(sender_id):
        row = tx.execute(select(*_COLUMNS).where(senders.c.id == sender_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no sender {sender_id!r}", sender=sender_id)
    return Sender(*row)


def require_sender(tx: Connection, sender_id: str, account: str | None) -> Sender:
    """The sender whose credentials are bound as this: to the same account, or to none. Else a credential could read
    what others of its sender wrote for accounts that are not its own. NotFound, Unprocessable."""
    sender = read_sender(tx, sender_id)
    if sender.account != account:
        bound = "no account" if sender.account is None else f"account {sender.account!r}"
        asked = "none" if account is None else repr(account)
        detail = f"sender {sender_id!r} is bound to {bound}, so its credentials are, not to {asked}"
        raise Unprocessable(detail, field="sender")
    return sender


def list_senders(
    tx: Connection, account: str | None = None, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> ListPage[Sender]:
    """Senders in order of id; of one account if given (UnknownAccount)."""
    query: Select[Any] = select(*_COLUMNS)
    if account is not None:
        read_account(tx, account)
        query = query.where(senders.c.account == account)
    return read_page(tx, "senders", query, senders.c.id, Sender, (account,), after=after, limit=limit)


def rename_sender(tx: Connection, sender_id: str, name: str, *, now: int) -> Sender:
    """Call it something else. `now` is not kept: a name of people's, that nothing hangs on. NotFound,
    AccountErased, Unprocessable."""
    check_text("name", name)
    sender = read_sender(tx, sender_id)
    if sender.account is not None:
        require_not_erased(tx, sender.account)
    tx.execute(update(senders).where(senders.c.id == sender_id).values(name=name))
    after = msgspec.structs.replace(sender, name=name)
    trail.change(tx, "sender.change", sender, after, account=sender.account, subject=sender_id)
    return after
