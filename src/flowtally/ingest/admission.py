"""May this event be stored now? Pure rules over columns of events.

Two kinds of rule: what an event is (checked before its key is looked up: it never changes with time) and what the world
is (unknown account, closed account, clock), which a known key never meets: it answers `duplicate` or `conflict` first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from flowtally.edges import format_instant, parse_instant
from flowtally.errors import FlowtallyError
from flowtally.events import UsageEvent, labels_fault, time_of_id
from flowtally.ledger.texts import is_text


class Writer(msgspec.Struct, frozen=True):
    """Who hands events in: the credential that owns its sources, the account it is bound to (None: any)."""

    credential: str
    account: str | None = None
    admin: bool = False


class Reason(msgspec.Struct, frozen=True):
    """Why an event was not stored; the code is stable."""

    code: str
    detail: str


Reasons = dict[int, Reason]
Times = np.ndarray[Any, np.dtype[np.int64]]

_PLAIN_TIME: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-5][0-9])$"
)
_MICROS: Final = pa.timestamp("us", "UTC")
_UNDATED: Final = 0


def faults(events: Sequence[UsageEvent], unreadable: Mapping[int, str]) -> tuple[Times, Reasons]:
    """When each event happened, and why some can never be stored; an event at fault has the time 0."""
    reasons = {index: Reason("invalid_event", detail) for index, detail in unreadable.items()}
    for index, detail in _name_faults(events):
        reasons.setdefault(index, Reason("invalid_event", detail))
    for index, event in enumerate(events):
        if not event.id and event.sequence is None:
            reasons.setdefault(index, Reason("no_id", "an event needs an id or a sequence"))
    for index, labels in enumerate([event.labels for event in events]):
        if labels and (fault := labels_fault(labels)):
            reasons.setdefault(index, Reason("bad_labels", fault))
    return _times(events, reasons), reasons


def _name_faults(events: Sequence[UsageEvent]) -> list[tuple[int, str]]:
    # Names repeat: look at each distinct one once, and at the events only where one is bad.
    found: list[tuple[int, str]] = []
    for field in ("source", "account", "user", "product"):
        names = {getattr(event, field) for event in events}
        bad = {name for name in names if not is_text(name)}
        if bad:
            rows = [(index, getattr(event, field)) for index, event in enumerate(events)]
            found += [(index, f"{field} {name!r} has control characters") for index, name in rows if name in bad]
    return found


def _times(events: Sequence[UsageEvent], reasons: Reasons) -> Times:
    texts = [event.time for event in events]
    times = _plain_times(texts)
    if times is None:
        times = np.zeros(len(events), dtype=np.int64)
        for index, (event, text) in enumerate(zip(events, texts, strict=True)):
            if index in reasons:
                continue
            try:
                times[index] = _time(event, text)
            except FlowtallyError as error:
                reasons[index] = Reason("bad_time", error.detail)
    for index in np.flatnonzero(times < 0).tolist():
        reasons.setdefault(index, Reason("bad_time", "time is before 1970"))
        times[index] = _UNDATED
    return times


def _plain_times(texts: list[str | None]) -> Times | None:
    """All times at once, where all are in the usual form; None sends the caller to the careful way."""
    if not texts or None in texts:
        return None
    column = pa.array(texts, pa.string())
    if not pc.all(pc.match_substring_regex(column, _PLAIN_TIME)).as_py():
        return None
    try:
        micros = pc.cast(column, _MICROS)
    except pa.ArrowInvalid:
        return None
    values: Times = micros.view(pa.int64()).to_numpy()
    return values // 1000


def _time(event: UsageEvent, text: str | None) -> int:
    if text is not None:
        return parse_instant(text)
    carried = time_of_id(event.id)
    if carried is None:
        raise FlowtallyError(f"no time, and the id {event.id[:64]!r} is no UUIDv7 or ULID that carries one")
    return carried


def world_faults(
    events: Sequence[UsageEvent],
    times: Times,
    writers: Sequence[tuple[Writer, int]],
    statuses: Mapping[str, str],
    latest_at: int,
) -> Reasons:
    """Why some cannot be stored as the world is now: clock, account, the credential's account.

    `writers` are (writer, how many events) in order; `statuses` the status of every account that exists."""
    reasons: Reasons = {}
    for index in np.flatnonzero(times > latest_at).tolist():
        at, limit = format_instant(int(times[index])), format_instant(latest_at)
        reasons[index] = Reason("time_in_future", f"time {at} is after {limit}, the latest the clock rule allows")
    if any(statuses.get(account) not in ("active", "suspended") for account in {event.account for event in events}):
        for index, event in enumerate(events):
            status = statuses.get(event.account)
            if status is None:
                reasons[index] = Reason("unknown_account", f"there is no account {event.account!r}")
            elif status == "closed":
                reasons[index] = Reason("account_closed", f"account {event.account!r} is closed")
    start = 0
    for writer, count in writers:
        if writer.account is not None:
            for index in range(start, start + count):
                if events[index].account != writer.account:  # said like this, whether the other exists or not
                    detail = f"this credential writes for account {writer.account!r} only"
                    reasons[index] = Reason("not_your_account", detail)
        start += count
    return reasons


def digest(event: UsageEvent) -> int:
    """What must be equal for a retry to be a retry: account, user, product, quantities and status as received; not
    time, not labels. 64 bits, signed, as both databases have it."""
    e = event
    text = f"{e.account}\x00{e.user}\x00{e.product}\x00{e.bytes_up}\x00{e.bytes_down}\x00{e.requests}\x00{e.status}"
    value: int = xxhash.xxh3_64_intdigest(text.encode())
    return value - (1 << 64) if value >> 63 else value
