"""RADIUS accounting: from the attributes of an Accounting-Request to a reading of the session's counters. Pure.

Owns what the attributes mean (RFC 2866, 2869) in the shapes FreeRADIUS writes them as JSON, what a session's counter is
called, and when it began. Leaves the request to `api`, and to `counters` what a reading adds.

A session is `NAS/Acct-Session-Id/user`, the user as a digest: rows' ids are kept for ever, and names can be erased. An
id comes again after a NAS has crashed, so the session's epoch is the instant it began: that of the event less
`Acct-Session-Time`. The event's instant is `Event-Timestamp`, which says when it happened however late it is sent;
where a NAS does not send it (or has not set its clock yet) it is now less `Acct-Delay-Time`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from hashlib import blake2s
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from flowtally.core.edges import format_instant, parse_instant
from flowtally.core.errors import BadRange, Unprocessable
from flowtally.core.events import MAX_QUANTITY
from flowtally.core.readings import LOW_WORD, Reading
from flowtally.core.texts import printable
from flowtally.core.times import MONTH_NAMES

START, STOP, INTERIM, ON, OFF = 1, 2, 3, 7, 8
STATUSES: Final = {
    "start": START,
    "stop": STOP,
    "interim-update": INTERIM,
    "alive": INTERIM,
    "accounting-on": ON,
    "accounting-off": OFF,
}
_NUMBERS: Final = frozenset(map(str, STATUSES.values()))
CLOCK_SET_S: Final = 1_000_000_000  # 2001: before it a clock has not been set since the NAS started (hostapd's rule)
MAX_SHOWN: Final = 60
REALM: Final = "realm"  # of User-Name: `user@realm`, `realm\user`

_SAFE: Final = re.compile(r"[A-Za-z0-9._:@+=-]{1,64}")
# FreeRADIUS 3 prints a date as `strftime("%b %e %Y %H:%M:%S %Z")` in its own zone.
_DATE: Final = re.compile(r"([A-Z][a-z]{2}) +(\d{1,2}) (\d{4}) (\d\d):(\d\d):(\d\d) ([A-Za-z]{1,6}|[+-]\d{2,4})")

Attributes = Mapping[str, Any]  # by name in small letters: a text or a number


class RadiusMapping(msgspec.Struct, frozen=True):
    """How sessions become readings. `account_from`, `user_from`, `product_from` name the attribute that says it, or
    `realm`; `account` and `product` are those of sessions that say none. `zone`: FreeRADIUS's."""

    source: str
    account: str = ""
    account_from: str = ""
    user_from: str = "User-Name"
    product: str = ""
    product_from: str = ""
    interval_s: int | None = None
    zone: ZoneInfo | None = None


def attributes_of(body: bytes) -> dict[str, Any]:
    """The attributes of a request, of several values the first. All shapes of `body = 'json'`: FreeRADIUS 3's
    `{"User-Name": {"type": "string", "value": ["bob"]}}`, and of version 4 also the plain object and the array of
    names, types and values. ValueError."""
    decoded = msgspec.json.decode(body)
    if isinstance(decoded, list):
        decoded = {str(one["name"]): one for one in decoded if isinstance(one, dict) and "name" in one}
    if not isinstance(decoded, dict):
        raise ValueError("the attributes are no object")
    return {name.lower(): text for name, value in decoded.items() if (text := _plain(value)) is not None}


def _plain(value: Any) -> str | int | None:
    octets = False
    if isinstance(value, dict):
        octets, value = value.get("type") == "octets", value.get("value")
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, float | bool):
        return str(value)  # no number of RADIUS: where one must stand it is refused, not left out
    if not isinstance(value, str | int):
        return None
    return _text_of(value) if octets and isinstance(value, str) else value


def _text_of(octets: str) -> str:
    """`0x616263` as the text it is, if it is one."""
    try:
        return bytes.fromhex(octets.removeprefix("0x")).decode()
    except ValueError:
        return octets


def reading_of(said: Attributes, asked: RadiusMapping, at: int) -> Reading | None:
    """What the request, received `at` (ms), says of a session; of a NAS that starts or stops, that its sessions are
    over; None where it says nothing of a counter. Unprocessable names what is missing or wrong."""
    status = _status(said)
    if status not in STATUSES.values():
        return None
    event, time = _event(said, asked, at)
    if status in (ON, OFF):
        return Reading(source=asked.source, time=format_instant(time), closes=f"{_nas(said)}/")
    return _session(said, asked, status, event, time)


def _session(said: Attributes, asked: RadiusMapping, status: int, event: int, time: int) -> Reading:
    user, realm = _user(said, asked)
    (up, up_known), (down, down_known) = _octets(said, "input"), _octets(said, "output")
    wide = up_known or down_known
    if status == START:  # nothing was sent yet; a Start that says otherwise (0) says the same
        up, down, wide = 0, 0, True
    if up is None and down is None and status != STOP:
        raise _wrong(said, "an Interim-Update must have Acct-Input-Octets or Acct-Output-Octets")
    ran = _number(said, "acct-session-time") if status != START else 0
    return Reading(
        source=asked.source,
        time=format_instant(time),
        counter=_counter(said, str(said.get("user-name", ""))),
        account=_account(said, asked, realm),
        user=user,
        product=_named(said, asked.product_from) or asked.product,
        bytes_up=up,
        bytes_down=down,
        epoch="" if ran is None else format_instant(_began(said, event, ran)),
        epoch_derived=ran is not None,
        width=64 if wide else 32,
        final=status == STOP,
        from_zero=True,
        interval_s=asked.interval_s,
    )


def _began(said: Attributes, event: int, ran: int) -> int:
    began = event - ran * 1000
    if began < 0:
        raise _wrong(said, f"Acct-Session-Time {ran}: it would have begun before 1970")
    return began


def _status(said: Attributes) -> int:
    value = said.get("acct-status-type")
    if value is None:
        raise _wrong(said, "Acct-Status-Type is missing")
    if isinstance(value, str) and value.lower() in STATUSES:
        return STATUSES[value.lower()]
    return int(value) if str(value) in _NUMBERS else 0


def _octets(said: Attributes, way: str) -> tuple[int | None, bool]:
    """Bytes of a direction, and whether the high word is known. Input is what the user sent."""
    low = _number(said, f"acct-{way}-octets")
    high = _number(said, f"acct-{way}-gigawords")
    if low is None and high is None:
        return None, False
    # More than a low word was added up already, as FreeRADIUS's `acct_counters64` does.
    added_up = low is not None and low >= LOW_WORD
    value = (low or 0) + (0 if added_up else (high or 0) * LOW_WORD)
    if value > MAX_QUANTITY:
        raise _wrong(said, f"Acct-{way.capitalize()}-Octets and -Gigawords are {value}, more than can be kept")
    return value, added_up or high is not None


def _number(said: Attributes, name: str) -> int | None:
    value = said.get(name)
    if value is None or value == "":
        return None
    text = str(value)
    if not (text.isascii() and text.isdecimal() and len(text) <= 16):
        raise _wrong(said, f"{name.title()} {printable(text, MAX_SHOWN)!r} is no number")
    return int(text)


def _event(said: Attributes, asked: RadiusMapping, at: int) -> tuple[int, int]:
    """When it happened by the NAS's clock, and the instant to date it by: not later than it was received."""
    event = _timestamp(said, asked)
    if event is None or event < CLOCK_SET_S * 1000:
        delay = _number(said, "acct-delay-time") or 0
        if delay * 1000 > at:
            raise _wrong(said, f"Acct-Delay-Time {delay}: it would have happened before 1970")
        event = at - delay * 1000
    return event, min(event, at)


def _timestamp(said: Attributes, asked: RadiusMapping) -> int | None:
    value = said.get("event-timestamp")
    if value is None:
        return None
    text = str(value)
    if text.isascii() and text.isdecimal() and len(text) <= 10:
        return int(text) * 1000
    if (found := _DATE.fullmatch(text)) is not None and found[1] in MONTH_NAMES:
        return _dated(said, found, asked.zone)
    try:
        return parse_instant(text)
    except BadRange:
        raise _wrong(said, f"Event-Timestamp {printable(text, MAX_SHOWN)!r} is no instant") from None


def _dated(said: Attributes, found: re.Match[str], zone: ZoneInfo | None) -> int:
    month, name = MONTH_NAMES.index(found[1]) + 1, found[7]
    day, year, hour, minute, second = map(int, found.groups()[1:6])
    try:
        local = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the zone follows
    except ValueError:
        raise _wrong(said, f"Event-Timestamp {found[0]!r} is no instant") from None
    if name in ("UTC", "GMT", "Z"):
        return _ms(local, UTC)
    for fold in (0, 1):  # the hour that comes twice has two names
        if zone is not None and local.replace(tzinfo=zone, fold=fold).tzname() == name:
            return _ms(local.replace(fold=fold), zone)
    raise _wrong(said, f"Event-Timestamp {found[0]!r}: say in which zone FreeRADIUS runs (?zone=), or run it in UTC")


def _ms(local: datetime, zone: tzinfo) -> int:
    return int(local.replace(tzinfo=zone).timestamp()) * 1000


def _nas(said: Attributes) -> str:
    for name in ("nas-identifier", "nas-ipv6-address", "nas-ip-address"):
        if value := said.get(name):
            return _safe(str(value))
    raise _wrong(said, "NAS-Identifier, NAS-IP-Address and NAS-IPv6-Address are missing")


def _counter(said: Attributes, user: str) -> str:
    session = said.get("acct-session-id")
    if session in (None, ""):
        raise _wrong(said, "Acct-Session-Id is missing")
    return f"{_nas(said)}/{_safe(str(session))}/{_digest(user)}"


def _safe(text: str) -> str:
    return text if _SAFE.fullmatch(text) else _digest(text)


def _digest(text: str) -> str:
    return blake2s(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _user(said: Attributes, asked: RadiusMapping) -> tuple[str, str]:
    """The user's name and realm; the name keeps the realm unless that is asked for as the account."""
    name = _named(said, asked.user_from)
    if asked.account_from != REALM:
        return name, ""
    domain, backslash, bare = name.partition("\\")
    if backslash:
        return bare, domain
    bare, at, realm = name.rpartition("@")
    return (bare, realm) if at else (name, "")


def _account(said: Attributes, asked: RadiusMapping, realm: str) -> str:
    account = (realm if asked.account_from == REALM else _named(said, asked.account_from)) or asked.account
    if not account:
        raise _wrong(
            said, f"no account: {asked.account_from or 'neither `account` nor `account_from`'} says whose it is"
        )
    return account


def _named(said: Attributes, attribute: str) -> str:
    return str(said.get(attribute.lower(), "")) if attribute else ""


def _wrong(said: Attributes, what: str) -> Unprocessable:
    """With what an operator finds the session by; without the user's name."""
    session = printable(str(said.get("acct-session-id", "")), MAX_SHOWN)
    return Unprocessable(f"Accounting of session {session!r}: {what}.")
