"""Thordata's answers, both ways: every sample of their pages is read, and made again equal in meaning."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from importlib.resources import files
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.vendors.thordata import wire
from flowtally.vendors.thordata.wire import ThordataError

SAMPLES: Final = files("flowtally.vendors.thordata") / "samples"
# A type for every sample of a success; `token_error` is the one of a failure.
KINDS: Final[Mapping[str, Any]] = {
    "traffic_balance": wire.TrafficBalance,
    "wallet_balance": wire.WalletBalance,
    "usage_statistics": wire.Usage,
    "user_list": wire.UserList,
    "written": wire.Written,
    "user_usage": wire.UserUsage,
    "user_usage_hour": wire.UserUsage,
    "ip_list": wire.Whitelist,
    "ip_list_array": list[wire.WhitelistedIp],
    "cdk_create": wire.NewCodes,
    "cdk_list": list[wire.Cdk],
    "cdk_info": wire.CdkInfo,
}
amounts = st.decimals(min_value=0, max_value=2**70, places=2)


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.json").read_bytes()


def exact(body: bytes) -> Any:
    """JSON in its meaning, numbers as exact decimals."""
    return json.loads(body, parse_float=Decimal, parse_int=Decimal)


def test_every_sample_has_its_type() -> None:
    assert {one.name.removesuffix(".json") for one in SAMPLES.iterdir()} == {*KINDS, "token_error"}


@pytest.mark.parametrize("name", KINDS)
def test_a_sample_that_was_read_is_made_again(name: str) -> None:
    assert exact(wire.encode(wire.decode(sample(name), KINDS[name]))) == exact(sample(name))


def test_the_hourly_sample_keeps_its_decimals() -> None:
    rows = wire.decode(sample("user_usage_hour"), wire.UserUsage).data
    assert [row.usage_traffic for row in rows] == [Decimal("4719123.98"), Decimal("14928258.7")]


def test_a_failure_is_raised_with_its_code_and_made_again() -> None:
    with pytest.raises(ThordataError) as caught:
        wire.decode(sample("token_error"), wire.Written)
    assert (caught.value.number, caught.value.message) == (wire.WRONG_TOKEN, "Token error")
    assert exact(wire.encode_error(caught.value)) == exact(sample("token_error"))


def test_any_other_code_than_200_is_a_failure_also_one_no_page_lists() -> None:
    for code in (10022, 300, 0, 201):
        with pytest.raises(ThordataError, match=str(code)):
            wire.decode(b'{"code":%d,"data":[],"msg":"?"}' % code, wire.Written)


def test_only_codes_that_say_so_are_worth_another_try() -> None:
    assert ThordataError(wire.TOO_OFTEN).retryable
    assert not ThordataError(wire.WRONG_TOKEN).retryable


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"data":{}}', b'{"code":"x","data":{}}'])
def test_what_is_no_answer_of_theirs_is_not_taken_for_one(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        wire.decode(body, wire.Written)


def test_the_wallet_is_read_under_either_name() -> None:
    for data in ('{"wallet_balance":123.12}', '{"balance":123.12}', '{"wallet_balance":"123.12","balance":0}'):
        found = wire.decode(f'{{"code":200,"data":{data},"msg":"ok"}}'.encode(), wire.WalletBalance)
        assert found.money == Decimal("123.12")
    with pytest.raises(ThordataError):
        _ = wire.WalletBalance().money


def test_a_list_of_users_may_be_null() -> None:
    body = b'{"code":200,"data":{"limit":100,"remaining_limit":100,"user_count":0,"list":null},"msg":"ok"}'
    assert wire.decode(body, wire.UserList).users is None


def test_their_texts_for_numbers_and_booleans_are_read() -> None:
    body = exact(sample("user_list"))
    body["data"]["list"][0] |= {"status": "true", "usage_traffic": "12.5", "traffic_limit": "100"}
    found = wire.decode(msgspec.json.encode(body), wire.UserList).users
    assert found is not None
    assert (found[0].status, found[0].usage_traffic, found[0].traffic_limit) == (True, Decimal("12.5"), 100)


@pytest.mark.parametrize(
    "data",
    [
        '{"ip_count":1,"limit":100,"remaining_limit":99,"lists":[{"created_time":"","ip":"1.1.1.1","status":"true"}]}',
        '{"list":[{"ip":"1.1.1.1"}]}',
        '[{"ip":"1.1.1.1","status":1}]',
        '["1.1.1.1"]',
    ],
)
def test_a_whitelist_is_read_in_every_shape_it_has(data: str) -> None:
    found = wire.decode_whitelist(f'{{"code":200,"data":{data},"msg":"ok"}}'.encode())
    assert found == [wire.WhitelistedIp("", "1.1.1.1", True)]


def test_every_code_of_ours_says_something() -> None:
    codes = [value for name, value in vars(wire).items() if name.isupper() and isinstance(value, int) and value > 9999]
    ours = [code for code in codes if code <= wire.WRONG_TOKEN]
    assert len(ours) == 17
    for code in ours:
        assert ThordataError(code).message == wire.MESSAGES[code]


@given(amounts, amounts)
def test_figures_come_through_to_the_last_digit(left: Decimal, total: Decimal) -> None:
    usage = wire.Usage(total, left, 1, total, [wire.UsageRow("2025-01-01", total)])
    body = wire.encode(usage)
    assert wire.decode(body, wire.Usage) == usage
    assert b"null" not in body
    assert b'"data":{"total_usage_traffic":%s,' % str(total).encode() in body
