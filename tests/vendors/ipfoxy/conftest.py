"""A reseller and another one, each with a client of IPFoxy's API; admin asks natively as `client`."""

from __future__ import annotations

import pytest
from tests.conftest import Client
from tests.vendors.asking import issue
from tests.vendors.ipfoxy.fox import MB, Fox

from flowtally.protocol import Scope


def fox_of(client: Client, account: str, scope: Scope = "manage") -> Fox:
    """Another credential of the account."""
    shown = issue(client, account, scope)
    return Fox(client, shown.id, shown.token)


def make_reseller(client: Client, account: str) -> Fox:
    """An account with 100 GiB of residential and 10 GiB of mobile traffic."""
    client.post("/v1/accounts", json={"id": account, "carry_from": "2026-01-01T00:00:00Z"})
    for pool, mb in (("traffic", 100 * 1024), ("mobile", 10 * 1024)):
        grant = {"amount": mb * MB, "pool": pool, "starts_at": "2026-01-01T00:00:00Z"}
        assert client.post(f"/v1/accounts/{account}/grants", json=grant).status_code == 201
    return fox_of(client, account)


@pytest.fixture
def fox(client: Client) -> Fox:
    return make_reseller(client, "reseller01")


@pytest.fixture
def rival(client: Client) -> Fox:
    return make_reseller(client, "reseller02")
