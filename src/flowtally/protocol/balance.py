"""Grants, balances, and how they came about."""

from __future__ import annotations

from typing import Literal

import msgspec

from flowtally.corrections import EventRef
from flowtally.protocol.words import AsOf, GrantState


class PoolBalance(msgspec.Struct, frozen=True):
    """One pool of an account: granted = spent + left + pending + expired + voided, all in `unit`."""

    unit: Literal["bytes", "requests"]
    granted: int
    spent: int
    left: int
    pending: int
    expired: int
    voided: int
    overage: int
    credit: int
    drawn: int = (
        0  # passed on to funded users or set aside in vouchers: paid like use, so part of spent (or of overage)
    )


class GrantAnswer(msgspec.Struct, frozen=True):
    """A grant as given; `spent`, `left` and `state` are only known where a balance was computed."""

    id: str
    account: str
    pool: str
    amount: int
    source: str
    reference: str
    priority: int
    starts_at: str
    expires_at: str | None
    created_at: str
    voided_at: str | None
    spent: int | None = None
    left: int | None = None
    state: GrantState | None = None


class BalanceAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`as_of`: of which moment it is; its token asks for it again."""

    account: str
    at: str
    pools: dict[str, PoolBalance]
    grants: list[GrantAnswer]
    as_of: AsOf | None = None


class Paid(msgspec.Struct, frozen=True, omit_defaults=True):
    """`amount` paid at `at` for the use of a span, or for a draw. Among a grant's, `start` and `end` say for which
    span; among a span's, `grant` says by which grant (none: by credit)."""

    at: str
    amount: int
    grant: str = ""
    start: str = ""
    end: str = ""
    draw: str = ""


class Unpaid(msgspec.Struct, frozen=True):
    """What no grant paid: `open` waits for the next grant, `before_carry` never will be paid, `forgiven`."""

    fate: Literal["open", "before_carry", "forgiven"]
    amount: int


class Behind(msgspec.Struct, frozen=True):
    """One row behind a figure: an event, a correction of the event `corrects`, or an adjustment. `amount` is what it
    adds, in the pool's unit."""

    kind: str
    source: str
    id: str
    corrects: EventRef | None
    time: str
    received_at: str
    user: str
    user_id: str
    product: str
    amount: int
    reason: str
    block: int


class SpanExplained(msgspec.Struct, frozen=True):
    """used = events + corrections + adjustments = what is `paid` + `unpaid`, or, where it is negative, minus what it
    adds to the credit. `rows` counts all rows; `largest` lists those that count most, in the largest spans only."""

    start: str
    end: str
    used: int
    events: int
    corrections: int
    adjustments: int
    rows: int
    paid: list[Paid]
    unpaid: list[Unpaid]
    credit: int
    largest: list[Behind]


class DrawExplained(msgspec.Struct, frozen=True):
    """Traffic that left without being used, and what paid for it."""

    draw: str
    at: str
    amount: int
    paid: list[Paid]
    unpaid: list[Unpaid]


class GrantExplained(msgspec.Struct, frozen=True):
    """amount = spent + unspent, and spent = what it `paid`."""

    grant: GrantAnswer
    unspent: int
    paid: list[Paid]


class PoolExplained(msgspec.Struct, frozen=True):
    """used + drawn = spent + overage + forgiven - credit; the spans' `used` add up to `used`, the grants' `spent` to
    `spent`, the open and before_carry `unpaid` to `overage`. `overage_before_carry` is a part of it."""

    balance: PoolBalance
    used: int
    drawn: int
    forgiven: int
    overage_before_carry: int
    grants: list[GrantExplained]
    spans: list[SpanExplained]
    draws: list[DrawExplained]


class ExplainAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a balance came about, with all that was committed up to `block`. `user` and `user_id` only where it is a
    user's: its allocations are the grants, their amounts less what was taken back."""

    account: str
    at: str
    block: int
    pools: dict[str, PoolExplained]
    user: str = ""
    user_id: str = ""
    as_of: AsOf | None = None


class GrantRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`amount` in the pool's unit; `starts_at` defaults to now, back-dating needs an admin credential."""

    amount: int
    pool: str = "traffic"
    source: str = "manual"
    reference: str = ""
    priority: int = 100
    starts_at: str | None = None
    expires_at: str | None = None
