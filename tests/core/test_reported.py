"""What a vendor says, in our words."""

from __future__ import annotations

from decimal import Decimal

import pytest

from flowtally.core.reported import KIB, MIB, span_key, whole


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


def test_a_figure_is_named_by_its_instant_and_not_by_a_local_date() -> None:
    assert span_key("day", 0, "residential", "bob") == "day 1970-01-01T00:00:00Z residential bob"
