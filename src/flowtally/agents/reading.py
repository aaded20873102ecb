"""What one log line says, before it is known whose use it was. Pure values and the small parsers formats share.

A format is one function `read_line(line: bytes) -> Line`: a `LineReading`, `Unreadable` with the reason, or None where
there is nothing to read (a blank line). Formats never raise. One readable line is one event with `requests` = 1, errors
and refusals included (they moved bytes too, and `status` keeps them apart). A format never guesses an account.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from flowtally.agents.reasons import Reason
from flowtally.core.edges import parse_instant
from flowtally.core.errors import BadRange
from flowtally.core.events import MAX_QUANTITY
from flowtally.core.times import END_OF_TIME, EPOCH, MONTH_NAMES

MONTHS: Final = {name: number for number, name in enumerate(MONTH_NAMES, 1)}


class LineReading(msgspec.Struct, frozen=True, gc=False):
    """`time_at` in ms since 1970 UTC (None: the event's `id` carries it). Empty text: the line does not say."""

    time_at: int | None
    bytes_up: int = 0
    bytes_down: int = 0
    requests: int = 1
    status: int = 0
    client: str = ""
    user: str = ""
    url: str = ""
    account: str = ""
    product: str = ""
    id: str = ""
    labels: dict[str, str] | None = None


class Unreadable(msgspec.Struct, frozen=True):
    """Why a line gives no event; `reason` is stable, `detail` is for people."""

    reason: Reason
    detail: str


Line = LineReading | Unreadable | None


def text_of(raw: bytes) -> str:
    r"""Log bytes as text: UTF-8 is itself, and each byte that is none is spelt out (`jos\xe9`).

    Two names become one text only where one of them holds such four characters itself. That cannot be helped: any text
    that may be kept is some name in UTF-8, so no spelling is left that none of them has.
    """
    return raw.decode("utf-8", "backslashreplace")


def quantity(raw: bytes | str) -> int | None:
    """A whole number of bytes or requests; `-` and nothing are 0. None: not a quantity we can keep."""
    if raw in (b"-", "-", b"", ""):
        return 0
    if not (raw.isascii() and raw.isdigit() and len(raw) <= 16):
        return None
    number = int(raw)
    return number if number <= MAX_QUANTITY else None


def epoch_at(seconds: bytes | str, fraction: bytes | str) -> int | None:
    """`1795173252`, `544` -> ms. Digits after the third are cut: an event never moves to a later bucket."""
    if len(seconds) > 12:
        return None
    text = fraction.decode("ascii") if isinstance(fraction, bytes) else fraction
    at = int(seconds) * 1000 + int(text[:3].ljust(3, "0"))
    return at if at < END_OF_TIME else None


def clf_at(day: str, month: str, year: str, clock: tuple[int, int, int], offset: str) -> int | None:
    """Apache's and nginx's time with its offset: `17/May/2015:10:05:03 +0200` -> ms. Second 60 is a leap second."""
    hours, minutes, seconds = clock
    if hours > 23 or minutes > 59 or seconds > 60 or int(offset[3:]) > 59:
        return None
    try:
        date = datetime(int(year), MONTHS[month], int(day), tzinfo=UTC)
    except (KeyError, ValueError):
        return None
    east_s = (int(offset[1:3]) * 60 + int(offset[3:])) * 60 * (-1 if offset[0] == "-" else 1)
    at = (date - EPOCH) // timedelta(milliseconds=1) + (hours * 3600 + minutes * 60 + seconds - east_s) * 1000
    return at if 0 <= at < END_OF_TIME else None


def rfc3339_at(text: str) -> int | None:
    """RFC 3339 with Z or an offset -> ms. A time without a zone is no instant: None."""
    try:
        at = parse_instant(text)
    except BadRange:
        return None
    return at if at >= 0 else None
