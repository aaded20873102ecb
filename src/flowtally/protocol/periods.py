"""Closed periods and what came into them later."""

from __future__ import annotations

from typing import Literal

import msgspec

from flowtally.protocol.balance import GrantAnswer, PoolBalance
from flowtally.protocol.words import AsOf, Totals


class PeriodRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Dates in the account's zone, or RFC 3339; `to` is excluded and in the past."""

    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")


class ProductTotals(msgspec.Struct, frozen=True):
    product: str
    pool: str
    bytes_up: int
    bytes_down: int
    bytes: int
    requests: int


class PoolTotals(msgspec.Struct, frozen=True):
    """`used`: what the pool charges, in bytes or requests."""

    pool: str
    charge: Literal["bytes", "requests", "nothing"]
    used: int
    bytes: int
    requests: int


class PeriodAdjustment(msgspec.Struct, frozen=True):
    """What came into the closed period `period` later: events that arrived late, corrections."""

    period: str
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    products: list[ProductTotals]
    total: Totals


class PeriodStatement(msgspec.Struct, frozen=True):
    """What was frozen: use dated inside by product and pool, the balance at its end, and `adjustments`: what had come
    into earlier closed periods since the closing before this one. Use is everybody's; the balance is of the account's
    own purses, which do not pay for funded users."""

    products: list[ProductTotals]
    pools: list[PoolTotals]
    total: Totals
    balance: dict[str, PoolBalance]
    grants: list[GrantAnswer]
    adjustments: list[PeriodAdjustment]


class PeriodAnswer(msgspec.Struct, frozen=True):
    """A closed period and its statement, frozen at `block`; neither ever changes. `number` counts the closings."""

    id: str
    account: str
    number: int
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    timezone: str
    block: int
    closed_at: str
    statement: PeriodStatement


class PeriodChange(msgspec.Struct, frozen=True):
    """What one block brought to one day of a closed period: `rows` events and corrections, and their sums."""

    block: int
    received_at: str
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    rows: int
    bytes_up: int
    bytes_down: int
    bytes: int
    requests: int


class PeriodChanges(msgspec.Struct, frozen=True):
    """A page of changes by block and day: ask again with `cursor=next`; `next` is None on the last page."""

    items: list[PeriodChange]
    next: str | None


class PeriodAdjustments(msgspec.Struct, frozen=True):
    """Everything that came into the period between its block and `until_block`: statement + adjustments = usage."""

    until_block: int
    products: list[ProductTotals]
    pools: list[PoolTotals]
    total: Totals
    changes: PeriodChanges


class PeriodDetailAnswer(PeriodAnswer, frozen=True, omit_defaults=True):
    """The frozen statement, and what came since, up to the moment `as_of`."""

    adjustments: PeriodAdjustments
    as_of: AsOf | None = None


class OpenPeriodAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is not in any statement yet: what came into closed periods in blocks after `since_block`, the last
    closing's. The next closing takes it up to its own block."""

    account: str
    since_block: int
    until_block: int
    adjustments: list[PeriodAdjustment]
    total: Totals
    as_of: AsOf | None = None
