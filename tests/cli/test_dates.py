"""Dates as people type them, in every command that takes one."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.fake import Program
from tests.cli.test_commands import ACCOUNT, BALANCE, USAGE

from flowtally.cli.dates import TAKEN, WORDS, Dates
from flowtally.core import clock
from flowtally.core.edges import EXAMPLE, find_instant, load_zone, local_date, parse_bound, parse_instant

NOW = parse_instant("2026-11-30T20:00:00Z")  # already 1 December in Kolkata
KOLKATA = "Asia/Kolkata"


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now_ms", lambda: NOW)


@pytest.mark.parametrize(
    ("typed", "day"),
    [
        ("today", "2026-12-01"),
        ("Yesterday", "2026-11-30"),
        ("tomorrow", "2026-12-02"),
        ("this-month", "2026-12-01"),
        ("last month", "2026-11-01"),
        ("next-month", "2027-01-01"),
        ("2026-11", "2026-11-01"),
        ("2024-02-29", "2024-02-29"),
    ],
)
def test_what_is_typed_is_a_day_of_the_zone(typed: str, day: str) -> None:
    dates = Dates(tz=KOLKATA)
    assert dates.bound(typed) == day
    at = dates.instant(typed)
    assert at is not None
    assert parse_instant(at) == parse_bound(day, load_zone(KOLKATA))


@given(st.sampled_from(sorted(WORDS)), st.integers(0, 2**42))
def test_a_word_names_a_day_near_to_now_wherever_that_is(word: str, now: int) -> None:
    for zone in ("UTC", "Pacific/Kiritimati", "America/St_Johns"):
        today = local_date(now, load_zone(zone))
        day = WORDS[word](today)
        assert abs((day - today).days) <= 62
        assert day.day == 1 or not word.endswith("month")


@pytest.mark.parametrize("typed", ["7d", "yesteday", "2026-13", "2026-02-30", "11/2026", "2026", "", "1.11.2026"])
def test_what_is_no_date_is_told_with_what_is_taken(typed: str) -> None:
    for read in (Dates().bound, Dates().instant):
        with pytest.raises(typer.BadParameter) as told:
            read(typed)
        assert TAKEN in str(told.value.message) or "not in the calendar" in str(told.value.message)


def test_instants_and_tokens_stay_as_they_are() -> None:
    assert Dates().bound(EXAMPLE) == Dates().instant(EXAMPLE) == Dates().known(EXAMPLE) == EXAMPLE
    assert Dates().known("a1:bm8gZGF0ZQ") == "a1:bm8gZGF0ZQ"
    assert Dates().bound(None) is None


def test_the_accounts_zone_is_asked_for_only_where_it_matters(flowtally: Program) -> None:
    flowtally.fake.answers |= {
        "GET /v1/accounts/acme": (200, ACCOUNT),
        "GET /v1/accounts/acme/usage": (200, USAGE),
        "GET /v1/accounts/acme/balance": (200, BALANCE),
    }
    flowtally("usage", "acme", "--from", "2026-11")
    assert [one.query.get("from") for one in flowtally.fake.asked] == [["2026-11-01"]]
    flowtally("usage", "acme", "--from", "yesterday", "--to", "today")
    assert [one.path for one in flowtally.fake.asked[1:]] == ["/v1/accounts/acme", "/v1/accounts/acme/usage"]
    assert (flowtally.fake.asked[-1].query["from"], flowtally.fake.asked[-1].query["to"]) == (
        ["2026-11-30"],
        ["2026-12-01"],
    )
    flowtally("balance", "acme", "--at", "today")
    assert flowtally.fake.asked[-1].query == {"at": ["2026-11-30T18:30:00Z"]}


def test_a_range_from_and_to_the_same_is_told(flowtally: Program) -> None:
    ran = flowtally("usage", "acme", "--from", "2026-11", "--to", "2026-11")
    assert (ran.code, flowtally.fake.asked) == (2, [])
    assert "the end of a range is not part of it" in ran.err


DATED: dict[str, tuple[str, ...]] = {  # every option that takes a date, by what it goes with
    "--from": ("usage acme", "user usage acme ann", "export acme --out x", "period close acme --to 2026-01-01"),
    "--to": ("usage acme", "user usage acme ann", "export acme --out x", "period close acme --from 2026-01-01"),
    "--at": ("balance acme", "explain acme", "user balance acme ann"),
    "--starts": ("grant give acme 1GB",),
    "--expires": ("grant give acme 1GB", "user allocate acme ann 1GB", "key create", "key change crd_1", "key rotate"),
    "--carry-from": ("account create acme",),
    "--time": ("correction adjust acme --reason r",),
    "--late-before": ("changes",),
    "--since": ("audit",),
    "--until": ("audit",),
}


@pytest.mark.parametrize(("option", "command"), [(name, one) for name, all in DATED.items() for one in all])
def test_every_command_with_dates_tells_what_it_takes(flowtally: Program, option: str, command: str) -> None:
    flowtally.fake.answers["GET /v1/credential"] = (200, {})
    ran = flowtally(*command.split(), option, "yesteday")
    assert ran.code == 2, ran.err
    assert "a month (2026-03, its first day)" in ran.err
    assert [one for one in flowtally.fake.asked if one.method != "GET"] == []


def test_the_api_says_what_it_takes(client: Any, acme: str) -> None:
    said = {
        "2026-11": "is a month: give its first day, 2026-11-01",
        "yesterday": f"no date such as 2026-03-01 and no RFC 3339 instant such as {EXAMPLE}",
    }
    for text, told in said.items():
        answer = client.get("/v1/accounts/acme/usage", params={"from": text})
        assert (answer.status_code, told in answer.json()["detail"]) == (400, True)
    at = client.get("/v1/accounts/acme/balance", params={"at": "2026-11-01"})
    assert "'2026-11-01' is a date, and not an RFC 3339 instant" in at.json()["detail"]
    assert find_instant("2026-11") is None
