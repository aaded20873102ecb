"""Which ports are told, and how a list is written."""

from __future__ import annotations

from collections import Counter
from math import lcm

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.endpoints import OfferedPort, address, as_csv, as_text, country_of, place_of, spread
from flowtally.core.errors import Unprocessable

SIZES = st.lists(st.integers(0, 12), max_size=6)
NUMBERS = st.integers(0, 90)
STARTS = st.integers(0, 2**63)


@given(SIZES, NUMBERS, STARTS)
def test_as_many_as_are_asked_for_or_there_are_and_none_twice(sizes: list[int], number: int, start: int) -> None:
    found = spread(sizes, number, start)
    assert len(found) == len(set(found)) == min(number, sum(sizes))
    assert all(0 <= which < sizes[kind] for kind, which in found)


@given(SIZES, NUMBERS, STARTS)
def test_two_gateways_are_told_equally_often_until_one_has_no_more(sizes: list[int], number: int, start: int) -> None:
    told = Counter(kind for kind, _ in spread(sizes, number, start))
    room = [told[kind] for kind, size in enumerate(sizes) if told[kind] < size]  # of those that have more
    most = max(told.values(), default=0)
    assert all(most - one <= 1 for one in room)


@given(SIZES, NUMBERS, STARTS)
def test_a_short_list_is_the_beginning_of_a_longer_one(sizes: list[int], number: int, start: int) -> None:
    assert spread(sizes, number, start) == spread(sizes, number + 7, start)[:number]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(1, 12))
def test_over_all_starts_each_port_of_a_gateway_is_told_equally_often(sizes: list[int], number: int) -> None:
    starts = len(sizes) * lcm(*sizes)
    told = Counter(one for start in range(starts) for one in spread(sizes, number, start))
    for kind, size in enumerate(sizes):
        assert len({told[kind, which] for which in range(size)}) == 1


@given(st.integers(1, 5), st.integers(1, 9))
def test_gateways_of_one_size_take_turns_at_being_first(kinds: int, size: int) -> None:
    first = Counter(spread([size] * kinds, 1, start)[0][0] for start in range(kinds * size))
    assert set(first.values()) == {size}


def test_a_large_pool_is_not_walked_through() -> None:
    found = spread([2**40, 2**41], 3, 10**12)
    assert len(set(found)) == 3


def made(host: str, port: int) -> OfferedPort:
    return OfferedPort(host, port, "sticky", 600, "US", "newyork", "")


def test_an_ipv6_address_is_in_brackets() -> None:
    assert [address(host, 80) for host in ("a.example", "192.0.2.1", "2001:db8::1")] == [
        "a.example:80",
        "192.0.2.1:80",
        "[2001:db8::1]:80",
    ]


def test_a_text_has_its_separator_between_two_and_ends_its_lines() -> None:
    two = [made("a.example", 1), made("b.example", 2)]
    assert as_text(two, "\n") == "a.example:1\nb.example:2\n"
    assert as_text(two, "\r\n") == "a.example:1\r\nb.example:2\r\n"
    assert as_text(two, ",") == "a.example:1,b.example:2"
    assert as_text([], "\n") == as_text([], ",") == ""


def test_a_csv_has_a_header_and_a_line_for_each() -> None:
    assert as_csv([made("a.example", 1)]).splitlines() == [
        "host,port,session,hold_s,country,state,city",
        "a.example,1,sticky,600,US,newyork,",
    ]


@pytest.mark.parametrize(("text", "kept"), [("us", "US"), ("De", "DE"), ("", "")])
def test_a_country_is_two_capitals(text: str, kept: str) -> None:
    assert country_of(text) == kept


@pytest.mark.parametrize("text", ["USA", "U", "1A", "é", "U\x00", " DE", "DE\n", "ÜS"])
def test_what_is_no_country_is_refused(text: str) -> None:
    with pytest.raises(Unprocessable, match="country"):
        country_of(text)


@pytest.mark.parametrize(
    ("text", "kept"), [("New York", "newyork"), ("St. John's", "st.john's"), ("Łódź", "łódź"), ("", "")]
)
def test_a_place_is_small_letters_without_blanks(text: str, kept: str) -> None:
    assert place_of("city", text) == kept


@pytest.mark.parametrize("text", ["=1+1", "a,b", "a\x00", "a\tb", "ab\n", "x" * 65, "-", "\u202eabc"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(Unprocessable) as raised:
        place_of("city", text)
    assert raised.value.extra["field"] == "city"
