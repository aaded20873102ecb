"""Where limits stand, of many users from one question: as each user's own balance says it, one by one."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from tests.conftest import NOW, Client, event, send, send_all
from tests.filling import Filled, Filling

from flowtally.core.edges import format_instant
from flowtally.ledger import pages
from flowtally.usage.memory import MemoryStore

USERS: Final = "/v1/accounts/acme/users"
DAY_MS: Final = 86_400_000


@pytest.fixture
def asked(usage: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The questions to the usage store."""
    found: list[Any] = []
    sums = usage.sums

    def counted(*given: Any, **more: Any) -> Any:
        found.append(given)
        return sums(*given, **more)

    monkeypatch.setattr(usage, "sums", counted)
    return found


@pytest.fixture(scope="module")
def crowd(filling: Filling) -> Filled:
    """12 users, some with a limit, that used something at any time around its windows, in a zone that is not UTC's."""
    random = Random(4711)
    with filling(max_users=0) as filled:
        client = filled.client
        account = {"id": "acme", "timezone": "Asia/Kolkata", "carry_from": "2025-01-01T00:00:00Z"}
        client.post("/v1/accounts", json=account)
        for n in range(12):
            unit, window = random.choice(("bytes", "requests")), random.choice(("lifetime", "day", "month"))
            limit = {"amount": random.choice((0, 3, 250, 5_000)), "unit": unit, "window": window} if n % 4 else None
            product = random.choice(("residential", "api"))
            body = {"name": f"u{n}", "limit": limit, "funded": n % 3 == 0, "product": product}
            assert client.post(USERS, json=body).status_code == 201
        send_all(client, [some_use(n, random) for n in range(60)])
    return filled


def some_use(n: int, random: Random) -> dict[str, Any]:
    before_ms = random.choice((0, 1, 1_000, 12 * 3_600_000, 13 * 3_600_000, 3 * DAY_MS, 15 * DAY_MS, 40 * DAY_MS))
    user, at = f"u{random.randrange(12)}", format_instant(NOW - before_ms)
    return event(f"e{n}", at, user=user, bytes_up=random.choice((0, 100)), bytes_down=1)


@pytest.fixture
def usage(crowd: Filled) -> MemoryStore:
    return crowd.copy_usage()


@pytest.fixture(scope="module")
def ledger_of_admin(crowd: Filled) -> tuple[Path, str]:
    return crowd.ledger_of_admin


def listed(client: Client, **query: Any) -> list[Any]:
    found: list[Any] = []
    page = client.get(USERS, params=query).json()
    while True:
        found += page["items"]
        if page["next"] is None:
            return found
        page = client.get(USERS, params=query | {"cursor": page["next"]}).json()


def test_a_list_says_of_each_limit_what_the_users_own_balance_says(client: Client, asked: list[Any]) -> None:
    items = listed(client, limits="true")
    assert len(asked) == 1
    own = {one["id"]: client.get(f"{USERS}/{one['id']}/balance").json()["limit"] for one in items}
    assert {one["id"]: one["limit_state"] for one in items} == own
    assert {state["exceeded"] for state in own.values() if state} == {True, False}
    assert None in own.values()


def test_those_who_are_over_are_those_whose_own_balance_says_so(client: Client, asked: list[Any]) -> None:
    over = listed(client, exceeded="true")
    assert len(asked) == 1
    expected = [one["id"] for one in listed(client, limits="true") if (one["limit_state"] or {}).get("exceeded")]
    assert [one["id"] for one in over] == expected
    assert all(one["limit_state"]["exceeded"] for one in over)
    for product in ("residential", "api"):
        mine = [one["id"] for one in over if one["product"] == product]
        assert [one["id"] for one in listed(client, exceeded="true", product=product)] == mine


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("looked_at", [1, 2, 5, 10_000])
def test_pages_of_those_who_are_over_are_together_all_of_them(
    client: Client, monkeypatch: pytest.MonkeyPatch, limit: int, looked_at: int
) -> None:
    whole = listed(client, exceeded="true")
    monkeypatch.setattr(pages, "LOOKED_AT", looked_at)
    assert listed(client, exceeded="true", limit=limit) == whole


def test_a_question_is_asked_for_a_page_and_none_where_nobody_has_a_limit(client: Client, asked: list[Any]) -> None:
    client.get(USERS, params={"exceeded": "true", "limit": 1})
    assert len(asked) == 1
    client.get(USERS, params={"exceeded": "true", "product": "none"})
    client.get(USERS)
    assert len(asked) == 1


def test_who_used_all_of_a_limit_is_over_and_not_stopped(client: Client) -> None:
    users = "/v1/accounts/beta/users"
    client.post("/v1/accounts", json={"id": "beta", "carry_from": "2026-03-01T00:00:00Z"})
    client.post(users, json={"name": "fay", "limit": {"amount": 10}})
    march = {"time": "2026-03-10T12:00:00Z", "account": "beta", "user": "fay"}
    send(client, "f1", **march, bytes_down=9)
    assert client.get(users, params={"exceeded": "true"}).json() == {"items": [], "next": None}
    send(client, "f2", **march, bytes_down=1)
    [fay] = client.get(users, params={"exceeded": "true", "usage": "true"}).json()["items"]
    assert (fay["name"], fay["limit_state"]["left"], fay["used"]["bytes"]) == ("fay", 0, 10)
    send(client, "f3", **march, bytes_down=5)
    assert client.get(f"{users}/fay/balance").json()["limit"]["used"] == 15
    client.patch(f"{users}/fay", json={"limit": {"amount": 100}})
    assert client.get(users, params={"exceeded": "true"}).json()["items"] == []
