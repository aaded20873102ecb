"""`flowtally voucher` and `flowtally check-in`: what each command asks, and what it prints."""

from __future__ import annotations

import io
from typing import Any

import pytest
from tests.cli.fake import Program

PATH = "/v1/accounts/acme/vouchers"
VOUCHER: dict[str, Any] = {
    "id": "vch_1",
    "account": "acme",
    "code": "x7Kp0aQz3LmV9dTn",
    "pool": "traffic",
    "amount": 2_000_000_000,
    "duration_s": 30 * 86_400,
    "status": "unused",
    "created_at": "2026-07-01T00:00:00Z",
    "ended_at": None,
    "redeemed_by": None,
}
GRANT = {"id": "grn_1", "account": "beta", "pool": "traffic", "amount": 2_000_000_000, "source": "cdk",
         "reference": "vch_1", "priority": 100, "starts_at": "2026-07-01T00:00:00Z",
         "expires_at": "2026-07-31T00:00:00Z", "created_at": "2026-07-01T00:00:00Z", "voided_at": None}  # fmt: skip
CHECK_IN = {"account": "acme", "day": "2026-07-01", "timezone": "Europe/Berlin", "grant": "grn_1", "amount": 5_000_000,
            "checked_in_at": "2026-07-01T10:00:00Z", "expires_at": "2026-07-31T10:00:00Z"}  # fmt: skip


@pytest.fixture(autouse=True)
def balances(flowtally: Program) -> None:
    pool = {"unit": "bytes", "granted": 1, "spent": 0, "left": 1, "pending": 0, "expired": 0, "voided": 0, "overage": 0}
    for account in ("acme", "beta"):
        answer: dict[str, Any] = {
            "account": account,
            "at": "x",
            "pools": {"traffic": pool | {"credit": 0}},
            "grants": [],
        }
        flowtally.fake.answers[f"GET /v1/accounts/{account}/balance"] = (200, answer)


def test_create_sends_whole_numbers_and_shows_the_codes(flowtally: Program) -> None:
    flowtally.fake.answers[f"POST {PATH}"] = (201, {"items": [VOUCHER, VOUCHER | {"code": "another"}]})
    ran = flowtally("voucher", "create", "acme", "2GB", "--count", "2", "--days", "30")
    assert flowtally.fake.asked[0].body == {
        "amount": 2_000_000_000,
        "count": 2,
        "pool": "traffic",
        "duration_s": 2_592_000,
    }
    assert ran.code == 0
    assert "2 GB" in ran.out
    assert "x7Kp0aQz3LmV9dTn" in ran.out
    assert flowtally("voucher", "create", "acme", "2GB", "--json").document == [VOUCHER, VOUCHER | {"code": "another"}]


def test_list_asks_for_a_status(flowtally: Program) -> None:
    used = VOUCHER | {"status": "used", "ended_at": "2026-07-02T00:00:00Z", "redeemed_by": "beta"}
    flowtally.fake.answers[f"GET {PATH}"] = (200, {"items": [used], "next": None})
    ran = flowtally("voucher", "list", "acme", "--status", "used", "--json")
    assert flowtally.fake.asked[0].query == {"status": ["used"]}
    assert ran.document == [used]


def test_a_code_is_looked_up_and_never_put_into_a_path(flowtally: Program) -> None:
    flowtally.fake.answers[f"GET {PATH}"] = (200, {"items": [VOUCHER], "next": None})
    flowtally.fake.answers[f"GET {PATH}/vch_1"] = (200, VOUCHER)
    flowtally.fake.answers[f"POST {PATH}/vch_1/revoke"] = (200, VOUCHER | {"status": "revoked"})
    assert "unused" in flowtally("voucher", "show", "acme", VOUCHER["code"]).out
    assert "revoked" in flowtally("voucher", "revoke", "acme", VOUCHER["code"]).out
    assert "unused" in flowtally("voucher", "show", "acme", "vch_1").out
    assert all(VOUCHER["code"] not in asked.path for asked in flowtally.fake.asked)
    flowtally.fake.answers[f"GET {PATH}"] = (200, {"items": [], "next": None})
    assert flowtally("voucher", "show", "acme", "nothing").code == 2


def test_redeem_reads_the_code_from_standard_input(flowtally: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    flowtally.fake.answers["POST /v1/accounts/beta/redemptions"] = (201, GRANT)
    monkeypatch.setattr("sys.stdin", io.StringIO("x7Kp0aQz3LmV9dTn\nrest"))
    ran = flowtally("voucher", "redeem", "beta")
    assert flowtally.fake.asked[0].body == {"code": "x7Kp0aQz3LmV9dTn"}
    assert ran.code == 0
    assert "2 GB of traffic" in ran.out
    assert "x7Kp0aQz3LmV9dTn" not in ran.out + ran.err


def test_check_in_says_when_it_is_possible_again_and_lists(flowtally: Program) -> None:
    path = "/v1/accounts/acme/check-ins"
    made = CHECK_IN | {"next_at": "2026-07-02T00:00:00+02:00"}
    flowtally.fake.answers[f"POST {path}"] = (201, made)
    flowtally.fake.answers[f"GET {path}"] = (200, {"items": [CHECK_IN], "next": None})
    assert "again from 2026-07-02T00:00:00+02:00" in flowtally("check-in", "acme").out
    assert flowtally("check-in", "acme", "--json").document == made
    assert "2026-07-01" in flowtally("check-in", "acme", "--list").out
    assert flowtally("check-in", "acme", "--list", "--json").document == [CHECK_IN]


def test_a_second_check_in_fails_and_says_when(flowtally: Program) -> None:
    problem = {"code": "checked_in", "detail": "again from 2026-07-02T00:00:00+02:00 on"}
    flowtally.fake.answers["POST /v1/accounts/acme/check-ins"] = (409, problem)
    ran = flowtally("check-in", "acme")
    assert ran.code == 1
    assert "2026-07-02" in ran.err
