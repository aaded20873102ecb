"""What a request of Thordata's clients says: its parameters as they are declared, and what they mean. Pure.

Owns the rules of names, passwords, ranges and families, and which code refuses what. On their wire every value is a
text, in the query, in a form or (as we allow too) in a JSON object, which may say numbers and booleans; an empty text
is one that was not sent. So a declaration, which is what the OpenAPI document shows, refuses hardly anything. Its
method makes our values of it, each once, in the order they are written, and raises ThordataError for the first that is
wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any, Final, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType, field

from flowtally.core.choices import listed
from flowtally.core.endpoints import Session
from flowtally.core.leasing import Size
from flowtally.core.texts import split_names
from flowtally.core.unshown import repr_without
from flowtally.vendors.thordata import wire
from flowtally.vendors.thordata.wire import MB, CdkStatus, ThordataError

T = TypeVar("T")

Family = Literal["residential", "unlimited", "mobile"]

MAX_DAYS: Final = 181  # "180 days" of their pages, as the difference of the dates: nobody is refused for counting so
MAX_NAMES: Final = 100  # in one question for usage
MAX_ENDPOINTS: Final = 10_000  # of one list
MAX_MINUTES: Final = 525_600
MIN_LIMIT_MB: Final = 100
MAX_LIMIT_MB: Final = (2**53 - 1) // MB

# Mobile has one number for proxy users and another for whitelists; both are taken everywhere.
FAMILIES: Final[Mapping[str, Family]] = {"1": "residential", "2": "unlimited", "3": "mobile", "9": "mobile"}

# Of places: here their pages have no other number for mobile.
PLACE_FAMILIES: Final[Mapping[str, Family]] = {"1": "residential", "2": "unlimited", "3": "mobile"}
FIXED_KINDS: Final[Mapping[str, str]] = {"1": "isp", "2": "datacenter"}
MAX_IPS: Final = 1_000  # in one question
PACKAGES: Final[Mapping[str, int]] = {"6": 7, "7": 60, "8": 30, "27": 1}  # days
MAX_MONTHS: Final = 1_200
MBPS: Final[Mapping[str, int]] = {str(number): 100 + 100 * number for number in range(1, 10)}
SERVERS: Final[Mapping[str, tuple[int, int]]] = {"2": (16, 32), "3": (32, 64), "4": (64, 128), "5": (8, 16)}

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HOUR: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}) ([01][0-9]|2[0-3])")
_NUMBER: Final = re.compile(r"[0-9]{1,12}")
_NAME: Final = re.compile(r"[A-Za-z0-9]{6,15}")
_PASSWORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{5,14}")
_YES: Final = {"true": True, "1": True, "false": False, "0": False}
_SEPARATOR: Final = re.compile(r"[\r\n\t ,;|]{1,4}")
_SESSIONS: Final[Mapping[str, Session]] = {"1": "sticky", "2": "rotating"}
_CHILD_STATUS: Final = {str(wire.CHILD_ON): "true", str(wire.CHILD_OFF): "false"}
_CDK_STATUS: Final[Mapping[str, CdkStatus]] = {"1": 1, "2": 2, "3": 3}


# ── what is meant


class Range(Struct, frozen=True):
    """Days `first` to `last`, both included; of hours, also from which to which (`2025-07-01 09`)."""

    first: date
    last: date
    hours: tuple[str, str] | None = None

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


class WhichUser(Struct, frozen=True):
    """Who bears the name, among the users of a family."""

    name: str
    family: Family


class UsageQuestion(Struct, frozen=True):
    """What these users of a family used in a range, together."""

    names: tuple[str, ...]
    family: Family
    range: Range


class NewUser(Struct, frozen=True):
    """A user to make; `cap` in bytes, None for none."""

    name: str
    family: Family
    password: str
    cap: int | None
    active: bool

    def __repr__(self) -> str:
        return repr_without(self, "password")


class Changes(Struct, frozen=True):
    """What of a user becomes something else."""

    name: str | UnsetType
    password: str | UnsetType
    cap: int | UnsetType | None
    active: bool | UnsetType

    def __repr__(self) -> str:
        return repr_without(self, "password")


class Address(Struct, frozen=True):
    """An address on the list of a family; `enabled` where it is put there."""

    ip: str
    family: Family
    enabled: bool = True


class Link(Struct, frozen=True):
    """Which endpoints, how many, and how the list is written; `separator` is None for JSON."""

    session: Session | None
    least_hold_s: int
    country: str
    state: str
    city: str
    number: int
    separator: str | None


class WhichPlaces(Struct, frozen=True):
    """The places of a family: of a country, of a state; None: of all."""

    family: Family
    country: str | None = None
    state: str | None = None


class Watched(Struct, frozen=True):
    """From when until when a server is watched, in Unix seconds, and by which periods."""

    server: str
    start: int
    end: int
    period_s: int


# ── as declared

# What may come as a number or boolean of JSON is a text all the same where requests are described.
TEXT: Final[dict[str, Any]] = {"type": "string"}


def one_of(*values: str) -> dict[str, Any]:
    return {**TEXT, "enum": list(values)}


ProxyType = Annotated[
    str | int,
    Meta(
        description="1 residential (also where it is missing), 2 unlimited, 3 or 9 mobile.",
        examples=["1"],
        extra_json_schema=one_of(*FAMILIES),
    ),
]
Day = Annotated[str, Meta(description="A day, which belongs to the range.", examples=["2025-01-01"])]
Hour = Annotated[
    str, Meta(description="An hour of the day from 00 to 23, which belongs to the range.", examples=["2025-07-01 00"])
]
Name = Annotated[str, Meta(description="The user's present name.", examples=["user123"])]
Names = Annotated[str, Meta(description="One name, or several with commas between: their sum.", examples=["user123"])]
NewName = Annotated[str, Meta(description="6 to 15 letters or digits.", examples=["user456"])]
Password = Annotated[str, Meta(description="6 to 15 letters or digits, first a letter.", examples=["password123"])]
LimitMb = Annotated[
    str | int, Meta(description="MB: 0 for no limit, else at least 100.", examples=["100"], extra_json_schema=TEXT)
]
Switch = Annotated[
    str | bool | int, Meta(description="true or false.", examples=["true"], extra_json_schema=one_of("true", "false"))
]
Ip = Annotated[str, Meta(description="One IPv4 or IPv6 address.", examples=["1.1.1.1"])]


class OfFamily(Struct, frozen=True):
    """Of which family of users or lists."""

    proxy_type: ProxyType = ""

    def family(self) -> Family:
        return family_of(self.proxy_type)


class Days(Struct, frozen=True):
    """Which days."""

    from_date: Day = ""
    to_date: Day = ""

    def range(self) -> Range:
        return day_range(self.from_date, self.to_date)


class UserDays(Struct, frozen=True):
    """Whose days."""

    username: Names = ""
    from_date: Day = ""
    to_date: Day = ""
    proxy_type: ProxyType = ""

    def question(self) -> UsageQuestion:
        wanted = day_range(self.from_date, self.to_date)
        return UsageQuestion(range=wanted, family=family_of(self.proxy_type), names=names_of(self.username))


class UserHours(Struct, frozen=True):
    """Whose hours."""

    username: Names = ""
    from_date: Hour = ""
    to_date: Hour = ""
    proxy_type: ProxyType = ""

    def question(self) -> UsageQuestion:
        wanted = hour_range(self.from_date, self.to_date)
        return UsageQuestion(range=wanted, family=family_of(self.proxy_type), names=names_of(self.username))


class CreateUser(Struct, frozen=True):
    """A user to make."""

    username: NewName = ""
    password: Password = ""
    traffic_limit: LimitMb = ""
    status: Switch = ""
    proxy_type: ProxyType = ""

    def __repr__(self) -> str:
        return repr_without(self, "password")

    def new_user(self, *, lenient_limits: bool) -> NewUser:
        return NewUser(
            family=family_of(self.proxy_type),
            name=new_name(required("username", self.username)),
            password=new_password(required("password", self.password)),
            cap=limit_bytes("traffic_limit", text_of(self.traffic_limit), lenient=lenient_limits),
            active=switch("status", required("status", text_of(self.status))),
        )


class UpdateUser(Struct, frozen=True):
    """What is missing or empty stays. The names without `new_` are those of their Java client."""

    username: Name = ""
    new_username: NewName = ""
    new_password: Password = ""
    new_traffic_limit: LimitMb = ""
    new_status: Switch = ""
    password: Password = ""
    traffic_limit: LimitMb = ""
    status: Switch = ""
    proxy_type: ProxyType = ""

    def __repr__(self) -> str:
        return repr_without(self, "new_password", "password")

    def which(self) -> WhichUser:
        return WhichUser(required("username", self.username), family_of(self.proxy_type))

    def changes(self, *, lenient_limits: bool) -> Changes:
        """`username` is always the present name."""
        cap = text_of(self.new_traffic_limit) or text_of(self.traffic_limit)
        name = self.new_username if self.new_username != self.username else ""
        password = self.new_password or self.password
        status = text_of(self.new_status) or text_of(self.status)
        return Changes(
            cap=limit_bytes("new_traffic_limit", cap, lenient=lenient_limits) if cap else UNSET,
            name=new_name(name) if name else UNSET,
            password=new_password(password) if password else UNSET,
            active=switch("new_status", status) if status else UNSET,
        )


class OneUser(Struct, frozen=True):
    """Which user."""

    username: Name = ""
    proxy_type: ProxyType = ""

    def which(self) -> WhichUser:
        return WhichUser(required("username", self.username), family_of(self.proxy_type))


class AddIp(Struct, frozen=True):
    """An address to put on the whitelist."""

    ip: Ip = ""
    status: Switch = ""
    proxy_type: ProxyType = ""

    def address(self) -> Address:
        return Address(
            one_address(self.ip),
            family_of(self.proxy_type),
            switch("status", required("status", text_of(self.status))),
        )


class OneIp(Struct, frozen=True):
    """Which address."""

    ip: Ip = ""
    proxy_type: ProxyType = ""

    def address(self) -> Address:
        return Address(family=family_of(self.proxy_type), ip=one_address(self.ip))


class ExtractLink(Struct, frozen=True):
    """Which endpoints to connect to. Names of their page and of their Python client."""

    td_customer: Annotated[str, Meta(description="The account's id. Not needed beside a token.", examples=["shop"])] = (
        field(name="td-customer", default="")
    )
    sesstype: Annotated[
        str | int,
        Meta(description="1 sticky, 2 rotating; missing: any.", examples=["1"], extra_json_schema=one_of(*_SESSIONS)),
    ] = ""
    number: Annotated[str | int, Meta(description="How many; missing: 1.", examples=["5"], extra_json_schema=TEXT)] = ""
    num: Annotated[str | int, Meta(description="The same, as their client calls it.", extra_json_schema=TEXT)] = ""
    country: Annotated[str, Meta(description="Two letters: only those that go out there.", examples=["US"])] = ""
    state: Annotated[str, Meta(description="The code of a state: only those in it.")] = ""
    city: Annotated[str, Meta(description="The code of a city: only those in it.")] = ""
    time: Annotated[
        str | int,
        Meta(description="Only sticky ones that are kept for so many minutes or more.", extra_json_schema=TEXT),
    ] = ""
    return_type: Annotated[
        str, Meta(description="txt (also where it is missing) or json.", extra_json_schema=one_of("txt", "json"))
    ] = ""
    sep: Annotated[
        str, Meta(description="What stands between two in a text: blanks, ends of lines, `,`, `;` or `|`.")
    ] = ""
    protocol: Annotated[str, Meta(description="Not looked at: a port serves what it serves.")] = ""
    port: Annotated[str | int, Meta(description="Not looked at.", extra_json_schema=TEXT)] = ""

    def link(self) -> Link:
        session = session_of(text_of(self.sesstype))
        minutes = whole_number("time", text_of(self.time), 0, MAX_MINUTES)
        return Link(
            session=session or ("sticky" if minutes else None),
            least_hold_s=minutes * 60,
            country=self.country,
            state=self.state,
            city=self.city,
            number=whole_number("number", text_of(self.number) or text_of(self.num) or "1", 1, MAX_ENDPOINTS),
            separator=None if return_type(self.return_type) == "json" else separator_of(self.sep),
        )


class UnlimitedLink(ExtractLink, frozen=True):
    """The same of servers with unlimited traffic."""

    servers: Annotated[str, Meta(description="Only of this one, by its id or host.")] = ""


Status = Annotated[
    str | int, Meta(description="1: it may be used; -2: it may not.", extra_json_schema=one_of(*_CHILD_STATUS))
]


class FlowDays(Struct, frozen=True):
    """Which days, in the words of the first generation."""

    start_time: Day = ""
    end_time: Day = ""

    def days(self) -> Days:
        return Days(self.start_time, self.end_time)


class ChildFlowDays(Struct, frozen=True):
    """Whose days, in the words of the first generation."""

    child_username: Name = ""
    start_time: Day = ""
    end_time: Day = ""

    def user_days(self) -> UserDays:
        return UserDays(self.child_username, self.start_time, self.end_time)


class SaveChild(Struct, frozen=True):
    """A user to make, in the words of the first generation."""

    username: NewName = ""
    password: Password = ""
    flow_limit: LimitMb = ""
    status: Status = ""

    def __repr__(self) -> str:
        return repr_without(self, "password")

    def new_user(self) -> CreateUser:
        return CreateUser(self.username, self.password, self.flow_limit, child_status("status", text_of(self.status)))


class EditChild(Struct, frozen=True):
    """What is missing or empty stays, in the words of the first generation."""

    username: Name = ""
    new_username: NewName = ""
    new_password: Password = ""
    new_flow_limit: LimitMb = ""
    new_status: Status = ""

    def __repr__(self) -> str:
        return repr_without(self, "new_password")

    def changed_user(self) -> UpdateUser:
        status = child_status("new_status", text_of(self.new_status))
        return UpdateUser(self.username, self.new_username, self.new_password, self.new_flow_limit, status)


PlaceProxyType = Annotated[
    str | int,
    Meta(
        description="1 residential (also where it is missing), 2 unlimited, 3 mobile.",
        examples=["1"],
        extra_json_schema=one_of(*PLACE_FAMILIES),
    ),
]
CountryCode = Annotated[str, Meta(description="The code of a country, of two letters.", examples=["US"])]


class CountriesAsked(Struct, frozen=True):
    """Which countries."""

    proxy_type: PlaceProxyType = ""

    def asked(self) -> WhichPlaces:
        return WhichPlaces(place_family(self.proxy_type))


class CountryAsked(Struct, frozen=True):
    """What is in a country."""

    country_code: CountryCode = ""
    proxy_type: PlaceProxyType = ""

    def asked(self) -> WhichPlaces:
        return WhichPlaces(place_family(self.proxy_type), required("country_code", self.country_code).upper())


class CitiesAsked(Struct, frozen=True):
    """Which cities."""

    country_code: CountryCode = ""
    state_code: Annotated[
        str, Meta(description="The code of a state; missing: all cities of the country.", examples=["alabama"])
    ] = ""
    proxy_type: PlaceProxyType = ""

    def asked(self) -> WhichPlaces:
        """Some clients send a state as it is written: `New York`."""
        state = "".join(self.state_code.lower().split()) or None
        family, country = place_family(self.proxy_type), required("country_code", self.country_code)
        return WhichPlaces(family, country.upper(), state)


class CreateCdk(Struct, frozen=True):
    """CDKs to make."""

    flow: Annotated[
        str | int, Meta(description="What each is worth, in whole units.", examples=["3"], extra_json_schema=TEXT)
    ] = ""
    num: Annotated[str | int, Meta(description="How many.", examples=["2"], extra_json_schema=TEXT)] = ""

    def units_and_number(self, most: int) -> tuple[int, int]:
        return flow_units(text_of(self.flow)), how_many(text_of(self.num), most)


class ListCdk(Struct, frozen=True):
    """Which CDKs."""

    status: Annotated[
        str | int,
        Meta(description="1 unused, 2 used, 3 revoked; missing: all.", extra_json_schema=one_of(*_CDK_STATUS)),
    ] = ""

    def wanted(self) -> CdkStatus | None:
        return cdk_status(text_of(self.status))


class OneCdk(Struct, frozen=True):
    """Which CDK."""

    cdk: Annotated[str, Meta(description="The code; case matters.", examples=["LCoum2cHq1XSmTGi"])] = ""

    def code(self) -> str:
        return required("cdk", self.cdk)


FixedType = Annotated[
    str | int,
    Meta(
        description="1 ISP (also where it is missing), 2 datacenter.",
        examples=["1"],
        extra_json_schema=one_of(*FIXED_KINDS),
    ),
]
Server = Annotated[str, Meta(description="The id of the server.", examples=["stk_0199f2c47b3a7c11a1f0b2c3d4e5f610"])]
HostName = Annotated[str, Meta(description="The name of its host, in place of `ins_id`.", examples=["gate-1"])]


class OfFixed(Struct, frozen=True):
    """Of which kind."""

    proxy_type: FixedType = ""

    def kind(self) -> str:
        return fixed_kind(self.proxy_type)


class FixedIps(Struct, frozen=True):
    """Which proxies."""

    ips: Annotated[str, Meta(description="Addresses, with commas between.", examples=["1.1.1.1"])] = ""
    proxy_type: FixedType = ""

    def kind(self) -> str:
        return fixed_kind(self.proxy_type)

    def addresses(self) -> tuple[str, ...]:
        asked = (part.strip() for part in required("ips", self.ips).split(","))
        found = tuple(dict.fromkeys(part for part in asked if part))
        if not 1 <= len(found) <= MAX_IPS:
            raise wrong("ips", f"names none, or more than {MAX_IPS}")
        return found


class RenewServer(Struct, frozen=True):
    """Which server, and for how long. `plan_name` and `month` are what their Python client sends."""

    ins_id: Server = ""
    package_id: Annotated[
        str | int,
        Meta(description="6: 7 days, 7: 60 days, 8: 30 days, 27: 1 day.", extra_json_schema=one_of(*PACKAGES)),
    ] = ""
    plan_name: HostName = ""
    month: Annotated[
        str | int, Meta(description="How many times 30 days, in place of `package_id`.", extra_json_schema=TEXT)
    ] = ""

    def days(self) -> int:
        required("ins_id", self.ins_id or self.plan_name)
        package, month = text_of(self.package_id), text_of(self.month)
        if package:
            if package not in PACKAGES:
                raise ThordataError(wire.DURATION)
            return PACKAGES[package]
        if not _NUMBER.fullmatch(required("package_id", month)) or not 1 <= int(month) <= MAX_MONTHS:
            raise ThordataError(wire.DURATION)
        return 30 * int(month)


class UpgradeServer(Struct, frozen=True):
    """Which server, and how large. `plan_name` and `target_plan` are what their Python client sends."""

    ins_id: Server = ""
    bw_id: Annotated[
        str | int, Meta(description="1 to 9: 200 to 1000 Mbps, in steps of 100.", extra_json_schema=one_of(*MBPS))
    ] = ""
    sv_id: Annotated[
        str | int,
        Meta(
            description="vCPU and GiB. 5: 8 and 16, 2: 16 and 32, 3: 32 and 64, 4: 64 and 128.",
            extra_json_schema=one_of(*SERVERS),
        ),
    ] = ""
    plan_name: HostName = ""
    target_plan: Annotated[str, Meta(description="The id of a lease plan, in place of both numbers.")] = ""

    def size(self) -> Size | None:
        """None: a plan is named."""
        required("ins_id", self.ins_id or self.plan_name)
        bandwidth, server = text_of(self.bw_id), text_of(self.sv_id)
        if bandwidth and bandwidth not in MBPS:
            raise wrong("bw_id", "is not 1 to 9")
        if server:
            among("sv_id", server, SERVERS)
        if not bandwidth and not server:
            required("sv_id", self.target_plan)
            return None
        cores, gib = SERVERS.get(server, (None, None))
        return Size(cores, None if gib is None else gib * 1024, MBPS.get(bandwidth))


WhichServer = Annotated[
    str, Meta(description="The server's host, its address, or an id of it.", examples=["gate-1.example"])
]
Unix = Annotated[str | int, Meta(description="Unix seconds.", examples=["1741258800"], extra_json_schema=TEXT)]


class OneServer(Struct, frozen=True):
    """Which server."""

    plan_name: WhichServer = ""
    ins_id: WhichServer = ""

    def server(self) -> str:
        return required("plan_name", self.plan_name or self.ins_id)


class WatchedServer(Struct, frozen=True):
    """Which server, and when. The region says nothing: an id is of one server alone."""

    ins_id: WhichServer = ""
    plan_name: WhichServer = ""
    region: Annotated[str, Meta(description="Of the server; it is not looked at.")] = ""
    start_time: Unix = ""
    end_time: Unix = ""
    period: Annotated[
        str | int,
        Meta(
            description="Seconds: 60, 300 (also where it is missing), 3600 or 86400.",
            extra_json_schema=one_of("60", "300", "3600", "86400"),
        ),
    ] = ""

    def watched(self) -> Watched:
        server = required("ins_id", self.ins_id or self.plan_name)
        start, end = unix("start_time", text_of(self.start_time)), unix("end_time", text_of(self.end_time))
        if end <= start:
            raise wrong("end_time", "is not after start_time")
        period = text_of(self.period) or "300"
        if period not in ("60", "300", "3600", "86400"):
            raise wrong("period", "is not 60, 300, 3600 or 86400")
        return Watched(server, start, end, int(period))


class OneServerIp(Struct, frozen=True):
    """Which server."""

    ip: WhichServer = ""

    def address(self) -> str:
        return required("ip", self.ip)


class BindUser(Struct, frozen=True):
    """Which user of which server."""

    ip: WhichServer = ""
    username: Name = ""

    def address(self) -> str:
        return required("ip", self.ip)

    def name(self) -> str:
        return required("username", self.username)


# ── one by one


def fixed_kind(proxy_type: str | int) -> str:
    """Which kind of stock theirs is."""
    return among("proxy_type", text_of(proxy_type) or "1", FIXED_KINDS)


def unix(name: str, text: str) -> int:
    if not _NUMBER.fullmatch(required(name, text)):
        raise wrong(name, "is no number of Unix seconds")
    return int(text)


def text_of(sent: str | int) -> str:
    """As the text their wire has."""
    return str(sent).lower() if isinstance(sent, bool) else str(sent)


def wrong(name: str, why: str) -> ThordataError:
    """10000, naming the parameter."""
    return ThordataError(wire.PARAMETER, f"{wire.MESSAGES[wire.PARAMETER]}: {name} {why}")


def among(name: str, text: str, known: Mapping[str, T]) -> T:
    """What one of these words stands for."""
    if text not in known:
        raise wrong(name, f"is not {listed(dict.fromkeys(known, ''))}")
    return known[text]


def required(name: str, text: str) -> str:
    if not text:
        raise wrong(name, "is missing")
    return text


def family_of(proxy_type: str | int) -> Family:
    """Their pages call it required and give it a default."""
    return among("proxy_type", text_of(proxy_type) or "1", FAMILIES)


def place_family(proxy_type: str | int) -> Family:
    return among("proxy_type", text_of(proxy_type) or "1", PLACE_FAMILIES)


def day_range(from_date: str, to_date: str) -> Range:
    """Both included: at most `MAX_DAYS` of them."""
    return _checked(
        Range(_day("from_date", required("from_date", from_date)), _day("to_date", required("to_date", to_date)))
    )


def hour_range(from_date: str, to_date: str) -> Range:
    """The same by the hour: `2025-07-01 09`."""
    start, end = _hour("from_date", from_date), _hour("to_date", to_date)
    if start > end:
        raise wrong("from_date", "is after to_date")
    return _checked(Range(_day("from_date", start[:10]), _day("to_date", end[:10]), (start, end)))


def _checked(found: Range) -> Range:
    if found.days < 1:
        raise wrong("from_date", "is after to_date")
    if found.days > MAX_DAYS:
        raise ThordataError(wire.TOO_LONG_RANGE)
    return found


def _day(name: str, text: str) -> date:
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
        next_day = None if day is None else day + timedelta(1)  # the range ends where the next day begins
    except (ValueError, OverflowError):
        day = next_day = None
    if day is None or next_day is None or day.year < 1970:
        raise wrong(name, "is no date such as 2025-07-01")
    return day


def _hour(name: str, text: str) -> str:
    if not _HOUR.fullmatch(required(name, text)):
        raise wrong(name, "is no hour such as 2025-07-01 09")
    return text


def names_of(username: str) -> tuple[str, ...]:
    """One, or several with commas between (`texts.split_names`); each once."""
    asked = split_names(required("username", username))
    names = tuple(dict.fromkeys(name for part in asked if (name := part.strip())))
    if not names or len(names) > MAX_NAMES:
        raise wrong("username", f"names nobody, or more than {MAX_NAMES}")
    return names


def new_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ThordataError(wire.BAD_NAME)
    return text


def new_password(text: str) -> str:
    if not _PASSWORD.fullmatch(text):
        raise ThordataError(wire.BAD_PASSWORD)
    return text


def limit_bytes(name: str, text: str, *, lenient: bool) -> int | None:
    """A cap in MB, as bytes; None for 0, which is no cap. `lenient`: an empty one is 0, and so is the `None` that a
    wrapper of their own client sends."""
    if lenient and text in ("", "None"):
        return None
    if not _NUMBER.fullmatch(text):
        raise wrong(name, "is no number of MB")
    megabytes = int(text)
    if megabytes == 0:
        return None
    if not MIN_LIMIT_MB <= megabytes <= MAX_LIMIT_MB:
        raise wrong(name, f"is neither 0 nor {MIN_LIMIT_MB} to {MAX_LIMIT_MB} MB")
    return megabytes * MB


def switch(name: str, text: str) -> bool:
    """`true` or `false`; a JSON body may say 1 and 0 as well."""
    found = _YES.get(text.lower())
    if found is None:
        raise wrong(name, "is neither true nor false")
    return found


def one_address(ip: str) -> str:
    """No network: those are put on a list natively."""
    if "/" in required("ip", ip):
        raise wrong("ip", "is no single address")
    return ip


def child_status(name: str, text: str) -> str:
    """`true` or `false`, as the later routes have it; empty where nothing is said."""
    return among(name, text, _CHILD_STATUS) if text else ""


def session_of(text: str) -> Session | None:
    """1 sticky, 2 rotating; None: any."""
    return among("sesstype", text, _SESSIONS) if text else None


def whole_number(name: str, text: str, least: int, most: int) -> int:
    """Within the limits; the least where nothing is said."""
    if not text:
        return least
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise wrong(name, f"is not {least} to {most}")
    return int(text)


def return_type(text: str) -> Literal["txt", "json"]:
    """A text unless JSON is asked for."""
    if text.lower() not in ("", "txt", "text", "json"):
        raise wrong("return_type", "is not txt or json")
    return "json" if text.lower() == "json" else "txt"


def separator_of(text: str) -> str:
    """As it is, or with a backslash as people write the end of a line; a line for each where nothing is said."""
    separator = text.replace("\\r", "\r").replace("\\n", "\n").replace("\\t", "\t") or "\n"
    if not _SEPARATOR.fullmatch(separator):
        raise wrong("sep", "is not made of blanks, ends of lines, commas, semicolons and bars")
    return separator


def flow_units(text: str) -> int:
    """How much a CDK is worth, in whole units."""
    if not _NUMBER.fullmatch(required("flow", text)) or int(text) == 0:
        raise wrong("flow", "is no whole number from 1")
    return int(text)


def how_many(text: str, most: int) -> int:
    """How many CDKs to make."""
    if not _NUMBER.fullmatch(required("num", text)) or not 1 <= int(text) <= most:
        raise ThordataError(wire.QUANTITY, f"{wire.MESSAGES[wire.QUANTITY]}: num is not 1 to {most}")
    return int(text)


def cdk_status(text: str) -> CdkStatus | None:
    """1 unused, 2 used, 3 revoked; None: all."""
    return among("status", text, _CDK_STATUS) if text else None
