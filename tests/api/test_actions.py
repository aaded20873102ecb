"""Actions, bound users and samples of what an account leases, over HTTP: asked by its holder, done by the operator's
machinery, seen by nobody else."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from tests.conftest import NOW, Client, Clock, token_of

from flowtally.core.times import DAY_MS
from flowtally.ledger.inventory import orders, stock
from flowtally.ledger.inventory.stock import NewStock

ACTIONS = "/v1/actions"


class Leased:
    """A server that acme leases from yesterday till tomorrow; beta leases none."""

    def __init__(self, client: Client) -> None:
        self.client = client
        for account in ("acme", "beta"):
            client.post("/v1/accounts", json={"id": account})
        with client.app.state.services.ledger.begin() as tx:
            self.server = stock.add_item(tx, NewStock("unlimited", "gate-1.example"), now=NOW - 2 * DAY_MS).id
            order = orders.give_lease(
                tx, "acme", self.server, starts_at=NOW - DAY_MS, ends_at=NOW + DAY_MS, now=NOW - DAY_MS
            )
            self.lease = order.leases[0]
        self.of = f"/v1/accounts/acme/leases/{self.lease}"
        self.machinery = token_of(client, "/v1/credentials", scope="custom", rights=["servers:read", "servers:write"])

    def ask(self, **body: Any) -> Any:
        answer = self.client.post(f"{self.of}/actions", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def do(self, path: str, **body: Any) -> httpx.Response:
        return self.client.post(f"{ACTIONS}/{path}", json=body or None, headers=self.machinery)


async def until_one_waits(leased: Leased) -> None:
    while leased.client.app.state.services.waiting.count == 0:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.001)


@pytest.fixture
def leased(client: Client) -> Leased:
    return Leased(client)


def test_what_a_holder_asks_for_is_taken_done_and_told(leased: Leased) -> None:
    asked = leased.ask()
    assert (asked["what"], asked["status"], asked["server"]) == ("restart", "requested", leased.server)
    found = leased.client.get(ACTIONS, params={"status": "requested"}, headers=leased.machinery).json()
    assert [one["id"] for one in found["items"]] == [asked["id"]]
    assert leased.do(f"{asked['id']}/take").json()["status"] == "taken"
    done = leased.do(f"{asked['id']}/answer", outcome="done", detail="up").json()
    assert (done["status"], done["detail"]) == ("done", "up")
    assert leased.client.get(f"{leased.of}/actions/{asked['id']}").json() == done
    assert leased.client.get(f"{leased.of}/actions", params={"status": "done"}).json()["items"] == [done]
    assert leased.client.get(f"{leased.of}/actions", params={"status": "expired"}).json()["items"] == []


def test_nobody_is_told_that_it_is_done_when_nobody_did_it(leased: Leased, clock: Clock) -> None:
    asked = leased.ask(expires_in_s=60)
    clock.at += 60_000
    assert leased.client.get(f"{leased.of}/actions/{asked['id']}").json()["status"] == "expired"
    late = leased.do(f"{asked['id']}/answer", outcome="done")
    assert (late.status_code, late.json()["code"], late.json()["status"]) == (409, "action_over", 409)


def test_what_another_one_took_is_left_to_it(leased: Leased) -> None:
    asked = leased.ask()
    leased.do(f"{asked['id']}/take")
    other = leased.client.post(f"{ACTIONS}/{asked['id']}/take")
    assert (other.status_code, other.json()["code"]) == (409, "action_taken")


def test_a_holder_has_no_say_in_what_became_of_it(leased: Leased) -> None:
    asked = leased.ask()
    its = token_of(leased.client, "/v1/accounts/acme/credentials", scope="manage")
    assert leased.client.post(f"{leased.of}/actions", json={}, headers=its).json()["id"] == asked["id"]
    assert leased.client.get(ACTIONS, headers=its).status_code == 403
    said = leased.client.post(f"{ACTIONS}/{asked['id']}/answer", json={"outcome": "done"}, headers=its)
    assert said.status_code == 403


def test_another_account_sees_and_asks_nothing(leased: Leased) -> None:
    asked = leased.ask()
    its = token_of(leased.client, "/v1/accounts/beta/credentials", scope="manage")
    for of in (leased.of, f"/v1/accounts/beta/leases/{leased.lease}"):
        for path in ("actions", f"actions/{asked['id']}", "users", "samples"):
            assert leased.client.get(f"{of}/{path}", headers=its).status_code == 404, path
        assert leased.client.post(f"{of}/actions", json={}, headers=its).status_code == 404


def test_after_the_lease_nothing_can_be_asked_for(leased: Leased, clock: Clock) -> None:
    clock.at += DAY_MS
    answer = leased.client.post(f"{leased.of}/actions", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "lease_ended")


def test_who_waits_is_answered_when_something_is_asked_for(leased: Leased) -> None:
    """The request that waits and the one that wakes it are in one loop, as in a server."""
    transport = httpx.ASGITransport(leased.client.app)

    async def both() -> tuple[httpx.Response, httpx.Response]:
        async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=leased.machinery) as asking:
            query: dict[str, Any] = {"status": "requested", "wait_s": 55}
            waits = asyncio.create_task(asking.get(ACTIONS, params=query))
            await until_one_waits(leased)
            head = {"Authorization": leased.client.headers["Authorization"]}
            asked = await asking.post(f"{leased.of}/actions", json={}, headers=head)
            return asked, await waits

    asked, waited = asyncio.run(both())
    assert [one["id"] for one in waited.json()["items"]] == [asked.json()["id"]]


def test_who_waits_is_answered_at_once_when_the_server_stops(leased: Leased) -> None:
    transport = httpx.ASGITransport(leased.client.app)

    async def stopped() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=leased.machinery) as asking:
            waits = asyncio.create_task(asking.get(ACTIONS, params={"wait_s": 55}))
            await until_one_waits(leased)
            leased.client.app.state.services.waiting.stop()
            return await waits

    assert asyncio.run(stopped()).json() == {"items": [], "next": None}


def test_a_wait_is_bounded(leased: Leased) -> None:
    answer = leased.client.get(ACTIONS, params={"wait_s": 56}, headers=leased.machinery)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_users_are_bound_listed_and_taken_off(leased: Leased) -> None:
    client, users = leased.client, f"{leased.of}/users"
    client.post("/v1/accounts/acme/users", json={"name": "ann"})
    made = client.put(f"{users}/ann").json()
    assert client.put(f"{users}/ann").json() == made
    assert client.get(users).json()["items"] == [made]
    assert client.delete(f"{users}/ann").json() == made
    assert client.delete(f"{users}/ann").status_code == 404
    assert client.put(f"{users}/bob").status_code == 404


def sample(server: str, time: str, value: float) -> dict[str, Any]:
    return {"server": server, "name": "cpu", "time": time, "value": value}


def test_a_holder_reads_what_was_measured_while_its_lease_lasted(leased: Leased) -> None:
    """Before, it was another one's."""
    times = ("2026-03-14T11:59:59Z", "2026-03-14T12:00:00Z", "2026-03-15T11:00:00Z")
    sent = leased.client.post("/v1/samples", json=[sample(leased.server, time, 5) for time in times])
    assert sent.json()["stored"] == 3
    asked: dict[str, Any] = {"from": "2026-03-13T00:00:00Z", "period_s": 3600}
    its = token_of(leased.client, "/v1/accounts/acme/credentials", scope="account")
    told = leased.client.get(f"{leased.of}/samples", params=asked, headers=its).json()
    assert told["server"] == leased.server
    [series] = told["series"]
    assert [point["start"] for point in series["points"]] == ["2026-03-14T12:00:00Z", "2026-03-15T11:00:00Z"]
    with leased.client.app.state.services.ledger.begin() as tx:
        orders.release_lease(tx, "acme", leased.lease, now=NOW - 2 * 3_600_000)
    told = leased.client.get(f"{leased.of}/samples", params=asked, headers=its).json()
    assert [point["start"] for point in told["series"][0]["points"]] == ["2026-03-14T12:00:00Z"]
