"""Readings of counters in, what became of them out."""

from __future__ import annotations

from typing import Literal

import msgspec

from flowtally.corrections import Quantities
from flowtally.protocol.words import ReceiptStatus


class ReadingReceipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one reading of a request; `index` counts from 0 within the request.

    `stored`: there is a row of it, whose `id` looks it up, which counts `added`, dated at the reading's time. It may be
    nothing: the first reading of a counter, and the last. `duplicate`: it told nothing new. `refused`: the counter has
    not moved, so the next reading has what this one had; `retriable` where the reason may pass.
    `code`: by which rule, empty for the usual one. `before` and `after`: what the counter stood at. `closed`: how many
    counters an item with `closes` closed, which are one row each."""

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
    """Counts over all readings of the request, and a receipt for each, or for the notable ones."""

    stored: int
    duplicate: int
    refused: int
    receipts: list[ReadingReceipt]


class CounterAnswer(msgspec.Struct, frozen=True):
    """A counter as it stands. `user_id` never changes, `user` is the present name. `state`: `open`; `final`, closed by
    its last reading; `missing_stop`, closed without one. `began_at`: the first reading of its present epoch; `time` of
    the latest one, which came at `seen_at`. `rows`: how many readings of it were stored, the last one looked up as
    `counter/rows`. `flag`: the last rule beyond the usual that one was counted by, `flagged_at` when; empty and null
    where there was none."""

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
    began_at: str
    time: str
    seen_at: str
    interval_s: int | None
    rows: int
    flag: str
    flagged_at: str | None
