"""What a vendor says, in our words."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

import pytest

from flowtally.core.reported import (
    KIB,
    MIB,
    FigureSaid,
    Unsayable,
    UseSaid,
    check_said,
    is_series,
    span_key,
    whole,
)
from flowtally.core.times import DAY_MS


@pytest.mark.parametrize(
    ("figure", "unit", "bytes_"),
    [
        ("500000", KIB, 512_000_000),
        ("4719123.98", KIB, 4_832_382_956),  # 4,832,382,955.52
        ("0.01", MIB, 10_486),  # 10,485.76
        ("15726.6", MIB, 16_490_535_322),  # 16,490,535,321.6
        ("11", MIB, 11_534_336),
    ],
)
def test_a_decimal_figure_is_the_nearest_whole_number_of_bytes(figure: str, unit: int, bytes_: int) -> None:
    assert abs(Decimal(figure) * unit - whole(Decimal(figure), unit)) <= Decimal("0.5")
    assert whole(Decimal(figure), unit) == bytes_


@pytest.mark.parametrize(("figure", "bytes_"), [("0.5", 0), ("1.5", 2), ("2.5", 2), ("-0.5", 0)])
def test_half_a_byte_leans_to_neither_side(figure: str, bytes_: int) -> None:
    assert whole(Decimal(figure), 1) == bytes_


def said(*figures: FigureSaid, **more: Any) -> UseSaid:
    usual: dict[str, Any] = {"quantity": "bytes", "grain": "day", "zone": "UTC", "starts_at": 0, "ends_at": 2 * DAY_MS}
    return UseSaid(**(usual | {"step": 1, "figures": figures} | more))


def figure(time: int = 0, sub_user: str = "bob", amount: int = 1, **more: Any) -> FigureSaid:
    key = span_key("day", time, more.get("product", "residential"), sub_user)
    usual: dict[str, Any] = {"key": key, "time": time, "sub_user": sub_user, "product": "residential"}
    return FigureSaid(**(usual | {"amount": amount} | more))


BOB: Final = "'day 1970-01-01T00:00:00Z residential bob'"


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (said(figure(), figure()), f"the figure {BOB} is said twice"),
        (said(figure(amount=2**53)), f"the figure {BOB} is 9007199254740992, beyond 9007199254740991"),
        (said(figure(amount=-1)), f"the figure {BOB} is -1: what a sub-user used is not below zero"),
        (said(figure(), of="eve"), f"the figure {BOB} is not of 'eve', of whom alone these are said to be"),
        (said(figure(), of=""), f"the figure {BOB} is not of '', of whom alone these are said to be"),
        (said(figure(), grain="pull"), f"the figure {BOB} has the key of a span"),
        (said(figure(), starts_at=1), f"the figure {BOB} is dated 0 ms, outside of the stretch from 1 to 172800000"),
        (said(figure(), grain="hour"), f"the figure {BOB} is not called 'hour 1970-01-01T00:00:00Z residential bob'"),
        (said(figure(key="day 1 Jan bob")), f"the figure 'day 1 Jan bob' is not called {BOB}"),
        (said(figure(sub_user="b" * 257)), "has 257 characters in its sub_user; at most 256"),
        (said(figure(product="a\nb")), "has a product that holds U+000A at 1: a control character is no text"),
        (said(figure(key="grant 1", time=9), grain="pull", ends_at=8), "the figure 'grant 1' is dated after now"),
        (said(starts_at=5, ends_at=5), "no stretch of time is from 5 to 5 ms"),
        (said(starts_at=5, ends_at=4, grain="pull"), "no stretch of time is from 5 to 4 ms"),
        (said(*[figure()] * 100_001), "100001 figures are said at once; at most 100000"),
    ],
)  # fmt: skip
def test_a_statement_that_means_nothing_is_named_with_its_figure(wrong: UseSaid, fault: str) -> None:
    with pytest.raises(Unsayable, match=re.escape(fault)):
        check_said(wrong)


def test_what_a_vendor_may_say_is_taken() -> None:
    check_said(said())
    check_said(said(figure(), figure(DAY_MS), figure(sub_user="", amount=-5)))
    check_said(said(figure(), of="bob"))
    check_said(said(figure(sub_user=""), of=""))
    check_said(said(figure(key="grant 1"), grain="pull", starts_at=0, ends_at=0))


def test_no_two_figures_have_one_key() -> None:
    names = ["a", "a b", "b", "%20b", "a%20b", "%", ""]
    keys = {span_key("day", 0, product, sub_user) for product in names for sub_user in names}
    assert len(keys) == len(names) ** 2


@pytest.mark.parametrize("name", ["metered", "", "Thor", "-a", "a b", "a:b", "a" * 65, "a\n"])
def test_a_name_that_is_no_providers(name: str) -> None:
    assert not is_series(name)


@pytest.mark.parametrize("name", ["thordata", "0", "a.b-c_d", "a" * 64])
def test_a_name_that_may_be_a_providers(name: str) -> None:
    assert is_series(name)


def test_a_figure_is_named_by_its_instant_and_not_by_a_local_date() -> None:
    assert span_key("day", 0, "residential", "bob") == "day 1970-01-01T00:00:00Z residential bob"
