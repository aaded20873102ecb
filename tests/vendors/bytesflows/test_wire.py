"""BytesFlows' wire: its samples read and written, money and clock times exact, refusals in every style told apart."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.edges import parse_instant
from flowtally.vendors import bytesflows
from flowtally.vendors.bytesflows import wire

SAMPLES = Path(bytesflows.__file__).parent / "samples"
UTC, SHANGHAI, BERLIN = ZoneInfo("UTC"), ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def test_the_sample_of_the_overview_is_read() -> None:
    asset = wire.decode(200, sample("asset.json"), wire.Asset)
    assert asset.total_traffic - asset.dynamic_traffic == 34_045_952
    assert (asset.balance_micros, asset.currency) == (0, "USD")


def test_the_sample_of_the_records_is_read() -> None:
    page = wire.decode(200, sample("records.json"), wire.Records)
    [record] = page.records
    assert page.total == 1
    assert (record.id, record.order_id, record.source_type) == ("123456", "ORD-7890", "order")
    assert (record.traffic, record.traffic_used, record.is_active) == (1 << 30, 512 << 10, True)
    assert wire.read_time(record.expire_time, UTC) == parse_instant("2026-03-21T20:00:00Z")


@pytest.mark.parametrize(("name", "into"), [("asset.json", wire.Asset), ("records.json", wire.Records)])
def test_what_was_read_from_a_sample_is_written_as_the_sample(name: str, into: type[msgspec.Struct]) -> None:
    written = wire.encode(wire.decode(200, sample(name), into))
    assert msgspec.json.decode(written) == msgspec.json.decode(sample(name))
    assert msgspec.json.format(written, indent=2) == sample(name).strip(), "to the letter: 0.00 stays 0.00"


def test_whole_numbers_as_text_and_unknown_members_are_read() -> None:
    data = b'{"totalTraffic":"5","dynamicTraffic":3,"new":[],"balance":"1.5","currency":"EUR"}'
    asset = wire.decode(200, b'{"code":"200","msg":"success","trace":1,"data":' + data + b"}", wire.Asset)
    assert (asset.total_traffic, asset.dynamic_traffic, asset.balance_micros) == (5, 3, 1_500_000)


@pytest.mark.parametrize(
    ("status", "body", "code", "retryable"),
    [
        (401, b'{"code":401,"msg":"no token","data":null}', 401, False),
        (200, b'{"code":401,"msg":"no token","data":null}', 401, False),
        (200, b'{"code":429,"msg":"slowly"}', 429, True),
        (503, b'{"code":200,"msg":"success","data":{}}', 503, True),
        (502, b"<html>bad gateway</html>", 502, True),
        (200, b"<html>log in</html>", 502, True),
        (200, b'{"code":200,"msg":"success","data":{"totalTraffic":1.5}}', 502, True),
        (200, b'{"code":200,"msg":"success","data":null}', 502, True),
    ],
)
def test_a_refusal_is_told_wherever_it_stands(status: int, body: bytes, code: int, retryable: bool) -> None:
    with pytest.raises(wire.Refused) as refused:
        wire.decode(status, body, wire.Asset)
    assert (refused.value.code, refused.value.is_retryable) == (code, retryable)


def test_an_error_is_the_same_envelope_with_data_null() -> None:
    assert wire.encode_error(401, "who?") == b'{"code":401,"msg":"who?","data":null}'


@pytest.mark.parametrize(
    ("micros", "shown"),
    [(0, "0.00"), (9_999, "0.00"), (10_000, "0.01"), (12_340_000, "12.34"), (12_349_999, "12.34"), (-1, "-0.01")],
)
def test_money_has_two_decimals_and_never_says_more_than_there_is(micros: int, shown: str) -> None:
    assert bytes(wire.show_money(micros)) == shown.encode()


@given(st.integers(-(2**63), 2**63))
def test_money_is_written_and_read_without_loss_beyond_its_step(micros: int) -> None:
    assert wire.read_money(wire.show_money(micros)) == micros // 10_000 * 10_000


@pytest.mark.parametrize("text", [b"null", b'"NaN"', b'"inf"', b"1e999999999", b"[]", b'""'])
def test_what_is_no_money_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="no amount of money"):
        wire.read_money(text)


@given(st.integers(0, 253_402_300_799_999), st.sampled_from([UTC, SHANGHAI, BERLIN]))
def test_a_clock_time_is_its_instant_to_the_second_but_where_the_clock_is_set_back(at: int, zone: ZoneInfo) -> None:
    text = wire.show_time(at, zone)
    found = wire.read_time(text, zone)
    assert len(text) == 19
    assert found == at // 1000 * 1000 or (wire.show_time(found, zone) == text and found < at)


def test_a_clock_time_is_that_of_its_zone() -> None:
    at = parse_instant("2026-02-21T20:00:00.999Z")
    assert wire.show_time(at, UTC) == "2026-02-21 20:00:00"
    assert wire.show_time(at, SHANGHAI) == "2026-02-22 04:00:00"
    assert wire.show_time(parse_instant("9999-12-31T23:59:59Z"), SHANGHAI) == "9999-12-31 23:59:59"
