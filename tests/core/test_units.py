"""Amounts as people write them, exactly."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.units import (
    exact_bytes,
    human_bytes,
    human_count,
    human_money,
    human_parts,
    parse_amount,
    parse_money,
    same_unit,
)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0),
        ("250", 250),
        ("250B", 250),
        ("10k", 10_000),
        ("100GB", 100 * 1000**3),
        ("100 gb", 100 * 1000**3),
        ("1.5 GiB", 3 * 512 * 1024**2),
        ("1.5GB", 1_500_000_000),
        ("0.001kB", 1),
        (" 2 TiB ", 2 * 1024**4),
        ("9007199254.740991 MB", 2**53 - 1),
        ("9.007199254740993 PB", 9007199254740993),  # a float would lose the last unit
        ("1234567890123456789012345678901 EB", 1234567890123456789012345678901 * 10**18),
        ("3 Mi", 3 * 1024**2),
    ],
)
def test_an_amount_is_read_exactly(text: str, amount: int) -> None:
    assert parse_amount(text) == amount


@pytest.mark.parametrize(
    "text",
    ["", " ", "GB", "+1", "1,5 GB", "1.GB", ".5GB", "1e9", "inf", "nan", "0x10", "1 Mbit", "1 XB", "iB", "1iB",
     "١٢", "1 2", "9" * 1000, "1\x00", "1_000"],
)  # fmt: skip
def test_what_is_no_amount_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount"):
        parse_amount(text)


@pytest.mark.parametrize("text", ["-1", "-5GB", "-1.5 GiB"])
def test_an_amount_below_zero_is_told_apart(text: str) -> None:
    with pytest.raises(ValueError, match="is below zero"):
        parse_amount(text)


@pytest.mark.parametrize("text", ["0.5", "1.5 B", "0.0001 kB", "0.1 KiB", "1.0000000000000000000000000001 EB"])
def test_an_amount_that_is_not_whole_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a whole number"):
        parse_amount(text)


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (999_999, "999.99 kB"),  # not "1000 kB", and not more than there is
        (1_500_000, "1.5 MB"),
        (100 * 1000**3, "100 GB"),
        (12_345_678_901, "12.34 GB"),
        (1_050_000, "1.05 MB"),
        (-1_500, "-1.5 kB"),
        (12 * 1000**7, "12,000 EB"),
    ],
)
def test_bytes_are_printed_for_people(n: int, text: str) -> None:
    assert human_bytes(n) == text


def test_counts_are_printed_whole() -> None:
    assert human_count(1234567) == "1,234,567"


@given(st.integers(min_value=0, max_value=10**21 - 1))
def test_what_is_printed_reads_back_as_no_more_and_almost_as_much(n: int) -> None:
    shown = parse_amount(human_bytes(n))
    assert shown <= n
    assert n - shown <= n // 100


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0", 0),
        ("12.34", 12_340_000),
        ("12.340000", 12_340_000),
        ("-0.000001", -1),
        ("+5", 5_000_000),
        (" 2.50 ", 2_500_000),
        ("9007199254.740991", 2**53 - 1),  # a float would lose the last unit
        ("0.10000000", 100_000),
    ],
)
def test_money_is_read_exactly(text: str, micros: int) -> None:
    assert parse_money(text) == micros


@pytest.mark.parametrize(
    "text",
    ["", "-", "5 USD", "$5", "1,000", "1.", ".5", "1e3", "nan", "inf", "--5", "1/2", "١", "9" * 65, "5\x00", "1_0"],
)
def test_what_is_no_money_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount of money"):
        parse_money(text)


@pytest.mark.parametrize("text", ["0.0000001", "12.3456789"])
def test_money_beyond_six_places_is_refused_rather_than_rounded(text: str) -> None:
    with pytest.raises(ValueError, match="more than 6 decimal places"):
        parse_money(text)


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0.00 USD"),
        (12_340_000, "12.34 USD"),
        (-1, "-0.000001 USD"),
        (1_234_500_000, "1,234.50 USD"),
        (5_100, "0.0051 USD"),
        (2**53 - 1, "9,007,199,254.740991 USD"),
    ],
)
def test_money_is_shown_whole(micros: int, text: str) -> None:
    assert human_money(micros, "USD") == text


@given(st.integers(-(2**62), 2**62))
def test_money_shown_is_the_money_read_again(micros: int) -> None:
    assert parse_money(human_money(micros, "USD").removesuffix(" USD").replace(",", "")) == micros


FIGURES = st.lists(
    st.one_of(st.integers(-(10**19), 10**19), st.integers(-2000, 2000), st.integers(1, 10**6).map(lambda n: n * 10**6)),
    max_size=40,
)


def read(written: str) -> tuple[Decimal, str]:
    number, unit = written.replace(",", "").split()
    return Decimal(number), unit


@pytest.mark.parametrize(
    ("figures", "written"),
    [
        ([5 * 10**9, 2_300_077_000, 2_699_923_000], ["5 GB", "2.300077 GB", "2.699923 GB"]),
        ([5 * 10**9, 2_300_077_345, 2_699_922_655], ["5 GB", "2.300077345 GB", "2.699922655 GB"]),
        ([500, 300, 200], ["500 B", "300 B", "200 B"]),
        ([10**9, 0, 250 * 10**6], ["1 GB", "0 GB", "0.25 GB"]),
        ([0], ["0 B"]),
        ([-1500, 1000], ["-1.5 kB", "1 kB"]),
    ],
)
def test_figures_of_one_screen_are_whole_and_in_one_unit(figures: list[int], written: list[str]) -> None:
    assert [*map(same_unit(figures), figures)] == written


def test_in_a_column_all_have_the_same_decimals() -> None:
    figures = [450 * 10**6, 130_542_740, -7, 0]
    assert [*map(same_unit(figures, aligned=True), figures)] == [
        "450.000000 MB",
        "130.542740 MB",
        "-0.000007 MB",
        "0 MB",
    ]
    assert [*map(same_unit([10**9, 5 * 10**8], aligned=True), [10**9, 5 * 10**8])] == ["1.0 GB", "0.5 GB"]


@given(FIGURES, st.booleans())
def test_what_is_written_of_an_account_book_is_what_there_is(figures: list[int], aligned: bool) -> None:
    write = same_unit([*figures, sum(figures)], aligned=aligned)
    shown = [read(write(n)) for n in [*figures, sum(figures)]]
    assert len({unit for _, unit in shown}) == 1
    assert sum(number for number, _ in shown[:-1]) == shown[-1][0]
    for n, (number, unit) in zip([*figures, sum(figures)], shown, strict=True):
        assert parse_amount(f"{abs(number):f} {unit}") == abs(n)


@pytest.mark.parametrize("amount", ["1.5 GiB", "100GB", "1.61 GB", "250", "0.001 kB"])
def test_an_amount_that_was_given_is_shown_whole(amount: str) -> None:
    assert parse_amount(exact_bytes(parse_amount(amount))) == parse_amount(amount)


def test_parts_are_short_and_add_up() -> None:
    assert human_parts([2_300_077_000, 2_699_923_000]) == (["2.3 GB", "2.7 GB"], "5.0 GB")
    assert human_parts([1_239_999_999, 0, 2_456_000_000]) == (["1.23 GB", "0 GB", "2.46 GB"], "3.69 GB")
    assert human_parts([40_000, 7 * 10**9]) == (["0.00004 GB", "7.00000 GB"], "7.00004 GB")
    assert human_parts([]) == ([], "0 B")


@given(FIGURES)
def test_what_is_written_of_parts_adds_up_to_what_is_written_of_their_sum(parts: list[int]) -> None:
    written, total = human_parts(parts)
    shown = [read(one) for one in written]
    assert sum((number for number, _ in shown), Decimal(0)) == read(total)[0]
    assert {unit for _, unit in shown} <= {read(total)[1]}
    if not parts:
        return
    unit = parse_amount(f"1 {read(total)[1]}")
    step = min(Decimal(1).scaleb(number.as_tuple().exponent) for number, _ in [*shown, read(total)])  # type: ignore[arg-type]
    for n, (number, _) in zip(parts, shown, strict=True):
        assert abs(number * unit - n) < step * unit or number * unit == n
        assert (number > 0, number < 0) == (n > 0, n < 0)
    assert read(total)[0] * unit <= sum(parts)
