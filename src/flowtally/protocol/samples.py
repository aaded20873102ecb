"""Samples of servers' gauges in, what became of them out; and series of them over periods."""

from __future__ import annotations

import msgspec

from flowtally.core.edges import Instant
from flowtally.core.words import Aggregation
from flowtally.protocol.words import ReceiptStatus


class SampleReceipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one sample of a request that was not stored just now.

    status: `conflict`: this gauge has another value at this second, which stays. `refused`: nothing was kept of it.
    before: The value that stays, of a `conflict`.
    """

    index: int
    status: ReceiptStatus
    code: str
    detail: str = ""
    before: float | None = None


class SampleReceipts(msgspec.Struct, frozen=True):
    """Counts over all samples of the request, and a receipt for each that is a conflict or refused.

    receipts: Of those that are a conflict or refused.
    """

    stored: int
    duplicate: int
    conflict: int
    refused: int
    receipts: list[SampleReceipt]


class SamplePoint(msgspec.Struct, frozen=True):
    """What the samples of one period come to.

    start: The beginning of the period.
    value: By the aggregation that was asked for.
    samples: How many samples it is made of.
    """

    start: Instant
    value: float
    samples: int


class SampleSeries(msgspec.Struct, frozen=True):
    """A gauge of a server.

    name: The name of the gauge.
    points: In the order of time. A period without samples has none.
    """

    name: str
    points: list[SamplePoint]


class SampleSeriesAnswer(msgspec.Struct, frozen=True):
    """What gauges of a server stood at, by periods.

    server: The id of the server.
    period_s: The length of a period in seconds. Periods begin at whole multiples of it since 1970 UTC.
    aggregation: How the samples of a period become one value.
    series: One for each gauge, by name.
    """

    server: str
    start: Instant = msgspec.field(name="from")
    end: Instant = msgspec.field(name="to")
    period_s: int
    aggregation: Aggregation
    series: list[SampleSeries]
