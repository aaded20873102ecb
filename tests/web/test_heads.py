"""HEAD is served wherever GET is, OPTIONS everywhere, and both say the truth about methods."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import Any

import pytest
from tests.conftest import Client
from tests.fake_ingest import FakeIngest
from tests.filling import Filled
from tests.vendors.asking import PLACES, issue
from tests.vendors.tongues import ROUTES

import flowtally.api.application  # noqa: F401  (declares the operations)
from flowtally.care.care import Care
from flowtally.usage.memory import MemoryStore
from flowtally.vendors.base import Dialect, Route
from flowtally.web.operation import OPERATIONS

VARYING = {"x-request-id", "date"}
QUESTION = "from=2026-03-01&to=2026-04-01"


def path_of(pattern: str) -> str:
    path = pattern.replace("{account}", "acme").replace("{user}", "alice").replace("{source}", "gw")
    return path.replace("{event}", "1").replace("{", "").replace("}", "")


def heads(answer: Any) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in VARYING}


@pytest.fixture
def measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured anew for each answer (a sync, room, sizes of files) stands still, for two answers are compared
    to the byte."""
    for name in ("machine", "figures"):
        monkeypatch.setattr(Care, name, cache(getattr(Care, name)))


@pytest.mark.usefixtures("measured_once")
@pytest.mark.parametrize("pattern", [op.path for op in OPERATIONS if op.method == "GET"])
@pytest.mark.parametrize("query", ["", QUESTION], ids=["bare", "span"])
def test_head_is_get_without_its_body(shared: Filled, pattern: str, query: str) -> None:
    asked = f"{path_of(pattern)}?{query}"
    got, head = shared.client.get(asked), shared.client.head(asked)
    assert head.status_code == got.status_code
    assert head.content == b""
    if pattern != "/metrics":  # it counts its own readers
        assert heads(head) == heads(got)
    if "transfer-encoding" not in got.headers and not pattern.endswith("/export"):
        assert "content-length" in head.headers


def test_the_usual_probes_ask_by_head(client: Client, ingest: FakeIngest) -> None:
    assert client.head("/healthz").status_code == 200
    assert client.head("/readyz").status_code == 200
    ingest.open = False
    assert client.head("/readyz").status_code == 503
    assert client.head("/readyz").headers["retry-after"] == "1"


def test_head_of_an_export_makes_no_rows(shared: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    got = shared.client.get(f"/v1/accounts/acme/export?{QUESTION}")
    assert got.status_code == 200
    assert got.content

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nobody reads them")

    monkeypatch.setattr(MemoryStore, "read_rows", refuse)
    head = shared.client.head(f"/v1/accounts/acme/export?{QUESTION}")
    assert (head.status_code, head.content, heads(head)) == (200, b"", heads(got))


def test_head_is_405_where_get_is_and_says_so(shared: Filled) -> None:
    refused = shared.client.head("/v1/corrections")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "OPTIONS, POST"
    assert refused.content == b""
    other = shared.client.delete("/v1/accounts")
    assert other.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert other.json()["detail"] == "DELETE is not served at /v1/accounts."


def test_a_head_that_is_not_allowed_is_refused_like_its_get(shared: Filled) -> None:
    for path in ("/v1/accounts", "/v1/accounts/acme"):
        nobody = shared.client.head(path, headers={"Authorization": "Bearer nobody"})
        assert nobody.status_code == 401
        assert nobody.headers["www-authenticate"].startswith("Bearer")


def test_options_names_every_method_of_every_path(shared: Filled) -> None:
    served: dict[str, set[str]] = defaultdict(set)
    for op in OPERATIONS:
        served[op.path].add(op.method)
    for _, route in ROUTES:
        served[route.path].add(route.method)
    for path, methods in served.items():
        answer = shared.client.options(path_of(path))
        assert (answer.status_code, answer.content) == (204, b"")
        more = {"OPTIONS", "HEAD"} if "GET" in methods else {"OPTIONS"}
        assert answer.headers["allow"] == ", ".join(sorted(methods | more)), path


BY_GET = {"/api/child/save_user", "/api/child/edit_user", "/api/child/del_user"}  # as their vendor has it


def test_no_get_changes_anything_but_where_a_vendor_writes_so(client: Client) -> None:
    """Or HEAD would, too: there it is refused."""
    assert not [op.path for op in OPERATIONS if op.method == "GET" and op.writes]
    assert {route.path for _, route in ROUTES if route.method == "GET" and route.writes} == BY_GET
    client.post("/v1/accounts", json={"id": "acme"})
    who = issue(client, "acme", "manage")
    query, headers = PLACES["thordata"](who)
    for path in BY_GET:
        values = {**query, "username": "newone", "password": "secret77", "flow_limit": "100", "status": "1"}
        client.head(path, headers=headers, params=values)
    assert client.get("/v1/accounts/acme/users").json()["items"] == []


@pytest.mark.parametrize(("dialect", "route"), ROUTES, ids=lambda one: getattr(one, "path", getattr(one, "name", "")))
def test_a_dialect_answers_head_like_its_get_and_refuses_it_as_any_other_method(
    shared: Filled, dialect: Dialect, route: Route
) -> None:
    who = issue(shared.client, "acme", "manage")
    query, headers = PLACES[dialect.name](who)
    by_get = [other for _, other in ROUTES if other.path == route.path and other.method == "GET"]
    values = {**query, **(by_get[0].takes_example if by_get else {})}
    got = shared.client.get(route.path, headers=headers, params=values)
    head = shared.client.head(route.path, headers=headers, params=values)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    if not by_get:
        assert head.headers["allow"] == "OPTIONS, POST"


def test_the_log_and_the_numbers_say_head(client: Client, capfd: pytest.CaptureFixture[str]) -> None:
    client.head("/v1/accounts")
    assert "method=HEAD" in "".join(capfd.readouterr())
    text = client.get("/metrics").text
    assert 'flowtally_http_requests_total{method="HEAD",route="/v1/accounts",status="200"} 1.0' in text
