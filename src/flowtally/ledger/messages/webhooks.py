"""Webhooks: the addresses to which messages go, the operator's own and each account's, and their secrets.

Owns their settings, their sealed secrets and their end. Removing one destroys its secrets and what waits for it. Which
addresses may be reached is not known here, nor how a message is signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Select, func, insert, select, update

from flowtally.core.errors import Conflict, LimitReached, NotFound, Unprocessable
from flowtally.core.texts import may_be_known
from flowtally.core.times import DAY_S
from flowtally.core.words import WebhookState
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.people.accounts import read_account, read_open_account
from flowtally.ledger.tables import deliveries, webhooks
from flowtally.ledger.texts import check_number, check_text

MOST_WEBHOOKS: Final = 20  # webhooks of one account, or of the operator; those that were removed not counted
MAX_URL_CHARS: Final = 2_000
MAX_TYPES: Final = 50
MAX_OVERLAP_S: Final = 7 * DAY_S
DISABLED: Final = "the webhook is disabled"
REMOVED: Final = "the webhook was removed"


class Webhook(msgspec.Struct, frozen=True):
    """account: Whose; None: the operator's. types: Of messages that it gets; empty: all.
    sealed, old_sealed: What signs, and what signed before the last rotation, both until `old_until`.
    detail: Why it is disabled. failing_since: Since when nothing could be delivered. held_until: Its server asked to be
        left alone until then.
    """

    id: str
    account: str | None
    url: str
    description: str
    types: tuple[str, ...]
    sealed: str | None
    old_sealed: str | None
    old_until: int | None
    created_at: int
    changed_at: int
    removed_at: int | None
    state: WebhookState
    detail: str
    failing_since: int | None
    delivered_at: int | None
    held_until: int | None


def add_webhook(
    tx: Connection,
    account: str | None,
    url: str,
    *,
    sealed: str,
    now: int,
    types: Sequence[str] = (),
    description: str = "",
) -> Webhook:
    """Send messages there from now on. UnknownAccount, Conflict (closed account), LimitReached, Unprocessable."""
    if account is not None:
        read_open_account(tx, account)
    live = select(func.count()).where(_of(account), webhooks.c.removed_at.is_(None))
    if (count := tx.execute(live).scalar_one()) >= MOST_WEBHOOKS:
        raise LimitReached(f"there are {count} webhooks; {MOST_WEBHOOKS} are allowed", limit=MOST_WEBHOOKS)
    webhook = Webhook(
        id=new_id("whk_"),
        account=account,
        url=check_text("url", url, least=1, most=MAX_URL_CHARS),
        description=check_text("description", description),
        types=_checked_types(types),
        sealed=sealed,
        old_sealed=None,
        old_until=None,
        created_at=now,
        changed_at=now,
        removed_at=None,
        state="active",
        detail="",
        failing_since=None,
        delivered_at=None,
        held_until=None,
    )
    tx.execute(insert(webhooks).values(_values(webhook)))
    trail.note(tx, "webhook.add", account=account, subject=webhook.id, after=_facts(webhook))
    return webhook


def change_webhook(
    tx: Connection,
    webhook: Webhook,
    *,
    now: int,
    url: str | None = None,
    types: Sequence[str] | None = None,
    description: str | None = None,
    enabled: bool | None = None,
) -> Webhook:
    """Change what is given. Disabled, nothing is sent there, and what waits is dead until it is replayed. Conflict
    where it was removed; Unprocessable."""
    was = _live(webhook)
    now_is = replace(
        was,
        url=was.url if url is None else check_text("url", url, least=1, most=MAX_URL_CHARS),
        types=was.types if types is None else _checked_types(types),
        description=was.description if description is None else check_text("description", description),
    )
    if enabled is not None and enabled != (was.state == "active"):
        state: WebhookState = "active" if enabled else "disabled"
        now_is = replace(now_is, state=state, detail="", failing_since=None, held_until=None)
    if now_is == was:
        return was
    now_is = replace(now_is, changed_at=now)
    tx.execute(update(webhooks).where(webhooks.c.id == was.id).values(_values(now_is)))
    if now_is.state != "active":
        give_up(tx, was.id, DISABLED)
    before, after = _facts(was), _facts(now_is) | {"moved": now_is.url != was.url}
    trail.note(tx, "webhook.change", account=was.account, subject=was.id, before=before, after=after)
    return now_is


def rotate_secret(tx: Connection, webhook: Webhook, *, sealed: str, overlap_s: int, now: int) -> Webhook:
    """Sign with another secret, and with the present one too for a while. Conflict where it was removed;
    Unprocessable."""
    was = _live(webhook)
    check_number("overlap_s", overlap_s, least=0, most=MAX_OVERLAP_S)
    old = (was.sealed, now + overlap_s * 1000) if overlap_s else (None, None)
    now_is = replace(was, sealed=sealed, old_sealed=old[0], old_until=old[1], changed_at=now)
    tx.execute(update(webhooks).where(webhooks.c.id == was.id).values(_values(now_is)))
    trail.note(tx, "webhook.rotate", account=was.account, subject=was.id, after={"overlap_s": overlap_s})
    return now_is


def remove_webhook(tx: Connection, webhook: Webhook, *, now: int) -> Webhook:
    """Send nothing there any more, and destroy its secrets. A second time changes nothing."""
    if webhook.removed_at is not None:
        return webhook
    end_webhooks(tx, webhooks.c.id == webhook.id, at=now)
    trail.note(tx, "webhook.remove", account=webhook.account, subject=webhook.id, before=_facts(webhook))
    return read_webhook(tx, webhook.id, webhook.account)


def end_webhooks(tx: Connection, which: ColumnElement[bool], *, at: int) -> None:
    """Nothing is sent there any more, and the secrets are gone; who calls it says so on the record."""
    mine = select(webhooks.c.id).where(which)
    waiting = deliveries.c.webhook.in_(mine) & (deliveries.c.state == "waiting")
    tx.execute(update(deliveries).where(waiting).values(state="dead", next_at=None, detail=REMOVED))
    ended = {"removed_at": at, "changed_at": at, "state": "removed", "detail": "", "failing_since": None}
    ended |= {"sealed": None, "old_sealed": None, "old_until": None, "held_until": None}
    tx.execute(update(webhooks).where(which, webhooks.c.removed_at.is_(None)).values(ended))


def disable(tx: Connection, webhook: Webhook, detail: str, *, now: int) -> None:
    """Its server wants nothing more, or has failed for too long: nothing is sent there until somebody enables it."""
    values = {"state": "disabled", "detail": detail, "changed_at": now, "held_until": None}
    tx.execute(update(webhooks).where(webhooks.c.id == webhook.id).values(values))
    give_up(tx, webhook.id, DISABLED)
    trail.note(tx, "webhook.disable", account=webhook.account, subject=webhook.id, after={"failing": True})


def give_up(tx: Connection, webhook_id: str, detail: str) -> None:
    """What waits for it waits no more; it can be replayed."""
    d = deliveries.c
    waiting = (d.webhook == webhook_id) & (d.state == "waiting")
    tx.execute(update(deliveries).where(waiting).values(state="dead", next_at=None, detail=detail))


def read_webhook(tx: Connection, webhook_id: str, account: str | None) -> Webhook:
    """One of this account, or of the operator, removed or not. NotFound."""
    row = None
    if may_be_known(webhook_id):
        row = tx.execute(_webhooks().where(webhooks.c.id == webhook_id, _of(account))).one_or_none()
    if row is None:
        of = "of the operator" if account is None else f"of account {account!r}"
        raise NotFound(f"there is no webhook {webhook_id[:80]!r} {of}", webhook=webhook_id[:80])
    return webhook_of(*row)


def find_webhook(tx: Connection, webhook_id: str) -> Webhook:
    """Whosever it is: for what is on its way to it."""
    return webhook_of(*tx.execute(_webhooks().where(webhooks.c.id == webhook_id)).one())


def list_webhooks(
    tx: Connection,
    account: str | None,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
    *,
    removed: bool = False,
) -> ListPage[Webhook]:
    """Those of one account, or of the operator, in the order they were added. UnknownAccount."""
    if account is not None:
        read_account(tx, account)
    query = _webhooks().where(_of(account))
    if not removed:
        query = query.where(webhooks.c.removed_at.is_(None))
    return read_page(tx, "webhooks", query, webhooks.c.id, webhook_of, (account, removed), after=after, limit=limit)


def listening(tx: Connection, account: str | None, kind: str) -> list[Webhook]:
    """Who gets a message of this type about this account: the operator's and the account's own."""
    whose: ColumnElement[bool] = webhooks.c.account.is_(None)
    if account is not None:
        whose = whose | (webhooks.c.account == account)
    live = _webhooks().where(whose, webhooks.c.removed_at.is_(None)).order_by(webhooks.c.id)
    found = [webhook_of(*row) for row in tx.execute(live)]
    return [one for one in found if not one.types or kind in one.types]


def secrets_of(webhook: Webhook, now: int) -> tuple[str, ...]:
    """Sealed, those that sign now, the newest first."""
    old = webhook.old_sealed if webhook.old_until is not None and now < webhook.old_until else None
    return tuple(one for one in (webhook.sealed, old) if one is not None)


def count_states(tx: Connection) -> dict[str, int]:
    """How many there are, those that were removed left out."""
    live = select(webhooks.c.state, func.count()).where(webhooks.c.removed_at.is_(None))
    counts = {row[0]: int(row[1]) for row in tx.execute(live.group_by(webhooks.c.state))}
    return {state: counts.get(state, 0) for state in ("active", "disabled")}


def has_ended_secrets(tx: Connection, at: int) -> bool:
    """Whether there are old secrets that sign no more."""
    return tx.execute(select(webhooks.c.id).where(webhooks.c.old_until <= at).limit(1)).first() is not None


def forget_ended_secrets(tx: Connection, now: int) -> None:
    """Destroy them."""
    over = webhooks.c.old_until <= now
    ended = tx.execute(select(webhooks.c.id).where(over).order_by(webhooks.c.id)).scalars().all()
    if ended:
        tx.execute(update(webhooks).where(over).values(old_sealed=None, old_until=None))
        trail.note(tx, "webhook.forget_secrets", after=trail.ids(ended))


def webhook_of(*row: Any) -> Webhook:
    """A row of the table."""
    values = dict(zip((column.name for column in webhooks.c), row, strict=True))
    return Webhook(**values | {"types": tuple(values["types"].split())})


def _live(webhook: Webhook) -> Webhook:
    if webhook.removed_at is not None:
        raise Conflict(f"webhook {webhook.id!r} was removed: nothing of it changes any more", webhook=webhook.id)
    return webhook


def _of(account: str | None) -> ColumnElement[bool]:
    if account is None:
        return webhooks.c.account.is_(None)
    return webhooks.c.account == (account if may_be_known(account) else "")  # no account is ""


def _webhooks() -> Select[Any]:
    return select(*webhooks.c)


def _values(webhook: Webhook) -> dict[str, Any]:
    return msgspec.structs.asdict(webhook) | {"types": " ".join(webhook.types)}


def _facts(webhook: Webhook) -> dict[str, Any]:
    """Without its texts, which may go with their account."""
    return {"types": len(webhook.types), "state": webhook.state}


def _checked_types(types: Sequence[str]) -> tuple[str, ...]:
    if len(types) > MAX_TYPES:
        raise Unprocessable(f"types has {len(types)} members; {MAX_TYPES} are allowed", field="types")
    for one in types:
        check_text("types", one, least=1, most=64)
        if not all(letter.isascii() and (letter.isalnum() or letter in "._") for letter in one):
            raise Unprocessable(f"types: {one!r} is no type of message", field="types")
    return tuple(dict.fromkeys(types))
