"""The values that the store of samples takes and gives. Times are whole seconds, values whole thousandths."""

from __future__ import annotations

from typing import NamedTuple

from flowtally.protocol.words import ReceiptStatus


class Measured(NamedTuple):
    """A sample that may be kept."""

    server: str
    name: str
    at: int
    value: int


class SampleOutcome(NamedTuple):
    """What became of one. `before`: the value that stays, of a conflict."""

    status: ReceiptStatus
    code: str = ""
    before: int | None = None
