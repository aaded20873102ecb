"""The outbox: what is to be told, put down in the transaction in which it became true, once for each key.

Owns the messages, to which webhooks each goes, and how long they are kept. Whoever raises one calls `put`; how it gets
there is `alerts`. A message names users by their ids and holds no text that can be erased by itself: it goes as a whole
with its account, or after a while.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, delete, exists, func, insert, select

from flowtally.core.edges import format_instant
from flowtally.core.times import DAY_MS
from flowtally.core.words import DeliveryState
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.messages.webhooks import DISABLED, Webhook, listening
from flowtally.ledger.tables import deliveries, messages

MAX_BODY: Final = 20_000  # bytes
MOST_WAITING: Final = 10_000  # deliveries of one webhook; what comes beyond them is dead at once, and can be replayed
KEPT_MS: Final = 30 * DAY_MS  # of a message whose deliveries are over; for so long its key is known
STEP: Final = 1_000  # messages that are forgotten at once
FULL: Final = f"{MOST_WAITING} messages waited for the webhook already"


class Message(msgspec.Struct, frozen=True):
    """body: Exactly what is sent."""

    id: str
    key: str
    account: str | None
    type: str
    at: int
    body: str


def body_of(kind: str, at: int, data: Mapping[str, Any]) -> str:
    """What is sent, as Standard Webhooks wants it."""
    body = msgspec.json.encode({"type": kind, "timestamp": format_instant(at), "data": data})
    assert len(body) <= MAX_BODY, f"a message of {len(body)} bytes; {MAX_BODY} are allowed"
    return body.decode()


def put(
    tx: Connection, key: str, kind: str, data: Mapping[str, Any], *, now: int, account: str | None = None
) -> Message | None:
    """Have it told to all who listen, when this transaction is committed: the operator, and the account it is about.
    None where the key was used before: it is told already. `kind`: like `balance.low`."""
    if tx.execute(select(messages.c.id).where(messages.c.key == key)).first() is not None:
        return None
    message = Message(new_id("msg_"), key, account, kind, now, body_of(kind, now, data))
    tx.execute(insert(messages).values(msgspec.structs.asdict(message)))
    to = listening(tx, account, kind)
    if to:
        tx.execute(insert(deliveries), [_delivery(tx, one, message) for one in to])
    said = {"type": kind, "webhooks": len(to)}
    trail.note(tx, "message.put", account=account, subject=message.id, after=said)
    return message


def _delivery(tx: Connection, webhook: Webhook, message: Message) -> dict[str, Any]:
    d = deliveries.c
    state: DeliveryState = "waiting"
    detail = ""
    if webhook.state != "active":
        state, detail = "dead", DISABLED
    else:
        waiting = select(d.id).where(d.webhook == webhook.id, d.state == "waiting").limit(MOST_WAITING)
        if tx.execute(select(func.count()).select_from(waiting.subquery())).scalar_one() >= MOST_WAITING:
            state, detail = "dead", FULL
    return {
        "id": new_id("dlv_"),
        "webhook": webhook.id,
        "message": message.id,
        "state": state,
        "created_at": message.at,
        "attempts": 0,
        "next_at": message.at if state == "waiting" else None,
        "detail": detail,
    }


def has_old(tx: Connection, at: int) -> bool:
    """Whether there are messages to forget."""
    return tx.execute(_old(at).limit(1)).first() is not None


def _old(now: int) -> Select[Any]:
    """Ids sort by when they were made, so those that are old come first."""
    m, d = messages.c, deliveries.c
    waits = exists().where(d.message == m.id, d.state == "waiting")
    return select(m.id).where(m.at < now - KEPT_MS, ~waits).order_by(m.id)


def forget_old(tx: Connection, now: int) -> int:
    """Some of the messages that are over and old, with their deliveries; how many."""
    m, d = messages.c, deliveries.c
    some = list(tx.execute(_old(now).limit(STEP)).scalars())
    if some:
        tx.execute(delete(deliveries).where(d.message.in_(some)))
        tx.execute(delete(messages).where(m.id.in_(some)))
        trail.note(tx, "message.forget", after=trail.ids(some))
    return len(some)
