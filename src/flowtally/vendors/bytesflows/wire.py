"""BytesFlows' wire, both ways: the envelope, the two answers, money and clock times as text. Pure.

Owns the names, types and spellings on the wire. Leaves what the figures are to `routes`, and asking BytesFlows to
whoever pulls from it. We print strictly (whole bytes, 0 or 1, two decimals); we read what a vendor may well send:
unknown members, whole numbers as text, a balance of `0`, `0.0` or `"0.00"`.

Source: https://bytesflows.com/docs/api/traffic. It publishes no error, no zone and no expiry "never"; the readings
taken are in docs/dialects/bytesflows.md.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from flowtally.core.times import EPOCH

ASSET: Final = "/api/v1/dashboard/asset"
OK: Final = 200
BAD_PARAMETER: Final = 400
THROTTLED: Final = 429
FAULT: Final = 500
NO_ANSWER: Final = 502  # our code for an answer that is none
SUCCESS: Final = "success"
MESSAGES: Final = {
    BAD_PARAMETER: "bad parameter",
    401: "missing or invalid token",
    403: "not allowed",
    404: "not found",
    405: "method not allowed",
    THROTTLED: "too many requests",
    FAULT: "internal error",
    503: "temporarily unavailable",
}

_MICROS_PER_CENT: Final = 10_000
_MAX_MONEY_DIGITS: Final = 18  # before the decimal point: far above any balance, far below what would cost memory
_CLOCK: Final = "%Y-%m-%d %H:%M:%S"
_LAST: Final = "9999-12-31 23:59:59"  # what a four-digit year can say

T = TypeVar("T", bound=msgspec.Struct)
Money = Annotated[msgspec.Raw, Meta(description="Two decimals, rounded down.", extra_json_schema={"type": "number"})]


class Asset(msgspec.Struct, frozen=True, rename="camel"):
    """`used` has no member: it is `totalTraffic - dynamicTraffic`."""

    total_traffic: Annotated[int, Meta(description="Bytes of all active grants.")]
    dynamic_traffic: Annotated[int, Meta(description="Bytes of them that are left.")]
    balance: Money
    currency: Annotated[str, Meta(description="ISO 4217.")]

    @property
    def balance_micros(self) -> int:
        return read_money(self.balance)


class Record(msgspec.Struct, frozen=True, rename="camel"):
    """One grant. The times are clock times of an unpublished zone: kept as they came, `read_time` places them.

    id: The id of the grant.
    """

    id: str
    order_id: Annotated[str, Meta(description="The order of a purchase, the task of a reward.")]
    source_type: Annotated[str, Meta(description="`order`, `sign`, or any other source of a grant.")]
    traffic: Annotated[int, Meta(description="Bytes granted.")]
    traffic_used: Annotated[int, Meta(description="Bytes it has paid for.")]
    create_time: Annotated[str, Meta(description="`YYYY-MM-DD HH:MM:SS` in the zone of the settings.")]
    expire_time: Annotated[str, Meta(description="The same; a far date if it never expires.")]
    status: Annotated[
        int, Meta(description="1 active, 0 not (any longer, or not yet).", extra_json_schema={"enum": [0, 1]})
    ]

    @property
    def is_active(self) -> bool:
        """Only two values are documented; any other is taken for not active."""
        return self.status == 1


class Records(msgspec.Struct, frozen=True):
    """One page of grants.

    records: The grants, the latest first.
    total: How many match, over all pages.
    """

    records: list[Record]
    total: int


class Envelope(msgspec.Struct, frozen=True):
    code: int
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class Refusal(msgspec.Struct, frozen=True):
    """Any error.

    code: What is wrong: the HTTP status.
    msg: The same in words.
    data: Nothing.
    """

    code: int
    msg: str
    data: None = None


class Refused(Exception):
    """BytesFlows said no, or something that is no answer. `code` is the envelope's, else the HTTP status."""

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(f"BytesFlows answered {code}: {msg}")
        self.code = code
        self.msg = msg

    @property
    def is_retryable(self) -> bool:
        return self.code == THROTTLED or self.code >= FAULT


# -- What we answer ---------------------------------------------------------------------------------------------------


def encode(data: msgspec.Struct) -> bytes:
    """The body of an answer that succeeded."""
    return msgspec.json.encode(Envelope(OK, SUCCESS, msgspec.Raw(msgspec.json.encode(data))))


def encode_error(code: int, msg: str) -> bytes:
    """The body of any other; its HTTP status is `code`."""
    return msgspec.json.encode(Envelope(code, msg))


def show_money(micros: int) -> msgspec.Raw:
    """`12.34`, a JSON number: rounded down, so that it never says more than there is."""
    whole, cents = divmod(abs(micros) // _MICROS_PER_CENT if micros >= 0 else -(micros // _MICROS_PER_CENT), 100)
    return msgspec.Raw(f"{'-' if micros < 0 else ''}{whole}.{cents:02d}".encode())


def show_time(at: int, zone: ZoneInfo) -> str:
    """The instant as the zone's clock shows it, to the second. The last second of the year 9999 stands for later."""
    try:
        return (EPOCH + timedelta(milliseconds=at)).astimezone(zone).strftime(_CLOCK)
    except OverflowError:
        return _LAST


# -- What BytesFlows answers ------------------------------------------------------------------------------------------


def decode(status: int, body: bytes, into: type[T]) -> T:
    """The `data` of an answer. Refused unless HTTP and the envelope both say success and the data can be read: an error
    may come with its status in either of them."""
    try:
        envelope = msgspec.json.decode(body, type=Envelope, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused(NO_ANSWER if _succeeded(status) else status, "no envelope") from None
    if envelope.code != OK or not _succeeded(status):
        raise Refused(status if envelope.code == OK else envelope.code, envelope.msg)
    try:
        return msgspec.json.decode(envelope.data, type=into, strict=False)
    except msgspec.DecodeError as error:
        raise Refused(NO_ANSWER, str(error)) from None


def read_money(money: bytes | msgspec.Raw) -> int:
    """A JSON number, or text that is one, in micros; what is finer is cut off. ValueError for anything else."""
    text = bytes(money).decode().strip('"')
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text[:40]!r} is no amount of money") from None
    if not amount.is_finite() or amount.adjusted() >= _MAX_MONEY_DIGITS:
        raise ValueError(f"{text[:40]!r} is no amount of money")
    return int(amount.scaleb(6))


def read_time(text: str, zone: ZoneInfo) -> int:
    """The instant of a clock time in that zone, in milliseconds; of an hour that comes twice the first. ValueError."""
    local = datetime.strptime(text, _CLOCK).replace(tzinfo=zone)
    return (local - EPOCH) // timedelta(milliseconds=1)


def _succeeded(status: int) -> bool:
    return 200 <= status < 300
