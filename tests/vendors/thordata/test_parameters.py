"""What a request says, and the code that refuses it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.vendors.thordata import parameters, wire
from flowtally.vendors.thordata.parameters import Range
from flowtally.vendors.thordata.wire import ThordataError


def code_of(work: Callable[[], object]) -> int:
    with pytest.raises(ThordataError) as caught:
        work()
    return caught.value.number


@pytest.mark.parametrize("name", ["ab", "abcde", "a_b_c_d", "a" * 16, "héllo1", "user 12", "user12\n"])
def test_a_name_that_is_not_6_to_15_letters_or_digits_is_10015(name: str) -> None:
    assert code_of(lambda: parameters.new_name(name)) == 10015


def test_names_of_6_and_of_15_are_taken() -> None:
    assert parameters.new_name("user12") == "user12"
    assert parameters.new_name("u" * 15) == "u" * 15


@pytest.mark.parametrize("password", ["1abcdef", "abcde", "a" * 16, "abc_def", "pässword", "password1\n"])
def test_a_password_they_would_not_take_is_10016(password: str) -> None:
    assert code_of(lambda: parameters.new_password(password)) == 10016


@pytest.mark.parametrize(
    ("text", "expected"), [("0", None), ("100", 104_857_600), ("500", 524_288_000), ("8589934591", 9007199253692416)]
)
def test_a_limit_is_megabytes_and_0_is_none(text: str, expected: int | None) -> None:
    assert parameters.limit_bytes("traffic_limit", text, lenient=False) == expected


@pytest.mark.parametrize("text", ["1", "99", "-1", "100.5", "1e3", "None", "", "abc", "8589934592", "9" * 40, "١٠٠"])
def test_a_limit_that_is_no_limit_is_10000(text: str) -> None:
    assert code_of(lambda: parameters.limit_bytes("traffic_limit", text, lenient=False)) == 10000


def test_the_none_of_their_wrapper_is_no_limit_only_where_that_is_switched_on() -> None:
    assert parameters.limit_bytes("traffic_limit", "None", lenient=True) is None
    assert parameters.limit_bytes("traffic_limit", "", lenient=True) is None
    assert code_of(lambda: parameters.limit_bytes("traffic_limit", "99", lenient=True)) == 10000


@pytest.mark.parametrize(("start", "end", "days"), [("2025-01-01", "2025-01-03", 3), ("2025-01-01", "2025-01-01", 1)])
def test_a_range_has_both_its_ends(start: str, end: str, days: int) -> None:
    assert parameters.day_range(start, end).days == days


@given(st.dates(date(1970, 1, 1), date(2100, 1, 1)), st.integers(0, 400))
def test_dates_that_are_180_days_apart_are_answered_and_one_more_is_10021(first: date, more: int) -> None:
    asked = (str(first), str(first + timedelta(more)))
    if more <= 180:
        assert parameters.day_range(*asked).days == more + 1
    else:
        assert code_of(lambda: parameters.day_range(*asked)) == 10021


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"from_date": "2025-01-01"},
        {"to_date": "2025-01-01"},
        {"from_date": "", "to_date": "2025-01-01"},
        {"from_date": "2025-01-02", "to_date": "2025-01-01"},
        {"from_date": "2025-02-30", "to_date": "2025-03-01"},
        {"from_date": "2025-1-1", "to_date": "2025-01-02"},
        {"from_date": "20250101", "to_date": "2025-01-02"},
        {"from_date": "2025-01-01 00", "to_date": "2025-01-02 00"},
        {"from_date": "1969-12-31", "to_date": "1970-01-02"},
        {"from_date": "9999-12-31", "to_date": "9999-12-31"},
        {"from_date": "٢٠٢٥-٠١-٠١", "to_date": "2025-01-02"},
    ],
)
def test_a_range_that_is_none_is_10000(asked: dict[str, str]) -> None:
    assert code_of(parameters.Days(**asked).range) == 10000


def test_hours_touch_days() -> None:
    found = parameters.hour_range("2025-07-01 23", "2025-07-02 00")
    assert found == Range(date(2025, 7, 1), date(2025, 7, 2), ("2025-07-01 23", "2025-07-02 00"))
    assert found.days == 2


@pytest.mark.parametrize(
    ("start", "end", "code"),
    [
        ("2025-07-01 01", "2025-07-01 00", 10000),
        ("2025-07-01", "2025-07-01", 10000),
        ("2025-07-01 24", "2025-07-02 00", 10000),
        ("2025-07-01 1", "2025-07-02 00", 10000),
        ("2025-02-30 01", "2025-03-02 00", 10000),
        ("2025-01-01 00", "2025-06-30 23", 200),
        ("2025-01-01 23", "2025-07-01 00", 10021),
    ],
)
def test_hours_that_are_none_or_too_many_are_refused(start: str, end: str, code: int) -> None:
    if code == 200:
        assert parameters.hour_range(start, end).days == 181
    else:
        assert code_of(lambda: parameters.hour_range(start, end)) == code


def test_families_have_numbers_and_a_default() -> None:
    assert [parameters.family_of(one) for one in ("1", "2", "3", "9")] == [
        "residential", "unlimited", "mobile", "mobile",
    ]  # fmt: skip
    assert parameters.OfFamily().family() == parameters.family_of("") == "residential"
    for text in ("0", "4", "5", "01", "x"):
        assert code_of(lambda text=text: parameters.family_of(text)) == 10000  # type: ignore[misc]


def test_several_names_are_named_once_each() -> None:
    assert parameters.names_of("user12, user34,user12") == ("user12", "user34")
    for text in ("", ",", " , ", ",".join(f"user{n:03}" for n in range(101))):
        assert code_of(lambda text=text: parameters.names_of(text)) == 10000  # type: ignore[misc]


def test_a_switch_is_true_or_false() -> None:
    assert [parameters.switch("status", one) for one in ("true", "false", "True", "1", "0")] == [
        True, False, True, True, False,
    ]  # fmt: skip
    for text in ("ture", "yes", "", "2"):
        assert code_of(lambda text=text: parameters.switch("status", text)) == 10000  # type: ignore[misc]


def test_cdk_amounts_and_numbers_are_whole_and_positive() -> None:
    assert parameters.flow_units("3") == 3
    assert parameters.how_many("2", 100) == 2
    for text in ("0", "-1", "1.5", "x", ""):
        assert code_of(lambda text=text: parameters.flow_units(text)) == 10000  # type: ignore[misc]
    for text in ("0", "-1", "101", "1.5"):
        assert code_of(lambda text=text: parameters.how_many(text, 100)) == 10003  # type: ignore[misc]
    assert code_of(lambda: parameters.how_many("", 100)) == 10000


def test_cdk_states_are_1_2_and_3_or_all() -> None:
    assert [parameters.cdk_status(one) for one in ("", "1", "2", "3")] == [None, 1, 2, 3]
    assert code_of(lambda: parameters.cdk_status("4")) == 10000


def test_a_refusal_names_the_parameter_but_never_its_value() -> None:
    """Values may be secrets that were put into the wrong place."""
    with pytest.raises(ThordataError) as caught:
        parameters.limit_bytes("traffic_limit", "hunter2", lenient=False)
    assert "traffic_limit" in caught.value.message
    assert "hunter2" not in wire.encode_error(caught.value).decode()
