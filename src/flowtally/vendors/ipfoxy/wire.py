"""IPFoxy's messages, both ways: the structs we answer with, and what theirs say.

Owns names of fields, units and the envelope (pure). Nearly every value is text on this wire, numbers too; what comes in
may be either. Traffic is in MB with at most two decimals where usage is listed, in whole KB where a balance is told,
both binary (1 MB = 1024 KB = 1048576 bytes). Times are Unix seconds, dates are of a fixed offset from UTC.

Source: IPFoxy's help pages and the Markdown of github.com/IPFoxy-Proxies/developer-api.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from flowtally.vendors.printing import KB, MB, Unit

T = TypeVar("T")

OK: Final = 0
BAD_PARAMETER: Final = 60400
NOT_AUTHORIZED: Final = 60401
NO_BALANCE: Final = 60300
FAULT: Final = 60500
BAD_REQUEST: Final = 10086
TOO_OFTEN: Final = 50000
SUCCESS: Final = "Success"
RETRYABLE: Final = frozenset({FAULT, BAD_REQUEST, TOO_OFTEN})

IN_KB: Final = Unit(KB)
IN_MB: Final = Unit(MB, 2)
NEVER: Final = "2147483647"  # the last second of a 32-bit clock: no expiry

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  (wall clocks are reckoned from it, in whole ms)
_STEPS: Final = re.compile(r"(-?)(\d+)(?:\.(\d{1,2}))?", re.ASCII)
_OFFSET: Final = re.compile(r"([+-])(\d\d):(\d\d)", re.ASCII)


class Envelope(msgspec.Struct, Generic[T], frozen=True):
    """Around every answer; `code` says whether it is one, whatever the HTTP status."""

    data: T
    code: int
    msg: str


class Empty(msgspec.Struct, frozen=True):
    """`{}`: the data of an error, and of a write that has nothing to tell."""


class UsageRow(msgspec.Struct, frozen=True):
    """`flow` MB in the bucket that begins at `date`."""

    date: str
    account: str
    flow: str


class UsageList(msgspec.Struct, frozen=True):
    """Buckets of a sub-account, newest first. `count`: rows over all pages."""

    rows: list[UsageRow] = msgspec.field(name="list")
    unit: str
    count: str
    timezone: str


class Flow(msgspec.Struct, frozen=True):
    """What a sub-account has left and has used, in KB; `mob_`: mobile traffic, absent in the older edition."""

    surplus_flow: str
    use_flow: str
    unit: str
    mob_surplus_flow: str | UnsetType = UNSET
    mob_use_flow: str | UnsetType = UNSET


class AccountRow(msgspec.Struct, frozen=True):
    """`status` 1 normal, 2 disabled; `is_main` 1 main account, 2 sub-account; `ip_whitelist` joined by commas."""

    account: str
    password: str
    status: str
    surplus_flow: str
    use_flow: str
    ip_whitelist: str
    created_time: str
    ex_time: str
    unit: str
    is_main: str


class AccountList(msgspec.Struct, frozen=True):
    """One page of accounts; `total` over all pages."""

    rows: list[AccountRow] = msgspec.field(name="list")
    total: str


class Created(msgspec.Struct, frozen=True):
    """A new sub-account."""

    account: str
    password: str


class Residential(msgspec.Struct, frozen=True):
    """The residential package of an account, in MB."""

    query_time: str
    expire_time: str
    total_mb: str
    remain_mb: str


class HistoryRow(msgspec.Struct, frozen=True):
    """`mb` in the bucket that begins at `timestamp`; `period` is `1 hour` or `1 day`."""

    mb: str
    timestamp: str
    period: str


class History(msgspec.Struct, frozen=True):
    """Buckets of an account, oldest first. The counters are numbers, only here."""

    rows: list[HistoryRow] = msgspec.field(name="list")
    total: int
    page: int
    page_size: int


class Money(msgspec.Struct, frozen=True):
    """What the account's wallet holds."""

    balance: str
    cashback: str
    total_balance: str


class Refused(Exception):
    """The vendor's answer is an error. `retryable`: the same request may succeed later."""

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(f"IPFoxy answered code {code}: {msg}")
        self.code = code
        self.retryable = code in RETRYABLE


def decode(body: bytes, into: type[T]) -> T:
    """The data of an answer. Refused when it is an error; msgspec's DecodeError when it is not of this shape.

    The shape of an error's data is unpublished, so the code is looked at first.
    """
    told = msgspec.convert(_texts(_JSON.decode(body)), Envelope[Any], strict=False)
    if told.code != OK:
        raise Refused(told.code, told.msg)
    return msgspec.convert(told.data, into, strict=False)


def encode(data: object, code: int = OK, msg: str = SUCCESS) -> bytes:
    """An answer as the vendor would send it."""
    return msgspec.json.encode(Envelope(data, code, msg))


def mb_steps(text: str) -> int:
    """The hundredths of a MB that `IN_MB` prints; ValueError for another text."""
    match = _STEPS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no number of MB with at most two decimals")
    sign, whole, decimals = match.groups()
    steps = int(whole) * 100 + int((decimals or "").ljust(2, "0"))
    return -steps if sign else steps


def seconds_text(at: int) -> str:
    """An instant as Unix seconds."""
    return str(at // 1000)


def expiry_text(at: int | None) -> str:
    """An expiry as Unix seconds, at most the one that stands for never."""
    return NEVER if at is None else str(min(at // 1000, int(NEVER)))


def offset_text(offset_ms: int) -> str:
    """`+08:00`."""
    minutes = abs(offset_ms) // 60_000
    return f"{'-' if offset_ms < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


def offset_ms(text: str) -> int:
    """The offset from UTC that `offset_text` printed; ValueError for another text."""
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no offset such as +08:00")
    sign, hours, minutes = match.groups()
    found = (int(hours) * 60 + int(minutes)) * 60_000
    return -found if sign == "-" else found


def date_text(at: int, offset: int) -> str:
    """`2025-06-26 00:00:00`, as clocks show that instant at this offset from UTC."""
    return (_EPOCH + timedelta(milliseconds=at + offset)).isoformat(" ", "seconds")


def date_instant(text: str, offset: int) -> int:
    """The instant that `date_text` printed; ValueError for another text."""
    since = datetime.strptime(text, "%Y-%m-%d %H:%M:%S") - _EPOCH  # noqa: DTZ007  (its offset is told apart from it)
    return (since.days * 86_400 + since.seconds) * 1000 - offset


_JSON: Final = msgspec.json.Decoder(float_hook=str)  # no float: 1453.16 is a text of digits


def _texts(value: Any) -> Any:
    """Numbers as text, all the way down: the vendor's pages disagree on which are which."""
    if isinstance(value, dict):
        return {name: _texts(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_texts(one) for one in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
