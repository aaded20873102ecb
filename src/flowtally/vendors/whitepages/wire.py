"""Whitepages' wire: what account usage looks like, both ways. Pure.

Source: https://api.whitepages.com/docs/references/account/get_account_usage_data and its neighbours. A day is a UTC
day; a count is of requests made, whatever became of them. Errors have two forms: the service's, with a trace id, and
the gateway's, which is a message alone and comes before the service sees the request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from typing import Any, Final

import msgspec

FORBIDDEN: Final = "Forbidden"
TOO_MANY: Final = "Too Many Requests"
LIMIT_EXCEEDED: Final = "Limit Exceeded"
INVALID: Final = "Request validation failed. Please check the provided data."
MAX_DIFFERENCE_DAYS: Final = 90  # the page says 90 days; the larger reading, so that no client is refused


class TimeRange(msgspec.Struct, frozen=True):
    """The range that was asked for.

    start_date: The first day.
    end_date: The last day.
    """

    start_date: str
    end_date: str


class Day(msgspec.Struct, frozen=True):
    """Requests of one UTC day.

    date: The day.
    request_count: How many requests were made.
    """

    date: str
    request_count: int


class AccountUsage(msgspec.Struct, frozen=True):
    """Requests by day.

    time_range: The range that was asked for.
    usage_data: The days, from the first that has requests.
    total_requests_in_timeperiod: How many requests were made in all of them.
    """

    time_range: TimeRange
    usage_data: list[Day]
    total_requests_in_timeperiod: int


class ServiceError(msgspec.Struct, frozen=True):
    """What is wrong.

    code: The HTTP status.
    message: The same in words.
    long_message: What is wrong with this request.
    meta: Nothing.
    """

    code: int
    message: str
    long_message: str
    meta: dict[str, Any] | None = None


class ServiceFault(msgspec.Struct, frozen=True):
    """The service's form of an error.

    error: What is wrong.
    wp_trace_id: The id of the request.
    """

    error: ServiceError
    wp_trace_id: str


class GatewayFault(msgspec.Struct, frozen=True):
    """The gateway's form of an error.

    message: What is wrong.
    """

    message: str


class Refused(msgspec.Struct, frozen=True):
    """What an answer that is no success says, in whichever form: `message`, and what else it told."""

    message: str
    long_message: str = ""
    wp_trace_id: str = ""


def encode_usage(first: date, last: date, today: date, counts: Mapping[date, int]) -> AccountUsage:
    """Rows begin at the first day that has requests and go on, zeros included, to the last day asked for or today."""
    used = [day for day, count in counts.items() if count]
    days = _days(min(used), min(last, today)) if used else []
    rows = [Day(day.isoformat(), counts.get(day, 0)) for day in days]
    total = sum(row.request_count for row in rows)
    return AccountUsage(TimeRange(first.isoformat(), last.isoformat()), rows, total)


def decode_usage(body: bytes) -> dict[date, int]:
    """Requests by day; days that are not told had none. ValueError for what is no such answer."""
    answer = msgspec.json.decode(body, type=AccountUsage)
    return {date.fromisoformat(row.date): row.request_count for row in answer.usage_data}


def decode_fault(body: bytes) -> Refused:
    """The service's form, else the gateway's, else the text itself."""
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        found = msgspec.json.decode(body, type=ServiceFault)
        return Refused(found.error.message, found.error.long_message, found.wp_trace_id)
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        return Refused(msgspec.json.decode(body, type=GatewayFault).message)
    return Refused(body.decode(errors="replace"))


def invalid(field: str) -> str:
    """What the service says of a parameter that is missing or cannot be read."""
    return f"Request validation failed. Validation failed for field 'query -> {field}'. Please check the provided data."


def parse_day(text: str) -> date | None:
    """Ten characters, YYYY-MM-DD."""
    if len(text) != 10 or text[4] != "-" or text[7] != "-":
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _days(first: date, last: date) -> Sequence[date]:
    return [first + timedelta(number) for number in range((last - first).days + 1)]
