"""Held events: numbered ones whose number is taken and that count once the reason has passed."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from flowtally.events import MAX_SEQUENCE

MAX_REASON_CHARS: Final = 500
HeldCode = Literal["unknown_account", "unknown_user", "time_in_future"]


class HeldEvent(msgspec.Struct, frozen=True):
    """An event as it was sent, and why it is held. `user` is the name it was sent with."""

    source: str
    sequence: int
    id: str
    code: str
    detail: str
    held_at: str
    account: str
    user: str
    product: str
    time: str
    bytes_up: int
    bytes_down: int
    requests: int
    http_status: int
    labels: dict[str, str]


class HeldFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which held events: those that all of these fit."""

    source: str | None = None
    sequence: Annotated[int, Meta(ge=1, le=MAX_SEQUENCE)] | None = None
    account: str | None = None
    code: HeldCode | None = None


class HeldDrop(HeldFilter, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The same, and why they are dropped."""

    reason: Annotated[str, Meta(min_length=1, max_length=MAX_REASON_CHARS)]


class HeldAnswer(msgspec.Struct, frozen=True):
    """What became of the events asked about: `stored` count now, `refused` never will, `held` still wait."""

    stored: int
    refused: int
    held: int
