"""Providers on the command line: secrets are typed, piped or read from a file, and never shown."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from tests.cli.fake import Program

AT = "2026-07-01T09:30:00Z"
SECRET = "s3cret-of-the-vendor"
VENDORS = [
    {
        "vendor": "thordata",
        "title": "Thordata",
        "address": "https://openapi.thordata.com/api",
        "secrets": [
            {"name": "token", "meaning": "the public API's token", "default": None, "choices": []},
            {"name": "key", "meaning": "The key, where it is wanted.", "default": "", "choices": []},
        ],
        "settings": [{"name": "grain", "meaning": "how finely", "default": "day", "choices": ["day", "hour"]}],
        "every_s": 3600,
        "keeps_days": 180,
    }
]
THOR: dict[str, Any] = {
    "name": "thor", "account": "acme", "vendor": "thordata", "settings": {"grain": "day"}, "secrets": ["token"],
    "since": "2026-01-01T00:00:00Z", "told_until": None, "state": "new", "state_since": AT, "detail": "",
    "failures": 0, "every_s": 3600, "paused": False, "address": None, "created_at": AT, "tried_at": None,
    "pulled_at": None, "next_at": AT, "removed_at": None,
}  # fmt: skip
ASKED = THOR | {
    "state": "ok", "told_until": "2026-07-01T00:00:00Z", "tried_at": AT, "pulled_at": AT,
    "next_at": "2026-07-01T10:30:00Z",
}  # fmt: skip
OK = {"provider": "thor", "outcome": "ok", "detail": "", "works": ["traffic balance: 5 GB"], "cannot": ["mobile"]}
DENIED = {"provider": "thor", "outcome": "denied", "detail": "10047 Token error", "works": [], "cannot": []}
PULL = {
    "began_at": AT,
    "ended_at": AT,
    "outcome": "late",
    "detail": "HTTP 502",
    "calls": 3,
    "figures": 1200,
    "changed": 0,
}
KEY: dict[str, Any] = {
    "id": "crd_1", "sender": None, "scope": "manage", "account": "acme", "name": "", "rights": [], "addresses": [],
    "created_at": AT, "expires_at": None, "revoked_at": None, "last_used_at": None, "replaces": None,
}  # fmt: skip
BALANCE: dict[str, Any] = {
    "provider": "thor", "account": "acme", "pulled_at": AT,
    "balances": [
        {"label": "traffic", "quantity": "bytes", "left": 5_000_000_000, "used": None, "total": None, "currency": "",
         "expires_at": "2026-08-01T00:00:00Z", "step": 1, "seen_at": AT},
        {"label": "wallet", "quantity": "money", "left": 12_500_000, "used": None, "total": None, "currency": "USD",
         "expires_at": None, "step": 1, "seen_at": AT},
    ],
    "run_out": {"at": "2026-07-08T00:00:00Z", "per_day": 700_000_000, "days": 7, "reason": ""},
}  # fmt: skip


@pytest.fixture
def shop(flowtally: Program) -> Program:
    mine = "/v1/accounts/acme/providers"
    flowtally.fake.answers |= {
        "GET /v1/vendors": (200, VENDORS),
        "GET /v1/credential": (200, KEY),
        f"POST {mine}": (201, THOR),
        f"GET {mine}": (200, {"items": [ASKED], "next": None}),
        "GET /v1/providers": (200, {"items": [THOR, ASKED], "next": None}),
        "GET /v1/providers/thor": (200, THOR),
        f"GET {mine}/thor": (200, ASKED),
        f"PATCH {mine}/thor": (200, THOR | {"paused": True}),
        f"DELETE {mine}/thor": (200, THOR | {"state": "removed", "secrets": [], "next_at": None, "removed_at": AT}),
        f"POST {mine}/thor/check": (200, OK),
        f"POST {mine}/thor/pull": (202, THOR),
        f"GET {mine}/thor/pulls": (200, {"items": [PULL], "next": None}),
        f"GET {mine}/thor/balance": (200, BALANCE),
    }
    return flowtally


def sent(shop: Program, method: str) -> Any:
    [body] = [one.body for one in shop.fake.asked if one.method == method and one.body is not None]
    return body


def piped(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_secrets_come_from_a_pipe_and_the_check_is_told(shop: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, f"# of the dashboard\n\ntoken={SECRET}==\n")
    ran = shop("provider", "add", "thor", "--vendor", "thordata", "--set", "grain=hour", "--since", "2026-01-01")
    assert ran.code == 0, ran.err
    assert sent(shop, "POST") == {
        "name": "thor",
        "vendor": "thordata",
        "secrets": {"token": f"{SECRET}=="},
        "settings": {"grain": "hour"},
        "since": "2026-01-01",
        "every_s": None,
        "address": None,
    }
    assert "The secrets work." in ran.out
    assert "sees: traffic balance: 5 GB" in ran.out
    assert "does not see: mobile" in ran.out
    assert SECRET not in ran.out + ran.err


def test_secrets_come_from_a_file(shop: Program, tmp_path: Path) -> None:
    file = tmp_path / "thor.env"
    file.write_text(f"token = {SECRET}\nkey=k\n")
    assert (
        shop("provider", "add", "thor", "--account", "acme", "--vendor", "thordata", "--secrets", str(file)).code == 0
    )
    assert sent(shop, "POST")["secrets"] == {"token": SECRET, "key": "k"}


def test_in_a_terminal_each_is_asked_for_and_hidden(shop: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    asked: list[str] = []

    def typed(prompt: str) -> str:
        asked.append(prompt)
        return SECRET if "token" in prompt else ""

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("flowtally.cli.provider.hidden", typed)
    assert shop("provider", "add", "thor", "--vendor", "thordata", "--no-check").code == 0
    assert sent(shop, "POST")["secrets"] == {"token": SECRET}
    assert asked == [
        "Thordata token (the public API's token): ",
        "Thordata key (The key, where it is wanted, or nothing): ",
    ]


@pytest.mark.parametrize("lines", [SECRET, f"{SECRET}=", f"={SECRET}", f"tokn={SECRET}", f"{SECRET} = x"])
def test_a_line_that_is_no_secret_is_told_without_showing_it(
    shop: Program, monkeypatch: pytest.MonkeyPatch, lines: str
) -> None:
    piped(monkeypatch, f"# of the dashboard\n{lines}\n")
    ran = shop("provider", "add", "thor", "--vendor", "thordata")
    assert ran.code != 0
    assert "line 2 of standard input is not NAME=VALUE with a NAME of token, key" in ran.err
    assert SECRET not in ran.out + ran.err


def test_a_secret_that_is_there_twice_is_told(shop: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, f"token={SECRET}\ntoken={SECRET}2\n")
    ran = shop("provider", "add", "thor", "--vendor", "thordata")
    assert "line 2 of standard input says token a second time" in ran.err
    assert SECRET not in ran.out + ran.err


@pytest.mark.parametrize("given", [SECRET, f"={SECRET}"])
def test_a_setting_without_a_name_may_be_a_secret_and_is_not_shown(
    shop: Program, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    piped(monkeypatch, f"token={SECRET}\n")
    ran = shop("provider", "add", "thor", "--vendor", "thordata", "--set", "grain=day", "--set", given)
    assert ran.code == 2
    assert "number 2 is not NAME=VALUE" in ran.err
    assert SECRET not in ran.out + ran.err


def test_a_vendor_that_is_none_is_named_before_anything_is_asked(shop: Program) -> None:
    ran = shop("provider", "add", "thor", "--vendor", "thor")
    assert ran.code == 2
    assert "'thor': one of thordata" in ran.err


def test_secrets_that_do_not_work_are_exit_code_1(shop: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.fake.answers["POST /v1/accounts/acme/providers/thor/check"] = (200, DENIED)
    piped(monkeypatch, "token=x\n")
    ran = shop("provider", "add", "thor", "--vendor", "thordata")
    assert ran.code == 1
    assert "The vendor refuses these secrets: 10047 Token error" in ran.out
    assert shop("provider", "check", "thor").code == 1


def test_the_list_is_of_the_keys_own_account_or_of_all(shop: Program) -> None:
    assert shop("provider", "list").out.splitlines()[1].split()[:4] == ["thor", "acme", "thordata", "ok"]
    shop.fake.answers["GET /v1/credential"] = (200, KEY | {"scope": "admin", "account": None})
    assert len(shop("provider", "list").out.splitlines()) == 3


def test_a_pull_waits_until_it_was_asked(shop: Program) -> None:
    ran = shop("provider", "pull", "thor")
    assert ran.code == 0
    assert "ok since 2026-07-01T09:30Z" in ran.out
    assert shop("provider", "pull", "thor", "--no-wait", "--json").document["state"] == "new"


def test_a_pull_that_was_under_way_is_not_the_one_that_was_asked_for(
    shop: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it ends the turn that was asked for is still to come: its time is as it was."""
    mine = "/v1/accounts/acme/providers/thor"
    shop.fake.answers[f"GET {mine}"] = (200, ASKED | {"state": "late", "next_at": AT})
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            shop.fake.answers[f"GET {mine}"] = (200, ASKED | {"tried_at": "2026-07-01T09:30:05Z"})

    monkeypatch.setattr("flowtally.cli.provider.time.sleep", sleep)
    assert shop("provider", "pull", "thor").code == 0
    assert len(slept) == 3


def test_a_turn_that_has_come_is_now(shop: Program) -> None:
    shown = shop("provider", "show", "thor").out
    assert re.search(r"^next +now$", shown, re.MULTILINE), "its time is past"
    shop.fake.answers["GET /v1/providers/thor"] = (200, ASKED | {"next_at": "2999-07-01T10:30:00Z"})
    assert re.search(r"^next +2999-07-01T10:30Z$", shop("provider", "show", "thor").out, re.MULTILINE)


def test_one_is_shown_with_its_last_pulls(shop: Program) -> None:
    lines = shop("provider", "show", "thor").out.splitlines()
    assert lines[-1].split() == ["2026-07-01T09:30Z", "late", "3", "1,200", "0", "HTTP", "502"]


def test_what_is_left_and_when_it_runs_out(shop: Program) -> None:
    out = shop("provider", "balance", "thor").out
    assert "5 GB" in out
    assert "12.50 USD" in out
    assert "Runs out 2026-07-08 (" in out
    assert "at 700 MB a day, the mean of 7 days." in out
    shop.fake.answers["GET /v1/accounts/acme/providers/thor/balance"] = (
        200,
        BALANCE | {"run_out": {"at": None, "per_day": None, "days": 0, "reason": "nothing is known"}},
    )
    assert "When it runs out cannot be said: nothing is known." in shop("provider", "balance", "thor").out


def test_settings_are_changed_one_by_one_and_others_stay(shop: Program) -> None:
    ran = shop("provider", "change", "thor", "--set", "zone=UTC", "--pause")
    assert sent(shop, "PATCH") == {"settings": {"grain": "day", "zone": "UTC"}, "paused": True}
    assert "paused" in ran.out


def test_removing_and_the_vendors(shop: Program) -> None:
    assert "removed since" in shop("provider", "remove", "thor").out
    out = shop("provider", "vendors").out
    assert "thordata  Thordata, asked at https://openapi.thordata.com/api" in out
    assert "  token (secret): the public API's token.\n" in out
    assert "  key (secret): The key, where it is wanted. Default: none.\n" in out
    assert "  grain: how finely. One of day, hour. Default: day.\n" in out
