"""IPFoxy's messages, both ways: the structs we answer with, and what theirs say.

Owns names of fields, units and the envelope (pure). Nearly every value is text on this wire, numbers too; what comes in
may be either. Traffic is in MB with at most two decimals where usage is listed, in whole KB where a balance is told,
both binary (1 MB = 1024 KB = 1048576 bytes). Times are Unix seconds, dates are of a fixed offset from UTC.

Source: IPFoxy's help pages and the Markdown of github.com/IPFoxy-Proxies/developer-api.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from flowtally.core.errors import FlowtallyError
from flowtally.core.unshown import repr_without
from flowtally.vendors.printing import KB, MB, Unit

T = TypeVar("T")
Modes = list[Annotated[str, Meta(extra_json_schema={"enum": ["1", "2"]})]]
InKb = Annotated[str, Meta(extra_json_schema={"enum": ["KB"]})]

IpType = Annotated[str, Meta(extra_json_schema={"enum": ["STATIC_DATACENTER", "STATIC_ISP", "STATIC_ISP_PRO"]})]
IpVersion = Annotated[str, Meta(extra_json_schema={"enum": ["IPv4", "IPv6"]})]
OrderType = Annotated[str, Meta(extra_json_schema={"enum": ["BUY", "EXTEND"]})]

OK: Final = 0
BAD_PARAMETER: Final = 60400
NOT_AUTHORIZED: Final = 60401
NO_BALANCE: Final = 60300
FAULT: Final = 60500
BAD_REQUEST: Final = 10086
TOO_OFTEN: Final = 50000
NOT_RENEWABLE: Final = 60600
NOT_SOLD: Final = 17001
DURATION: Final = 17002
QUANTITY: Final = 17003
EXPIRED: Final = 17004
REMOVED: Final = 17011
OUT_OF_STOCK: Final = 17012
ORDER_FAILED: Final = 8700
SUCCESS: Final = "Success"
# What their list of codes says of each; of the texts they answer with only `Success` is known.
MESSAGES: Final = {
    BAD_PARAMETER: "Parameter error",
    NOT_AUTHORIZED: "Authorization failed",
    NO_BALANCE: "Insufficient balance",
    FAULT: "Service error",
    BAD_REQUEST: "Request error",
    TOO_OFTEN: "Request rate exceeded",
    NOT_RENEWABLE: "The proxy does not support renewal",
    NOT_SOLD: "Purchase is not supported",
    DURATION: "Wrong valid duration",
    QUANTITY: "Wrong purchase quantity",
    EXPIRED: "Proxy expired or unassigned",
    REMOVED: "The proxy has been removed",
    OUT_OF_STOCK: "Proxy out of stock",
    ORDER_FAILED: "Order failed, try again",
}
RETRYABLE: Final = frozenset({FAULT, BAD_REQUEST, TOO_OFTEN, ORDER_FAILED})

IN_KB: Final = Unit(KB)
IN_MB: Final = Unit(MB, 2)
PATH: Final = "/ip/open-api/"  # that all of its endpoints are under
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
    """Nothing: the data of an error, and of a write that has nothing to tell."""


class UsageRow(msgspec.Struct, frozen=True):
    """What was used in an hour or a day.

    date: When it begins, as 2025-06-26 00:00:00 in the zone of the list.
    account: The account it is of.
    flow: What was used, in MB with two decimals.
    """

    date: str
    account: str
    flow: str


class UsageList(msgspec.Struct, frozen=True):
    """What an account used, the latest first.

    list: The hours or days.
    unit: The unit of `flow`.
    count: How many rows there are, over all pages.
    timezone: The offset from UTC of the dates.
    """

    rows: list[UsageRow] = msgspec.field(name="list")
    unit: Annotated[str, Meta(extra_json_schema={"enum": ["MB"]})]
    count: str
    timezone: str


class Flow(msgspec.Struct, frozen=True):
    """What a sub-account has left and has used, in whole KB.

    surplus_flow: Residential traffic that is left.
    use_flow: Residential traffic that was used.
    unit: The unit of the figures.
    mob_surplus_flow: Mobile traffic that is left; left out in the older edition.
    mob_use_flow: Mobile traffic that was used; left out in the older edition.
    """

    surplus_flow: str
    use_flow: str
    unit: InKb
    mob_surplus_flow: str | UnsetType = UNSET
    mob_use_flow: str | UnsetType = UNSET


class CityRegion(msgspec.Struct, frozen=True):
    """A city.

    country_code: The code of its country.
    proxy_val: How a login at the gateway names it.
    val: Its name.
    mode: Which sessions there are: 1 sticky, 2 another address for each request.
    """

    country_code: str
    proxy_val: str
    val: str
    mode: Modes


class StateRegion(msgspec.Struct, frozen=True):
    """A state or province, with its cities.

    proxy_val: How a login at the gateway names it; empty: these cities are in none.
    val: Its name.
    mode: Which sessions there are: 1 sticky, 2 another address for each request.
    childs: Its cities.
    """

    proxy_val: str
    val: str
    mode: Modes
    childs: list[CityRegion]


class CountryRegion(msgspec.Struct, frozen=True):
    """A country, with its states.

    val_cn: Its name in Chinese.
    val_en: Its name in English.
    val_ru: Its name in Russian.
    val_tc: Its name in traditional Chinese.
    country_code: Its code, of two capital letters.
    childs: Its states.
    """

    val_cn: str
    val_en: str
    val_ru: str
    val_tc: str
    country_code: str
    childs: list[StateRegion]


class AccountRow(msgspec.Struct, frozen=True):
    """An account or sub-account. Traffic is residential.

    account: The name.
    password: The password in clear; empty for credentials that may not see it.
    status: 1 normal, 2 disabled.
    surplus_flow: What is left, in whole KB.
    use_flow: What was used, in whole KB.
    ip_whitelist: The addresses it may connect from, with commas between.
    created_time: When it was made, in Unix seconds.
    ex_time: When the first of its traffic ends, in Unix seconds; 2147483647: never.
    unit: The unit of the figures.
    is_main: 1 main account, 2 sub-account.
    """

    account: str
    password: str
    status: Annotated[str, Meta(extra_json_schema={"enum": ["1", "2"]})]
    surplus_flow: str
    use_flow: str
    ip_whitelist: str
    created_time: str
    ex_time: str
    unit: InKb
    is_main: Annotated[str, Meta(extra_json_schema={"enum": ["1", "2"]})]

    def __repr__(self) -> str:
        return repr_without(self, "password")


class AccountList(msgspec.Struct, frozen=True):
    """One page of accounts.

    list: The accounts.
    total: How many there are, over all pages.
    """

    rows: list[AccountRow] = msgspec.field(name="list")
    total: str


class Created(msgspec.Struct, frozen=True):
    """A new sub-account.

    account: The name.
    password: The password, in clear.
    """

    account: str
    password: str

    def __repr__(self) -> str:
        return repr_without(self, "password")


class Residential(msgspec.Struct, frozen=True):
    """The residential package of an account.

    query_time: When it was asked about, in Unix seconds.
    expire_time: When the first of it ends, in Unix seconds; 2147483647: never.
    total_mb: What it is of, in MB with two decimals.
    remain_mb: What is left of it, in MB with two decimals.
    """

    query_time: str
    expire_time: str
    total_mb: str
    remain_mb: str


class HistoryRow(msgspec.Struct, frozen=True):
    """What was used in an hour or a day.

    mb: What was used, in MB with two decimals.
    timestamp: When it begins, in Unix seconds.
    period: `1 hour` or `1 day`.
    """

    mb: str
    timestamp: str
    period: Annotated[str, Meta(extra_json_schema={"enum": ["1 hour", "1 day"]})]


class History(msgspec.Struct, frozen=True):
    """What an account used, oldest first.

    list: The hours or days.
    total: How many there are, over all pages.
    page: Which page it is, from 1.
    page_size: How many rows a page has.
    """

    rows: list[HistoryRow] = msgspec.field(name="list")
    total: int
    page: int
    page_size: int


class Money(msgspec.Struct, frozen=True):
    """What the account's wallet holds, in the currency, with two decimals.

    balance: What it holds.
    cashback: There is none.
    total_balance: Both together.
    """

    balance: str
    cashback: str
    total_balance: str


class Area(msgspec.Struct, frozen=True):
    """Where proxies of one type are sold.

    id: Its number, for buying.
    ip_type: STATIC_DATACENTER, STATIC_ISP or STATIC_ISP_PRO.
    status: true: on sale. false: sold out, or no lease plan is for it.
    ip_version: IPv4 or IPv6.
    country: The name of its country.
    country_code: The code of its country.
    region: Where in the country, as the stock says; empty: anywhere.
    """

    id: str
    ip_type: IpType
    status: Annotated[str, Meta(extra_json_schema={"enum": ["true", "false"]})]
    ip_version: IpVersion
    country: str
    country_code: str
    region: str


class OrderPrice(msgspec.Struct, frozen=True):
    """What an order would cost.

    order_type: BUY or EXTEND.
    """

    price: Annotated[str, Meta(description="The whole price, exact, with two decimals or more.")] = msgspec.field(
        name="order price"
    )
    order_type: OrderType


class OrderMade(msgspec.Struct, frozen=True):
    """An order.

    order_id: Its id.
    """

    order_id: str


class OrderInfo(msgspec.Struct, frozen=True):
    """What was bought or renewed at once.

    id: The id of the order.
    total_price: What was paid, exact, with two decimals or more.
    proxy_ids: Which proxies it is of.
    proxy_count: How many these are.
    order_type: BUY or EXTEND.
    """

    id: str
    total_price: str
    proxy_ids: list[str]
    proxy_count: str
    order_type: OrderType


class Proxy(msgspec.Struct, frozen=True):
    """A proxy that is leased.

    id: Its id.
    host: Where it is reached.
    public_ip: What others see; empty where it is reached at a name.
    port: Where it listens; 0: not said.
    type: Its protocol: a setting.
    area_id: Where it is: the number of an area.
    user: What its holder logs in with.
    password: The password in clear; empty for credentials that may not see it.
    auto_extend: 1: it is renewed by itself.
    expire_time: When it ends, in Unix seconds; 2147483647: never.
    buy_time: Since when it is leased, in Unix seconds.
    country_code: The code of its country.
    ip_type: STATIC_DATACENTER, STATIC_ISP or STATIC_ISP_PRO.
    ip_version: IPv4 or IPv6.
    renewal_time: When it was renewed last, in Unix seconds; 0: never.
    """

    id: str
    host: str
    public_ip: str
    port: str
    type: str
    area_id: str
    user: str
    password: str
    auto_extend: Annotated[str, Meta(extra_json_schema={"enum": ["0", "1"]})]
    expire_time: str
    buy_time: str
    country_code: str
    ip_type: IpType
    ip_version: IpVersion
    renewal_time: str

    def __repr__(self) -> str:
        return repr_without(self, "password")


class ProxyList(msgspec.Struct, frozen=True):
    """One page of proxies.

    list: The proxies.
    total: How many there are, over all pages.
    page: Which page it is, from 1.
    page_size: How many rows a page has.
    """

    rows: list[Proxy] = msgspec.field(name="list")
    total: int
    page: int
    page_size: int


class FoxError(FlowtallyError):
    """An answer whose code (`number`) says more than any error of ours."""

    status = 400
    code = "ipfoxy_error"
    title = "IPFoxy says no"
    number: int = BAD_PARAMETER

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"{number}: {MESSAGES[number]}")


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
