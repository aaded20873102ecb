"""Asking any route of any dialect with a credential, placed as its vendor's clients place it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from tests.conftest import NOW, Client

from flowtally.ledger.people import credentials
from flowtally.protocol import Scope
from flowtally.vendors.base import Dialect, Route


class Shown(msgspec.Struct, frozen=True):
    """A credential's secrets."""

    id: str
    token: str
    key: str

    def with_token(self, token: str) -> Shown:
        return msgspec.structs.replace(self, token=token)

    def ask(self, client: Client, dialect: Dialect, route: Route, **values: str) -> Any:
        """The route with the example of its parameters, or `values`."""
        given = {**route.takes_example, **values}
        query, headers = PLACES[dialect.name](self)
        if route.method == "GET":
            return client.get(route.path, headers=headers, params={**query, **given})
        return client.request(route.method, route.path, headers=headers, params=query, data=given)


Place = Callable[[Shown], tuple[dict[str, str], dict[str, str]]]

# vendor -> (query, headers) that show a credential
PLACES: dict[str, Place] = {
    "ipfoxy": lambda one: ({}, {"api-id": one.id, "api-token": one.token}),
    "thordata": lambda one: ({}, {"token": one.token, "key": one.key}),
    "bytesflows": lambda one: ({}, {"Authorization": f"Bearer {one.token}"}),
    "whitepages": lambda one: ({}, {"X-Api-Key": one.token}),
}


def issue(client: Client, account: str | None, scope: Scope) -> Shown:
    with client.app.state.services.ledger.begin() as tx:
        made, token, key = credentials.issue(tx, scope, account, "tests", NOW)
    return Shown(made.id, token, key)
