"""Reading: what a cumulative counter stood at, as the door takes it.

Owns the shape and what may stand together. Leaves to `counters` what a reading adds, which depends on the one before,
and to `ingest` whether it may be stored now.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from flowtally.core.edges import Instant, find_instant
from flowtally.core.events import MaybeName, Name, Quantity, labels_fault
from flowtally.core.texts import text_fault

MAX_READINGS: Final = 10_000  # in one request
MAX_COUNTER_CHARS: Final = 200  # a row's id is the counter and a number, and an id has at most 256
MAX_EPOCH_CHARS: Final = 64
MAX_INTERVAL_S: Final = 31 * 86_400
LOW_WORD: Final = 2**32

Counter = Annotated[str, Meta(max_length=MAX_COUNTER_CHARS)]


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a counter stood at at an instant: cumulative bytes and requests since `epoch`, whatever was read before.
    With `closes` it names no counter: all open counters of the source whose names begin so are closed.

    time: When it was read.
    bytes_up: Bytes sent by the user since `epoch`; null: what they were.
    bytes_down: Bytes sent to the user since `epoch`; null: what they were.
    requests: Requests since `epoch`; null: what they were. A reading without any quantity is a `final` one.
    epoch: The counter's beginning, such as the start of a process or session: another one means that it began anew. An
        instant (RFC 3339) may be off by 5 seconds.
    width: 32: only the low 32 bits of the numbers are known.
    final: Whether it is the last reading, which closes the counter.
    from_zero: Whether the first reading counts whole, because the beginning was seen.
    interval_s: How often it is read, in seconds; silent for three of these it is closed.
    max_rate: Bytes a second it can count at most.
    epoch_derived: Whether `epoch` was worked out as a clock's time less the time that the process or session runs, so
        that it moves when that clock is set.
    closes: How the names of the counters begin that shall be closed.
    """

    source: Name
    time: Instant
    counter: Counter = ""
    account: MaybeName = ""
    user: MaybeName = ""
    product: MaybeName = ""
    bytes_up: Quantity | None = None
    bytes_down: Quantity | None = None
    requests: Quantity | None = None
    epoch: Annotated[str, Meta(max_length=MAX_EPOCH_CHARS)] = ""
    width: Literal[32, 64] = 64
    final: bool = False
    from_zero: bool = False
    interval_s: Annotated[int, Meta(ge=1, le=MAX_INTERVAL_S)] | None = None
    max_rate: Annotated[int, Meta(ge=1, le=2**53 - 1)] | None = None
    epoch_derived: bool = False
    labels: dict[str, str] | None = None
    closes: Counter | None = None

    @property
    def stated(self) -> tuple[int | None, int | None, int | None]:
        return self.bytes_up, self.bytes_down, self.requests


def fault_of(one: Reading) -> str | None:
    """Why it can be no reading, whatever is known of the counter."""
    for field in ("source", "counter", "account", "user", "product", "epoch", "closes"):
        if fault := text_fault(getattr(one, field) or ""):
            return f"{field} {fault}"  # without the text: it may be a user's name
    return _closing_fault(one) if one.closes is not None else _counter_fault(one)


def _closing_fault(one: Reading) -> str | None:
    for field in one.__struct_fields__:
        if field not in ("source", "time", "closes") and getattr(one, field) not in ("", None, False, 64):
            return f"{field} does not go with `closes`: it names counters by how they begin"
    return None


def _counter_fault(one: Reading) -> str | None:
    if not one.counter:
        return "counter is missing"
    if not one.account:
        return "account is missing"
    stated = [value for value in one.stated if value is not None]
    if not stated and not one.final:
        return "bytes_up, bytes_down and requests are missing; a `final` one may leave them out"
    if one.width == 32 and any(value >= LOW_WORD for value in stated):
        return f"{max(stated)} has more than 32 bits; width is 32"
    if one.epoch_derived and find_instant(one.epoch) is None:
        return (
            "epoch_derived goes with an epoch that is an instant (RFC 3339): else nothing tells that its clock was set"
        )
    return labels_fault(one.labels) if one.labels else None
