"""What a caller hands back is read as what was made here, or refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core import tokens

VALUES = st.tuples(st.text(max_size=40), st.integers(0, 2**53), st.integers(0, 2**53))


@given(kind=st.text(min_size=1, max_size=20), value=VALUES)
def test_what_was_made_here_is_read_back(kind: str, value: tuple[str, int, int]) -> None:
    assert tokens.decode(kind, tokens.encode(kind, value), tuple[str, int, int]) == value


@given(value=VALUES, at=st.integers(0), change=st.sampled_from("Aa0-_z"))
def test_a_text_with_one_other_letter_is_refused(value: tuple[str, int, int], at: int, change: str) -> None:
    token = tokens.encode("as_of", value)
    at %= len(token)
    other = token[:at] + change + token[at + 1 :]
    if other != token:
        with pytest.raises(ValueError, match="was not made here"):
            tokens.decode("as_of", other, tuple[str, int, int])


@pytest.mark.parametrize("token", ["", "4711", "a", "=", "ü", "A" * 10_000, "2026-03-15T12:00:00Z"])
def test_what_was_made_elsewhere_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="was not made here"):
        tokens.decode("as_of", token, tuple[str, int])


@pytest.mark.parametrize(
    ("kind", "type", "said"), [("grants", tuple[int, int], "is of 'as_of'"), ("as_of", str, "was not made here")]
)
def test_a_token_for_something_else_is_refused(kind: str, type: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tokens.decode(kind, tokens.encode("as_of", (1, 2)), type)
