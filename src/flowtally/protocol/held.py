"""Held events: numbered ones whose number is taken and that count once the reason has passed."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from flowtally.core.corrections import MAX_REASON_CHARS
from flowtally.core.edges import Instant
from flowtally.core.events import MAX_SEQUENCE

HeldCode = Literal["unknown_account", "unknown_user", "time_in_future"]


class HeldEvent(msgspec.Struct, frozen=True):
    """An event as it was sent, and why it is held.

    sequence: The event's number in its source.
    id: The id it was sent with.
    code: Why it is held.
    held_at: When it was held.
    account: The account it was sent for.
    user: The name it was sent with.
    http_status: The HTTP status of the proxied request; 0: not known.
    """

    source: str
    sequence: int
    id: str
    code: Annotated[str, Meta(extra_json_schema={"enum": list(get_args(HeldCode))})]
    detail: str
    held_at: Instant
    account: str
    user: str
    product: str
    time: Instant
    bytes_up: int
    bytes_down: int
    requests: int
    http_status: int
    labels: dict[str, str]


class HeldFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which held events: those that all of these fit. What is null fits any.

    sequence: The event's number in its source.
    code: Why it is held.
    """

    source: str | None = None
    sequence: Annotated[int, Meta(ge=1, le=MAX_SEQUENCE)] | None = None
    account: str | None = None
    code: HeldCode | None = None


class HeldDrop(HeldFilter, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which held events: those that all of these fit; and why they are dropped.

    reason: Why they are dropped; it is kept with them.
    """

    reason: Annotated[str, Meta(min_length=1, max_length=MAX_REASON_CHARS)]


class HeldAnswer(msgspec.Struct, frozen=True):
    """What became of the events asked about.

    stored: How many count now.
    refused: How many never will.
    held: How many still wait.
    """

    stored: int
    refused: int
    held: int
