"""Quantities are exact, bounded and never made up."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.reported import KIB, MAX_FIGURES, MIB
from flowtally.providers.puller import ChangedShape, Failed, VendorAnswer
from flowtally.providers.quantities import (
    days_at_once,
    first_of,
    micros,
    seconds,
    size,
    step,
    switch,
    unit_of,
    used,
)
from flowtally.providers.reading import InAnswer


def of(value: Any) -> InAnswer:
    return InAnswer(value, "data.flow", VendorAnswer(200, {}, b"{}"))


@given(st.integers(0, 10**9), st.integers(0, 4), st.sampled_from([KIB, MIB]))
def test_a_figure_is_within_half_a_byte_and_its_step_is_at_most_one_too_many(n: int, places: int, unit: int) -> None:
    told = Decimal(n).scaleb(-places)
    exact = Decimal(n * unit) / 10**places
    assert abs(size(of(str(told)), unit) - exact) <= Decimal("0.5")
    assert used(of(told), unit) == told
    smallest = Decimal(unit) / 10**places
    assert smallest <= step([told], unit) < smallest + 1


def test_the_step_is_that_of_the_figure_with_most_decimals() -> None:
    assert step([], MIB) == step([Decimal(5), Decimal("1E+2")], MIB) == MIB
    assert step([Decimal("1.5"), Decimal("2.25"), Decimal(7)], MIB) == 10_486
    assert step([Decimal("0.000000001")], KIB) == 1


def test_a_balance_may_be_below_zero_and_use_may_not() -> None:
    assert size(of("-1.5"), KIB) == -1536
    with pytest.raises(ChangedShape, match=r"data\.flow is below zero"):
        used(of(-1), KIB)


@pytest.mark.parametrize("read", [lambda told: used(told, MIB), lambda told: size(told, MIB), micros])
@pytest.mark.parametrize("bad", [2**53, "9" * 25, None, "", True, "1e5", []])
def test_what_no_store_keeps_is_no_quantity(read: Any, bad: Any) -> None:
    with pytest.raises(ChangedShape, match=r"data\.flow"):
        read(of(bad))


def test_money_is_in_millionths() -> None:
    assert [micros(of(one)) for one in ("800", 12, Decimal("-0.01"), "0.1234565")] == [800_000_000, 12_000_000, -10_000,
                                                                                     123_456]  # fmt: skip


def test_units_are_binary() -> None:
    assert (unit_of(of("KB")), unit_of(of("mb"))) == (KIB, MIB)
    with pytest.raises(ChangedShape, match="no unit"):
        unit_of(of("GB"))


def test_seconds_are_no_milliseconds() -> None:
    assert seconds(of("1725231600")) == 1_725_231_600_000
    with pytest.raises(ChangedShape, match="no time"):
        seconds(of("1725231600000"))


@pytest.mark.parametrize("told", [True, "true", "TRUE", 1, "1"])
def test_a_switch_may_be_a_text(told: Any) -> None:
    assert switch(of(told)) is True


@pytest.mark.parametrize("told", ["yes", 2, None, ""])
def test_what_is_no_switch_is_neither_on_nor_off(told: Any) -> None:
    with pytest.raises(ChangedShape, match="neither"):
        switch(of(told))


def test_the_first_name_that_has_something_counts() -> None:
    assert first_of(of({"a": None, "b": 2, "c": 3}), "a", "b", "c").value == 2
    with pytest.raises(ChangedShape, match="no member x"):
        first_of(of({}), "x", "y")


def test_a_statement_is_never_of_more_figures_than_it_may_have() -> None:
    for users in (0, 1, 200, 4000):
        days = days_at_once(180, users, 24)
        assert 1 <= days <= 180
        assert days * (users + 1) * 24 <= MAX_FIGURES
    with pytest.raises(Failed, match="5000 sub-users"):
        days_at_once(180, 5000, 24)
