"""Closed periods and what came into them later."""

from __future__ import annotations

import msgspec

from flowtally.core.edges import DateOrInstant, Instant
from flowtally.core.words import Charge
from flowtally.protocol.balance import GrantAnswer, PoolBalance
from flowtally.protocol.words import AsOf, Totals


class PeriodRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A period to close.

    from: Its first instant: a date (its beginning in the account's zone) or RFC 3339.
    to: Its end, which no longer belongs to it and has passed: a date or RFC 3339.
    """

    start: DateOrInstant = msgspec.field(name="from")
    end: DateOrInstant = msgspec.field(name="to")


class ProductTotals(msgspec.Struct, frozen=True):
    """Use of one product."""

    product: str
    pool: str
    bytes_up: int
    bytes_down: int
    bytes: int
    requests: int


class PoolTotals(msgspec.Struct, frozen=True):
    """Use of one pool.

    used: What the pool charges, in bytes or requests.
    """

    pool: str
    charge: Charge
    used: int
    bytes: int
    requests: int


class PeriodAdjustment(msgspec.Struct, frozen=True):
    """What came into a closed period later: events that arrived late, corrections.

    period: The id of the closed period.
    products: What came, by product.
    total: The sum of it.
    """

    period: str
    start: Instant = msgspec.field(name="from")
    end: Instant = msgspec.field(name="to")
    products: list[ProductTotals]
    total: Totals


class PeriodStatement(msgspec.Struct, frozen=True):
    """What was frozen. Use is everybody's; the balance is the account's own, which does not pay for
    funded users.

    products: Use dated inside the period, by product.
    pools: The same by pool.
    total: The sum of it.
    balance: The figures of each pool at the end of the period, by its name.
    grants: The grants behind them.
    adjustments: What had come into earlier closed periods since the closing before this one.
    """

    products: list[ProductTotals]
    pools: list[PoolTotals]
    total: Totals
    balance: dict[str, PoolBalance]
    grants: list[GrantAnswer]
    adjustments: list[PeriodAdjustment]


class PeriodAnswer(msgspec.Struct, frozen=True):
    """A closed period and its statement; neither ever changes.

    number: The number of the closing: 1 for the account's first.
    block: What was stored up to this block is in the statement.
    statement: The frozen figures.
    """

    id: str
    account: str
    number: int
    start: Instant = msgspec.field(name="from")
    end: Instant = msgspec.field(name="to")
    timezone: str
    block: int
    closed_at: Instant
    statement: PeriodStatement


class PeriodChange(msgspec.Struct, frozen=True):
    """What one block brought to one day of a closed period.

    rows: How many events and corrections it brought.
    """

    block: int
    received_at: Instant
    start: Instant = msgspec.field(name="from")
    end: Instant = msgspec.field(name="to")
    rows: int
    bytes_up: int
    bytes_down: int
    bytes: int
    requests: int


class PeriodChanges(msgspec.Struct, frozen=True):
    """A page of changes by block and day: ask again with `cursor` = `next`."""

    items: list[PeriodChange]
    next: str | None


class PeriodAdjustments(msgspec.Struct, frozen=True):
    """Everything that came into the period between its block and `until_block`: statement + adjustments = usage.

    until_block: What came up to this block is in it.
    products: What came, by product.
    pools: What came, by pool.
    total: The sum of it.
    changes: What came, by block and day.
    """

    until_block: int
    products: list[ProductTotals]
    pools: list[PoolTotals]
    total: Totals
    changes: PeriodChanges


class PeriodDetailAnswer(PeriodAnswer, frozen=True, omit_defaults=True):
    """The frozen statement, and what came since, up to the moment `as_of`.

    adjustments: What came into the period since it was closed.
    """

    adjustments: PeriodAdjustments
    as_of: AsOf | None = None


class OpenPeriodAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is not in any statement yet. The next closing takes it up to its own block.

    since_block: What came into closed periods in blocks after this one, which is the last closing's.
    until_block: What came up to this block is in it.
    adjustments: What came into each closed period.
    total: The sum of it.
    """

    account: str
    since_block: int
    until_block: int
    adjustments: list[PeriodAdjustment]
    total: Totals
    as_of: AsOf | None = None
