"""What is wrong with a value is told in words, whatever types and fields it is about."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from flowtally.core.reasons import fault_in_words, in_words


class Shade(Enum):
    LIGHT = "light"
    DARK = "dark"


class Limit(msgspec.Struct, forbid_unknown_fields=True):
    window: Literal["day", "month"] = "day"


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    amount: int
    limit: Limit | None = None
    limits: list[Limit] = []
    word: Annotated[Literal["one", "two", "three"], Meta(description="A word.")] = "one"
    shade: Shade = Shade.LIGHT
    note: Annotated[str, Meta(max_length=3)] = ""
    count: Annotated[int, Meta(ge=1)] = 1
    yes: bool = False
    maybe: int | None = None


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ({"amount": "5GB"}, "amount: a whole number is expected, not text"),
        ({"amount": 5.5}, "amount: a whole number is expected, not a number with a decimal point"),
        ({"amount": None}, "amount: a whole number is expected, not null"),
        ({"amount": 1, "yes": "yes"}, "yes: true or false is expected, not text"),
        ({"amount": 1, "maybe": []}, "maybe: a whole number or null is expected, not an array"),
        ({"amount": 1, "limit": 5}, "limit: an object or null is expected, not a whole number"),
        ({"amount": 1, "limit": {"window": "weekly"}}, "limit.window: it takes day or month"),
        ({"amount": 1, "limits": [{"window": "weekly"}]}, "limits[0].window: it takes day or month"),
        ({"amount": 1, "word": "four"}, "word: it takes one, two or three"),
        ({"amount": 1, "shade": "grey"}, "shade: it takes light or dark"),
        ({"amount": 1, "note": "abcd"}, "note: text of at most 3 characters is expected"),
        ({"amount": 1, "count": 0}, "count: a whole number of 1 or more is expected"),
        ({}, "`amount` is missing"),
        ({"amount": 1, "amuont": 1}, "unknown field `amuont`"),
    ],
)
def test_a_reason_names_no_types_and_all_words(given_: dict[str, object], told: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(given_, Asked)
    assert fault_in_words(caught.value, Asked) == told


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(Asked.__struct_fields__) | st.text("ab", min_size=1), JSON, max_size=3))
def test_whatever_is_wrong_has_words(value: dict[str, object]) -> None:
    try:
        msgspec.convert(value, Asked)
    except msgspec.ValidationError as error:
        told = fault_in_words(error, Asked)
        assert told
        assert "Expected `" not in told
        assert "Invalid enum" not in told


@given(st.text())
def test_a_reason_that_is_not_known_stays(reason: str) -> None:
    assert in_words(f"unforeseen: {reason}", Asked, "amount") == f"unforeseen: {reason}"
