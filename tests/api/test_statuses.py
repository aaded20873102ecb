"""What may be done with an account in each status: every route that changes something of one, native or a dialect's.

The table in docs/statuses.md says it; a new route has to be put there, and is asked here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from tests.conftest import NOW, Client, send
from tests.vendors.asking import Shown, issue
from tests.vendors.tongues import ROUTES, TONGUES

import flowtally.api.application  # noqa: F401  (declares the operations)
from flowtally.core.leasing import Site
from flowtally.core.times import DAY_MS
from flowtally.ledger.inventory import orders
from flowtally.ledger.inventory.stock import StockArea
from flowtally.ledger.providers import connected, stretches
from flowtally.ledger.providers.stretches import Stretch
from flowtally.vendors.base import Dialect, Route
from flowtally.vendors.ipfoxy.routes.areas import number_of
from flowtally.web.operation import OPERATIONS

TABLE = Path(__file__).parents[2] / "docs" / "statuses.md"
Status = Literal["active", "suspended", "closed", "erased"]  # what is erased is closed, too
Body = Mapping[str, Any] | None
GB = 1_000_000_000
TODAY = NOW // DAY_MS * DAY_MS


class World(msgspec.Struct, frozen=True):
    """An account `acme` with something of everything, and `beta`, which holds a code of acme's."""

    client: Client
    ids: Mapping[str, str]
    manager: Shown

    def post(self, path: str, body: Body = None) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()


# What is asked natively: the path's parameters but the account's come from `ids`, by name.
BODIES: dict[str, Body] = {
    "PATCH /v1/accounts/{account}": {"name": "Acme"},
    "POST /v1/accounts/{account}/users/{user}/allocations": {"amount": 5},
    "POST /v1/accounts/{account}/users/{user}/allocations/{allocation}/return": {},
    "POST /v1/accounts/{account}/grants": {"amount": 5},
    "POST /v1/accounts/{account}/grants/{grant}/void": None,
    "POST /v1/accounts/{account}/check-ins": None,
    "POST /v1/accounts/{account}/credentials": {"scope": "account"},
    "PATCH /v1/accounts/{account}/credentials/{credential}": {"name": "page"},
    "POST /v1/accounts/{account}/credentials/{credential}/rotate": {},
    "POST /v1/accounts/{account}/credentials/{credential}/revoke": None,
    "POST /v1/accounts/{account}/users/{user}/erase": None,
    "POST /v1/accounts/{account}/erase": None,
    "POST /v1/accounts/{account}/periods": {"from": "2026-02-01", "to": "2026-03-01"},
    "PUT /v1/accounts/{account}/providers/{provider}/rules": {"settle_days": 5},
    "POST /v1/accounts/{account}/providers/{provider}/reconciliations": {},
    "POST /v1/accounts/{account}/providers": {"name": "odin", "vendor": "whitepages", "secrets": {"key": "aaaa"}},
    "PATCH /v1/accounts/{account}/providers/{provider}": {"paused": True},
    "POST /v1/accounts/{account}/providers/{provider}/pull": None,
    "PUT /v1/accounts/{account}/shadow/{dialect}": {"enabled": True, "provider": "thor"},
    "DELETE /v1/accounts/{account}/providers/{provider}": None,
    "POST /v1/accounts/{account}/webhooks": {"url": "https://b.example"},
    "PATCH /v1/accounts/{account}/webhooks/{webhook}": {"description": "on call"},
    "POST /v1/accounts/{account}/webhooks/{webhook}/rotate": {"overlap_s": 60},
    "POST /v1/accounts/{account}/webhooks/{webhook}/replay": {"since": "2026-01-01T00:00:00Z"},
    "DELETE /v1/accounts/{account}/webhooks/{webhook}": None,
    "POST /v1/accounts/{account}/purchases": {"plan": "small"},
    "POST /v1/accounts/{account}/leases": {"plan": "isp"},
    "POST /v1/accounts/{account}/leases/give": {"stock": "free"},
    "PATCH /v1/accounts/{account}/leases/{lease}": {"auto_renew": True},
    "POST /v1/accounts/{account}/leases/{lease}/renew": {},
    "POST /v1/accounts/{account}/leases/{lease}/upgrade": {"plan": "larger"},
    "POST /v1/accounts/{account}/leases/{lease}/release": None,
    "POST /v1/accounts/{account}/leases/{lease}/actions": {},
    "PUT /v1/accounts/{account}/leases/{lease}/users/{user}": None,
    "DELETE /v1/accounts/{account}/leases/{lease}/users/{user}": None,
    "POST /v1/accounts/{account}/users": {"name": "new"},
    "PATCH /v1/accounts/{account}/users/{user}": {"product": "mobile"},
    "DELETE /v1/accounts/{account}/users/{user}": None,
    "POST /v1/accounts/{account}/vouchers": {"amount": 5},
    "POST /v1/accounts/{account}/vouchers/{voucher}/revoke": None,
    "POST /v1/accounts/{account}/redemptions": {"code": "beta's"},
    "POST /v1/accounts/{account}/wallet/deposits": {"amount_micros": 5},
    "POST /v1/accounts/{account}/wallet/adjustments": {"amount_micros": -5, "reason": "paid out"},
    "PUT /v1/accounts/{account}/whitelist/{pool}": {"addresses": ["192.0.2.1", "198.51.100.1"]},
    "PUT /v1/accounts/{account}/whitelist/{pool}/{address}": {},
    "DELETE /v1/accounts/{account}/whitelist/{pool}/{address}": None,
    "PUT /v1/accounts/{account}/users/{user}/whitelist/{pool}": {"addresses": ["192.0.2.1"]},
    "PUT /v1/accounts/{account}/users/{user}/whitelist/{pool}/{address}": {},
    "DELETE /v1/accounts/{account}/users/{user}/whitelist/{pool}/{address}": None,
}
# After all others, which need what these take away.
ERASE = "POST /v1/accounts/{account}/erase"
LAST = ("DELETE /v1/accounts/{account}/users/{user}", "POST /v1/accounts/{account}/users/{user}/erase", ERASE)
BY_ANOTHER = "redeeming a voucher of the account, by another"
USED = "POST /v1/events"  # asked where it is decided: tests/ingest/test_held.py


@pytest.fixture
def make_world(make_client: Callable[..., Client]) -> Callable[[Status], World]:
    def make(status: Status) -> World:
        client = make_client(check_in_bytes=7, check_in_days=1)
        for name in ("acme", "beta"):
            client.post("/v1/accounts", json={"id": name, "carry_from": "2026-01-01T00:00:00Z"})
            client.post(f"/v1/accounts/{name}/grants", json={"amount": 900 * GB})
        world = World(client, {}, issue(client, "acme", "manage"))
        made = world.post("/v1/accounts/acme/grants", {"amount": 5})
        user = world.post("/v1/accounts/acme/users", {"name": "fay", "funded": True})["id"]
        allocation = world.post(f"/v1/accounts/acme/users/{user}/allocations", {"amount": 50})["id"]
        mine = world.post("/v1/accounts/acme/vouchers", {"amount": 5, "count": 3})["items"]
        theirs = world.post("/v1/accounts/beta/vouchers", {"amount": 5})["items"][0]
        world.post("/v1/accounts/acme/wallet/deposits", {"amount_micros": 1000})
        world.post("/v1/plans", {"id": "small", "name": "Small", "amount": 5, "price_micros": 5})
        free, lease = _leased(world)
        client.put(f"/v1/accounts/acme/leases/{lease}/users/{user}")
        for path in ("/v1/accounts/acme/whitelist", f"/v1/accounts/acme/users/{user}/whitelist"):
            client.put(f"{path}/traffic/192.0.2.1", json={})
        thor = {"name": "thor", "vendor": "whitepages", "secrets": {"key": "aaaa"}}
        world.post("/v1/accounts/acme/providers", thor)
        with client.app.state.services.ledger.begin() as tx:
            stretches.put_stretch(
                tx, connected.read_provider(tx, "thor"), Stretch(TODAY, TODAY + DAY_MS, "day", "UTC", 1, NOW)
            )
        hook = world.post("/v1/accounts/acme/webhooks", {"url": "https://a.example"})["id"]
        credential = world.post("/v1/accounts/acme/credentials", {"scope": "account"})["id"]
        names = {"grant": made["id"], "user": user, "allocation": allocation, "credential": credential}
        names |= {"voucher": mine[0]["id"], "mine": mine[1]["code"], "cdk": mine[2]["code"], "theirs": theirs["code"]}
        names |= {"pool": "traffic", "address": "192.0.2.1", "account": "acme", "provider": "thor"}
        names |= {"webhook": hook}
        names |= {"dialect": "whitepages", "free": free, "lease": lease, "ins_id": _server(world)}
        names |= {"proxy_ids": _proxy(world), "area_id": str(number_of(StockArea("isp", Site("US"), False)))}
        _vendors_users(world)
        world = msgspec.structs.replace(world, ids=names)
        client.patch("/v1/accounts/acme", json={"status": "closed" if status == "erased" else status})
        if status == "erased":
            asked(world, "POST /v1/accounts/{account}/wallet/adjustments")
            erased(world)
        return world

    return make


def _leased(world: World) -> tuple[str, str]:
    """Something that can be given, and a lease; another one is free to be bought."""
    for name, cores in (("isp", None), ("larger", 4)):
        plan = {"id": name, "kind": "isp", "days": 30, "price_micros": 5, "cpu_cores": cores}
        world.post("/v1/lease-plans", plan)
    leased, _, free = (world.post("/v1/stock", {"kind": "isp", "address": f"192.0.2.{n}"})["id"] for n in range(3))
    order = world.post("/v1/accounts/acme/leases/give", {"stock": leased, "plan": "isp"})
    server = {"kind": "unlimited", "address": "192.0.2.50", "name": "gate-1.example"}
    world.post("/v1/accounts/acme/leases/give", {"stock": world.post("/v1/stock", server)["id"]})
    return free, order["leases"][0]["id"]


def _server(world: World) -> str:
    """That the account leases, with plans to renew and to upgrade it."""
    for id, cores in (("server", 8), ("server-16", 16)):
        size = {"cpu_cores": cores, "memory_mib": 2048 * cores, "bandwidth_mbps": 200}
        plan = {"id": id, "kind": "unlimited", "days": 30, "price_micros": cores, **size}
        world.post("/v1/lease-plans", plan)
    small = {"cpu_cores": 8, "memory_mib": 16_384, "bandwidth_mbps": 200}
    server = world.post("/v1/stock", {"kind": "unlimited", "address": "192.0.2.9", **small})["id"]
    world.post("/v1/accounts/acme/leases/give", {"stock": server, "plan": "server"})
    return str(server)


def _proxy(world: World) -> str:
    """That the account leases, renewed by itself; another one is free there. Both are in a place of their own."""
    mine, _ = (
        world.post("/v1/stock", {"kind": "isp", "address": f"192.0.2.{n}", "country": "US"})["id"] for n in (20, 21)
    )
    order = world.post("/v1/accounts/acme/leases/give", {"stock": mine, "plan": "isp"})
    with world.client.app.state.services.ledger.begin() as tx:
        orders.set_auto_renew(tx, "acme", [order["leases"][0]["id"]], True, now=NOW)
    return str(mine)


def erased(world: World) -> None:
    path, until = "/v1/accounts/acme/erase", time.monotonic() + 30
    told = world.post(path)
    while told["state"] == "pending":
        assert not told["detail"], told
        assert time.monotonic() < until, told
        time.sleep(0.01)
        told = world.client.get(path).json()


def _vendors_users(world: World) -> None:
    """What the dialects' writes are about."""
    for dialect, route in ROUTES:
        if route.path.endswith("create-sub-account"):
            world.manager.ask(world.client, dialect, route)
    for name in ("user123", "user788", "user789"):
        world.post("/v1/accounts/acme/users", {"name": name, "password": "Abcdef12"})
    assert world.client.put("/v1/accounts/acme/whitelist/traffic/198.51.100.1", json={}).is_success


def told() -> dict[str, dict[Status, str]]:
    """The table: what each route answers in each status; active ones are answered."""
    rows = [line.strip("|\n ").split(" | ") for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    return {
        route.strip("`"): {
            "active": "conflict" if route.strip("`") == ERASE else "yes",  # only what is closed can be erased
            "suspended": low,
            "closed": off,
            "erased": gone,
        }
        for route, low, off, gone in rows
    }


def in_order() -> list[str]:
    """Those that take away what others need come last."""
    first = [name for name in BODIES if name not in LAST]
    return [*sorted(first, key=lambda name: ("DELETE" in name, "/revoke" in name or "/release" in name)), *LAST]


def asked(world: World, name: str) -> str:
    method, path = name.split(" ", 1)
    body = BODIES[name]
    if path.endswith("/redemptions"):
        body = {"code": world.ids["theirs"]}
    if path.endswith("/leases/give"):
        body = {"stock": world.ids["free"]}
    if path.endswith("/wallet/adjustments"):
        balance = world.client.get("/v1/accounts/acme/wallet").json()["balance_micros"]
        body = {"amount_micros": -balance or -5, "reason": "paid out"}
    answer = world.client.request(method, path.format(**world.ids), json=body)
    return "yes" if answer.is_success else str(answer.json()["code"])


def asked_as(world: World, dialect: Dialect, route: Route) -> str:
    """Vendors have no codes for it; a text of ours says that an account is suspended."""
    values = {
        name: world.ids[name] for name in ("cdk", "ins_id", "proxy_ids", "area_id") if name in route.takes_example
    }
    answer = world.manager.ask(world.client, dialect, route, **values, **VALUES.get(route.path, {}))
    if TONGUES[dialect.name].succeeded(answer.status_code, answer.json()):
        return "yes"
    return "account_suspended" if "suspended" in answer.text else "refused"


# Where the example is about what `make_world` made already, or takes away what the others need.
VALUES: dict[str, dict[str, str]] = {
    "/api/proxy-users/create-user": {"username": "user999"},
    "/api/proxy-users/delete-user": {"username": "user789"},
    "/api/child/del_user": {"username": "user788"},
    "/api/whitelisted-ips/delete-ip": {"ip": "198.51.100.1"},
    "/api/add_unlimited_servers_bind_user": {"username": "fay"},
    "/api/del_unlimited_servers_bind_user": {"username": "fay"},
    "/ip/open-api/create-sub-account": {"account": "ANOTHER2000", "idempotency_key": "order-another"},
    "/ip/open-api/allocate-flow-sub-account": {"idempotency_key": "order-of-more"},
}


def writes() -> list[tuple[Dialect, Route]]:
    return [(dialect, route) for dialect, route in ROUTES if route.writes]


def test_the_table_has_every_route_that_changes_something_of_an_account() -> None:
    native = {f"{op.method} {op.path}" for op in OPERATIONS if op.writes and "{account}" in op.path}
    assert native == BODIES.keys()
    vendors = {f"{dialect.name}: {route.method} {route.path}" for dialect, route in writes()}
    assert set(told()) == native | vendors | {BY_ANOTHER, USED}


@pytest.mark.parametrize("status", ["active", "suspended", "closed", "erased"])
def test_every_route_is_answered_by_the_status_as_the_table_says(
    make_world: Callable[[Status], World], status: Status
) -> None:
    world = make_world(status)
    found = {}
    beta = world.client.post("/v1/accounts/beta/redemptions", json={"code": world.ids["mine"]})
    found[BY_ANOTHER] = "yes" if beta.is_success else beta.json()["code"]
    for dialect, route in writes():
        found[f"{dialect.name}: {route.method} {route.path}"] = asked_as(world, dialect, route)
    for name in in_order():
        found[name] = asked(world, name)
    expected = {name: statuses[status] for name, statuses in told().items() if name != USED}
    assert found == expected


# What they ask for is so already.
NO_CHANGE = {
    "POST /v1/accounts/{account}/webhooks/{webhook}/replay",  # nothing is dead
    "PUT /v1/accounts/{account}/leases/{lease}/users/{user}",
    "PUT /v1/accounts/{account}/whitelist/{pool}/{address}",
    "PUT /v1/accounts/{account}/users/{user}/whitelist/{pool}",
    "PUT /v1/accounts/{account}/users/{user}/whitelist/{pool}/{address}",
}


def test_every_route_that_changed_something_is_in_the_audit_trail(make_world: Callable[[Status], World]) -> None:
    world = make_world("active")
    first = len(world.client.get("/v1/audit", params={"limit": 1000}).json()["items"])
    for dialect, route in writes():
        assert asked_as(world, dialect, route) == "yes"
    for name in in_order():
        assert asked(world, name) == ("conflict" if name == ERASE else "yes"), name
    found = world.client.get("/v1/audit", params={"limit": 1000}).json()["items"][first:]
    found = [one for one in found if one["door"] != "server: erasing"]  # what finishes an erasure, now or soon
    vendors = {f"{route.method} {route.path}" for _, route in writes()}
    assert {one["door"] for one in found} == (BODIES.keys() - NO_CHANGE - {ERASE}) | vendors
    assert all(one["account"] in ("acme", "beta") and one["action"] != "other" for one in found)
    by = {one["credential"] for one in found if one["door"] in vendors}
    assert by == {world.manager.id}


def test_a_suspended_account_may_go_on_once_it_is_active_again(make_world: Callable[[Status], World]) -> None:
    world = make_world("suspended")
    code = {"code": world.ids["mine"]}
    refused = world.client.post("/v1/accounts/beta/redemptions", json=code)
    assert (refused.status_code, refused.json()["code"]) == (409, "account_suspended")
    assert "acme" not in refused.text
    send(world.client, "late", "2026-03-15T11:00:00Z", bytes_down=5)
    world.client.patch("/v1/accounts/acme", json={"status": "active"})
    assert world.client.post("/v1/accounts/beta/redemptions", json=code).status_code == 201
