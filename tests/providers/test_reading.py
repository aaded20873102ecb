"""What stands in an answer: any spelling of a figure is the figure, and what is none is told with its place."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.providers.puller import ChangedShape, VendorAnswer
from flowtally.providers.reading import InAnswer, told


def member(written: str) -> InAnswer:
    return told(VendorAnswer(200, {}, f'{{"data": [{{"a": {written}}}]}}'.encode())).member("data").first().member("a")


@given(st.integers(0, 2**53 - 1), st.integers(0, 9))
def test_a_whole_number_is_the_same_in_every_spelling(number: int, zeros: int) -> None:
    fraction = "." + "0" * zeros if zeros else ""
    for written in (f"{number}", f'"{number}"', f"{number}{fraction}", f'" {number}{fraction} "', f'"+{number}"'):
        assert member(written).whole() == number


@pytest.mark.parametrize("written", [
    "1.5", '"1.5"', "-1", '"-1"', "true", "false", "null", '""', '"1,000"', '"1e3"', '"٣"', "[]", "{}", '"1 GB"',
    "9007199254740992", "1e999999999999", '"nan"', '"0x10"', '"1_000"',
])  # fmt: skip
def test_what_is_no_whole_number_is_told_with_its_place(written: str) -> None:
    with pytest.raises(ChangedShape, match=r"^data\[0\]\.a is ") as found:
        member(written).whole()
    assert found.value.sample.startswith('{"data": [{"a": ')


def test_a_figure_below_zero_is_one_where_it_may_be() -> None:
    assert member('"-5.0"').whole(least=None) == -5


@given(st.decimals(-(10**15), 10**15, allow_nan=False, places=6))
def test_decimals_are_exact_as_numbers_and_as_text(number: Decimal) -> None:
    assert member(f"{number:f}").decimal() == member(f'"{number:f}"').decimal() == number


@pytest.mark.parametrize(("written", "text"), [('"abc"', "abc"), ("12", "12"), ('""', "")])
def test_texts_and_ids(written: str, text: str) -> None:
    assert member(written).text() == text


@pytest.mark.parametrize("written", ["null", "1.5", "true", "[]", json.dumps("x" * 257), '"a\\u0000"', '"\\ud800"'])
def test_what_is_no_text_is_told(written: str) -> None:
    with pytest.raises(ChangedShape, match=r"^data\[0\]\.a (is|holds) "):
        member(written).text()


@pytest.mark.parametrize(("body", "what"), [
    ('{"data": {}}', "data is no list"), ("{}", "the answer has no member data"), ("[]", "the answer is no object"),
    ('{"data": [3]}', r"data\[0\] is no object"), ('{"data": [{"b": 1}]}', r"data\[0\] has no member a"),
    ('"data"', "the answer is no object"), ('{"data": []}', "data is empty"),
])  # fmt: skip
def test_what_is_missing_is_never_nothing(body: str, what: str) -> None:
    with pytest.raises(ChangedShape, match=f"^{what}"):
        told(VendorAnswer(200, {}, body.encode())).member("data").first().member("a").whole()


@pytest.mark.parametrize(
    ("body", "found"), [('{"a": 1}', True), ('{"a": 0}', True), ('{"a": ""}', False), ("{}", False)]
)
def test_what_may_be_missing_is_asked_for_as_such(body: str, found: bool) -> None:
    assert (told(VendorAnswer(200, {}, body.encode())).optional("a") is not None) == found


def test_a_value_that_is_shown_shows_no_secret() -> None:
    def clean(text: str) -> str:
        return text.replace("sesame-open-the-door" * 5, "[secret]")

    answer = VendorAnswer(200, {}, json.dumps({"a": "sesame-open-the-door" * 5}).encode(), clean)
    with pytest.raises(ChangedShape) as found:
        told(answer).member("a").whole()
    assert "sesame" not in str(found.value) + found.value.sample
