"""Grants, balances, and how they came about."""

from __future__ import annotations

from typing import Annotated, get_args

import msgspec
from msgspec import Meta

from flowtally.core.corrections import EventRef
from flowtally.core.edges import Instant
from flowtally.core.words import EntryKind, GrantState, Unit, UnpaidFate, UnpaidSince, UnpaidWhy
from flowtally.protocol.words import AsOf


class NeverPaid(msgspec.Struct, frozen=True):
    """Use that nothing will pay, as the grants stand. It is a part of the pool's `overage`; where the account forgives
    what nobody pays, it was forgiven.

    amount: How much, in `unit`.
    before: It was used before this instant, at which something began that can pay.
    began: What began then: the first grant of the pool (for a funded user, its first allocation), the account (its
        `carry_from`), or the funded user.
    why: `no_grant`: no grant had begun. `not_covered`: those of then did not cover it, and later ones do not pay for
        it.
    grant: The id of the grant or of the allocation, where one began; null: none.
    first: From when on it was used. A grant to the account that starts by then pays for it.
    """

    pool: str
    unit: Unit
    amount: int
    before: Instant
    began: UnpaidSince
    why: UnpaidWhy
    grant: str | None = None
    first: Instant | None = None


class PoolBalance(msgspec.Struct, frozen=True):
    """One pool of an account: granted = spent + left + pending + expired + voided, all in `unit`.

    granted: What all grants were of.
    spent: What grants have paid for.
    left: What grants that are in force now can still pay.
    pending: What grants hold that begin later.
    expired: What was unspent when grants ended.
    voided: What was unspent when grants were voided.
    overage: Use that no grant has paid.
    credit: What corrections have given back beyond what was used: later use takes it before any grant.
    drawn: What was passed on to funded users or set aside in vouchers. It is paid like use, so it is a part of `spent`
        (or of `overage`).
    """

    unit: Unit
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
    """An amount given to an account. `spent`, `left` and `state` are only known where a balance was computed.

    amount: What was given, in the unit of the pool.
    source: Where it came from: `order`, `sign`, `cdk`, `manual` or any word of your own.
    reference: Your own number for it, such as that of an order.
    starts_at: From when on it can pay.
    expires_at: It pays for nothing dated at this instant or later; null: it never ends.
    voided_at: When it was voided; null: it was not.
    spent: What it has paid for; null: not computed here.
    left: What of it can still be used; null: not computed here.
    state: What it is now; null: not computed here.
    """

    id: str
    account: str
    pool: str
    amount: int
    source: str
    reference: str
    priority: int
    starts_at: Instant
    expires_at: Instant | None
    created_at: Instant
    voided_at: Instant | None
    spent: int | None = None
    left: int | None = None
    state: GrantState | None = None


class BalanceAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is left of an account's grants, and what they have paid.

    pools: The figures of each pool, by its name.
    grants: The grants behind them.
    never_paid: What nothing will pay. Left out where there is none.
    """

    account: str
    at: Instant
    pools: dict[str, PoolBalance]
    grants: list[GrantAnswer]
    as_of: AsOf | None = None
    never_paid: list[NeverPaid] = []


class Paid(msgspec.Struct, frozen=True, omit_defaults=True):
    """A payment for the use of a span, or for a draw. Among a grant's, `start` and `end` say for which span; among a
    span's, `grant` says by which grant.

    at: When it was paid.
    amount: How much, in the unit of the pool.
    grant: The id of the grant that paid; left out: credit did.
    draw: The draw that was paid for.
    """

    at: Instant
    amount: int
    grant: str = ""
    start: Instant = ""
    end: Instant = ""
    draw: str = ""


class Unpaid(msgspec.Struct, frozen=True):
    """What no grant paid.

    fate: `open` waits for the next grant, `before_carry` is never paid, `forgiven` neither.
    """

    fate: UnpaidFate
    amount: int


class Behind(msgspec.Struct, frozen=True):
    """One row behind a figure: an event, a correction of the event `corrects`, or an adjustment.

    kind: What kind of row it is.
    id: The id of the event, correction or adjustment.
    corrects: The event that it corrects; null: none.
    amount: What it adds, in the unit of the pool; below zero: takes away.
    """

    kind: Annotated[str, Meta(extra_json_schema={"enum": list(get_args(EntryKind))})]
    source: str
    id: str
    corrects: EventRef | None
    time: Instant
    received_at: Instant
    user: str
    user_id: str
    product: str
    amount: int
    reason: str
    block: int


class SpanExplained(msgspec.Struct, frozen=True):
    """used = events + corrections + adjustments = what is `paid` + `unpaid`, or, where it is negative, minus what it
    adds to the credit.

    used: What was used in the span, in the unit of the pool.
    events: What events in it add.
    corrections: What corrections of them add.
    adjustments: What free adjustments in it add.
    paid: What was paid of it, and by which grants.
    unpaid: What was not paid of it.
    credit: What it adds to the credit.
    largest: Those rows that count most, in the largest spans only.
    """

    start: Instant
    end: Instant
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
    """Traffic that left without being used, and what paid for it.

    draw: What it left for: the id of an allocation or of a voucher.
    at: When it left.
    paid: What was paid of it, and by which grants.
    unpaid: What was not paid of it.
    """

    draw: str
    at: Instant
    amount: int
    paid: list[Paid]
    unpaid: list[Unpaid]


class GrantExplained(msgspec.Struct, frozen=True):
    """amount = spent + unspent, and spent = what it `paid`.

    grant: The grant.
    unspent: What it has not paid.
    paid: What it paid, payment by payment.
    """

    grant: GrantAnswer
    unspent: int
    paid: list[Paid]


class PoolExplained(msgspec.Struct, frozen=True):
    """used + drawn = spent + overage + forgiven - credit; the spans' `used` add up to `used`, the grants' `spent` to
    `spent`, the open and before_carry `unpaid` to `overage`.

    balance: The figures that are explained.
    drawn: What was passed on to funded users or set aside in vouchers.
    forgiven: What is never paid because the account's overage is forgiven.
    overage_before_carry: The part of `overage` that is dated before the account's `carry_from`.
    grants: What each grant has paid.
    spans: The use of each span between two edges, and what paid for it.
    draws: The draws, and what paid for them.
    """

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
    user's: its allocations are the grants, their amounts less what was taken back.

    pools: How the figures of each pool came about, by its name.
    never_paid: What nothing will pay. Left out where there is none.
    """

    account: str
    at: Instant
    block: int
    pools: dict[str, PoolExplained]
    user: str = ""
    user_id: str = ""
    as_of: AsOf | None = None
    never_paid: list[NeverPaid] = []


class GrantRequest(msgspec.Struct, forbid_unknown_fields=True):
    """An amount to give to an account.

    source: Where it comes from: `order`, `sign`, `cdk`, `manual` or any word of your own.
    reference: Your own number for it, such as that of an order.
    starts_at: From when on it can pay; null: from this second on. An instant before now needs an admin credential.
    expires_at: It pays for nothing dated at this instant or later; null: it never ends.
    """

    amount: int
    pool: str = "traffic"
    source: str = "manual"
    reference: str = ""
    priority: int = 100
    starts_at: Instant | None = None
    expires_at: Instant | None = None
