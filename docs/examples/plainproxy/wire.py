"""What PlainProxy's JSON looks like, both ways. Pure: no clock, no database, no HTTP."""

from __future__ import annotations

from datetime import date
from typing import Final

import msgspec

from flowtally.vendors.printing import Unit

GB: Final = Unit(10**9, decimals=2)  # its smallest step is 0.01 GB


class Traffic(msgspec.Struct, frozen=True):
    """`used_gb` of a day; `total_gb` of that day and all before it."""

    day: str
    used_gb: str
    total_gb: str


class Answer(msgspec.Struct, frozen=True):
    result: Traffic


class Refusal(msgspec.Struct, frozen=True):
    error: str


def show(day: date, before: int, used: int) -> Answer:
    """From whole bytes. The day is printed as the difference of two totals, so that days add up (law 4)."""
    [steps] = GB.rows(before, [used])
    return Answer(Traffic(day.isoformat(), GB.text(steps), GB.text(GB.steps(before + used))))


def decode(body: bytes) -> Traffic:
    """What PlainProxy answers; msgspec.ValidationError for anything else."""
    return msgspec.json.decode(body, type=Answer).result
