"""The whole OpenAPI document, dialects included, against a real server: requests made from it get what it promises.

Events themselves are ingest's to judge. Beside the status and the shape of each answer: no request, however odd, is a
fault inside, and what a dialect refuses it refuses in a whole envelope.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.live import Live, live_server
from tests.vendors.asking import PLACES, Shown
from tests.vendors.tongues import TONGUES, assert_refused

from flowtally.client import Client
from flowtally.protocol import AccountRequest, CredentialRequest, GrantRequest, PlainEvent
from flowtally.vendors import VENDORS
from flowtally.vendors.base import Dialect

EXAMPLES: Final = 12  # of a native operation, against a real engine; tests/api has more of them, in process
DIALECT_EXAMPLES: Final = 40
HEAVY: Final = ("/v1/backups", "/v1/verify", "/v1/retention", "/v1/doctor")  # each works on the whole installation
BY_TITLE: Final = {dialect.title: dialect for dialect in VENDORS}

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("schemathesis") / "data") as live:
        yield live


@pytest.fixture(scope="module")
def shown(live: Live) -> Shown:
    """A credential that manages an account with grants, money's worth of use and a user."""
    with Client(live.url, live.token) as client:
        client.create_account(AccountRequest(id="acme"))
        for pool in ("traffic", "mobile", "api"):
            client.give_grant("acme", GrantRequest(amount=2**42, pool=pool))
        uses = [PlainEvent("gw", "acme", f"{n}", user="alice", time=f"2026-03-{n:02}T12:00:00Z") for n in range(1, 29)]
        assert client.send_events(uses).stored == 28
        made = client.create_credential("acme", CredentialRequest(scope="manage"))
        return Shown(made.id, str(made.token), str(made.key))


@pytest.fixture(scope="module")
def operations(live: Live) -> dict[str, list[Any]]:
    """By their tag."""
    import schemathesis
    from schemathesis.core.result import Ok

    found: dict[str, list[Any]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schema = schemathesis.openapi.from_dict(httpx.get(f"{live.url}/schema/openapi.json").json())
        for result in schema.exclude(path="/v1/events", method="POST").get_all_operations():
            assert isinstance(result, Ok), result
            operation = result.ok()
            found.setdefault(operation.definition.raw["tags"][0], []).append(operation)
    return found


def test_every_dialect_is_in_the_document(operations: dict[str, list[Any]]) -> None:
    assert {dialect.title: len(dialect.routes) for dialect in VENDORS} == {
        title: len(found) for title, found in operations.items() if title in BY_TITLE
    }


@pytest.mark.parametrize("dialect", VENDORS, ids=lambda one: one.name)
def test_a_dialect_answers_every_request_as_the_document_says(
    live: Live, shown: Shown, operations: dict[str, list[Any]], dialect: Dialect
) -> None:
    query, headers = PLACES[dialect.name](shown)
    for operation in operations[dialect.title]:
        prove(operation, live, DIALECT_EXAMPLES, query, headers, dialect)


def test_a_native_route_answers_every_request_as_the_document_says(
    live: Live, shown: Shown, operations: dict[str, list[Any]]
) -> None:
    headers = {"Authorization": f"Bearer {live.token}"}
    for operation in [one for tag, found in operations.items() if tag not in BY_TITLE for one in found]:
        heavy = operation.path.startswith(HEAVY) and operation.method.upper() != "GET"
        prove(operation, live, 2 if heavy else EXAMPLES, {}, headers, None)


def prove(
    operation: Any,
    live: Live,
    examples: int,
    query: dict[str, str],
    headers: dict[str, str],
    dialect: Dialect | None,
) -> None:
    documented = operation.definition.raw["responses"]

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def holds(case: Any) -> None:
        case.cookies.clear()
        answer = case.call(base_url=live.url, headers=headers, params=query, timeout=60)
        assert str(answer.status_code) in documented, (case, answer.text)
        assert answer.status_code < 500, (case, answer.text)
        operation.validate_response(answer)
        if dialect is not None and not TONGUES[dialect.name].succeeded(answer.status_code, answer.json()):
            kind = {"content-type": answer.headers["content-type"][0]}
            asked = httpx.Request(case.method, f"{live.url}{case.formatted_path}")
            refused = httpx.Response(answer.status_code, headers=kind, content=answer.content, request=asked)
            assert_refused(dialect, refused)

    holds()
