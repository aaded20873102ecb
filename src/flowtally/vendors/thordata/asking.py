"""The parameters of Thordata's routes as declared: what the OpenAPI document says, and texts for `parameters`.

On their wire every value is a text; a JSON object may say numbers and booleans. What a value must be is `parameters`'
to say, with their codes, so hardly anything is refused here.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta, Struct
from msgspec.structs import asdict

# What may come as a number or boolean of JSON is a text all the same where requests are described.
TEXT: Final[dict[str, Any]] = {"type": "string"}


def one_of(*values: str) -> dict[str, Any]:
    return {**TEXT, "enum": list(values)}


ProxyType = Annotated[
    str | int,
    Meta(
        description="1 residential (also where it is missing), 2 unlimited, 3 or 9 mobile.",
        examples=["1"],
        extra_json_schema=one_of("1", "2", "3", "9"),
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


class OfFamily(Struct, frozen=True):
    """Of which family of users or lists."""

    proxy_type: ProxyType = ""


class Days(Struct, frozen=True):
    """Which days."""

    from_date: Day = ""
    to_date: Day = ""


class UserDays(Struct, frozen=True):
    """Whose days."""

    username: Names = ""
    from_date: Day = ""
    to_date: Day = ""
    proxy_type: ProxyType = ""


class UserHours(Struct, frozen=True):
    """Whose hours."""

    username: Names = ""
    from_date: Hour = ""
    to_date: Hour = ""
    proxy_type: ProxyType = ""


class CreateUser(Struct, frozen=True):
    """A user to make."""

    username: NewName = ""
    password: Password = ""
    traffic_limit: LimitMb = ""
    status: Switch = ""
    proxy_type: ProxyType = ""


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


class OneUser(Struct, frozen=True):
    """Which user."""

    username: Name = ""
    proxy_type: ProxyType = ""


class AddIp(Struct, frozen=True):
    """An address to put on the whitelist."""

    ip: Annotated[str, Meta(description="One IPv4 or IPv6 address.", examples=["1.1.1.1"])] = ""
    status: Switch = ""
    proxy_type: ProxyType = ""


class OneIp(Struct, frozen=True):
    """Which address."""

    ip: Annotated[str, Meta(description="One IPv4 or IPv6 address.", examples=["1.1.1.1"])] = ""
    proxy_type: ProxyType = ""


class CreateCdk(Struct, frozen=True):
    """CDKs to make."""

    flow: Annotated[
        str | int, Meta(description="What each is worth, in whole units.", examples=["3"], extra_json_schema=TEXT)
    ] = ""
    num: Annotated[str | int, Meta(description="How many.", examples=["2"], extra_json_schema=TEXT)] = ""


class ListCdk(Struct, frozen=True):
    """Which CDKs."""

    status: Annotated[
        str | int,
        Meta(description="1 unused, 2 used, 3 revoked; missing: all.", extra_json_schema=one_of("1", "2", "3")),
    ] = ""


class OneCdk(Struct, frozen=True):
    """Which CDK."""

    cdk: Annotated[str, Meta(description="The code; case matters.", examples=["LCoum2cHq1XSmTGi"])] = ""


def texts(given: Struct) -> dict[str, str]:
    """All as the texts their wire has: empty where nothing was sent."""
    return {name: _text(value) for name, value in asdict(given).items()}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
