"""Samples: what they may be, and their unit."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.samples import MAX_VALUE, ServerSample, fault_of, in_units, thousandths


@given(st.floats(-(10**12), 10**12))
def test_a_value_is_kept_to_the_nearest_thousandth(value: float) -> None:
    nearest = int((Decimal(repr(value)) * 1000).to_integral_value(ROUND_HALF_EVEN))
    assert thousandths(value) == nearest
    assert thousandths(in_units(nearest)) == nearest


def test_whole_numbers_stay_as_they_are_up_to_the_largest() -> None:
    assert thousandths(float(MAX_VALUE)) == MAX_VALUE * 1000
    assert in_units(MAX_VALUE * 1000) == MAX_VALUE


@pytest.mark.parametrize(
    ("server", "name", "value", "said"),
    [
        ("", "cpu", 1.0, "server"),
        ("a/b", "cpu", 1.0, "server"),
        ("s", "CPU", 1.0, "name"),
        ("s", "1cpu", 1.0, "name"),
        ("s", "", 1.0, "name"),
        ("s", "cpu", float("inf"), "value"),
        ("s", "cpu", float("nan"), "value"),
        ("s", "cpu", 2.0**53, "value"),
    ],
)
def test_what_can_be_no_sample_is_named(server: str, name: str, value: float, said: str) -> None:
    assert (fault_of(ServerSample(server, name, "2026-03-01T00:00:00Z", value)) or "").startswith(said)
