"""IPFoxy's messages: the samples of the vendor's pages decode, and encode to the same again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.edges import parse_instant
from flowtally.vendors import ipfoxy
from flowtally.vendors.ipfoxy import wire

SAMPLES = Path(ipfoxy.__path__[0]) / "samples"
SHAPES: dict[str, Any] = {
    "get-account-use-flow-list": wire.UsageList,
    "get-sub-account-flow": wire.Flow,
    "get-sub-account-flow.2025-07": wire.Flow,
    "get-sub-account-list": wire.AccountList,
    "create-sub-account": wire.Created,
    "allocate-flow-sub-account": wire.Empty,
    "residential-data": wire.Residential,
    "residential-data-history": wire.History,
}
STEPS = st.integers(-(10**20), 10**20)
INSTANTS = st.integers(0, 2**32).map(lambda second: second * 1000)
OFFSETS = st.integers(-48, 56).map(lambda quarter: quarter * 900_000)


def test_every_sample_has_a_shape() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == SHAPES.keys()


@pytest.mark.parametrize("name", SHAPES)
def test_a_sample_decodes_and_encodes_to_the_same_again(name: str) -> None:
    sample = (SAMPLES / f"{name}.json").read_bytes()
    assert json.loads(wire.encode(wire.decode(sample, SHAPES[name]))) == json.loads(sample)


def test_the_documented_usage_means_what_it_says() -> None:
    told = wire.decode((SAMPLES / "get-account-use-flow-list.json").read_bytes(), wire.UsageList)
    offset = wire.offset_ms(told.timezone)
    found = [(wire.date_instant(row.date, offset), wire.mb_steps(row.flow)) for row in told.rows]
    days = [parse_instant(f"2025-06-{day}T16:00:00Z") for day in (25, 24, 23)]
    assert found == list(zip(days, (1100, 2200, 3300), strict=True))
    assert int(told.count) == 8


def test_numbers_may_come_as_text_and_text_as_numbers() -> None:
    rows = b'"list": [{"mb": 1453.10, "timestamp": 1725231600, "period": "1 hour"}]'
    data = rows + b', "total": "11", "page": "1", "page_size": 35'
    told = wire.decode(b'{"code": "0", "msg": "Success", "data": {' + data + b"}}", wire.History)
    assert told == wire.History([wire.HistoryRow("1453.10", "1725231600", "1 hour")], 11, 1, 35)
    assert wire.mb_steps(told.rows[0].mb) == 145_310


def test_an_answer_in_a_later_edition_may_say_more() -> None:
    told = wire.decode(
        b'{"data": {"balance": "1", "cashback": "0", "total_balance": "1", "new": [1]}, "code": 0, "msg": "", "id": 7}',
        wire.Money,
    )
    assert told == wire.Money("1", "0", "1")


@pytest.mark.parametrize(
    ("code", "retryable"), [(60400, False), (60401, False), (60300, False), (60500, True), (10086, True), (50000, True)]
)
@pytest.mark.parametrize("data", ["{}", "[]", "null", '"?"'])
def test_an_error_is_told_by_its_code_whatever_its_data(code: int, retryable: bool, data: str) -> None:
    with pytest.raises(wire.Refused, match=f"code {code}: wrong") as refused:
        wire.decode(f'{{"data": {data}, "code": {code}, "msg": "wrong"}}'.encode(), wire.UsageList)
    assert (refused.value.code, refused.value.retryable) == (code, retryable)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"data": {"list": []}}', b'{"data": {"list": 5}, "code": 0, "msg": ""}']
)
def test_what_is_no_answer_of_theirs_is_a_decode_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        wire.decode(body, wire.UsageList)


@pytest.mark.parametrize(
    ("steps", "text"), [(0, "0"), (1, "0.01"), (10, "0.1"), (1100, "11"), (1_572_660, "15726.6"), (-5, "-0.05")]
)
def test_mb_have_at_most_two_decimals_and_no_trailing_zeros(steps: int, text: str) -> None:
    assert wire.IN_MB.text(steps) == text


@given(STEPS)
def test_mb_are_read_as_they_were_printed(steps: int) -> None:
    assert wire.mb_steps(wire.IN_MB.text(steps)) == steps


@given(INSTANTS, OFFSETS)
def test_dates_and_offsets_are_read_as_they_were_printed(at: int, offset: int) -> None:
    assert wire.offset_ms(wire.offset_text(offset)) == offset
    assert wire.date_instant(wire.date_text(at, offset), offset) == at


@pytest.mark.parametrize("text", ["", "1.234", "1e3", ".5", "5.", "٣", " 1", "1,5", "nan"])
def test_what_is_no_number_of_mb(text: str) -> None:
    with pytest.raises(ValueError, match="no number of MB"):
        wire.mb_steps(text)


def test_no_expiry_and_one_beyond_their_clock_read_alike() -> None:
    assert wire.expiry_text(None) == wire.expiry_text(2**31 * 1000) == wire.NEVER == str(2**31 - 1)
    assert wire.expiry_text(1_726_644_469_999) == "1726644469"
