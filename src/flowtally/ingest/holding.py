"""A held event and the event it was: into the table's form and back. Pure.

What is held is what came first: a number that is sent again with the same content (`admission.digests`: all but time
and labels) means the event that is held, with the time and the labels it came with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from flowtally.core.events import UsageEvent
from flowtally.ingest.admission import Reason, digests
from flowtally.ingest.columns import Columns
from flowtally.ingest.prepare import Prepared
from flowtally.keys.values import Held, Source

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(UsageEvent).decode


def hold(source: Source, number: int, event: UsageEvent, time: int, reason: Reason, now: int) -> Held:
    """An event that is held from now on. Where its reading ended is the source's to keep, not the event's."""
    columns = Columns.of([event])
    content = _encode(msgspec.structs.replace(event, position=None, sequence=number))
    return Held(
        source.no, number, event.id, event.account, event.user, time, reason.code, reason.detail,
        digest_of(columns, 0), now, content,
    )  # fmt: skip


def event_of(held: Held) -> UsageEvent:
    return _decode(held.event)


def digest_of(columns: Columns, row: int) -> int:
    """What must be equal for this row to be the same event."""
    [digest] = digests(columns.only([row]) if len(columns) > 1 else columns)
    return int(digest)


def recall(all_rows: Prepared, rows: Sequence[int], first: int, held: Mapping[int, Held]) -> None:
    """Where one of these rows, numbered from `first` on, sends a number again that is held, with the same content: let
    it be what is held. It differs in nothing but time, labels and id."""
    changed = False
    for number, row in enumerate(rows, start=first):
        one = held.get(number)
        if one is not None and one.digest == digest_of(all_rows.columns, row):
            event = event_of(one)
            all_rows.columns.time[row], all_rows.columns.labels[row] = event.time, event.labels
            all_rows.columns.id[row] = event.id
            all_rows.times[row] = one.time
            all_rows.faults.pop(row, None)
            changed = True
    if changed:
        all_rows.make_rows()
