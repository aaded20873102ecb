"""Text is measured in cells of a screen, not in characters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.cli.show.cells import cells, cut, left, right, shorten

FAMILY = "👨‍👩‍👧"
NAMES = st.lists(
    st.sampled_from(
        ["a", "Z", "-", " ", "漢", "字", "한", "カ", "ｶ", "e\u0301", "ü", "ש", "ع", "ไ", "👍🏽", "🇩🇪", FAMILY]
    ),
    max_size=40,
).map("".join)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("abc", 3),
        ("東京", 4),
        ("서울", 4),
        ("カタカナ", 8),
        ("ｶﾅ", 2),
        ("e\u0301", 1),
        ("שלום", 4),
        ("👍🏽", 2),
        (FAMILY, 2),
    ],
)
def test_a_text_takes_as_many_cells_as_a_terminal_gives_it(text: str, taken: int) -> None:
    assert cells(text) == taken
    assert left(text, 10) == text + " " * (10 - taken)
    assert right(text, 10) == " " * (10 - taken) + text


@pytest.mark.parametrize(
    ("text", "width", "shortened", "ended"),
    [
        ("customer-0000001", 9, "cust…0001", "customer…"),
        ("東京の顧客一号", 9, "東京…一号", "東京の顧…"),
        ("東京の顧客一号", 8, "東京…号", "東京の…"),  # half a character is never shown
        (f"a{FAMILY}{FAMILY}{FAMILY}z", 6, f"a{FAMILY}…z", f"a{FAMILY}{FAMILY}…"),
        ("abc", 3, "abc", "abc"),
        ("abcd", 1, "…", "…"),
    ],
)
def test_what_is_left_out_is_whole_characters(text: str, width: int, shortened: str, ended: str) -> None:
    assert shorten(text, width) == shortened
    assert cut(text, width) == ended


@given(NAMES, st.integers(1, 40))
def test_no_text_is_wider_than_it_may_be_and_short_ones_are_whole(text: str, width: int) -> None:
    for made in (shorten(text, width), cut(text, width)):
        assert cells(made) <= width
        assert (made == text) == (cells(text) <= width)
    assert cells(left(text, width)) == cells(right(text, width)) == max(width, cells(text))
