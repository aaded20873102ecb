"""What is printed adds up, in any unit, over any edges."""

from __future__ import annotations

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.vendors.printing import KB, MB, Unit

UNITS = st.sampled_from([Unit(KB), Unit(KB, 2), Unit(MB), Unit(MB, 2), Unit(1), Unit(1_000_000, 2)])
AMOUNTS = st.integers(-(2**60), 2**100)


@given(UNITS, AMOUNTS, st.lists(AMOUNTS, min_size=1, max_size=30), st.data())
def test_rows_of_any_cut_add_up_to_the_row_of_the_whole(
    unit: Unit, before: int, parts: list[int], data: st.DataObject
) -> None:
    """Hours to days, days to the range: joining neighbours joins what is printed."""
    rows = unit.rows(before, parts)
    cut = data.draw(st.integers(0, len(parts)))
    joined = unit.rows(before, [sum(parts[:cut]), sum(parts[cut:])])
    assert joined == [sum(rows[:cut]), sum(rows[cut:])]
    assert sum(rows) == unit.steps(before + sum(parts)) - unit.steps(before)


@given(UNITS, AMOUNTS)
def test_a_printed_figure_is_the_exact_decimal_rounded_down(unit: Unit, amount: int) -> None:
    shown = Fraction(unit.text(unit.steps(amount)))
    assert shown <= Fraction(amount, unit.size) < shown + Fraction(1, 10**unit.decimals)
    assert msgspec.json.encode(unit.number(unit.steps(amount))).decode() == unit.text(unit.steps(amount))


@pytest.mark.parametrize(
    ("amount", "unit", "shown"),
    [
        (0, Unit(KB, 2), "0"),
        (1, Unit(KB, 2), "0"),
        (11, Unit(KB, 2), "0.01"),
        (1536, Unit(KB, 2), "1.5"),
        (1536, Unit(KB), "1"),
        (5 * MB, Unit(MB, 2), "5"),
        (-1, Unit(KB), "-1"),
        (-1536, Unit(KB, 2), "-1.5"),
        (16_490_653_286, Unit(MB, 2), "15726.71"),
    ],
)
def test_figures_are_printed_as_people_write_them(amount: int, unit: Unit, shown: str) -> None:
    assert unit.text(unit.steps(amount)) == shown
