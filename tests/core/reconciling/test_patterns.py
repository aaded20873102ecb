"""Patterns of names: they mean what `re` means, as far as they go, and none takes long."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.reconciling.patterns import MAX_NAME, MAX_PATTERN, BadPattern, NamePattern

PIECES = st.tuples(
    st.sampled_from(["a", "b", "-", r"\.", ".", "[ab]", "[^-]", r"\d", r"\w", "[a-c0-9_]"]),
    st.sampled_from(["", "?", "*", "+"]),
).map("".join)
RUNS = st.lists(PIECES, max_size=4).map("".join)


@pytest.mark.parametrize(
    ("pattern", "name", "meant"),
    [
        ("customer-(.+)", "customer-ABC2000", "ABC2000"),
        ("customer-(.+)-zone-.*", "customer-a-zone-eu-country-de", "a"),
        (r"td-(\w+)\.eu", "td-shop_1.eu", "shop_1"),
        ("([^-]+)-session-[0-9]+", "bob-session-17", "bob"),
        ("customer-(.+)", "ABC2000", None),
        ("customer-(.+)", "a-customer-b", None),
        ("(.*)", "", ""),
    ],
)
def test_the_group_of_a_pattern_is_the_name_that_is_meant(pattern: str, name: str, meant: str | None) -> None:
    assert NamePattern(pattern).find(name) == meant


@given(RUNS, RUNS, RUNS, st.text("ab-.c0_\n", max_size=12))
def test_a_pattern_means_what_it_means_as_a_regular_expression(before: str, group: str, after: str, name: str) -> None:
    pattern = f"{before}({group}){after}"
    found = re.fullmatch(pattern, name, re.ASCII | re.DOTALL)
    assert NamePattern(pattern).find(name) == (found[1] if found else None)


@pytest.mark.parametrize(
    "pattern",
    ["", "abc", "(a", "a)", "(a)(b)", "((a))", "(a|b)", "(a)|b", "(a)*", "(a**)", "(a{2})", "^(a)", "(a)$", r"(a)\1",
     "(?:a)", "(?P<n>a)", "([)", "([z-a])", r"(\x)", "*(a)", "(a)" + "b" * MAX_PATTERN],
)  # fmt: skip
def test_what_is_no_such_pattern_is_refused_with_the_reason(pattern: str) -> None:
    with pytest.raises(BadPattern, match=r"pattern has at most|group|understood"):
        NamePattern(pattern)


def test_no_pattern_takes_long() -> None:
    """`(a*a*a*a*...)b`: a regular expression would not be done before this run is ended."""
    assert NamePattern(f"({'a*' * 100})b").find("a" * MAX_NAME) is None


def test_a_name_that_is_too_long_matches_nothing() -> None:
    assert NamePattern("(.*)").find("a" * (MAX_NAME + 1)) is None
