"""Where limits stand, of many users from one question: as each user's own balance says it, one by one."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final

import pytest
from tests.conftest import NOW, Client, send

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


@pytest.fixture
def crowd(make_client: Callable[..., Client]) -> Client:
    """12 users, some with a limit, that used something at any time around its windows, in a zone that is not UTC's."""
    client, random = make_client(max_users=0), Random(4711)
    client.post("/v1/accounts", json={"id": "acme", "timezone": "Asia/Kolkata", "carry_from": "2025-01-01T00:00:00Z"})
    for n in range(12):
        unit, window = random.choice(("bytes", "requests")), random.choice(("lifetime", "day", "month"))
        limit = {"amount": random.choice((0, 3, 250, 5_000)), "unit": unit, "window": window} if n % 4 else None
        body = {"name": f"u{n}", "limit": limit, "funded": n % 3 == 0, "product": random.choice(("residential", "api"))}
        assert client.post(USERS, json=body).status_code == 201
    for n in range(60):
        before_ms = random.choice((0, 1, 1_000, 12 * 3_600_000, 13 * 3_600_000, 3 * DAY_MS, 15 * DAY_MS, 40 * DAY_MS))
        at = format_instant(NOW - before_ms)
        send(client, f"e{n}", at, user=f"u{random.randrange(12)}", bytes_up=random.choice((0, 100)), bytes_down=1)
    return client


def listed(client: Client, **query: Any) -> list[Any]:
    found: list[Any] = []
    page = client.get(USERS, params=query).json()
    while True:
        found += page["items"]
        if page["next"] is None:
            return found
        page = client.get(USERS, params=query | {"cursor": page["next"]}).json()


def test_a_list_says_of_each_limit_what_the_users_own_balance_says(crowd: Client, asked: list[Any]) -> None:
    items = listed(crowd, limits="true")
    assert len(asked) == 1
    own = {one["id"]: crowd.get(f"{USERS}/{one['id']}/balance").json()["limit"] for one in items}
    assert {one["id"]: one["limit_state"] for one in items} == own
    assert {state["exceeded"] for state in own.values() if state} == {True, False}
    assert None in own.values()


def test_those_who_are_over_are_those_whose_own_balance_says_so(crowd: Client, asked: list[Any]) -> None:
    over = listed(crowd, exceeded="true")
    assert len(asked) == 1
    expected = [one["id"] for one in listed(crowd, limits="true") if (one["limit_state"] or {}).get("exceeded")]
    assert [one["id"] for one in over] == expected
    assert all(one["limit_state"]["exceeded"] for one in over)
    for product in ("residential", "api"):
        mine = [one["id"] for one in over if one["product"] == product]
        assert [one["id"] for one in listed(crowd, exceeded="true", product=product)] == mine


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("looked_at", [1, 2, 5, 10_000])
def test_pages_of_those_who_are_over_are_together_all_of_them(
    crowd: Client, monkeypatch: pytest.MonkeyPatch, limit: int, looked_at: int
) -> None:
    whole = listed(crowd, exceeded="true")
    monkeypatch.setattr(pages, "LOOKED_AT", looked_at)
    assert listed(crowd, exceeded="true", limit=limit) == whole


def test_a_question_is_asked_for_a_page_and_none_where_nobody_has_a_limit(crowd: Client, asked: list[Any]) -> None:
    crowd.get(USERS, params={"exceeded": "true", "limit": 1})
    assert len(asked) == 1
    crowd.get(USERS, params={"exceeded": "true", "product": "none"})
    crowd.get(USERS)
    assert len(asked) == 1


def test_who_used_all_of_a_limit_is_over_and_not_stopped(client: Client, acme: str) -> None:
    client.post(USERS, json={"name": "fay", "limit": {"amount": 10}})
    send(client, "f1", "2026-03-10T12:00:00Z", user="fay", bytes_down=9)
    assert client.get(USERS, params={"exceeded": "true"}).json() == {"items": [], "next": None}
    send(client, "f2", "2026-03-10T12:00:00Z", user="fay", bytes_down=1)
    [fay] = client.get(USERS, params={"exceeded": "true", "usage": "true"}).json()["items"]
    assert (fay["name"], fay["limit_state"]["left"], fay["used"]["bytes"]) == ("fay", 0, 10)
    send(client, "f3", "2026-03-10T12:00:00Z", user="fay", bytes_down=5)
    assert client.get(f"{USERS}/fay/balance").json()["limit"]["used"] == 15
    client.patch(f"{USERS}/fay", json={"limit": {"amount": 100}})
    assert client.get(USERS, params={"exceeded": "true"}).json()["items"] == []
