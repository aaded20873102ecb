"""Readings of counters in, what became of them out."""

from __future__ import annotations

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
