"""`flowtally user`: what each command asks, and what it prints."""

from __future__ import annotations

import io
from typing import Any

import pytest
from tests.cli.fake import Program

PATH = "/v1/accounts/acme/users"
USER: dict[str, Any] = {
    "id": "usr_1",
    "account": "acme",
    "name": "ann\x1b[31m",
    "created_at": "2026-07-01T00:00:00Z",
    "product": "isp",
    "status": "active",
    "funded": False,
    "limit": {"amount": 5_000_000_000, "unit": "bytes", "window": "month"},
    "has_password": True,
    "managed": True,
}
POOL = {"unit": "bytes", "granted": 300, "spent": 120, "left": 180, "pending": 0, "expired": 0, "voided": 0}
POOL |= {"overage": 0, "credit": 0, "drawn": 0}
ALLOCATION = {
    "id": "alc_1", "account": "acme", "user": "ann", "user_id": "usr_1", "pool": "traffic", "amount": 300,
    "returned": 0, "created_at": "2026-07-01T00:00:00Z",
}  # fmt: skip
BALANCE: dict[str, Any] = {
    "account": "acme", "user": "ann", "user_id": "usr_1", "at": "2026-07-02T00:00:00Z", "status": "active",
    "funded": True, "pools": {"traffic": POOL}, "allocations": [ALLOCATION | {"spent": 120, "left": 180}],
    "limit": {"unit": "requests", "window": "day", "limit": 10, "used": 12, "left": 0, "exceeded": True,
              "resets_at": "2026-07-03T00:00:00Z"},
}  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowtally.cli.erasing.LOOK_S", 0)


def test_create_sends_the_limit_and_shows_the_user(flowtally: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    flowtally.fake.answers[f"POST {PATH}"] = (201, USER)
    monkeypatch.setattr("sys.stdin", io.StringIO("a secret\nrest"))
    ran = flowtally(
        "user", "create", "acme", "ann", "--limit", "5GB", "--window", "month", "--product", "isp", "--password"
    )
    assert flowtally.fake.asked[0].body == {
        "name": "ann",
        "product": "isp",
        "limit": {"amount": 5_000_000_000, "unit": "bytes", "window": "month"},
        "funded": False,
        "status": "active",
        "password": "a secret",
    }
    assert ran.code == 0
    assert "5 GB per month" in ran.out
    assert "\x1b" not in ran.out
    assert "a secret" not in ran.out + ran.err


def test_a_limit_says_what_it_counts(flowtally: Program) -> None:
    for amount, said in ((1, "1 request per day"), (3000, "3,000 requests per day")):
        limit = {"amount": amount, "unit": "requests", "window": "day"}
        flowtally.fake.answers[f"GET {PATH}"] = (200, {"items": [USER | {"limit": limit}], "next": None})
        assert said in " ".join(flowtally("user", "list", "acme").out.split())


def test_change_says_only_what_is_given(flowtally: Program) -> None:
    flowtally.fake.answers[f"PATCH {PATH}/ann"] = (200, USER)
    for arguments, body in (
        (("--no-limit", "--status", "disabled"), {"limit": None, "status": "disabled"}),
        (("--product", "x", "--no-password"), {"product": "x", "password": None}),
        (("--limit", "7", "--unit", "requests"), {"limit": {"amount": 7, "unit": "requests", "window": "lifetime"}}),
    ):
        assert flowtally("user", "change", "acme", "ann", *arguments).code == 0
        assert flowtally.fake.asked[-1].body == body
    assert flowtally("user", "change", "acme", "ann", "--limit", "7", "--no-limit").code == 2
    assert flowtally("user", "rename", "acme", "ann", "bob").code == 0
    assert flowtally.fake.asked[-1].body == {"name": "bob"}


ERASURE = {"account": "acme", "user_id": "usr_1", "user": "erased-usr_1", "asked_at": "2026-07-02T00:00:00Z"}


def test_erase_asks_before_and_follows_the_work_to_its_end(flowtally: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert flowtally("user", "erase", "acme", "ann").code != 0
    assert flowtally.fake.asked == []
    flowtally.fake.answers[f"POST {PATH}/ann/erase"] = (202, ERASURE | {"state": "pending"})
    flowtally.fake.answers[f"GET {PATH}/usr_1/erase"] = (200, ERASURE | {"state": "finished", "finished_at": "x"})
    ran = flowtally("user", "erase", "acme", "ann", "--yes")
    assert (ran.code, ran.out.strip()) == (0, "erased-usr_1 is erased.")


def test_erase_says_why_it_is_not_finished(flowtally: Program) -> None:
    told = ERASURE | {"state": "pending", "detail": "There is no room left"}
    flowtally.fake.answers[f"POST {PATH}/ann/erase"] = (202, ERASURE | {"state": "pending"})
    flowtally.fake.answers[f"GET {PATH}/usr_1/erase"] = (200, told)
    ran = flowtally("user", "erase", "acme", "ann", "--yes")
    assert ran.code == 1
    assert "There is no room left" in ran.out
    assert flowtally("user", "erase", "acme", "ann", "--yes", "--json").document["detail"] == "There is no room left"


WHOLE = {"account": "acme", "asked_at": "2026-07-02T00:00:00Z"}


def test_an_account_is_erased_where_its_id_was_typed(flowtally: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("acne\n"))
    ran = flowtally("account", "erase", "acme")
    assert ran.code == 1
    assert ran.err.endswith("You typed 'acne', and that is not 'acme': nothing was changed.\n")
    assert flowtally.fake.asked == []
    flowtally.fake.answers["POST /v1/accounts/acme/erase"] = (202, WHOLE | {"state": "pending"})
    flowtally.fake.answers["GET /v1/accounts/acme/erase"] = (200, WHOLE | {"state": "finished", "finished_at": "x"})
    monkeypatch.setattr("sys.stdin", io.StringIO("acme\n"))
    assert flowtally("account", "erase", "acme").code == 0
    ran = flowtally("account", "erase", "acme", "--yes")
    assert (ran.code, ran.out.strip()) == (0, "acme is erased.")
    flowtally.fake.answers["GET /v1/accounts/acme/erase"] = (200, WHOLE | {"state": "pending", "detail": "No room"})
    ran = flowtally("account", "erase", "acme", "--yes")
    assert (ran.code, "No room" in ran.out) == (1, True)


def test_delete_and_list_ask_for_what_they_say(flowtally: Program) -> None:
    flowtally.fake.answers[f"DELETE {PATH}/ann"] = (200, USER | {"status": "deleted"})
    flowtally.fake.answers[f"GET {PATH}"] = (200, {"items": [USER], "next": None})
    assert flowtally("user", "delete", "acme", "ann", "--json").document["status"] == "deleted"
    ran = flowtally("user", "list", "acme", "--deleted")
    assert flowtally.fake.asked[-1].query == {"deleted": ["true"], "limits": ["true"]}
    assert "usr_1" in ran.out


def test_list_filters_and_shows_what_each_ever_used(flowtally: Program) -> None:
    used = {"bytes_up": 1, "bytes_down": 1999, "bytes": 2000, "requests": 7}
    flowtally.fake.answers[f"GET {PATH}"] = (200, {"items": [USER | {"used": used}], "next": None})
    out = flowtally("user", "list", "acme", "--pool", "mobile", "--product", "isp", "--usage").out
    assert flowtally.fake.asked[-1].query == {
        "pool": ["mobile"],
        "product": ["isp"],
        "usage": ["true"],
        "limits": ["true"],
    }
    assert out.splitlines()[1].split()[-3:] == ["2", "kB", "7"]


def test_password_prints_the_password_and_nothing_else(flowtally: Program) -> None:
    told = {"account": "acme", "user_id": "usr_1", "user": "ann", "password": "a secret"}
    flowtally.fake.answers[f"GET {PATH}/ann/password"] = (200, told)
    assert flowtally("user", "password", "acme", "ann").out == "a secret\n"
    assert flowtally("user", "password", "acme", "ann", "--json").document == told


def test_balance_shows_the_limit_the_purses_and_the_allocations(flowtally: Program) -> None:
    flowtally.fake.answers[f"GET {PATH}/ann/balance"] = (200, BALANCE)
    out = flowtally("user", "balance", "acme", "ann", "--at", "2026-07-02T00:00:00Z").out
    assert flowtally.fake.asked[-1].query == {"at": ["2026-07-02T00:00:00Z"]}
    for part in ("0 left: 12 of 10 requests per day used, resets at 2026-07-03T00:00:00Z", "180 B left", "alc_1"):
        assert part in out
    plain = BALANCE | {"funded": False, "pools": {}, "allocations": [], "limit": None}
    flowtally.fake.answers[f"GET {PATH}/ann/balance"] = (200, plain)
    assert "No limit. acme pays for its use." in flowtally("user", "balance", "acme", "ann").out


def test_allocate_and_return_take_amounts_in_words(flowtally: Program) -> None:
    flowtally.fake.answers[f"POST {PATH}/ann/allocations"] = (201, ALLOCATION)
    flowtally.fake.answers[f"POST {PATH}/ann/allocations/alc_1/return"] = (200, ALLOCATION | {"returned": 180})
    flowtally.fake.answers[f"GET {PATH}/usr_1/balance"] = (200, BALANCE)
    assert "300 B" in flowtally("user", "allocate", "acme", "ann", "2GB", "--pool", "mobile").out
    assert flowtally.fake.asked[0].body == {"amount": 2_000_000_000, "pool": "mobile", "expires_at": None}
    ending = ALLOCATION | {"expires_at": "2026-08-01T00:00:00Z", "expired": 0}
    flowtally.fake.answers[f"POST {PATH}/ann/allocations"] = (201, ending)
    assert "2026-08-01" in flowtally("user", "allocate", "acme", "ann", "1", "--expires", "2026-08-01T00:00:00Z").out
    assert [one.body for one in flowtally.fake.asked if one.method == "POST"][-1]["expires_at"] == (
        "2026-08-01T00:00:00Z"
    )
    assert "180 B" in flowtally("user", "return", "acme", "ann", "alc_1").out
    assert flowtally("user", "return", "acme", "ann", "alc_1", "1KB", "--json").document["returned"] == 180
    bodies = [one.body for one in flowtally.fake.asked if one.path.endswith("return")]
    assert bodies == [{"amount": None}, {"amount": 1000}]


def test_who_is_over_a_limit_is_told_in_the_list(flowtally: Program) -> None:
    state = {"unit": "bytes", "window": "month", "limit": 5, "used": 7, "left": 0, "exceeded": True, "resets_at": None}
    within = USER | {"name": "bob", "limit_state": state | {"used": 1, "left": 4, "exceeded": False}}
    users = [USER | {"limit_state": state}, within]
    flowtally.fake.answers[f"GET {PATH}"] = (200, {"items": users, "next": None})
    over, under = flowtally("user", "list", "acme").out.splitlines()[1:]
    assert "active, over limit" in over
    assert "over limit" not in under
    flowtally.fake.answers[f"GET {PATH}"] = (200, {"items": [], "next": None})
    assert flowtally("user", "list", "acme", "--exceeded").out == "Nobody is over a limit.\n"
    assert flowtally.fake.asked[-1].query == {"limits": ["true"], "exceeded": ["true"]}
    assert flowtally("user", "list", "acme", "--exceeded", "--json").document == []
