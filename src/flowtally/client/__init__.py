"""Asking a flowtally server, and handing it usage. Used by `agents/`, `cli/` and anybody's programs."""

from flowtally.client.async_meter import AsyncMeter
from flowtally.client.asynchronous import AsyncClient
from flowtally.client.call import Page
from flowtally.client.calls import OverallUsageQuestion, ReconciliationAsked, SamplesQuestion, UsageQuestion
from flowtally.client.errors import (
    ApiError,
    BufferFull,
    InDoubt,
    MeterClosed,
    SendingError,
    SpoolBusy,
    TwoWriters,
    Undelivered,
    Unreachable,
)
from flowtally.client.event_maker import Use
from flowtally.client.meter import Meter
from flowtally.client.numbered import AsyncNumberedSource, NumberedSource
from flowtally.client.outbox import Counts, Limits
from flowtally.client.sync import Client

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncMeter",
    "AsyncNumberedSource",
    "BufferFull",
    "Client",
    "Counts",
    "InDoubt",
    "Limits",
    "Meter",
    "MeterClosed",
    "NumberedSource",
    "OverallUsageQuestion",
    "Page",
    "ReconciliationAsked",
    "SamplesQuestion",
    "SendingError",
    "SpoolBusy",
    "TwoWriters",
    "Undelivered",
    "Unreachable",
    "UsageQuestion",
    "Use",
]
