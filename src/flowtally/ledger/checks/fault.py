"""Fault: a rule of the ledger that does not hold, and where. What all audits find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import msgspec
from sqlalchemy import Connection

LISTED: Final = 20  # faults of one rule
PAGE: Final = 1000  # rows read at a time


class Fault(msgspec.Struct, frozen=True):
    """A rule that does not hold, and where."""

    code: str
    where: str
    detail: str


Rule: TypeAlias = Callable[[Connection], Iterator[Fault]]
