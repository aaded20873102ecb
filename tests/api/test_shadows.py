"""Shadows over HTTP: off by default, turned on by the installation alone, and shown with what they found."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import NOW, Client, token_of

from flowtally.core.comparing import Differs
from flowtally.ledger.providers import connected, shadows
from flowtally.ledger.providers.shadows import Shadowed

ONE = "/v1/accounts/acme/shadow/thordata"
ON = {"enabled": True, "provider": "thor", "share": 20}


@pytest.fixture
def thor(client: Client, acme: str) -> Client:
    asked = {"name": "thor", "vendor": "thordata", "secrets": {"token": "s3cret-token"}}
    assert client.post("/v1/accounts/acme/providers", json=asked).status_code == 201
    return client


def came(client: Client, outcome: Any = "differed", dialect: str = "thordata", **more: Any) -> None:
    with client.app.state.services.ledger.begin() as tx:
        provider = connected.read_live(tx, "thor").id
        values: dict[str, Any] = {
            "question": "{}",
            "ours": "1",
            "theirs": "2",
            "fields": (Differs("n", "1", "2", "1"),),
            "count": 1,
        }
        asked = Shadowed("acme", dialect, provider, "GET /", NOW, outcome, **(values | more))
        shadows.keep_asked(tx, [asked], now=NOW)


def test_it_is_off_until_it_is_turned_on(thor: Client) -> None:
    assert thor.get(ONE).json() == {
        "account": "acme",
        "dialect": "thordata",
        "enabled": False,
        "asking": False,
        "provider": None,
        "share": 100,
        "changed_at": None,
        "detail": "",
        "detail_at": None,
        "routes": [],
    }
    shadowing = thor.app.state.services.shadowing
    path = "/api/account/traffic-balance"
    assert not shadowing.wants("acme", "thordata", path)
    on = thor.put(ONE, json=ON | {"share": 100})
    assert (on.status_code, on.json()["enabled"], on.json()["asking"], on.json()["provider"]) == (
        200,
        True,
        True,
        "thor",
    )
    assert shadowing.wants("acme", "thordata", path), "it holds from the answer on"
    assert thor.put(ONE, json={"enabled": False}).json() == thor.get(ONE).json()
    assert not thor.get(ONE).json()["enabled"]
    assert not shadowing.wants("acme", "thordata", path)


def test_only_the_installation_turns_it_on_and_its_account_may_turn_it_off(thor: Client) -> None:
    mine = token_of(thor, "/v1/accounts/acme/credentials", scope="manage")
    refused = thor.put(ONE, json=ON, headers=mine)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert not thor.get(ONE).json()["enabled"]
    thor.put(ONE, json=ON)
    assert thor.put(ONE, json=ON | {"share": 100}, headers=mine).status_code == 403
    assert thor.get(ONE, headers=mine).json()["share"] == 20
    assert thor.put(ONE, json={"enabled": False}, headers=mine).status_code == 200
    assert not thor.get(ONE).json()["enabled"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"enabled": True}, 422, "provider"),
        ({"enabled": True, "provider": "theirs"}, 422, "provider"),
        ({"enabled": True, "provider": "fox"}, 422, "provider"),
        ({"enabled": True, "provider": "nobody"}, 404, None),
        ({"enabled": True, "provider": "\x00"}, 404, None),
        ({"enabled": True, "provider": "thor", "share": 0}, 422, "share"),
        ({"enabled": True, "provider": "thor", "share": 101}, 422, "share"),
        ({"enabled": True, "provider": "thor", "share": 1.5}, 422, "share"),
        ({"provider": "thor"}, 422, "enabled"),
        ({"enabled": True, "provider": "thor", "more": 1}, 422, "more"),
    ],
)
def test_it_is_turned_on_with_a_provider_of_this_account_at_this_vendor(
    thor: Client, body: dict[str, Any], status: int, field: str | None
) -> None:
    thor.post("/v1/accounts", json={"id": "beta"})
    others = (
        ("beta", "theirs", "thordata", {"token": "aaaa"}),
        ("acme", "fox", "ipfoxy", {"api_id": "a", "api_token": "b"}),
    )
    for account, name, vendor, secrets in others:
        asked = {"name": name, "vendor": vendor, "secrets": secrets}
        assert thor.post(f"/v1/accounts/{account}/providers", json=asked).status_code == 201
    answer = thor.put(ONE, json=body)
    assert (answer.status_code, answer.json().get("field")) == (status, field)
    assert not thor.get(ONE).json()["enabled"]


@pytest.mark.parametrize("dialect", ["nobody", "scripted", "x" * 200])
def test_a_dialect_that_is_none_is_not_found(thor: Client, dialect: str) -> None:
    path = f"/v1/accounts/acme/shadow/{dialect}"
    for answer in (thor.get(path), thor.put(path, json=ON)):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert "thordata" in answer.json()["detail"]


def test_counts_differences_and_the_last_failure_are_shown(thor: Client) -> None:
    thor.put(ONE, json=ON)
    came(thor, "agreed")
    came(thor)
    came(thor, "failed", detail="GET https://x.example/days: HTTP 502")
    came(thor, dialect="ipfoxy")
    shown = thor.get(ONE).json()
    at = "2026-03-15T12:00:00Z"
    assert shown["routes"] == [{"route": "GET /", "agreed": 1, "differed": 1, "failed": 1, "last_at": at}]
    assert (shown["detail"], shown["detail_at"]) == ("GET https://x.example/days: HTTP 502", at)
    listed = thor.get("/v1/accounts/acme/shadow/differences", params={"dialect": "thordata"}).json()
    [one] = listed["items"]
    assert one.pop("id").startswith("shd_")
    assert one == {
        "dialect": "thordata",
        "provider": "thor",
        "route": "GET /",
        "at": at,
        "question": "{}",
        "ours": "1",
        "theirs": "2",
        "fields": [{"place": "n", "ours": "1", "theirs": "2", "by": "1"}],
        "count": 1,
    }
    assert len(thor.get("/v1/accounts/acme/shadow/differences").json()["items"]) == 2


def test_it_says_so_where_the_vendor_is_not_asked_though_it_is_on(thor: Client) -> None:
    thor.put(ONE, json=ON)
    thor.patch("/v1/accounts/acme/providers/thor", json={"paused": True})
    assert (thor.get(ONE).json()["enabled"], thor.get(ONE).json()["asking"]) == (True, False)
    thor.delete("/v1/accounts/acme/providers/thor")
    assert (thor.get(ONE).json()["enabled"], thor.get(ONE).json()["provider"]) == (False, "thor")


def test_metrics_tell_how_many_are_on_and_what_calls_came_to(thor: Client) -> None:
    thor.put(ONE, json=ON)
    told = thor.get("/metrics").text
    assert "flowtally_shadows 1.0\n" in told
    assert 'flowtally_shadow_calls_total{outcome="differed"} 0.0\n' in told
