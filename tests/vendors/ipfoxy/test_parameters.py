"""What IPFoxy's clients may ask, and what is a wrong parameter. Parameters arrive as text."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.errors import BadRequest
from flowtally.core.times import HOUR_MS
from flowtally.vendors.ipfoxy import parameters
from flowtally.vendors.ipfoxy.parameters import OLDEST_DAYS
from flowtally.vendors.ipfoxy.rows import UTC_PLUS_8, Unit

NOW = 1_757_000_000_000
ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC", "Asia/Shanghai", "Asia/Kathmandu", "Pacific/Kiritimati", "Etc/GMT+12", "America/New_York",
        "Europe/Berlin", "Africa/Casablanca", "Antarctica/Troll", "Australia/Lord_Howe", "America/Santiago",
    )
]  # fmt: skip
USAGE = {"account": "ABCDEFHGJ2000", "start_time": "1756000000", "end_time": "1756086399", "unit": "2"}
HISTORY = {"start_timestamp": "1756000000", "end_timestamp": "1756086399"}
CREATION = {"account": "ABCDEFHGJ2000", "password": "0123456789", "flow": "1024", "idempotency_key": "key-of-2025"}


def read(into: Any, *sent: dict[str, str]) -> Any:
    """As a request's parameters are read."""
    merged = {name: value for one in sent for name, value in one.items()}
    return msgspec.convert(merged, into, strict=False)


def usage(**changed: str) -> parameters.Range:
    return parameters.usage_range(read(parameters.UsageAsked, USAGE, changed), NOW)


def test_a_usage_question_has_its_defaults_and_both_ends_inclusive() -> None:
    asked = read(parameters.UsageAsked, USAGE, {"undocumented": "x"})
    assert (asked.page, asked.page_size) == (1, 20)
    assert usage() == parameters.Range("day", 1_756_000_000_000, 1_756_086_399_999, UTC_PLUS_8)
    assert usage(unit="1").unit == "hour"


@pytest.mark.parametrize(("value", "hours"), [("0", 8), ("-8", 0), ("6", 14), ("-20", -12), ("-0", 8)])
def test_timezone_offset_is_hours_added_to_utc_plus_8(value: str, hours: int) -> None:
    assert usage(timezone_offset=value).offset == hours * HOUR_MS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("account", ""),
        *[("start_time", value) for value in ("", "x", "1756000000.5", "-1", "1756000000000", "1756086400", "0")],
        *[("start_time", value) for value in ("١٧٥٦٠٠٠٠٠٠", " 1756000000", "+1756000000", "9" * 5000)],
        *[("end_time", value) for value in ("", "today", "1756086399000", "99999999999")],
        *[("unit", value) for value in ("", "0", "3", "day")],
        *[("page", value) for value in ("", "0", "-1", "x", "1.5")],
        *[("page_size", value) for value in ("", "9", "101", "0", "x")],
        *[("timezone_offset", value) for value in ("", "7", "-21", "+8", "0.5", "x", "480", "28800")],
    ],
)
def test_a_wrong_parameter_is_refused(name: str, value: str) -> None:
    with pytest.raises((BadRequest, msgspec.ValidationError), match=name):
        usage(**{name: value})


@pytest.mark.parametrize("missing", USAGE)
def test_a_missing_parameter_is_named(missing: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=f"missing required field `{missing}`"):
        read(parameters.UsageAsked, {name: value for name, value in USAGE.items() if name != missing})


def test_the_day_of_90_days_ago_is_counted_from_its_first_second_and_the_end_may_be_still_to_come() -> None:
    floor = NOW // 1000 - 91 * 86_400 - 7_200 - 300
    assert usage(start_time=str(floor)).start == floor * 1000
    with pytest.raises(BadRequest, match="90 days"):
        usage(start_time=str(floor - 1))
    assert usage(end_time="9999999999").end == 9_999_999_999_999


@given(st.datetimes(datetime(2020, 1, 1), datetime(2038, 1, 1)), st.sampled_from(ZONES))
def test_the_midnight_of_90_days_ago_can_be_asked_for_wherever_the_caller_is(now: datetime, zone: ZoneInfo) -> None:
    """As callers reckon it: today at midnight by their own clock, less 90 days of its calendar."""
    at = now.replace(tzinfo=zone)
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(OLDEST_DAYS)
    start = int(midnight.timestamp())
    asked = read(parameters.UsageAsked, USAGE, {"start_time": str(start), "end_time": str(start)})
    assert parameters.usage_range(asked, int(at.timestamp() * 1000)).start == start * 1000


@pytest.mark.parametrize(("sent", "unit"), [({"is_hour": "1"}, "hour"), ({"is_hour": "0"}, "day"), ({}, "day")])
def test_a_history_is_of_days_in_utc_plus_8_unless_hours_are_asked_for(sent: dict[str, str], unit: Unit) -> None:
    asked = read(parameters.HistoryAsked, HISTORY, sent)
    assert parameters.history_range(asked, NOW) == parameters.Range(
        unit, 1_756_000_000_000, 1_756_086_399_999, UTC_PLUS_8
    )


@pytest.mark.parametrize(
    "changed",
    [{"is_hour": "2"}, {"page": "26"}, {"page": "0"}, {"start_timestamp": ""}, {"end_timestamp": "x"},
     {"start_timestamp": "1756086400"}, {"start_timestamp": "1700000000"}],
)  # fmt: skip
def test_a_wrong_parameter_of_a_history_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises((BadRequest, msgspec.ValidationError), match=next(iter(changed))):
        parameters.history_range(read(parameters.HistoryAsked, HISTORY, changed), NOW)


def test_traffic_is_allocated_in_mb_of_1048576_bytes_for_ever_or_for_some_days() -> None:
    for into in (parameters.Creating, parameters.Allocating):
        assert read(into, CREATION, {"proxy_type": "2"}).day == 0
        assert [read(into, CREATION, {"day": day}).day for day in ("0", "30", "90", "180", "360")]
    assert parameters.amount_of(1024) == 2**30
    assert parameters.expiry_of(0, NOW) is None
    assert parameters.expiry_of(30, NOW) == NOW + 30 * 24 * HOUR_MS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("account", value) for value in ("", "a" * 9, "a" * 16)],
        *[("password", value) for value in ("", "p" * 9, "p" * 16)],
        *[("flow", value) for value in ("", "0", "-1", "1.5", "1GB", str(2**33), "9" * 17)],
        *[("day", value) for value in ("", "1", "31", "360.0", "361", "-30")],
        *[("idempotency_key", value) for value in ("", "k" * 9, "k" * 26)],
    ],
)
def test_a_wrong_field_of_a_new_sub_account_is_refused(name: str, value: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=name):
        read(parameters.Creating, CREATION, {name: value})


@pytest.mark.parametrize(
    ("ip", "addresses"),
    [
        ("", []),
        (" ", []),
        ("203.0.113.7", ["203.0.113.7"]),
        ("203.0.113.7, 2001:DB8::0:1,203.0.113.7", ["203.0.113.7", "2001:db8::1"]),
    ],
)
def test_a_whitelist_is_a_list_of_addresses_each_once(ip: str, addresses: list[str]) -> None:
    assert parameters.addresses_of(ip) == addresses


@pytest.mark.parametrize("ip", ["x", "1.2.3.4,", ",", "1.2.3.0/24", "1.2.3.4:80", "1.2.3.4;5.6.7.8"])
def test_what_is_no_address_is_refused(ip: str) -> None:
    with pytest.raises(BadRequest, match="is no IP address"):
        parameters.addresses_of(ip)
