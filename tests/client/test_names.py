"""What programs may import from `flowtally.client`: these names stay."""

from __future__ import annotations

import inspect

import flowtally.client
import flowtally.protocol

NAMES = [
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
    "SendingError",
    "SpoolBusy",
    "TwoWriters",
    "Undelivered",
    "Unreachable",
    "UsageQuestion",
    "Use",
]


def test_the_public_names_are_these() -> None:
    assert flowtally.client.__all__ == NAMES


def test_whatever_can_be_imported_is_one_of_them() -> None:
    public = {name for name, one in vars(flowtally.client).items() if not name.startswith("_")}
    assert {name for name in public if not inspect.ismodule(getattr(flowtally.client, name))} == set(NAMES)


def test_each_says_what_it_is() -> None:
    assert not [name for name in NAMES if not inspect.getdoc(getattr(flowtally.client, name))]


def test_the_bounds_of_messages_are_imported_beside_them_wherever_they_are_written_down() -> None:
    assert {"MAX_BODY_BYTES", "MAX_EVENTS", "MAX_OVERLAPS", "MAX_REASON_CHARS"} <= set(flowtally.protocol.__all__)
