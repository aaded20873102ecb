"""Webhooks: where messages go, and what became of each."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from flowtally.core.edges import Instant
from flowtally.core.unshown import repr_without
from flowtally.core.words import DeliveryState, WebhookState


class WebhookRequest(msgspec.Struct, forbid_unknown_fields=True):
    """An address to send messages to.

    url: Where: https, at a public address. It may hold a secret of the receiver's.
    types: Only messages of these types, such as `webhook.disabled`; empty: all.
    description: What it is, for people.
    """

    url: str
    types: list[str] = []
    description: str = ""

    def __repr__(self) -> str:
        return repr_without(self, "url")


class WebhookChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays.

    url: Where messages go.
    types: Only messages of these types; empty: all.
    description: What it is, for people.
    enabled: Whether messages go there. Enabled again, what was not delivered is sent when it is replayed.
    """

    url: str | UnsetType = UNSET
    types: list[str] | UnsetType = UNSET
    description: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET

    def __repr__(self) -> str:
        return repr_without(self, "url")


class WebhookRotation(msgspec.Struct, forbid_unknown_fields=True):
    """How one secret follows another.

    overlap_s: For how many seconds messages are signed with the present secret, too; 0: not at all.
    """

    overlap_s: int = 86_400


class WebhookReplay(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be sent again: either of the two.

    delivery: This one, whatever became of it.
    since: All that are dead and were raised since then.
    """

    delivery: str | None = None
    since: Instant | None = None


class WebhookAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """An address to which messages go.

    account: Whose it is; null: the operator's, who gets what is about every account.
    url: Where.
    types: Only messages of these types; empty: all.
    description: What it is, for people.
    state: `active`: messages go there. `disabled`: somebody said so, its server answered 410, or nothing could be
        delivered for five days. `removed`: for ever.
    detail: Why it is disabled, where nobody said so.
    failing_since: Since when nothing could be delivered; null: it could, the last time.
    delivered_at: When something was delivered last; null: never.
    held_until: Its server asked to be left alone until then; null: it did not.
    old_secret_until: Until when the secret before the last rotation signs, too; null: it does not.
    removed_at: When it was removed; null: it was not.
    secret: What messages are signed with; only in the answer that makes it.
    """

    id: str
    account: str | None
    url: str
    types: list[str]
    description: str
    state: WebhookState
    detail: str
    created_at: Instant
    failing_since: Instant | None
    delivered_at: Instant | None
    held_until: Instant | None
    old_secret_until: Instant | None
    removed_at: Instant | None
    secret: str | None = None

    def __repr__(self) -> str:
        return repr_without(self, "secret", "url")


class WebhookTestAnswer(msgspec.Struct, frozen=True):
    """What a test message came to.

    webhook: The id of the webhook.
    message: The id that was sent as `webhook-id`.
    ok: Whether it was taken: an answer from 200 to 299.
    status: Of the answer; null: there was none.
    detail: Why it was not taken.
    duration_ms: How long it took.
    signed: The exact text that the signature is of.
    answer: The first 1,024 bytes of the answer; null: none, or the webhook is one of an account.
    """

    webhook: str
    message: str
    ok: bool
    status: int | None
    detail: str
    duration_ms: int
    signed: str
    answer: str | None


class DeliveryAnswer(msgspec.Struct, frozen=True):
    """A message on its way to a webhook.

    webhook: The id of the webhook.
    message: The message's id, which is sent as `webhook-id` and is the same at each attempt.
    type: Of the message.
    state: `waiting`: it is tried, at once or again. `delivered`: it was taken. `dead`: it is not tried again unless it
        is replayed.
    attempts: How often it was tried, since it was raised or replayed.
    next_at: When it is tried next; null: it does not wait.
    tried_at: When it was tried last; null: it was not.
    status: Of the last answer; null: there was none.
    duration_ms: How long the last attempt took; null: there was none.
    detail: Why it was not taken.
    """

    id: str
    webhook: str
    message: str
    type: str
    state: DeliveryState
    created_at: Instant
    attempts: int
    next_at: Instant | None
    tried_at: Instant | None
    status: int | None
    duration_ms: int | None
    detail: str


class ReplayAnswer(msgspec.Struct, frozen=True):
    """What is sent again.

    replayed: How many messages. At most 10,000 wait at once: ask again for the others.
    """

    replayed: int
