"""What is the same for every request: ids, headers, the log line, the numbers; and the machines' routes."""

from __future__ import annotations

import asyncio
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.conftest import Client, ask_as_sent
from tests.fake_ingest import FakeIngest

from flowtally.api import health
from flowtally.core.errors import Unavailable

PROJECT: Final = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/accounts", "/v1/accounts/nobody", "/nothing"])
def test_every_answer_has_an_id_and_the_security_headers(client: Client, path: str) -> None:
    headers = client.get(path).headers
    assert len(headers["x-request-id"]) == 36
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["referrer-policy"] == "no-referrer"


def test_a_sane_request_id_is_kept_and_any_other_replaced(client: Client) -> None:
    assert client.get("/", headers={"X-Request-Id": "trace-1:2.3_4"}).headers["x-request-id"] == "trace-1:2.3_4"
    for strange in ("", "a b", "x" * 129, "{evil}"):
        assert client.get("/", headers={"X-Request-Id": strange}).headers["x-request-id"] != strange


def test_the_log_has_the_path_and_the_credentials_public_name_but_no_secret(
    client: Client, admin_token: str, capfd: Any
) -> None:
    client.get("/v1/accounts?cursor=very-secret")
    logged = "".join(capfd.readouterr())
    assert "/v1/accounts" in logged
    assert "crd_" in logged
    assert "very-secret" not in logged
    assert admin_token not in logged


@pytest.mark.parametrize("path", ["/v1/accounts", "/metrics"])
def test_of_two_authorizations_that_differ_neither_counts(
    make_client: Callable[..., Client], admin_token: str, path: str
) -> None:
    client = make_client(metrics="admin")
    right, wrong = (("Authorization", f"Bearer {token}") for token in (admin_token, "somebody-elses"))
    for sent in ([right, wrong], [wrong, right]):
        assert ask_as_sent(client, "GET", path, headers=sent).status_code == 401
    assert ask_as_sent(client, "GET", path, headers=[right, right]).status_code == 200


def test_metrics_count_requests_by_route(client: Client) -> None:
    client.get("/v1/accounts/a")
    client.get("/v1/accounts/b")
    client.get("/no/such/path/1")
    text = client.get("/metrics").text
    assert 'flowtally_http_requests_total{method="GET",route="/v1/accounts/{account}",status="404"} 2.0' in text
    assert 'flowtally_http_requests_total{method="GET",route="unmatched",status="404"} 1.0' in text
    assert 'flowtally_http_request_seconds_count{method="GET",route="/v1/accounts/{account}"} 2.0' in text
    assert "flowtally_ingest_waiting_events 0.0" in text
    assert "flowtally_ledger_up 1.0" in text


@pytest.mark.parametrize(
    ("setting", "host", "headers", "status"),
    [
        ("loopback", "127.0.0.1", {}, 200),
        ("loopback", "::1", {}, 200),
        ("loopback", "192.0.2.1", {}, 401),
        *[
            ("loopback", "127.0.0.1", {name: "192.0.2.1"}, 401)
            for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Proto", "CF-Connecting-IP")
        ],
        ("open", "192.0.2.1", {}, 200),
        ("admin", "127.0.0.1", {}, 401),
    ],
)
def test_who_reads_the_metrics_is_a_setting(
    make_client: Callable[..., Client], setting: str, host: str, headers: dict[str, str], status: int
) -> None:
    client = make_client(metrics=setting)
    assert client.get("/metrics").status_code == 200  # as admin, always
    transport = httpx.ASGITransport(client.app, client=(host, 5000))

    async def ask() -> int:
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as caller:
            return (await caller.get("/metrics", headers=headers)).status_code

    assert asyncio.run(ask()) == status


def test_ready_means_it_can_write_and_read(client: Client, ingest: FakeIngest, usage: Any) -> None:
    assert client.get("/readyz").json() == {"status": "ok"}
    ingest.open = False
    refused = client.get("/readyz")
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert "the disk is full" in refused.json()["detail"]
    ingest.open, usage.rows = True, [{}]
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_the_front_page_says_what_this_is(client: Client) -> None:
    assert client.get("/").json() == {
        "name": "flowtally",
        "version": PROJECT["version"],
        "openapi": "/schema/openapi.json",
    }


def test_a_store_that_hangs_is_not_waited_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PATIENCE_S", 0.1)
    hanging = threading.Event()
    monkeypatch.setattr(health, "check_reads", lambda services: hanging.wait(20))
    answer = client.get("/readyz")
    hanging.set()
    assert answer.status_code == 503
    assert answer.json()["detail"] == "A store does not answer within 0.1 s."


def test_one_store_that_does_not_answer_leaves_the_numbers_of_the_others(
    client: Client, ingest: FakeIngest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> dict[str, float]:
        raise Unavailable("The usage store cannot be reached")

    client.app.state.services.metrics.watch("other", fail)
    text = client.get("/metrics").text
    assert "flowtally_other_up 0.0" in text
    assert "flowtally_ledger_up 1.0" in text
    assert "flowtally_ingest_up 1.0" in text


def test_a_request_that_finds_no_memory_may_come_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("flowtally.web.operation.parse_query", none_left)
    answer = client.get("/v1/accounts")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
