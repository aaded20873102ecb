"""What IPFoxy's clients may ask, and what is a wrong parameter."""

from __future__ import annotations

from typing import Any

import pytest

from flowtally.errors import BadRequest
from flowtally.vendors.ipfoxy import questions
from flowtally.vendors.ipfoxy.buckets import HOUR_MS, Unit

NOW = 1_757_000_000_000
DAY_S = 86_400
FLOOR_S = NOW // 1000 - 90 * DAY_S
USAGE = {"account": "ABCDEFHGJ2000", "start_time": "1756000000", "end_time": "1756086399", "unit": "2"}
ALLOCATION = {"account": "ABCDEFHGJ2000", "flow": "1024", "idempotency_key": "key-of-2025"}


def usage(**changed: str) -> questions.Usage:
    return questions.usage_asked(USAGE | changed, NOW)


def test_a_usage_question_has_its_defaults_and_both_ends_inclusive() -> None:
    asked = questions.Usage("ABCDEFHGJ2000", "day", 1_756_000_000_000, 1_756_086_399_999, 1, 20, 8 * HOUR_MS)
    assert usage() == asked
    assert usage(page="", page_size="", timezone_offset="", another="x") == asked


@pytest.mark.parametrize(("value", "hours"), [("0", 8), ("-8", 0), ("6", 14), ("-20", -12), ("-0", 8)])
def test_timezone_offset_is_hours_added_to_utc_plus_8(value: str, hours: int) -> None:
    assert usage(timezone_offset=value).offset == hours * HOUR_MS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("account", ""),
        *[("start_time", value) for value in ("", "x", "1756000000.0", "-1", "1756000000000", "1756086400", "0")],
        *[("start_time", value) for value in ("١٧٥٦٠٠٠٠٠٠", " 1756000000", "+1756000000", "9" * 5000)],
        *[("end_time", value) for value in ("", "today", "1756086399000", "99999999999")],
        *[("unit", value) for value in ("", "0", "3", "day", "1.0")],
        *[("page", value) for value in ("0", "-1", "x", "1.5")],
        *[("page_size", value) for value in ("9", "101", "0", "x")],
        *[("timezone_offset", value) for value in ("7", "-21", "+8", "0.5", "x", "480", "28800")],
    ],
)
def test_a_wrong_parameter_is_named(name: str, value: str) -> None:
    with pytest.raises(BadRequest, match="start_time" if value == "0" and name == "start_time" else name):
        usage(**{name: value})


def test_a_missing_parameter_is_named() -> None:
    for name in USAGE:
        with pytest.raises(BadRequest, match=f"{name} is missing"):
            questions.usage_asked({key: value for key, value in USAGE.items() if key != name}, NOW)


def test_90_days_are_counted_with_a_few_minutes_of_slack_and_the_end_may_be_still_to_come() -> None:
    assert usage(start_time=str(FLOOR_S - 299)).start == (FLOOR_S - 299) * 1000
    with pytest.raises(BadRequest, match="90 days"):
        usage(start_time=str(FLOOR_S - 301))
    assert usage(end_time="9999999999").end == 9_999_999_999_999


@pytest.mark.parametrize(("is_hour", "unit"), [("1", "hour"), ("0", "day"), ("", "day")])
def test_a_history_is_of_days_unless_hours_are_asked_for(is_hour: str, unit: Unit) -> None:
    given = {"start_timestamp": "1756000000", "end_timestamp": "1756086399", "is_hour": is_hour}
    asked = questions.history_asked(given, NOW)
    assert asked == questions.History(None, unit, 1_756_000_000_000, 1_756_086_399_999, 1)
    assert questions.history_asked(given | {"account": "bob", "page": "25"}, NOW).page == 25


@pytest.mark.parametrize("changed", [{"is_hour": "2"}, {"page": "26"}, {"start_timestamp": ""}, {"end_timestamp": "x"}])
def test_a_wrong_parameter_of_a_history_is_named(changed: dict[str, str]) -> None:
    given = {"start_timestamp": "1756000000", "end_timestamp": "1756086399"} | changed
    with pytest.raises(BadRequest, match=next(iter(changed))):
        questions.history_asked(given, NOW)


def test_traffic_is_allocated_in_mb_of_1048576_bytes_for_ever_or_for_some_days() -> None:
    asked = questions.Allocation("ABCDEFHGJ2000", 2**30, 0, "key-of-2025")
    assert questions.allocation_asked(ALLOCATION) == asked
    for day in ("0", "30", "90", "180", "360"):
        assert questions.allocation_asked(ALLOCATION | {"day": day}).days == int(day)
    made = questions.creation_asked(ALLOCATION | {"password": "0123456789", "proxy_type": "2"})
    assert made == questions.Creation(asked, "0123456789")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("account", value) for value in ("", "a" * 9, "a" * 16)],
        *[("password", value) for value in ("", "p" * 9, "p" * 16)],
        *[("flow", value) for value in ("", "0", "-1", "1.5", "1GB", str(2**33), "9" * 17)],
        *[("day", value) for value in ("1", "31", "360.0", "361", "-30")],
        *[("idempotency_key", value) for value in ("", "k" * 9, "k" * 26)],
    ],
)
def test_a_wrong_field_of_a_new_sub_account_is_named_and_a_password_never_repeated(name: str, value: str) -> None:
    given = ALLOCATION | {"password": "0123456789"} | {name: value}
    with pytest.raises(BadRequest, match=name) as refused:
        questions.creation_asked(given)
    assert "0123456789" not in str(refused.value)
    assert "pppp" not in str(refused.value)


@pytest.mark.parametrize(
    ("ip", "addresses"),
    [
        ("", ()),
        ("203.0.113.7", ("203.0.113.7",)),
        ("203.0.113.7, 2001:DB8::0:1,203.0.113.7", ("203.0.113.7", "2001:db8::1")),
    ],
)
def test_a_whitelist_is_a_list_of_addresses_each_once(ip: str, addresses: tuple[str, ...]) -> None:
    assert questions.whitelist_asked({"account": "bob", "ip": ip}).addresses == addresses


@pytest.mark.parametrize("given", [{}, {"ip": "x"}, {"ip": "1.2.3.4,"}, {"ip": "1.2.3.0/24"}, {"ip": "1.2.3.4:80"}])
def test_no_list_and_what_is_no_address_are_wrong(given: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="ip"):
        questions.whitelist_asked({"account": "bob"} | given)
