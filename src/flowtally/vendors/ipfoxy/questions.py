"""What a request asks, turned into our types once (pure): texts of query and form into numbers, instants and amounts.

Numbers are whole and in digits. A parameter that is there but empty was not given. Parameters nobody asked for are left
alone: the vendor's clients send some that are undocumented. BadRequest names the parameter that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

import msgspec

from flowtally.errors import BadRequest
from flowtally.events import MAX_QUANTITY
from flowtally.vendors.ipfoxy.buckets import HOUR_MS, UTC_PLUS_8, Unit
from flowtally.vendors.ipfoxy.wire import MB

Given = Mapping[str, str]

DAY_MS: Final = 24 * HOUR_MS
OLDEST_DAYS: Final = 90
SLACK_MS: Final = 300_000  # what clocks may differ, and what a call may travel
HISTORY_PAGES: Final = 25
LIVES: Final = (0, 30, 90, 180, 360)  # days; 0: for ever
UNITS: Final[dict[int, Unit]] = {1: "hour", 2: "day"}
_WHOLE: Final = re.compile(r"\d{1,16}", re.ASCII)
_OFFSET: Final = re.compile(r"-?\d{1,2}", re.ASCII)
_SECONDS_DIGITS: Final = 10  # what has more is milliseconds
_MOST_OFFSET: Final = (-20, 6)  # UTC-12 to UTC+14


class Usage(msgspec.Struct, frozen=True):
    """Hours or days of [start, end], at `offset` from UTC."""

    account: str
    unit: Unit
    start: int
    end: int
    page: int
    page_size: int
    offset: int


class History(msgspec.Struct, frozen=True):
    """The same of the caller's own account where `account` is None, in UTC+8 and pages of a fixed size."""

    account: str | None
    unit: Unit
    start: int
    end: int
    page: int


class Accounts(msgspec.Struct, frozen=True):
    """All accounts, or the one of that name."""

    account: str | None
    page: int
    page_size: int


class Allocation(msgspec.Struct, frozen=True):
    """`amount` bytes for `days` (0: for ever), once per key."""

    account: str
    amount: int
    days: int
    key: str


class Creation(msgspec.Struct, frozen=True):
    """A sub-account and what it gets first."""

    first: Allocation
    password: str


class Password(msgspec.Struct, frozen=True):
    """A sub-account's new password."""

    account: str
    password: str


class Whitelist(msgspec.Struct, frozen=True):
    """The addresses a sub-account may connect from, all of them."""

    account: str
    addresses: tuple[str, ...]


def usage_asked(given: Given, now: int) -> Usage:
    """What get-account-use-flow-list asks."""
    account = _text(given, "account")
    start, end = _range(given, now, "start_time", "end_time")
    unit = UNITS[_number(given, "unit", 1, 2)]
    return Usage(account, unit, start, end, *_page(given), _offset(given))


def history_asked(given: Given, now: int) -> History:
    """What residential-data-history asks."""
    start, end = _range(given, now, "start_timestamp", "end_timestamp")
    unit = UNITS[2 - _number(given, "is_hour", 0, 1, usual=0)]
    return History(given.get("account") or None, unit, start, end, _number(given, "page", 1, HISTORY_PAGES, usual=1))


def accounts_asked(given: Given) -> Accounts:
    """What get-sub-account-list asks."""
    return Accounts(given.get("account") or None, *_page(given))


def account_asked(given: Given) -> str:
    """The account get-sub-account-flow asks about."""
    return _text(given, "account")


def creation_asked(given: Given) -> Creation:
    """What create-sub-account is to make."""
    _text(given, "account", 10, 15)
    return Creation(allocation_asked(given), _password(given))


def allocation_asked(given: Given) -> Allocation:
    """What allocate-flow-sub-account is to pass on."""
    return Allocation(
        _text(given, "account"),
        _number(given, "flow", 1, MAX_QUANTITY // MB) * MB,
        _one_of(given, "day", LIVES),
        _text(given, "idempotency_key", 10, 25),
    )


def password_asked(given: Given) -> Password:
    """What update-pass is to set."""
    return Password(_text(given, "account"), _password(given))


def whitelist_asked(given: Given) -> Whitelist:
    """What update-ip-whitelist is to set: an empty list is one, no list is an error."""
    account = _text(given, "account")
    if "ip" not in given:
        raise BadRequest("ip is missing; send it empty to clear the list", parameter="ip")
    listed = given["ip"].split(",") if given["ip"].strip() else []
    return Whitelist(account, tuple(dict.fromkeys(_address(one.strip()) for one in listed)))


def _text(given: Given, name: str, least: int = 1, most: int = 256) -> str:
    value = given.get(name, "")
    if not value:
        raise BadRequest(f"{name} is missing", parameter=name)
    if not least <= len(value) <= most:
        raise BadRequest(f"{name} has {len(value)} characters; {least} to {most} are allowed", parameter=name)
    return value


def _password(given: Given) -> str:
    return _text(given, "password", 10, 15)


def _number(given: Given, name: str, least: int, most: int, usual: int | None = None) -> int:
    value = given.get(name, "")
    if not value and usual is not None:
        return usual
    if _WHOLE.fullmatch(_text(given, name)) is None or not least <= int(value) <= most:
        raise BadRequest(f"{name} = {value[:40]!r}: a whole number from {least} to {most}", parameter=name)
    return int(value)


def _one_of(given: Given, name: str, known: tuple[int, ...]) -> int:
    found = _number(given, name, known[0], known[-1], usual=known[0])
    if found not in known:
        raise BadRequest(f"{name} = {found}: one of {', '.join(map(str, known))}", parameter=name)
    return found


def _page(given: Given) -> tuple[int, int]:
    return _number(given, "page", 1, 10**9, usual=1), _number(given, "page_size", 10, 100, usual=20)


def _range(given: Given, now: int, first: str, last: str) -> tuple[int, int]:
    """Both ends included, in ms; the last one is the end of its second."""
    start, end = _seconds(given, first), _seconds(given, last)
    if start > end:
        raise BadRequest(f"{first} = {start} is after {last} = {end}", parameter=first)
    if start * 1000 < now - OLDEST_DAYS * DAY_MS - SLACK_MS:
        raise BadRequest(f"{first} = {start} is more than {OLDEST_DAYS} days ago", parameter=first)
    return start * 1000, end * 1000 + 999


def _seconds(given: Given, name: str) -> int:
    return _number(given, name, 0, 10**_SECONDS_DIGITS - 1)


def _offset(given: Given) -> int:
    """Hours added to UTC+8. The vendor says only that 0 means UTC+8, so it cannot be hours from UTC."""
    value = given.get("timezone_offset") or "0"
    least, most = _MOST_OFFSET
    if _OFFSET.fullmatch(value) is None or not least <= int(value) <= most:
        raise BadRequest(
            f"timezone_offset = {value[:40]!r}: whole hours from {least} to {most}, added to UTC+8",
            parameter="timezone_offset",
        )
    return UTC_PLUS_8 + int(value) * HOUR_MS


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise BadRequest(f"ip: {text[:64]!r} is no IP address", parameter="ip") from None
