"""What text is: a fixed set of code points, and what is shown of anything else."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.texts import is_text, may_be_known, printable, text_fault

REFUSED = {*map(chr, [*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A)])}
REFUSED |= {*map(chr, range(0xD800, 0xE000))}


@pytest.fixture(scope="module")
def every() -> list[str]:
    return [chr(code) for code in range(0x110000)]


def test_what_is_refused_is_a_fixed_set_of_characters(every: list[str]) -> None:
    assert {char for char in every if not is_text(char)} == REFUSED


def test_all_controls_separators_of_lines_and_halves_are_in_it(every: list[str]) -> None:
    assert {char for char in every if unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs")} < REFUSED


def test_a_name_of_an_earlier_version_may_be_known(every: list[str]) -> None:
    """The rule before this one: controls and halves only."""
    known = {char for char in every if not may_be_known(char)}
    assert known == REFUSED - {*map(chr, [*range(0x2028, 0x202F), *range(0x2066, 0x206A)])}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a\x1b[31m", "holds U+001B at 1: a control character is no text"),
        ("\x85", "holds U+0085 at 0: a control character is no text"),
        ("ab\u2028", "holds U+2028 at 2: a line separator is no text"),
        ("\u202egnp.exe", "holds U+202E at 0: a control of the direction of text is no text"),
        ("\ud800", "holds U+D800 at 0: half a surrogate pair is no text"),
        ("plain, 'quoted' and / or %", None),
        ("👨‍👩‍👧 می‌خواهم שלום \u200f", None),
    ],
)
def test_a_fault_names_the_character_and_its_place(text: str, fault: str | None) -> None:
    assert text_fault(text) == fault
    assert is_text(text) == (fault is None)


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("ann", None, "ann"),
        ("a\x1b[31mred\x1b[0m", None, "a\\x1b[31mred\\x1b[0m"),
        ("two\r\nlines", None, "two\\r\\nlines"),
        ("\x9b2J", None, "\\x9b2J"),
        ("a\u202eb\u200bc", None, "a\\u202eb\\u200bc"),
        ("\ud800", None, "\\ud800"),
        ("\U000e0001", None, "\\U000e0001"),
        ("👨‍👩‍👧", None, "👨‍👩‍👧"),
        ("x" * 10, 10, "x" * 10),
        ("x" * 11, 10, "x" * 9 + "…"),
        ("\x00" * 100, 10, "\\x00\\x00\\…"),
        ("", 1, ""),
    ],
)
def test_shown_is_one_line_that_no_terminal_obeys(text: str, limit: int | None, shown: str) -> None:
    assert printable(text, limit) == shown


def test_a_mark_may_stand_for_what_is_not_shown() -> None:
    assert printable("a\x1b[31m\nb\u202e", 7, mark="�") == "a�[31m…"


@given(st.text(st.characters(codec=None)), st.integers(1, 20))
def test_whatever_is_shown_is_harmless_and_bounded(text: str, limit: int) -> None:
    whole, cut = printable(text), printable(text, limit)
    for shown in (whole, cut):
        assert all(char.isprintable() or char in "\u200c\u200d" for char in shown)
        shown.encode()
    assert len(cut) <= limit
    assert cut == (whole if len(whole) <= limit else whole[: limit - 1] + "…")
    assert printable(whole) == whole
