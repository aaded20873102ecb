"""Usage events as JSON lines, pure: a CloudEvent (`subject` = account, the rest in `data`) or a plain event per line.

The file is the numbered source, so an event's own `source` and `sequence` do not identify it here: its `id` is kept as
it is and its `source` as the label `source`. To keep the events' own identity, POST the file to /v1/events instead.
The server's strictness applies: unknown fields, wrong types and a member that is there twice make a line unreadable.
"""

from __future__ import annotations

import msgspec

from flowtally.agents.reading import Line, LineReading, Unreadable, rfc3339_at
from flowtally.core.errors import MalformedBody
from flowtally.core.events import MAX_LABEL_VALUE_BYTES, MAX_LABELS, CloudEvent, UsageEvent
from flowtally.core.members import find_repeated_in


class PlainLine(UsageEvent, gc=False, forbid_unknown_fields=True):
    """A plain event in a file; source and account may come from the import's options instead."""

    source: str = ""
    account: str = ""


_any = msgspec.json.Decoder()
_cloud = msgspec.json.Decoder(CloudEvent)
_plain = msgspec.json.Decoder(PlainLine)


def read_line(line: bytes) -> Line:
    """One JSON line; never raises."""
    if not line.strip():
        return None
    try:
        value = _any.decode(line)
        is_cloud = isinstance(value, dict) and value.get("specversion") is not None
        event = _cloud.decode(line).plain() if is_cloud else _plain.decode(line)
        repeated = find_repeated_in(line, value)
    except (MalformedBody, ValueError, RecursionError) as error:
        return Unreadable("not_this_format", f"not a usage event: {error}"[:200])
    if repeated is not None:
        return Unreadable("not_this_format", f"not a usage event: {repeated}")
    time_at = None if event.time is None else rfc3339_at(event.time)
    if event.time is not None and time_at is None:
        return Unreadable("bad_time", f"not an RFC 3339 instant: {event.time[:60]}")
    return LineReading(
        time_at=time_at,
        bytes_up=event.bytes_up,
        bytes_down=event.bytes_down,
        requests=event.requests,
        status=event.status,
        user=event.user,
        product=event.product,
        account=event.account,
        id=event.id,
        labels=_labels(event.labels or {}, event.source),
    )


def _labels(labels: dict[str, str], source: str) -> dict[str, str] | None:
    """The event's labels and, where there is room and nothing to overwrite, the source it named."""
    fits = len(labels) < MAX_LABELS and 0 < len(source.encode()) <= MAX_LABEL_VALUE_BYTES
    if fits and "source" not in labels:
        return {**labels, "source": source}
    return labels or None
