"""Shadows on the command line."""

from __future__ import annotations

from typing import Any

import pytest
from tests.cli.fake import Program

AT = "2026-07-01T09:30:00Z"
ONE = "/v1/accounts/acme/shadow/thordata"
SHOWN: dict[str, Any] = {
    "account": "acme", "dialect": "thordata", "enabled": True, "asking": True, "provider": "thor", "share": 20,
    "changed_at": AT, "detail": "HTTP 502", "detail_at": AT,
    "routes": [{"route": "GET /api/days", "agreed": 1200, "differed": 3, "failed": 1, "last_at": AT}],
}  # fmt: skip
OFF = SHOWN | {"enabled": False, "asking": False, "provider": None, "detail": "", "detail_at": None, "routes": []}
DIFFERENCE: dict[str, Any] = {
    "id": "shd_1", "dialect": "thordata", "provider": "thor", "route": "GET /api/days", "at": AT,
    "question": '{"day":"1"}', "ours": "{}", "theirs": "{}", "count": 12,
    "fields": [{"place": f"data.list[{n}].mb", "ours": "5", "theirs": None if n else "7.5", "by": None if n else "2.5"}
               for n in range(12)],
}  # fmt: skip


@pytest.fixture
def shop(flowtally: Program) -> Program:
    flowtally.fake.answers |= {
        f"GET {ONE}": (200, SHOWN),
        f"PUT {ONE}": (200, SHOWN),
        "GET /v1/accounts/acme/shadow/differences": (200, {"items": [DIFFERENCE], "next": None}),
    }
    return flowtally


def test_it_is_turned_on_with_a_provider_and_a_share(shop: Program) -> None:
    ran = shop("shadow", "on", "acme", "thordata", "--provider", "thor", "--share", "20")
    assert ran.code == 0, ran.err
    assert shop.fake.asked[-1].body == {"enabled": True, "provider": "thor", "share": 20}
    for text in ("20 %", "thor", "1,200", "GET /api/days", "HTTP 502"):
        assert text in ran.out


def test_it_is_turned_off(shop: Program) -> None:
    shop.fake.answers[f"PUT {ONE}"] = (200, OFF)
    ran = shop("shadow", "off", "acme", "thordata")
    assert ran.code == 0, ran.err
    assert shop.fake.asked[-1].body["enabled"] is False
    assert "off" in ran.out


def test_it_says_where_the_vendor_is_not_asked_though_it_is_on(shop: Program) -> None:
    shop.fake.answers[f"GET {ONE}"] = (200, SHOWN | {"asking": False})
    assert "on, but not asked" in shop("shadow", "show", "acme", "thordata").out


def test_differences_show_the_first_fields_and_how_many_more_there_are(shop: Program) -> None:
    ran = shop("shadow", "differences", "acme", "--dialect", "thordata")
    assert ran.code == 0, ran.err
    assert shop.fake.asked[-1].query["dialect"] == ["thordata"]
    for text in ('{"day":"1"}', "data.list[0].mb", "2.5", "nothing", "and 2 fields more"):
        assert text in ran.out
    assert "data.list[10].mb" not in ran.out


def test_no_differences_are_said_to_be_none(shop: Program) -> None:
    shop.fake.answers["GET /v1/accounts/acme/shadow/differences"] = (200, {"items": [], "next": None})
    assert "No differences." in shop("shadow", "differences", "acme").out


@pytest.mark.parametrize("command", [["show", "acme", "thordata"], ["differences", "acme"]])
def test_all_of_it_is_json_where_that_is_asked_for(shop: Program, command: list[str]) -> None:
    ran = shop("shadow", *command, "--json")
    assert ran.code == 0
    assert ran.out.lstrip()[0] in "[{"
