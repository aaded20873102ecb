"""The OpenAPI document says what is enforced; schemathesis tries to prove it wrong."""

from __future__ import annotations

import warnings
from typing import Any, Final, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.conftest import Client
from tests.soak import SOAK, sampled

import flowtally.api.application  # noqa: F401  (declares the operations)
from flowtally.core.rights import Right
from flowtally.vendors import VENDORS
from flowtally.web.operation import OPERATIONS, Listed, Operation

CASES: Final = 25 if SOAK else 10  # of each operation: the same ones in every run


def named(op: Operation) -> str:
    return f"{op.method} {op.path}"


@pytest.fixture
def document(client: Client) -> dict[str, Any]:
    del client.headers["authorization"]
    return dict(client.get("/schema/openapi.json").json())


def test_every_operation_is_described_with_examples_and_errors(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    described = [op for path in document["paths"].values() for op in path.values()]
    assert len(described) == len(OPERATIONS) + sum(len(dialect.routes) for dialect in VENDORS)
    assert len({op["operationId"] for op in described}) == len(described)
    for op in described:
        assert op["summary"]
        assert op["description"]
        assert all(parameter["description"] for parameter in op["parameters"])
        if op["security"] == [{"bearer": []}]:
            assert {"401", "403"} <= set(op["responses"])


def test_dialects_are_grouped_by_vendor_and_say_what_secrets_they_take(document: dict[str, Any]) -> None:
    ours = {op.path for op in OPERATIONS}
    for path, operations in document["paths"].items():
        for described in operations.values():
            if path not in ours:
                assert described["tags"][0] in {dialect.title for dialect in VENDORS}
                assert set(described["security"][0]) <= set(document["components"]["securitySchemes"])
                assert described["security"][0]


def test_schema_names_are_those_of_the_protocol(document: dict[str, Any]) -> None:
    assert set(document["components"]["schemas"]) >= {"AccountAnswer", "GrantRequest", "EventsAnswer", "Problem"}
    assert all(name.isidentifier() for name in document["components"]["schemas"])


@pytest.mark.parametrize("op", [op for op in OPERATIONS if op.example is not None], ids=named)
def test_examples_are_what_they_are_examples_of(op: Operation) -> None:
    example = msgspec.to_builtins(op.example)
    wanted = op.answer.item if isinstance(op.answer, Listed) else op.answer
    for item in example["items"] if isinstance(op.answer, Listed) else [example]:
        msgspec.convert(item, wanted)
    if op.body is not None:
        msgspec.convert(op.body_example, op.body)


@pytest.mark.parametrize("op", OPERATIONS, ids=named)
def test_declared_rights_are_rights(op: Operation) -> None:
    assert op.may in {*get_args(Right), "own", ""}


@pytest.mark.soak
def test_no_request_made_from_the_document_breaks_what_it_promises(client: Client, acme: str) -> None:
    """No 500, no status that is not documented, no body of another shape. Bodies of events are ingest's to judge;
    dialects, who ask for other secrets, have their turn in tests/vendors."""
    import schemathesis
    from schemathesis.core.result import Ok

    ours = {op.path for op in OPERATIONS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schema = schemathesis.openapi.from_dict(client.get("/schema/openapi.json").json())
        for result in schema.exclude(path="/v1/events", method="POST").get_all_operations():
            assert isinstance(result, Ok), result
            if result.ok().path in ours:
                prove(result.ok(), client)


def prove(operation: Any, client: Client) -> None:
    from schemathesis import Response

    documented = operation.definition.raw["responses"]

    @settings(
        max_examples=sampled(CASES, 1),
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def holds(case: Any) -> None:
        request = case.as_transport_kwargs(base_url="http://testserver")
        request.pop("cookies", None)
        request["headers"] = {**request["headers"], "Authorization": client.headers["authorization"]}
        answer = client.request(**request)
        assert str(answer.status_code) in documented, (request, answer.text)
        operation.validate_response(Response.from_any(answer))

    holds()
