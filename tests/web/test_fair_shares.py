"""Bounds of a credential and of an account, at the doors: who is refused, how, and what is never refused for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.conftest import Client
from tests.fake_ingest import FakeIngest
from tests.vendors.asking import issue
from tests.vendors.tongues import assert_refused, every_dialect

from flowtally.api import health
from flowtally.protocol import Scope
from flowtally.usage.memory import MemoryStore
from flowtally.vendors.base import Dialect
from flowtally.web.operation import OPERATIONS

PATIENCE_S = 20
EVENT = [{"source": "gw", "id": "1", "account": "acme", "time": "2026-03-15T11:00:00Z"}]


def bearer(client: Client, scope: Scope, account: str | None = "acme") -> dict[str, str]:
    return {"Authorization": f"Bearer {issue(client, account, scope).token}"}


def is_refused(answer: Any, code: str) -> bool:
    if answer.status_code != 429:
        return False
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code, answer.text
    assert int(answer.headers["retry-after"]) == answer.json()["retry_after_s"] >= 1
    return True


@contextmanager
def held_up(usage: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Semaphore]:
    """Questions for usage wait until the block ends; the semaphore counts those that are at it."""
    asked, go_on, ask = threading.Semaphore(0), threading.Event(), usage.sums

    def sums(*args: Any, **options: Any) -> Any:
        asked.release()
        assert go_on.wait(PATIENCE_S)
        return ask(*args, **options)

    monkeypatch.setattr(usage, "sums", sums)
    try:
        yield asked
    finally:
        go_on.set()


def test_a_credential_with_enough_in_work_is_told_to_come_again_and_others_are_answered(
    make_client: Callable[..., Client], usage: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PATIENCE_S", 0.05)  # of readyz, whose question for usage waits with the others
    client = make_client(max_requests_per_credential=2)
    client.post("/v1/accounts", json={"id": "acme"})
    greedy, quiet, gateway = (bearer(client, scope) for scope in ("account", "account", "ingest"))
    answers: list[Any] = []
    with held_up(usage, monkeypatch) as asked:
        readers = [
            threading.Thread(target=lambda: answers.append(client.get("/v1/accounts/acme/usage", headers=greedy)))
            for _ in range(2)
        ]
        for reader in readers:
            reader.start()
        for _ in readers:
            assert asked.acquire(timeout=PATIENCE_S)
        assert is_refused(client.get("/v1/accounts/acme", headers=greedy), "too_many_at_once")
        assert client.get("/v1/accounts/acme", headers=quiet).status_code == 200
        assert client.post("/v1/events", json=EVENT, headers=gateway).status_code == 200
        assert client.get("/readyz").status_code in (200, 503)
        assert 'flowtally_refused_total{code="too_many_at_once"} 1.0' in client.get("/metrics").text
    for reader in readers:
        reader.join(PATIENCE_S)
    assert [one.status_code for one in answers] == [200, 200]
    assert client.get("/v1/accounts/acme", headers=greedy).status_code == 200


def test_one_credential_that_reads_as_much_as_it_may_still_sends(
    make_client: Callable[..., Client], usage: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(max_requests_per_credential=1)
    client.post("/v1/accounts", json={"id": "acme"})
    with held_up(usage, monkeypatch) as asked:
        reader = threading.Thread(target=lambda: client.get("/v1/accounts/acme/usage"))
        reader.start()
        assert asked.acquire(timeout=PATIENCE_S)
        assert is_refused(client.get("/v1/accounts/acme"), "too_many_at_once")
        assert client.post("/v1/events", json=EVENT).json()["stored"] == 1
    reader.join(PATIENCE_S)


def test_sending_has_a_bound_of_its_own(make_client: Callable[..., Client], ingest: FakeIngest) -> None:
    client = make_client(max_sends_per_credential=1)
    client.post("/v1/accounts", json={"id": "acme"})
    gateway = bearer(client, "ingest")
    client.in_loop(ingest.hold.clear)
    first: list[Any] = []
    sender = threading.Thread(target=lambda: first.append(client.post("/v1/events", json=EVENT, headers=gateway)))
    sender.start()
    shares = client.app.state.services.shares
    while not shares.measures()["requests_in_work"]:
        pass
    refused = client.post("/v1/events", json=EVENT, headers=gateway)
    client.in_loop(ingest.hold.set)
    sender.join(PATIENCE_S)
    assert is_refused(refused, "too_many_at_once")
    assert first[0].json()["stored"] == 1
    assert client.post("/v1/events", json=EVENT, headers=gateway).json()["duplicate"] == 1


def test_an_account_that_used_its_share_is_refused_everything_but_sending(client: Client, acme: str) -> None:
    shares = client.app.state.services.shares
    who = {scope: bearer(client, scope) for scope in ("account", "manage", "ingest")}
    shares.charge(acme, 10_000)
    for op in OPERATIONS:
        if not op.may:
            continue
        path = op.path.format_map({"account": acme, **dict.fromkeys(_names(op.path), "x")})
        for scope, headers in who.items():
            answer = client.request(op.method, path, headers=headers)
            assert is_refused(answer, "budget_used") == (scope in op.scopes and not op.sends), (op.path, answer.text)


def _names(path: str) -> list[str]:
    return [part.strip("{}") for part in path.split("/") if part.startswith("{") and part != "{account}"]


def test_the_others_and_the_installation_are_answered_meanwhile(client: Client, acme: str) -> None:
    client.post("/v1/accounts", json={"id": "other"})
    client.app.state.services.shares.charge(acme, 10_000)
    assert client.get("/v1/accounts/other/balance", headers=bearer(client, "account", "other")).status_code == 200
    assert client.get("/v1/accounts/acme/balance").status_code == 200


def test_the_time_an_answer_takes_is_taken_off_the_budget_of_who_asked(
    client: Client, acme: str, usage: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    charged: list[tuple[str | None, float]] = []
    monkeypatch.setattr(client.app.state.services.shares, "charge", lambda *args: charged.append(args))
    reader, manager = bearer(client, "account"), bearer(client, "manage")
    client.get("/v1/accounts/acme/usage", headers=reader)
    client.get("/v1/accounts/acme/export", headers=reader)
    client.post("/v1/accounts/acme/users", json={"name": "carol"}, headers=manager)
    client.get("/v1/accounts/acme/usage")
    client.post("/v1/events", json=EVENT, headers=bearer(client, "ingest"))
    assert [account for account, _ in charged][-1] == ""
    assert {account for account, _ in charged[:-1]} == {"acme"}
    assert len(charged) >= 5, "an export is charged piece by piece"
    assert all(seconds > 0 for _, seconds in charged)


@every_dialect
def test_every_route_of_a_dialect_refuses_in_its_own_envelope_and_says_when_to_come_again(
    client: Client, acme: str, dialect: Dialect
) -> None:
    who = issue(client, acme, "manage")
    client.app.state.services.shares.charge(acme, 10_000)
    for route in dialect.routes:
        answer = who.ask(client, dialect, route)
        assert_refused(dialect, answer)
        assert int(answer.headers["retry-after"]) > 60


@every_dialect
def test_whatever_a_dialect_asks_for_a_caller_is_in_the_turn_of_its_account(
    client: Client, acme: str, dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also before it is let in: who comes often must not stand in the way of those who come seldom."""
    who, lane = issue(client, acme, "manage"), client.app.state.services.lanes.small
    turns, run = list[str](), lane.run

    async def watched(account: str, work: Callable[[], Any]) -> Any:
        turns.append(account)
        return await run(account, work)

    monkeypatch.setattr(lane, "run", watched)
    for route in dialect.routes:
        who.ask(client, dialect, route)
    assert set(turns) == {acme}


@every_dialect
def test_a_dialect_counts_what_a_credential_has_in_work(make_client: Callable[..., Client], dialect: Dialect) -> None:
    client = make_client(max_requests_per_credential=1)
    client.post("/v1/accounts", json={"id": "acme"})
    who = issue(client, "acme", "manage")
    credential = client.app.state.services.doorkeeper.look_up(f"Bearer {who.token}")
    with client.app.state.services.shares.admit(credential):
        for route in dialect.routes:
            answer = who.ask(client, dialect, route)
            assert_refused(dialect, answer)
            assert answer.headers["retry-after"] == "1"


def test_a_large_question_and_a_small_one_take_threads_apart(
    make_client: Callable[..., Client], usage: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All threads for large questions are taken, and more of them wait: balances and today's usage are answered."""
    client = make_client(threads=2, max_requests_per_credential=0)
    client.post("/v1/accounts", json={"id": "acme"})
    reader = bearer(client, "account")
    large = "/v1/accounts/acme/usage?from=2026-01-01&to=2026-03-15&by=user,status"
    asked, go_on, ask = threading.Semaphore(0), threading.Event(), usage.sums

    def sums(edges: Any, where: Any, by: Any = (), **options: Any) -> Any:
        if by and "status" in by:
            asked.release()
            assert go_on.wait(PATIENCE_S)
        return ask(edges, where, by, **options)

    monkeypatch.setattr(usage, "sums", sums)
    greedy = [threading.Thread(target=lambda: client.get(large, headers=reader)) for _ in range(6)]
    for one in greedy:
        one.start()
    assert asked.acquire(timeout=PATIENCE_S)
    for path in ("/v1/accounts/acme/balance", "/v1/accounts/acme/usage?from=2026-03-15&bucket=hour"):
        assert client.get(path, headers=reader).status_code == 200
    go_on.set()
    for one in greedy:
        one.join(PATIENCE_S)
