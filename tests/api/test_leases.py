"""Stock and leases over HTTP: who may, what is refused and how, whose it is, and that no password is told."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import Client, Clock, token_of

from flowtally.core.times import DAY_MS

LEASES = "/v1/accounts/acme/leases"
ITEM = {
    "kind": "isp",
    "address": "192.0.2.1",
    "port": 8080,
    "username": "ann",
    "password": "secret one",
    "country": "US",
}
SERVER = {"kind": "unlimited", "address": "gate.example", "cpu_cores": 8}


def post(client: Client, path: str, body: Any = None, status: int = 201) -> Any:
    answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture
def shop(client: Client, acme: str) -> Client:
    """acme has 20 USD; there are an address, a server and their plans."""
    post(client, "/v1/accounts", {"id": "beta"})
    post(client, "/v1/accounts/acme/wallet/deposits", {"amount_micros": 20_000_000})
    for item in (ITEM, SERVER):
        post(client, "/v1/stock", item)
    for id, kind, price, cores in (
        ("isp", "isp", 3, None),
        ("small", "unlimited", 5, 8),
        ("large", "unlimited", 8, 16),
    ):
        plan = {"id": id, "kind": kind, "days": 30, "price_micros": price * 1_000_000, "cpu_cores": cores}
        post(client, "/v1/lease-plans", plan)
    return client


def test_what_is_bought_is_shown_paid_and_nobody_elses(shop: Client) -> None:
    order = post(shop, LEASES, {"plan": "isp"})
    [lease] = order["leases"]
    assert (order["what"], order["price_micros"], lease["status"], lease["address"]) == (
        "bought",
        3_000_000,
        "active",
        "192.0.2.1",
    )
    assert shop.get(f"/v1/accounts/acme/lease-orders/{order['id']}").json() == order
    assert shop.get(f"{LEASES}/{lease['id']}").json() == lease
    assert shop.get(LEASES, params={"kind": "isp", "status": "active"}).json()["items"] == [lease]
    [entry] = shop.get("/v1/accounts/acme/wallet/entries", params={"reference": order["id"]}).json()["items"]
    assert (entry["id"], entry["amount_micros"]) == (order["transfer"], -3_000_000)
    for path in (f"/v1/accounts/beta/leases/{lease['id']}", f"/v1/accounts/beta/lease-orders/{order['id']}"):
        assert shop.get(path).status_code == 404
    assert shop.get("/v1/accounts/beta/leases").json()["items"] == []
    refused = shop.post(LEASES, json={"plan": "isp"}).json()
    assert (refused["code"], refused["free"]) == ("out_of_stock", 0)


def test_a_repeated_request_leases_once(shop: Client) -> None:
    post(shop, "/v1/stock", ITEM | {"port": 8081})
    first, again = (
        shop.post(LEASES, json={"plan": "isp"}, headers={"Idempotency-Key": "order-1"}).json() for _ in range(2)
    )
    assert first == again
    assert shop.get("/v1/accounts/acme/wallet").json()["balance_micros"] == 17_000_000


def test_a_password_is_told_to_its_holder_alone_while_the_lease_lasts(shop: Client, clock: Clock) -> None:
    [lease] = post(shop, LEASES, {"plan": "isp"})["leases"]
    path = f"{LEASES}/{lease['id']}/password"
    told = shop.get(path).json()
    assert told == {"account": "acme", "lease": lease["id"], "username": "ann", "password": "secret one"}
    for reader in (shop.get(LEASES), shop.get("/v1/stock"), shop.get("/v1/audit", params={"limit": 1000})):
        assert "secret one" not in reader.text
    [server] = post(shop, LEASES, {"plan": "small"})["leases"]
    assert shop.get(f"{LEASES}/{server['id']}/password").json()["code"] == "not_found"
    clock.at += 30 * DAY_MS
    assert shop.get(path).json()["code"] == "lease_ended"


def test_a_renewal_and_an_upgrade_are_told_with_their_terms(shop: Client, clock: Clock) -> None:
    [lease] = post(shop, LEASES, {"plan": "small"})["leases"]
    clock.at += 15 * DAY_MS
    upgraded = post(shop, f"{LEASES}/{lease['id']}/upgrade", {"plan": "large"}, 200)
    assert (upgraded["price_micros"], upgraded["leases"][0]["cpu_cores"]) == (1_500_000, 16)
    renewed = post(shop, f"{LEASES}/{lease['id']}/renew", {}, 200)
    assert renewed["price_micros"] == 8_000_000
    terms = shop.get(f"{LEASES}/{lease['id']}/terms").json()["items"]
    assert [(one["what"], one["price_micros"]) for one in terms] == [
        ("bought", 5_000_000),
        ("upgraded", 1_500_000),
        ("renewed", 8_000_000),
    ]
    assert terms[2]["starts_at"] == lease["ends_at"]


def test_whether_a_lease_is_renewed_by_itself_can_be_said_when_it_is_bought_and_later(shop: Client) -> None:
    [lease] = post(shop, LEASES, {"plan": "small", "auto_renew": True})["leases"]
    assert lease["auto_renew"] is True
    path = f"{LEASES}/{lease['id']}"
    assert shop.patch(path, json={"auto_renew": False}).json()["auto_renew"] is False
    assert shop.get(path).json()["auto_renew"] is False
    manager = token_of(shop, "/v1/accounts/acme/credentials", scope="manage")
    assert shop.patch(path, json={"auto_renew": True}, headers=manager).json()["auto_renew"] is True
    assert shop.patch(path, json={}).status_code == 422
    shop.post(f"{path}/release")
    assert shop.get(path).json()["auto_renew"] is False
    assert shop.patch(path, json={"auto_renew": True}).json()["code"] == "lease_ended"


def test_what_has_no_plan_cannot_be_renewed_by_itself(shop: Client) -> None:
    [plain] = [one["id"] for one in shop.get("/v1/stock?status=free").json()["items"]][:1]
    refused = shop.post(f"{LEASES}/give", json={"stock": plain, "auto_renew": True})
    assert (refused.status_code, refused.json()["code"]) == (422, "unprocessable")
    [lease] = post(shop, f"{LEASES}/give", {"stock": plain})["leases"]
    assert shop.patch(f"{LEASES}/{lease['id']}", json={"auto_renew": True}).status_code == 409


def test_only_who_gives_grants_lets_others_have_something_for_nothing(shop: Client) -> None:
    [lease] = post(shop, LEASES, {"plan": "small"})["leases"]
    manager = token_of(shop, "/v1/accounts/acme/credentials", scope="manage")
    for step, body in (("renew", {"free": True}), ("upgrade", {"free": True, "plan": "large"})):
        answer = shop.post(f"{LEASES}/{lease['id']}/{step}", json=body, headers=manager)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        free = post(shop, f"{LEASES}/{lease['id']}/{step}", body, 200)
        assert free["transfer"] is None
    assert shop.get("/v1/accounts/acme/wallet").json()["balance_micros"] == 15_000_000


def test_the_grace_is_a_setting(make_client: Any, clock: Clock) -> None:
    client = make_client(lease_grace_s=86_400)
    post(client, "/v1/accounts", {"id": "acme"})
    item = post(client, "/v1/stock", ITEM)["id"]
    post(client, "/v1/lease-plans", {"id": "isp", "kind": "isp", "days": 1, "price_micros": 1})
    [lease] = post(client, f"{LEASES}/give", {"stock": item, "plan": "isp"})["leases"]
    clock.at += DAY_MS + DAY_MS // 2
    assert client.get(f"{LEASES}/{lease['id']}").json()["status"] == "grace"
    assert client.get(f"/v1/stock/{item}").json()["status"] == "kept"
    renewed = post(client, f"{LEASES}/{lease['id']}/renew", {"free": True}, 200)["leases"][0]
    assert (renewed["status"], renewed["ends_at"]) == ("active", lease["renewable_until"])


def test_an_import_tells_what_is_wrong_by_line_and_takes_nothing(shop: Client) -> None:
    lines = [{"kind": "isp", "address": f"198.51.100.{n}", "password": "secret"} for n in range(3)]
    bad = [*lines, ITEM | {"line": 17}, {"kind": "isp", "address": "198.51.100.1"}]
    refused = post(shop, "/v1/stock/import", {"items": bad}, 422)
    assert (refused["code"], refused["count"]) == ("lines_refused", 2)
    assert [one["line"] for one in refused["faults"]] == [5, 17]
    assert len(shop.get("/v1/stock").json()["items"]) == 2
    made = post(shop, "/v1/stock/import", {"items": lines})
    assert made["count"] == 3
    assert [one["id"] for one in shop.get("/v1/stock").json()["items"]][2:] == made["ids"]


def test_who_had_an_address_is_told_for_ever(shop: Client, clock: Clock) -> None:
    item = shop.get("/v1/stock", params={"address": "::ffff:192.0.2.1"}).json()["items"][0]["id"]
    for account in ("beta", "acme"):
        made = post(shop, f"/v1/accounts/{account}/leases/give", {"stock": item})["leases"][0]["id"]
        clock.at += 5000
        post(shop, f"/v1/accounts/{account}/leases/{made}/release", None, 200)
    held = shop.get(f"/v1/stock/{item}/leases").json()["items"]
    assert [(one["account"], one["status"]) for one in held] == [("beta", "released"), ("acme", "released")]
    assert held[0]["until"] == held[1]["starts_at"]


def test_stock_is_changed_and_retired(shop: Client) -> None:
    item = shop.get("/v1/stock", params={"kind": "isp"}).json()["items"][0]
    path = f"/v1/stock/{item['id']}"
    changed = shop.patch(path, json={"password": None, "city": "boston", "cpu_cores": 2}).json()
    assert changed == item | {
        "has_password": False,
        "city": "boston",
        "cpu_cores": 2,
        "changed_at": changed["changed_at"],
    }
    assert shop.patch(path, json={"password": "another"}).json()["has_password"]
    retired = post(shop, f"{path}/retire", None, 200)
    assert (retired["status"], post(shop, f"{path}/retire", None, 200)) == ("retired", retired)
    assert shop.patch(path, json={"city": "ny"}).json()["code"] == "stock_retired"
    assert shop.get("/v1/stock", params={"status": "retired"}).json()["items"] == [retired]
