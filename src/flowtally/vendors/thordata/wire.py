"""Thordata's wire: what its account side answers, both ways. Pure.

Owns names, types and units of the answers, the envelope and the codes: `encode` makes what we answer as them, `decode`
reads what they answer. Leaves what a request says to `parameters`, every figure to whoever fills the values.

* One word has two units: `traffic_balance` is MB in one answer and KB in the next. Both are binary, as their own
  client and the field reckon (1 GB = 1024 MB = 1048576 KB); each field says which it is.
* Traffic and money are exact decimals on the way in and out. What their Go client reads into an integer is an `int`.
* Every failure of theirs is HTTP 200 with another code; there are codes no page of theirs lists. `data` is then `{}`:
  typed clients of theirs break on anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Raw, Struct, field

from flowtally.core.edges import format_instant, load_zone
from flowtally.core.errors import FlowtallyError
from flowtally.core.unshown import repr_without
from flowtally.vendors.printing import Unit

T = TypeVar("T")
CdkStatus = Literal[1, 2, 3]

KB: Final = 1024  # bytes
MB: Final = 1024 * KB
GB: Final = 1024 * MB
NO_EXPIRY: Final = "2099-12-31"  # a far date that date libraries can still hold
IN_KB: Final = Unit(KB, 2)
IN_MB: Final = Unit(MB, 2)
IN_MONEY: Final = Unit(1_000_000, 2)  # of millionths

OK: Final = 200
PARAMETER: Final = 10000
DURATION: Final = 10001
QUANTITY: Final = 10003
WITHDRAWN: Final = 10007
NO_MONEY: Final = 10008
NO_SUCH_IP: Final = 10010
TOO_OFTEN: Final = 10011
WRONG_SIGN: Final = 10013
WRONG_KEY: Final = 10014
BAD_NAME: Final = 10015
BAD_PASSWORD: Final = 10016
NO_PACKAGE: Final = 10017
NAME_TAKEN: Final = 10018
TOO_MANY: Final = 10019
NO_SUCH_USER: Final = 10020
TOO_LONG_RANGE: Final = 10021
WRONG_TOKEN: Final = 10047

# Of their texts only `ok` and `Token error` are known; the others say in our words what their list of codes says.
MESSAGES: Final = {
    PARAMETER: "Parameter error",
    DURATION: "Duration error",
    QUANTITY: "Quantity error",
    WITHDRAWN: "The IP is withdrawn and cannot be renewed",
    NO_MONEY: "Not enough balance",
    NO_SUCH_IP: "The IP does not exist",
    TOO_OFTEN: "Called too often, try again later",
    WRONG_SIGN: "Sign error",
    WRONG_KEY: "Key error",
    BAD_NAME: "A username has 6 to 15 letters or digits",
    BAD_PASSWORD: "A password has 6 to 15 letters or digits and begins with a letter",
    NO_PACKAGE: "Not enough traffic left, top up first",
    NAME_TAKEN: "The username exists already",
    TOO_MANY: "The maximum number is reached",
    NO_SUCH_USER: "The user does not exist",
    TOO_LONG_RANGE: "The range is longer than 180 days",
    WRONG_TOKEN: "Token error",
}
RETRYABLE: Final = frozenset({TOO_OFTEN, 10009})

# Of the links that extract endpoints, a service of its own: only the numbers are theirs.
ASKED_AGAIN: Final = 111
NOTHING_FITS: Final = 114
NO_PLAN: Final = 117
NO_SUCH_ACCOUNT: Final = 118
PLAN_ENDED: Final = 121
LINK_MESSAGES: Final = {
    ASKED_AGAIN: "Asked again too soon",
    NOTHING_FITS: "No proxy matches",
    NO_PLAN: "No plan, or the IP is not on the whitelist",
    NO_SUCH_ACCOUNT: "The account name is wrong, or the IP is not on its whitelist",
    PLAN_ENDED: "The plan has expired",
}

CHILD_ON: Final = 1  # whether a user may be used, in the first generation
CHILD_OFF: Final = -2

UNUSED: Final = 1  # the states of a CDK
USED: Final = 2
REVOKED: Final = 3


class ThordataError(FlowtallyError):
    """An answer whose code (`number`) is not 200, theirs or ours. `retryable`: the same may succeed later."""

    status = 400
    code = "thordata_error"
    title = "Thordata says no"

    def __init__(self, number: int, message: str = "") -> None:
        self.number = number
        self.message = message or MESSAGES.get(number) or LINK_MESSAGES.get(number, f"Error {number}")
        self.retryable = number in RETRYABLE
        super().__init__(f"{number}: {self.message}")


class Envelope(Struct, Generic[T], frozen=True):
    """Every answer of theirs."""

    code: int
    data: T
    msg: str = "ok"


class Written(Struct, frozen=True):
    """Nothing: the data of a write, and of every failure."""


class TrafficBalance(Struct, frozen=True):
    """What is left.

    traffic_balance: What is left, in MB of 1048576 bytes.
    expiration_time: The date on which it ends, as 2025-03-26; a far one where nothing ends.
    """

    traffic_balance: Decimal
    expiration_time: str = ""


class WalletBalance(Struct, frozen=True):
    """The balance of the wallet. Their page calls it `wallet_balance`, their clients read `balance`: one value.

    wallet_balance: What the wallet holds, in the currency.
    balance: The same.
    """

    wallet_balance: Decimal | None = None
    balance: Decimal | None = None

    @property
    def money(self) -> Decimal:
        """The balance, whichever name it came under; ThordataError when under neither."""
        found = self.balance if self.wallet_balance is None else self.wallet_balance
        if found is None:
            raise ThordataError(PARAMETER, "a wallet without a balance")
        return found


class UsageRow(Struct, frozen=True):
    """What was used in a day or an hour.

    date: The day, as 2025-01-01, or the hour, as 2025-07-01 00.
    usage_traffic: What was used in it, in KB of 1024 bytes.
    """

    date: str
    usage_traffic: Decimal


class Usage(Struct, frozen=True):
    """What an account used, in KB of 1024 bytes.

    total_usage_traffic: What it ever used.
    traffic_balance: What is left.
    query_days: How many days the range has.
    range_usage_traffic: What it used in the range.
    data: The days of the range, the first one first.
    """

    total_usage_traffic: Decimal
    traffic_balance: Decimal
    query_days: int
    range_usage_traffic: Decimal
    data: list[UsageRow]


class UserUsage(Struct, frozen=True):
    """What a user used, in KB of 1024 bytes.

    traffic_limit: The most the user may use; 0: no limit.
    total_usage_traffic: What it ever used.
    traffic_balance: What is left of the limit; 0 without one.
    query_days: How many days the range has.
    range_usage_traffic: What it used in the range.
    data: The days or hours of the range, the first one first.
    """

    traffic_limit: int
    total_usage_traffic: Decimal
    traffic_balance: Decimal
    query_days: int
    range_usage_traffic: Decimal
    data: list[UsageRow]


class ProxyUser(Struct, frozen=True):
    """A proxy user.

    created_time: The date on which it was made.
    username: The name.
    password: The password, in clear.
    status: Whether it may be used.
    traffic_limit: The most it may use, in MB of 1048576 bytes; 0: no limit.
    usage_traffic: What it ever used, in MB.
    """

    created_time: str
    username: str
    password: str
    status: bool
    traffic_limit: int
    usage_traffic: Decimal

    def __repr__(self) -> str:
        return repr_without(self, "password")


class UserList(Struct, frozen=True):
    """The proxy users of an account.

    limit: How many there may be.
    remaining_limit: How many may be added.
    user_count: How many there are.
    list: The users.
    """

    limit: int
    remaining_limit: int
    user_count: int
    users: list[ProxyUser] | None = field(default=None, name="list")


class WhitelistedIp(Struct, frozen=True):
    """An address on the whitelist.

    created_time: The date on which it was put there.
    ip: The address.
    status: Whether traffic may come from it.
    """

    created_time: str
    ip: str
    status: bool


class Whitelist(Struct, frozen=True):
    """The whitelist of an account.

    ip_count: How many addresses are on it.
    limit: How many there may be.
    remaining_limit: How many may be added.
    lists: The addresses.
    """

    ip_count: int
    limit: int
    remaining_limit: int
    lists: list[WhitelistedIp]


class ProxyAddress(Struct, frozen=True):
    """Where to connect to.

    ip: The address or the name of the host.
    port: The port.
    """

    ip: str
    port: int


class NewCodes(Struct, frozen=True):
    """CDKs that were made.

    cdk: Their codes.
    """

    cdk: list[str]


class Cdk(Struct, frozen=True):
    """A CDK: a code for traffic.

    cdk: The code.
    create_time: When it was made, in Unix seconds.
    status: 1 unused, 2 used, 3 revoked.
    traffic: What it is worth, in whole units (GB).
    traffic_duration: For how many seconds the traffic can be used.
    """

    cdk: str
    create_time: int
    status: CdkStatus
    traffic: Decimal
    traffic_duration: int


class CdkInfo(Struct, frozen=True):
    """A CDK, and who redeemed it.

    cdk: The code.
    status: 1 unused, 2 used, 3 revoked.
    create_time: When it was made, in Unix seconds.
    traffic: What it is worth, in whole units (GB).
    traffic_duration: For how many seconds the traffic can be used.
    use_username: Who redeemed it; empty while nobody did.
    use_time: When it was redeemed, in Unix seconds; 0 while it was not.
    """

    cdk: str
    status: CdkStatus
    create_time: int
    traffic: Decimal
    traffic_duration: int
    use_username: str = ""
    use_time: int = 0


class FlowBalance(Struct, frozen=True):
    """What is left.

    balance: What is left, in KB of 1024 bytes.
    expire_time: When it ends, in Unix seconds; a far date: it does not.
    """

    balance: Decimal
    expire_time: int


class FlowRow(Struct, frozen=True):
    """What was used in a day.

    date: The day, as 2025-01-01.
    used_flow: What was used in it, in KB of 1024 bytes.
    """

    date: str
    used_flow: Decimal


class FlowUsage(Struct, frozen=True):
    """What an account or a user used, in KB of 1024 bytes.

    all_flow: Of an account what it ever used and has left; of a user the most it may use, 0: no limit.
    all_used_flow: What was ever used.
    balance: What is left.
    count: How many days the range has.
    curr_used_flow: What was used in the range.
    data: The days of the range, the first one first.
    """

    all_flow: Decimal
    all_used_flow: Decimal
    balance: Decimal
    count: int
    curr_used_flow: Decimal
    data: list[FlowRow]


class IspPrices(Struct, frozen=True):
    """What an ISP proxy costs.

    week: For 7 days, in the currency; 0: it is not sold for so long.
    month: For 30 days, in the currency; 0: it is not sold for so long.
    """

    week: Decimal
    month: Decimal


class IspRegion(Struct, frozen=True):
    """A place of ISP proxies.

    continent: The region.
    country: The country.
    city: The city.
    pricing: What one costs there.
    """

    continent: str
    country: str
    city: str
    pricing: IspPrices


class IspProxy(Struct, frozen=True):
    """An ISP proxy that is leased.

    startTime: When the lease began, in Unix seconds.
    expireTime: When it ends, in Unix seconds; a far date: it does not.
    ip: The address.
    port: The port; 0: none is known.
    user: The name to log in with.
    pwd: The password, in clear.
    continent: The region.
    country: The country.
    city: The city.
    """

    starts_s: int = field(name="startTime")
    ends_s: int = field(name="expireTime")
    ip: str
    port: int
    user: str
    pwd: str
    continent: str
    country: str
    city: str

    def __repr__(self) -> str:
        return repr_without(self, "pwd")


class IspTime(Struct, frozen=True):
    """When an ISP proxy expires.

    ip: The address.
    expire_time: When, in Unix seconds; a far date: it does not.
    """

    ip: str
    expire_time: int


class WalletHolds(Struct, frozen=True):
    """The balance of the wallet.

    walletBalance: What the wallet holds, in the currency.
    """

    money: Decimal = field(name="walletBalance")


class Child(Struct, frozen=True):
    """A proxy user.

    username: The name.
    password: The password, in clear.
    flow_limit: The most it may use, in MB of 1048576 bytes; 0: no limit.
    status: 1: it may be used; -2: it may not.
    """

    username: str
    password: str
    flow_limit: int
    status: int

    def __repr__(self) -> str:
        return repr_without(self, "password")


class ChildList(Struct, frozen=True):
    """The proxy users of an account.

    count: How many there are.
    limit: How many there may be.
    list: The users.
    """

    count: int
    limit: int
    users: list[Child] = field(name="list")


class CountryRow(Struct, frozen=True):
    """A country.

    country_code: Its code, of two capital letters.
    country_name: Its name.
    """

    country_code: str
    country_name: str


class StateRow(Struct, frozen=True):
    """A state or province of a country.

    country_code: The code of the country, of two capital letters.
    country_name: The name of the country.
    state_code: Its code, in small letters without spaces.
    state_name: Its name.
    """

    country_code: str
    country_name: str
    state_code: str
    state_name: str


class CityRow(Struct, frozen=True):
    """A city.

    country_code: The code of the country, of two capital letters.
    country_name: The name of the country.
    state_code: The code of the state, in small letters without spaces; empty: it is in none.
    state_name: The name of the state.
    city_code: Its code, in small letters without spaces.
    city_name: Its name.
    """

    country_code: str
    country_name: str
    state_code: str
    state_name: str
    city_code: str
    city_name: str


class AsnRow(Struct, frozen=True):
    """An autonomous system of a country.

    country_code: The code of the country, of two capital letters.
    asn_code: Its number, as AS10796.
    asn_name: Its name.
    """

    country_code: str
    asn_code: str
    asn_name: str


class FixedProxy(Struct, frozen=True):
    """An ISP or datacenter proxy that is leased.

    purchase_time: Since when, as 2025-03-06 14:21.
    expiration_time: Until when, as 2025-03-13 14:21; 9999-12-31 23:59: it has no end.
    ip: Its address.
    port: Where it listens; 0: any.
    username: What its holder logs in with.
    password: What its holder logs in with, in clear.
    country: Its country.
    city: Its city.
    """

    purchase_time: str
    expiration_time: str
    ip: str
    port: int
    username: str
    password: str
    country: str
    city: str

    def __repr__(self) -> str:
        return repr_without(self, "password")


class IpExpiration(Struct, frozen=True):
    """When a proxy expires.

    ip: Its address.
    expiration_time: Until when it is leased, as 2025-03-13 14:21; 9999-12-31 23:59: it has no end.
    """

    ip: str
    expiration_time: str


class UnlimitedServer(Struct, frozen=True):
    """A server that is leased.

    purchase_time: Since when, as 2025-03-06 14:21.
    expiration_time: Until when, as 2025-04-05 14:21; 9999-12-31 23:59: it has no end.
    plan_name: The name of its host.
    server: Its size, as 8vCPU 16GiB.
    bandwidth: How fast it may be, as 200Mbps.
    status: `Turn on`.
    order_id: The order by which it was leased first.
    ins_id: The id of the server.
    region: The name of the place where it stands.
    """

    purchase_time: str
    expiration_time: str
    plan_name: str
    server: str
    bandwidth: str
    status: str
    order_id: str
    ins_id: str
    region: str


class ServerOrder(Struct, frozen=True):
    """What was renewed or upgraded.

    order_id: The id of the order.
    order_money: What it cost, in the currency; what is less than a cent is cut off.
    """

    order_id: str
    order_money: Decimal


class MonitorSeries(Struct, frozen=True):
    """A gauge of a server.

    times: When each period begins, in Unix seconds.
    values: What it stood at on average, one for each period.
    """

    times: list[int]
    values: list[Decimal]


class ServerMonitor(Struct, frozen=True):
    """What a server does.

    CpuUsage: How busy its processors are, in percent.
    MemUsage: How full its memory is, in percent.
    TcpCurrEstab: How many TCP connections it has.
    WanIntraffic: What comes in, as it is measured.
    WanOuttraffic: What goes out, as it is measured.
    """

    cpu: MonitorSeries = field(name="CpuUsage")
    memory: MonitorSeries = field(name="MemUsage")
    connections: MonitorSeries = field(name="TcpCurrEstab")
    bytes_in: MonitorSeries = field(name="WanIntraffic")
    bytes_out: MonitorSeries = field(name="WanOuttraffic")


class BalancingMonitor(Struct, frozen=True):
    """What the load balancer before a server does.

    client_connection_count: How many connections of clients it has.
    client_in_traffic: What comes in from clients, as it is measured.
    client_out_traffic: What goes out to clients, as it is measured.
    """

    client_connection_count: MonitorSeries
    client_in_traffic: MonitorSeries
    client_out_traffic: MonitorSeries


class ServerUser(Struct, frozen=True):
    """A user that is bound to a server.

    create_time: When it was bound, in UTC.
    username: The name.
    """

    create_time: str
    username: str


class BoundServer(Struct, frozen=True):
    """A server with its users.

    domain: Its host.
    ip: Its address.
    sub_users: The users that are bound to it.
    """

    domain: str
    ip: str
    sub_users: list[ServerUser]


class ServerUsers(Struct, frozen=True):
    """The same as their Python client reads it.

    list: The servers.
    """

    servers: list[BoundServer] = field(name="list")


class _Head(Struct, frozen=True):
    code: int
    data: Raw = field(default_factory=lambda: Raw(b"{}"))
    msg: str = ""


def decimal(unit: Unit, steps: int) -> Decimal:
    """A number of the unit's smallest steps as it is printed."""
    return Decimal(unit.text(steps))


def sum_of(*printed: Decimal) -> Decimal:
    """Of figures that are printed with up to two places, as it is printed."""
    return decimal(IN_KB, int(sum(printed) * 100))


def hundredths(thousandths: int) -> Decimal:
    """A sample as it is printed: two decimals at most, rounded to the nearest (half to even)."""
    shown = (Decimal(thousandths) / 1000).quantize(Decimal("0.01"))
    whole = shown.to_integral_value()
    return whole if whole == shown else shown.normalize()


def show_day(at: int, timezone: str) -> str:
    """The date of an instant."""
    return format_instant(at, load_zone(timezone))[:10]


def show_minute(at: int, timezone: str) -> str:
    """The date and the minute of an instant, as 2025-03-06 14:21."""
    return format_instant(at, load_zone(timezone))[:16].replace("T", " ")


def show_rows(labels: Sequence[str], steps: Sequence[int]) -> list[UsageRow]:
    """Days or hours, from their steps of a KB."""
    return [UsageRow(label, decimal(IN_KB, one)) for label, one in zip(labels, steps, strict=True)]


_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def encode(data: Struct | list[Any]) -> bytes:
    """A success with these data."""
    return _ENCODER.encode(Envelope(OK, data))


def encode_balancing(data: BalancingMonitor) -> bytes:
    """The one success that has an envelope of its own."""
    return _ENCODER.encode({"status_code": OK, "payload": data})


def encode_error(error: ThordataError) -> bytes:
    """A failure as they tell it: the status of the HTTP answer is 200 all the same."""
    return _ENCODER.encode(Envelope(error.number, Written(), error.message))


def decode(body: bytes, into: type[T]) -> T:
    """The data of an answer of theirs. ThordataError when its code is not 200, msgspec.DecodeError when it is none of
    theirs. Numbers and booleans may come as text: their own clients put up with that."""
    head = msgspec.json.decode(body, type=_Head, strict=False)
    if head.code != OK:
        raise ThordataError(head.code, head.msg)
    return msgspec.json.decode(head.data, type=into, strict=False)


def decode_whitelist(body: bytes) -> list[WhitelistedIp]:
    """The entries of an `ip-list`: documented as an object, read by their clients as an array of objects or texts."""
    data = decode(body, object)
    if isinstance(data, dict):
        data = data.get("lists", data.get("list")) or []
    return [_entry(one) for one in msgspec.convert(data, list[str | dict[str, Any]])]


def _entry(one: str | dict[str, Any]) -> WhitelistedIp:
    found = {"ip": one} if isinstance(one, str) else one
    return msgspec.convert({"created_time": "", "status": True} | found, WhitelistedIp, strict=False)
