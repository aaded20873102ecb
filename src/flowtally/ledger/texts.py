"""What a name, reference or instant may be, the same for every table. Pure.

What text may hold is the rule of every door (`core.texts`). Lengths count characters, as `events` does: what an
event may bear, the ledger can keep.
"""

from __future__ import annotations

from typing import Final

from flowtally.core.edges import tell_instant
from flowtally.core.errors import Unprocessable
from flowtally.core.events import MAX_NAME_CHARS
from flowtally.core.texts import may_be_known, text_fault
from flowtally.core.times import LAST_INSTANT
from flowtally.core.units import human_money

MAX_REFERENCE_CHARS: Final = 256  # of a grant, a transfer


def check_text(field: str, text: str, *, least: int = 0, most: int = MAX_NAME_CHARS) -> str:
    """The text, when it has `least` to `most` characters and may be kept; else Unprocessable."""
    if not least <= len(text) <= most:
        raise Unprocessable(f"{field} has {len(text)} characters; {least} to {most} are allowed", field=field)
    if fault := text_fault(text):
        raise Unprocessable(f"{field} {fault}", field=field)
    return text


def check_known(field: str, text: str) -> str:
    """The text, when a name like it can be there, by the rule of whatever version; else Unprocessable."""
    if not may_be_known(text):
        raise Unprocessable(f"{field} {text_fault(text)}", field=field)
    return text


def check_id(field: str, text: str, *, most: int = MAX_NAME_CHARS) -> str:
    """A name that becomes one segment of a URL path: no slash, and not what browsers fold away."""
    if not may_be_id(text):
        raise Unprocessable(f"{field} {text!r} cannot be part of a path", field=field)
    return check_text(field, text, least=1, most=most)


def may_be_id(text: str) -> bool:
    """Whether it can be a segment of a path."""
    return "/" not in text and text not in (".", "..")


def check_number(field: str, value: int, *, least: int, most: int) -> int:
    """The number, when it is within the limits (both included); else Unprocessable."""
    if not least <= value <= most:
        raise Unprocessable(f"{field} is {value}; {least} to {most} are allowed", field=field)
    return value


def check_money(field: str, micros: int, currency: str, *, least: int, most: int) -> int:
    """The same of money, which is told as people write it."""
    if not least <= micros <= most:
        given, low, high = (human_money(one, currency) for one in (micros, least, most))
        raise Unprocessable(f"{field} is {micros}, which is {given}; {low} to {high} are allowed", field=field)
    return micros


def check_instant(field: str, at: int, *, least: int = 0) -> int:
    """An instant from 1970 (or `least`) to the end of the year 9999, in milliseconds; else Unprocessable."""
    if not least <= at <= LAST_INSTANT:
        given, low, high = (tell_instant(one) for one in (at, least, LAST_INSTANT))
        raise Unprocessable(f"{field} is {given}; {low} to {high} are allowed", field=field)
    return at
