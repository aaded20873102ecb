"""What a request may say, and what it means (pure): its parameters as structs, ranges and offsets as instants.

Numbers are whole. BadRequest names the parameter that is wrong. What the vendor does not document is left
alone where its clients send it (`proxy_type`).
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from flowtally.core.errors import BadRequest
from flowtally.core.events import MAX_QUANTITY
from flowtally.core.times import DAY_MS, HOUR_MS
from flowtally.core.unshown import repr_without
from flowtally.vendors.ipfoxy.rows import UTC_PLUS_8, Unit
from flowtally.vendors.printing import MB

OLDEST_DAYS: Final = 90
SLACK_MS: Final = 300_000  # what clocks may differ, and what a call may travel
# The day that it was 90 days ago may have begun a day before that, and the clock may have been set back since.
EARLIEST_MS: Final = (OLDEST_DAYS + 1) * DAY_MS + 2 * HOUR_MS + SLACK_MS
HISTORY_PAGES: Final = 25
HISTORY_PAGE_SIZE: Final = 35
HOURS: Final = 1
MOST_PROXIES: Final = 300  # of one request
MOST_BOUGHT: Final = 100
UTC_MINUS_12, UTC_PLUS_14 = -20, 6  # in hours from UTC+8

Account = Annotated[str, Meta(description="A sub-account's name, or the caller's own account.", min_length=1)]
Filter = Annotated[str, Meta(description="Only this account.")]
Seconds = Annotated[
    int, Meta(description="An instant in Unix seconds, which belongs to the range.", ge=0, le=10**10 - 1)
]  # more would be milliseconds
PageNumber = Annotated[int, Meta(description="Which page, from 1 on.", ge=1, le=10**9)]
PageSize = Annotated[int, Meta(description="How many rows a page has.", ge=10, le=100)]
Password = Annotated[str, Meta(description="10 to 15 characters.", min_length=10, max_length=15)]
Flow = Annotated[int, Meta(description="Traffic in MB of 1048576 bytes.", ge=1, le=MAX_QUANTITY // MB)]
Life = Annotated[Literal[0, 30, 90, 180, 360], Meta(description="Days the traffic can be used; 0: for ever.")]
Days = Annotated[int, Meta(description="For how many days; a lease plan must have as many.", ge=-(10**9), le=10**9)]
AreaNumber = Annotated[int, Meta(description="The number of an area, to buy there.", ge=0, le=2**31 - 1)]
Quantity = Annotated[int, Meta(description="How many are bought: 1 to 100.", ge=-(10**9), le=10**9)]
ProxyIds = Annotated[str, Meta(description="Ids of proxies with commas between, at most 300.", max_length=20_000)]
Key = Annotated[str, Meta(description="Names this write, over all operations, for good.", min_length=10, max_length=25)]


class UsageAsked(msgspec.Struct, frozen=True):
    """Of get-account-use-flow-list."""

    account: Account
    start_time: Seconds
    end_time: Seconds
    unit: Annotated[Literal[1, 2], Meta(description="1: hours, 2: days.")]
    page: PageNumber = 1
    page_size: PageSize = 20
    timezone_offset: Annotated[
        int, Meta(description="Hours added to UTC+8, where buckets are cut.", ge=UTC_MINUS_12, le=UTC_PLUS_14)
    ] = 0


class HistoryAsked(msgspec.Struct, frozen=True):
    """Of residential-data-history."""

    start_timestamp: Seconds
    end_timestamp: Seconds
    is_hour: Annotated[Literal[0, 1] | None, Meta(description="1: by hours, 0: by days (as a rule), of UTC+8.")] = None
    page: Annotated[int, Meta(description="Which page, from 1 on.", ge=1, le=HISTORY_PAGES)] = 1
    account: Filter = ""


class AccountAsked(msgspec.Struct, frozen=True):
    """Of get-sub-account-flow."""

    account: Account


class MaybeAccountAsked(msgspec.Struct, frozen=True):
    """Of residential-data."""

    account: Filter = ""


class AccountsAsked(msgspec.Struct, frozen=True):
    """Of get-sub-account-list."""

    account: Filter = ""
    page: PageNumber = 1
    page_size: PageSize = 20


class Allocating(msgspec.Struct, frozen=True):
    """Of allocate-flow-sub-account."""

    account: Account
    flow: Flow
    idempotency_key: Key
    day: Life = 0


class Creating(msgspec.Struct, frozen=True):
    """Of create-sub-account."""

    account: Annotated[str, Meta(description="10 to 15 characters.", min_length=10, max_length=15)]
    password: Password
    flow: Flow
    idempotency_key: Key
    day: Life = 0

    def __repr__(self) -> str:
        return repr_without(self, "password")


class Repassing(msgspec.Struct, frozen=True):
    """Of update-pass."""

    account: Account
    password: Password

    def __repr__(self) -> str:
        return repr_without(self, "password")


class Whitelisting(msgspec.Struct, frozen=True):
    """Of update-ip-whitelist."""

    account: Account
    ip: Annotated[str, Meta(description="IP addresses joined by commas, all there are to be; empty: none.")]


class PriceAsked(msgspec.Struct, frozen=True):
    """Of order-price."""

    order_type: Annotated[Literal["BUY", "EXTEND"], Meta(description="Buying anew, or renewing.")]
    days: Days
    area_id: AreaNumber = 0
    proxy_ids: ProxyIds = ""
    num: Quantity = 1


class Buying(msgspec.Struct, frozen=True):
    """Of proxy-buy: `area_id`, `auto_extend` and `num` to buy, `proxy_ids` to renew."""

    days: Days
    area_id: AreaNumber = 0
    auto_extend: Annotated[Literal[0, 1] | None, Meta(description="Whether it is renewed by itself; only 0.")] = None
    num: Quantity | None = None
    proxy_ids: ProxyIds = ""
    idempotency_key: Key | None = None


class Extending(msgspec.Struct, frozen=True):
    """Of proxy-extend and proxy-renew."""

    days: Days
    proxy_ids: ProxyIds
    idempotency_key: Key | None = None


class OrderAsked(msgspec.Struct, frozen=True):
    """Of order-info."""

    order_id: Annotated[str, Meta(description="The id of an order.", min_length=1)]


class ProxiesAsked(msgspec.Struct, frozen=True):
    """Of proxy-list."""

    page: PageNumber
    page_size: Annotated[int, Meta(description="How many rows a page has.", ge=1, le=50)]
    proxy_ids: ProxyIds = ""


class AutoExtending(msgspec.Struct, frozen=True):
    """Of auto-extend."""

    auto_extend: Annotated[Literal[0, 1], Meta(description="Whether they are renewed by themselves; only 0.")]
    proxy_ids: ProxyIds


class Range(msgspec.Struct, frozen=True):
    """Hours or days of [start, end] in ms, cut at `offset` ms from UTC."""

    unit: Unit
    start: int
    end: int
    offset: int


def usage_range(asked: UsageAsked, now: int) -> Range:
    """The range of a usage list. The vendor says only that an offset of 0 means UTC+8, so it is not hours from UTC."""
    start, end = _ends("start_time", asked.start_time, "end_time", asked.end_time, now)
    return Range(_unit(asked.unit == HOURS), start, end, UTC_PLUS_8 + asked.timezone_offset * HOUR_MS)


def history_range(asked: HistoryAsked, now: int, *, usually_hours: bool = False) -> Range:
    """The range of a history. The vendor's pages disagree about what it is of where that is not said."""
    start, end = _ends("start_timestamp", asked.start_timestamp, "end_timestamp", asked.end_timestamp, now)
    return Range(_unit(usually_hours if asked.is_hour is None else asked.is_hour == HOURS), start, end, UTC_PLUS_8)


def amount_of(flow: int) -> int:
    """MB as bytes."""
    return flow * MB


def expiry_of(day: int, now: int) -> int | None:
    """When traffic that is given now ends; None: never."""
    return now + day * DAY_MS if day else None


def proxies_of(ids: str) -> tuple[str, ...]:
    """The ids of a list, each once: BadRequest where there is none, or too many."""
    found = tuple(dict.fromkeys(one for part in ids.split(",") if (one := part.strip())))
    if not 1 <= len(found) <= MOST_PROXIES:
        raise BadRequest(f"proxy_ids names none, or more than {MOST_PROXIES}.", parameter="proxy_ids")
    return found


def addresses_of(ip: str) -> list[str]:
    """The addresses of a list, in their shortest form and each once."""
    return list(dict.fromkeys(_address(one.strip()) for one in ip.split(","))) if ip.strip() else []


def _unit(hours: bool) -> Unit:
    return "hour" if hours else "day"


def _ends(first: str, start: int, last: str, end: int, now: int) -> tuple[int, int]:
    """Both belong to the range; the last second whole. Of 90 days ago the whole day can be asked for, wherever the
    caller's day begins: nothing says that the limit is one of seconds."""
    if start > end:
        raise BadRequest(f"{first} = {start} is after {last} = {end}.", parameter=first)
    if start * 1000 < now - EARLIEST_MS:
        raise BadRequest(f"{first} = {start} is more than {OLDEST_DAYS} days ago.", parameter=first)
    return start * 1000, end * 1000 + 999


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise BadRequest(f"ip: {text[:64]!r} is no IP address.", parameter="ip") from None
