"""Senders: who owns the sources of events. Credentials of a sender come and go; what it began it can go on with.

Which sender a source belongs to is kept beside its mark, in the keys database. Leaves to `credentials` who may act for
a sender.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, insert

from flowtally.ledger.ids import new_id
from flowtally.ledger.tables import senders


class Sender(msgspec.Struct, frozen=True):
    """`account`: whose events alone it sends; None: anybody's."""

    id: str
    account: str | None
    name: str
    created_at: int


def create_sender(tx: Connection, account: str | None, name: str, now: int) -> Sender:
    """A new one, that owns nothing yet. The caller has checked account and name."""
    made = Sender(new_id("snd_"), account, name, now)
    tx.execute(insert(senders).values(msgspec.structs.asdict(made)))
    return made
