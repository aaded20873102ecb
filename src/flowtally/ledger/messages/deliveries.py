"""Deliveries: each message's way to each webhook, what every attempt came to, and when the next one is.

Owns the step from one state to the next, and what long failure means for a webhook. When to try again is the caller's
to say.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, func, or_, select, update

from flowtally.core.errors import Conflict, NotFound
from flowtally.core.texts import may_be_known
from flowtally.core.times import DAY_MS
from flowtally.core.words import DeliveryState
from flowtally.ledger import trail
from flowtally.ledger.messages import outbox
from flowtally.ledger.messages.webhooks import Webhook, disable, find_webhook
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.tables import deliveries, messages, webhooks

PATIENCE_MS: Final = 5 * DAY_MS  # for so long nothing could be delivered: nobody is there any more
MOST_REPLAYED: Final = outbox.MOST_WAITING
MAX_DETAIL: Final = 500
GONE: Final = 410  # by which a server says that it wants nothing more
DISABLED_TYPE: Final = "webhook.disabled"


class MessageDelivery(msgspec.Struct, frozen=True):
    """status: Of the last answer; None: there was none. next_at: None unless it waits."""

    id: str
    webhook: str
    message: str
    type: str
    state: DeliveryState
    created_at: int
    attempts: int
    next_at: int | None
    tried_at: int | None
    status: int | None
    duration_ms: int | None
    detail: str


class DueDelivery(msgspec.Struct, frozen=True):
    """A delivery whose time has come, with what is sent and whose webhook it is."""

    id: str
    webhook: str
    account: str | None
    message: str
    body: str
    attempts: int


class Attempt(msgspec.Struct, frozen=True):
    """What one came to. `hold_s`: for how long the server wants to be left alone, where it says so."""

    good: bool
    status: int | None
    detail: str
    duration_ms: int
    hold_s: float | None = None


def due_deliveries(
    tx: Connection, by: int, limit: int, *, but: Collection[str] = (), not_to: Collection[str] = ()
) -> list[DueDelivery]:
    """Those that are to be tried by this instant, the longest waiting first; not these, and none to these webhooks."""
    d, w, m = deliveries.c, webhooks.c, messages.c
    query = (
        select(d.id, d.webhook, w.account, d.message, m.body, d.attempts)
        .join_from(deliveries, webhooks, w.id == d.webhook)
        .join(messages, m.id == d.message)
        .where(d.next_at <= by, or_(w.held_until.is_(None), w.held_until <= by))
        .order_by(d.next_at, d.id)
        .limit(limit)
    )
    if but:
        query = query.where(d.id.not_in(sorted(but)))
    if not_to:
        query = query.where(d.webhook.not_in(sorted(not_to)))
    return [DueDelivery(*row) for row in tx.execute(query)]


def next_due(tx: Connection, after: int) -> int | None:
    """When the next one is to be tried that is not due by this instant."""
    found: int | None = tx.execute(select(func.min(deliveries.c.next_at)).where(deliveries.c.next_at > after)).scalar()
    return found


def end_attempt(
    tx: Connection, due: DueDelivery, came: Attempt, *, next_at: int | None, now: int
) -> DeliveryState | None:
    """Keep what an attempt came to; `next_at`: when to try again if it was not good, None: never. None where it was
    removed, or gone on with by somebody else, meanwhile."""
    d = deliveries.c
    was = tx.execute(select(d.state, d.attempts).where(d.id == due.id)).one_or_none()
    if was is None or (was.state != "waiting" and not came.good):
        return None
    state: DeliveryState = "delivered" if came.good else "waiting" if next_at is not None else "dead"
    values = {
        "state": state,
        "attempts": int(was.attempts) + 1,
        "next_at": next_at if state == "waiting" else None,
        "tried_at": now,
        "status": came.status,
        "duration_ms": came.duration_ms,
        "detail": came.detail[:MAX_DETAIL],
    }
    tx.execute(update(deliveries).where(d.id == due.id).values(values))
    webhook = find_webhook(tx, due.webhook)
    said = {"state": state, "attempts": values["attempts"], "status": came.status}
    trail.note(tx, "message.attempt", account=webhook.account, subject=due.id, after=said)
    if webhook.state == "active":
        _note_health(tx, webhook, came, now)
    return state


def _note_health(tx: Connection, webhook: Webhook, came: Attempt, now: int) -> None:
    if came.good:
        values: dict[str, Any] = {"failing_since": None, "delivered_at": now, "held_until": None}
        tx.execute(update(webhooks).where(webhooks.c.id == webhook.id).values(values))
        return
    if came.status == GONE:
        _disable(tx, webhook, "its server answered 410: it wants nothing more", now)
        return
    since = webhook.failing_since
    if since is not None and now - since >= PATIENCE_MS:
        _disable(tx, webhook, f"nothing could be delivered for 5 days; the last time: {came.detail[:MAX_DETAIL]}", now)
        return
    held = None if came.hold_s is None else now + int(came.hold_s * 1000)
    values = {"failing_since": now if since is None else since, "held_until": held}
    tx.execute(update(webhooks).where(webhooks.c.id == webhook.id).values(values))


def _disable(tx: Connection, webhook: Webhook, why: str, now: int) -> None:
    """And tell the others of it."""
    disable(tx, webhook, why, now=now)
    data = {"webhook": webhook.id, "account": webhook.account, "reason": why}
    outbox.put(tx, f"{DISABLED_TYPE} {webhook.id} {now}", DISABLED_TYPE, data, now=now, account=webhook.account)


def replay(tx: Connection, webhook: Webhook, delivery_id: str, *, now: int) -> MessageDelivery:
    """Send this one again, under the id of its message. NotFound; Conflict where nothing is sent there."""
    _check_active(webhook)
    was = read_delivery(tx, webhook, delivery_id)
    _again(tx, deliveries.c.id == was.id, now)
    trail.note(tx, "message.replay", account=webhook.account, subject=webhook.id, after=trail.ids([was.id]))
    return read_delivery(tx, webhook, delivery_id)


def replay_dead(tx: Connection, webhook: Webhook, since: int, *, now: int) -> int:
    """Send all again that are dead and were raised since then, the oldest first; how many. Of more than fit into its
    queue the rest stays dead: ask again. Conflict where nothing is sent there."""
    _check_active(webhook)
    d = deliveries.c
    waiting = select(func.count()).where(d.webhook == webhook.id, d.state == "waiting")
    room = max(0, MOST_REPLAYED - int(tx.execute(waiting).scalar_one()))
    dead = select(d.id).where(d.webhook == webhook.id, d.state == "dead", d.created_at >= since)
    some = list(tx.execute(dead.order_by(d.id).limit(room)).scalars())
    for at in range(0, len(some), 500):
        _again(tx, d.id.in_(some[at : at + 500]), now)
    if some:
        trail.note(tx, "message.replay", account=webhook.account, subject=webhook.id, after=trail.ids(some))
    return len(some)


def _again(tx: Connection, which: ColumnElement[bool], now: int) -> None:
    tx.execute(update(deliveries).where(which).values(state="waiting", attempts=0, next_at=now))


def _check_active(webhook: Webhook) -> None:
    if webhook.state != "active":
        raise Conflict(f"webhook {webhook.id!r} is {webhook.state}: enable it first", webhook=webhook.id)


def read_delivery(tx: Connection, webhook: Webhook, delivery_id: str) -> MessageDelivery:
    """One of the webhook's. NotFound."""
    row = None
    if may_be_known(delivery_id):
        mine = _deliveries().where(deliveries.c.id == delivery_id, deliveries.c.webhook == webhook.id)
        row = tx.execute(mine).one_or_none()
    if row is None:
        shown = delivery_id[:80]
        raise NotFound(f"webhook {webhook.id!r} has no delivery {shown!r}", delivery=shown)
    return MessageDelivery(*row)


def list_deliveries(
    tx: Connection,
    webhook: Webhook,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
    *,
    state: DeliveryState | None = None,
) -> ListPage[MessageDelivery]:
    """Those of a webhook in the order they were raised; `state`: only those that are so."""
    query = _deliveries().where(deliveries.c.webhook == webhook.id)
    if state is not None:
        query = query.where(deliveries.c.state == state)
    return read_page(
        tx, "deliveries", query, deliveries.c.id, MessageDelivery, (webhook.id, state), after=after, limit=limit
    )


def waiting(tx: Connection) -> tuple[int, int | None]:
    """How many wait, and since when the first of them."""
    d = deliveries.c
    count, first = tx.execute(select(func.count(), func.min(d.created_at)).where(d.next_at.is_not(None))).one()
    return int(count), first


def _deliveries() -> Select[Any]:
    d, m = deliveries.c, messages.c
    columns = (m.type if name == "type" else d[name] for name in MessageDelivery.__struct_fields__)
    return select(*columns).join_from(deliveries, messages, m.id == d.message)
