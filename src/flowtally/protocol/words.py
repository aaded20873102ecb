"""The words that several messages share: scopes, states, limits, totals, as of when."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

MAX_EVENTS: Final = 100_000  # per request
MAX_BODY_BYTES: Final = 64 * 1024 * 1024  # decompressed, per request
DEFAULT_DURATION_S: Final = 90 * 86_400  # of what a voucher is redeemed into

ReceiptStatus = Literal["stored", "duplicate", "conflict", "refused"]
Bucket = Literal["15m", "hour", "day", "week", "month", "total"]
VoucherStatus = Literal["unused", "used", "revoked"]
GrantState = Literal["pending", "active", "spent", "expired", "voided"]


class CommitAnswer(msgspec.Struct, frozen=True):
    """A block and the instant it was received."""

    block: int
    received_at: str


class AsOf(msgspec.Struct, frozen=True):
    """The moment of an answer: rows up to `block`, what had been promised at `instant`. The same question with `as_of`
    = `token` has the same answer for ever. `earliest` is the first commit whose rows were kept then, which is how far
    back could be asked; None before the first event."""

    block: int
    instant: str
    earliest: CommitAnswer | None
    token: str = ""


class Totals(msgspec.Struct, frozen=True):
    bytes_up: int
    bytes_down: int
    bytes: int
    requests: int


class Problem(msgspec.Struct, frozen=True):
    """RFC 9457 problem details; `code` is stable, texts may change. Other members depend on the code."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str


class PageAnswer(msgspec.Struct, frozen=True):
    """A page of a list: ask again with `cursor=next`; `next` is None on the last page."""

    items: list[object]
    next: str | None
