"""Tokens as texts: whole ones are whole, and no slip of a finger makes another whole one."""

from __future__ import annotations

import re
import secrets
import string
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core import bearer

KINDS = ("ft_ing_", "ft_acc_", "ft_man_", "ft_adm_", "ft_cus_", "ft_key_")
DIGITS = string.digits + string.ascii_letters
MADE = st.builds(bearer.make, st.sampled_from(KINDS), st.binary(min_size=bearer.BYTES, max_size=bearer.BYTES))
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


@given(MADE)
def test_what_is_made_is_whole_and_looks_like_one(token: str) -> None:
    assert bearer.is_whole(token)
    assert re.fullmatch(bearer.PATTERN, token)


def test_all_256_bits_are_in_it() -> None:
    low, high = (bearer.make("ft_ing_", bytes([byte]) * 32) for byte in (0, 255))
    assert int(low[7:50]) == 0
    assert high != low
    chances = [secrets.token_bytes(32) for _ in range(1000)]
    assert len({bearer.make("ft_ing_", one)[7:50] for one in chances}) == 1000
    assert all(_number(bearer.make("ft_ing_", one)[7:50]) == int.from_bytes(one, "big") for one in chances)


def _number(digits: str) -> int:
    ordered = string.digits + string.ascii_uppercase + string.ascii_lowercase
    number = 0
    for digit in digits:
        number = number * 62 + ordered.index(digit)
    return number


@given(MADE, st.integers(0, 55), st.sampled_from(DIGITS + "-_"))
def test_one_wrong_character_is_noticed(token: str, at: int, put: str) -> None:
    mistyped = token[:at] + put + token[at + 1 :]
    if mistyped != token and mistyped.startswith(KINDS):
        assert not bearer.is_whole(mistyped)


@given(MADE, st.integers(7, 54))
def test_two_characters_that_changed_places_are_noticed(token: str, at: int) -> None:
    mistyped = token[:at] + token[at + 1] + token[at] + token[at + 2 :]
    assert mistyped == token or not bearer.is_whole(mistyped)


@given(MADE, st.integers(7, 55))
def test_one_that_was_cut_off_is_noticed(token: str, length: int) -> None:
    """But for the one length that earlier tokens had."""
    assert bearer.is_whole(token[:length]) == (length == 50)


def test_no_token_is_whole_as_another_kind() -> None:
    chance = secrets.token_bytes(32)
    for one, other in combinations(KINDS, 2):
        assert not bearer.is_whole(other + bearer.make(one, chance)[7:])


@pytest.mark.parametrize(
    "token", ["ft_adm_" + "x" * 43, "ft_ing_" + "-_" * 21 + "A", "operators-own-token-1", "", "ft_", "ft_other_thing"]
)
def test_earlier_and_chosen_tokens_are_not_judged(token: str) -> None:
    assert bearer.is_whole(token)


def test_the_pattern_for_scanners_in_the_docs_finds_every_token_and_nothing_near() -> None:
    [pattern] = re.findall(r"^    (ft_\S+)$", OPERATIONS.read_text(encoding="utf-8"), re.MULTILINE)
    assert pattern == bearer.PATTERN
    made = [bearer.make(kind, secrets.token_bytes(32)) for kind in KINDS for _ in range(20)]
    text = "\n".join(f'"{one}",' for one in made)
    assert re.findall(pattern, text) == made
    assert not re.findall(pattern, "ft_ing_... ft_adm_short ft_acc_" + "-" * 49)
