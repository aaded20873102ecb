"""Readings of counters in, what became of them out."""

from __future__ import annotations

from typing import Literal

import msgspec

from flowtally.core.corrections import Quantities
from flowtally.core.edges import Instant
from flowtally.protocol.words import ReceiptStatus


class ReadingReceipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one reading of a request.

    id: The id of its row, for looking it up; left out where there is none.
    status: `stored`: there is a row of it, which may add nothing (the first reading of a counter, and the last).
        `duplicate`: it told nothing new. `refused`: the counter has not moved, so the next reading has what this one
        had.
    code: By which rule it was counted or refused; left out for the usual one.
    added: What it adds to the use.
    before: The counter's values before this reading.
    after: The counter's values now.
    closed: How many counters an item with `closes` closed, which are one row each.
    """

    index: int
    source: str
    counter: str
    status: ReceiptStatus
    code: str = ""
    detail: str = ""
    id: str = ""
    added: Quantities | None = None
    before: Quantities | None = None
    after: Quantities | None = None
    closed: int | None = None
    retriable: bool = False


class ReadingsAnswer(msgspec.Struct, frozen=True):
    """Counts over all readings of the request, and a receipt for each, or for the notable ones.

    receipts: What became of each reading, or of the notable ones.
    """

    stored: int
    duplicate: int
    refused: int
    receipts: list[ReadingReceipt]


class CounterAnswer(msgspec.Struct, frozen=True):
    """A counter as it stands.

    state: `open`; `final`: closed by its last reading; `missing_stop`: closed without one.
    epoch: The name of the counter's present beginning, as its readings have it.
    bytes_up: What it counts: bytes sent by the user.
    bytes_down: What it counts: bytes sent to the user.
    requests: What it counts: requests.
    began_at: The time of the first reading of its present epoch.
    time: The time of its latest reading.
    seen_at: When its latest reading came.
    interval_s: How often it is read, in seconds; null: not known.
    rows: How many readings of it were stored; the last one is looked up as `counter/rows`.
    flag: The last rule beyond the usual that a reading of it was counted by; empty where there was none.
    flagged_at: When that was; null where there was none.
    """

    source: str
    counter: str
    account: str
    user: str
    user_id: str
    product: str
    state: Literal["open", "final", "missing_stop"]
    epoch: str
    bytes_up: int
    bytes_down: int
    requests: int
    began_at: Instant
    time: Instant
    seen_at: Instant
    interval_s: int | None
    rows: int
    flag: str
    flagged_at: Instant | None
