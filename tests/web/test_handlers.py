"""What a handler takes is what its declaration says: its path, its query, its body, each with the declared type."""

from __future__ import annotations

import inspect
import re
import typing
from types import UnionType
from typing import Any

import pytest

import flowtally.api.application  # noqa: F401  (declares the operations)
from flowtally.vendors import VENDORS
from flowtally.vendors.base import Adapted, DialectCall, Reply, Route
from flowtally.web.bodies import AnyRequest
from flowtally.web.call import Call
from flowtally.web.inputs import NoQuery
from flowtally.web.operation import OPERATIONS, Operation
from flowtally.web.services import Services

ROUTES = [(vendor.name, route) for vendor in VENDORS for route in vendor.routes]
every_operation = pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: f"{op.method} {op.path}")
every_route = pytest.mark.parametrize(("vendor", "route"), ROUTES, ids=lambda one: getattr(one, "path", one))


def declared(op: Operation) -> dict[str, Any]:
    """Name and type of each parameter that the runner hands over."""
    if not op.may:
        return {"services": Services, "request": AnyRequest}
    given: dict[str, Any] = {"call": Call}
    if inspect.iscoroutinefunction(op.work):
        given["request"] = AnyRequest
    given |= dict.fromkeys(re.findall(r"\{(\w+)\}", op.path), str)
    if op.query is not NoQuery:
        given["query"] = op.query
    if op.body is not None:
        given["body"] = op.body
    return given


def taken(work: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(work, include_extras=True)
    return {name: hints[name] for name in inspect.signature(work).parameters}


@every_operation
def test_an_operation_takes_its_path_query_and_body_and_nothing_else(op: Operation) -> None:
    found = taken(op.work)
    if op.prepare is not None:
        prepared = typing.get_type_hints(op.prepare)["return"]
        assert found.pop("prepared") in (prepared, prepared | None)
        assert taken(op.prepare) == declared(op)
    assert found == declared(op)


@every_route
def test_a_route_takes_its_call_and_what_it_declares_and_gives_what_it_answers(vendor: str, route: Route) -> None:
    found = list(taken(route.work).values())
    assert found == [DialectCall, route.takes]
    gives, told = arms(typing.get_type_hints(route.work)["return"]), arms(route.answer)
    if Adapted in gives:  # as the client that asks reads it, which the document describes, too
        assert gives & told
    else:
        assert gives == told | ({Reply} if route.also else set())


def arms(kind: Any) -> set[Any]:
    """The types of a union, or the one that it is."""
    return set(typing.get_args(kind)) if isinstance(kind, UnionType) else {kind}
