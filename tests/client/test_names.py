"""What programs may import from `flowtally.client`: these names stay."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from typing import Any

import flowtally.client
import flowtally.protocol
from flowtally.client import calls

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


def test_the_public_names_are_these() -> None:
    assert flowtally.client.__all__ == NAMES


def test_whatever_can_be_imported_is_one_of_them() -> None:
    public = {name for name, one in vars(flowtally.client).items() if not name.startswith("_")}
    assert {name for name in public if not inspect.ismodule(getattr(flowtally.client, name))} == set(NAMES)


def test_each_says_what_it_is() -> None:
    assert not [name for name in NAMES if not inspect.getdoc(getattr(flowtally.client, name))]


def test_the_bounds_of_messages_are_imported_beside_them_wherever_they_are_written_down() -> None:
    assert {"MAX_BODY_BYTES", "MAX_EVENTS", "MAX_OVERLAPS", "MAX_REASON_CHARS"} <= set(flowtally.protocol.__all__)


def classes_in(hint: Any) -> Iterator[type]:
    """The classes of ours that a type is made of."""
    if isinstance(hint, type) and hint.__module__.startswith("flowtally."):
        yield hint
    for part in typing.get_args(hint):
        yield from classes_in(part)


def test_what_calls_take_and_answer_is_imported_from_the_promised_places() -> None:
    public = [one for name, one in vars(calls).items() if inspect.isfunction(one) and not name.startswith("_")]
    public = [one for one in public if one.__module__ == calls.__name__]
    hints = [hint for one in public for hint in typing.get_type_hints(one).values()]
    found = {one for hint in hints for one in classes_in(hint)}
    promised = [getattr(place, name) for place in (flowtally.client, flowtally.protocol) for name in place.__all__]
    assert len(found) > 50, "nothing was read"
    assert sorted(f"{one.__module__}.{one.__name__}" for one in found if one not in promised) == []
