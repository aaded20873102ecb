"""EventMaker: makes of what was used an event that can be sent again for ever: its id and its time are fixed here.

Refuses, at the caller's own line, what the server would refuse for its shape. Runs within a few microseconds.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final, Required, TypedDict

import msgspec
import uuid_utils

from flowtally.core.events import MAX_NAME_CHARS, MAX_QUANTITY, labels_fault
from flowtally.core.texts import text_fault
from flowtally.protocol import PlainEvent

_MAX_STATUS: Final = 65_535
_MS: Final = 1_000_000


class Use(TypedDict, total=False):
    """One observed use. `time` is RFC 3339 text or an aware datetime, by default now; `id` a UUIDv7 made here, unless
    the caller has one that is its own for ever. `requests` is 1 unless said otherwise."""

    account: Required[str]
    user: str
    product: str
    bytes_up: int
    bytes_down: int
    requests: int
    status: int
    labels: dict[str, str]
    time: str | datetime
    id: str


_NAMES: Final = frozenset(Use.__annotations__)


class EventMaker:
    """Makes the events of one source."""

    def __init__(self, source: str) -> None:
        if not 0 < len(source) <= MAX_NAME_CHARS:
            raise ValueError(f"a source's name has 1 to {MAX_NAME_CHARS} characters")
        if fault := text_fault(source):
            raise ValueError(f"the source's name {fault}")
        self.source = source
        self._second = (-1, "")
        self._encode = msgspec.json.Encoder().encode

    def event(self, use: Use, *, named: bool = True) -> PlainEvent:
        """ValueError or TypeError where `use` cannot be an event. `named` False: its number will be its key."""
        if not use.keys() <= _NAMES or "account" not in use:
            # A misspelt quantity must not silently count as nothing.
            raise TypeError(f"a use has account and any of {', '.join(sorted(_NAMES))}; not {', '.join(use)}")
        at = use.get("time")
        event = PlainEvent(
            self.source,
            use["account"],
            use.get("id") or (str(uuid_utils.uuid7()) if named else ""),
            None,
            None,
            self.now() if at is None else _time_text(at),
            use.get("user", ""),
            use.get("product", ""),
            use.get("bytes_up", 0),
            use.get("bytes_down", 0),
            use.get("requests", 1),
            use.get("status", 0),
            use.get("labels"),
        )
        _check(event)
        return event

    def line(self, event: PlainEvent) -> bytes:
        """One line of NDJSON. What the caller's dict of labels becomes later changes nothing."""
        return self._encode(event)

    def now(self) -> str:
        """Now, to the millisecond. The text of a second is made once."""
        at = time.time_ns() // _MS
        second, ms = divmod(at, 1000)
        known, text = self._second  # one attribute, so that threads never see half of it
        if second != known:
            text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = (second, text)
        return f"{text}.{ms:03d}Z"


def read_line(line: bytes) -> PlainEvent:
    """msgspec.DecodeError (or ValidationError, which is one) if it is no event."""
    return msgspec.json.decode(line, type=PlainEvent)


def _time_text(at: str | datetime) -> str:
    if isinstance(at, str):
        return at
    if not isinstance(at, datetime):
        raise TypeError(f"time must be RFC 3339 text or a datetime, not {at!r}")
    if at.tzinfo is None:
        raise ValueError(f"time {at!r} has no zone")
    return at.isoformat()


def _check(event: PlainEvent) -> None:
    numbers = (event.bytes_up, event.bytes_down, event.requests)
    for value in numbers:
        if type(value) is not int or not 0 <= value <= MAX_QUANTITY:
            raise _bad_number(f"of {numbers}, bytes up, down and requests,", value, MAX_QUANTITY)
    if type(event.status) is not int or not 0 <= event.status <= _MAX_STATUS:
        raise _bad_number("status", event.status, _MAX_STATUS)
    if not event.account:
        raise ValueError("account is empty")
    for name in (event.account, event.id, event.user, event.product):
        if len(name) > MAX_NAME_CHARS:
            raise ValueError(f"{name[:40]!r}... has {len(name)} characters; a name has at most {MAX_NAME_CHARS}")
        if not name.isprintable() and (fault := text_fault(name)):  # the first is quick, and true of nearly all
            raise ValueError(f"{name[:40]!r} {fault}")
    if event.labels and (fault := labels_fault(event.labels)):
        raise ValueError(fault)


def _bad_number(name: str, value: object, most: int) -> Exception:
    if type(value) is not int:
        return TypeError(f"{name} {value!r} is not a whole number")
    return ValueError(f"{name} {value} is not between 0 and {most}")
