"""Sub-accounts made, given traffic, changed: once per key, all or nothing, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import Client, Clock, send
from tests.vendors.ipfoxy.conftest import fox_of, make_reseller
from tests.vendors.ipfoxy.fox import MB, Fox

from flowtally.ledger.database import Ledger
from flowtally.ledger.people import managed
from flowtally.ledger.tables import used_keys

USER = "/v1/accounts/reseller01/users/sub-account-1"
CREATION = {
    "account": "sub-account-1",
    "password": "correct-horse",
    "flow": "1024",
    "idempotency_key": "key-0000001",
}
ALLOCATION = {"account": "sub-account-1", "flow": "10", "idempotency_key": "key-0000002"}


def left(client: Client, account: str = "reseller01") -> int:
    """MB of residential traffic."""
    return int(client.get(f"/v1/accounts/{account}/balance").json()["pools"]["traffic"]["left"]) // MB


def left_of(client: Client, user: str = USER) -> int:
    return int(client.get(f"{user}/balance").json()["pools"]["traffic"]["left"]) // MB


def test_a_sub_account_gets_its_traffic_from_who_may_pass_traffic_on(fox: Fox, client: Client) -> None:
    """Making users alone moves nothing, natively neither."""
    before, path = left(client), "/v1/accounts/reseller01/credentials"
    for rights, code in ((["users:write"], 60401), (["users:write", "allocations:write"], 0)):
        made = client.post(path, json={"scope": "custom", "rights": rights}).json()
        answer = Fox(client, made["id"], made["token"]).ask("POST", "create-sub-account", data=CREATION)
        assert answer["code"] == code, answer
        assert left(client) == before - (0 if code else 1024)


def test_what_is_left_the_money_and_addresses_are_for_who_may_read_them_natively(fox: Fox, client: Client) -> None:
    fox.post("create-sub-account", **CREATION)
    fox.post("update-ip-whitelist", account="sub-account-1", ip="203.0.113.7")

    def of(*rights: str) -> Fox:
        made = client.post("/v1/accounts/reseller01/credentials", json={"scope": "custom", "rights": rights}).json()
        return Fox(client, made["id"], made["token"])

    for name, right in (("residential-data", "balance:read"), ("account-info", "wallet:read")):
        assert of("usage:read").refused("GET", name) == 60401
        assert of(right).get(name)
    for rights, ip in ((("users:read",), ""), (("users:read", "whitelist:read"), "203.0.113.7")):
        assert [one["ip_whitelist"] for one in of(*rights).get("get-sub-account-list")["list"]] == ["", ip]


def test_a_new_sub_account_is_a_funded_user_with_its_first_traffic(fox: Fox, client: Client) -> None:
    made = fox.post("create-sub-account", **CREATION, proxy_type="2")
    assert made == {"account": "sub-account-1", "password": "correct-horse"}
    user = client.get(USER).json()
    assert (user["funded"], user["status"], user["has_password"]) == (True, "active", True)
    assert (left(client), left_of(client)) == (99 * 1024, 1024)


def test_a_form_may_be_multipart_urlencoded_or_json(fox: Fox, client: Client) -> None:
    assert (
        fox.ask("POST", "create-sub-account", files={name: (None, value) for name, value in CREATION.items()})["code"]
        == 0
    )
    assert fox.ask("POST", "allocate-flow-sub-account", data=ALLOCATION)["code"] == 0
    assert (
        fox.ask("POST", "allocate-flow-sub-account", json=ALLOCATION | {"flow": 5, "idempotency_key": "key-0000003"})[
            "code"
        ]
        == 0
    )
    assert left_of(client) == 1039


def test_allocating_adds_and_use_is_paid_by_the_sub_account_alone(fox: Fox, client: Client, clock: Clock) -> None:
    fox.post("create-sub-account", **CREATION)
    assert fox.post("allocate-flow-sub-account", **ALLOCATION) == {}
    send(client, "1", "2026-03-15T12:30:00Z", "reseller01", user="sub-account-1", bytes_down=34 * MB)
    clock.at += 3_600_000
    assert (left(client), left_of(client)) == (100 * 1024 - 1034, 1000)


def test_the_same_request_under_its_key_happens_once_and_is_answered_as_before(fox: Fox, client: Client) -> None:
    again = fox_of(client, "reseller01")
    for asking in (fox, fox, again):
        assert asking.post("create-sub-account", **CREATION) == {
            "account": "sub-account-1",
            "password": "correct-horse",
        }
        assert asking.post("allocate-flow-sub-account", **ALLOCATION) == {}
        assert asking.post("allocate-flow-sub-account", **ALLOCATION, day="0", proxy_type="1") == {}
    assert (left(client), left_of(client)) == (100 * 1024 - 1034, 1034)
    client.delete(USER)
    assert fox.post("create-sub-account", **CREATION) == {"account": "sub-account-1", "password": ""}  # it is no more
    assert fox.post("allocate-flow-sub-account", **ALLOCATION) == {}
    assert left(client) == 100 * 1024


@pytest.mark.parametrize("change", [{"flow": "11"}, {"account": "sub-account-2"}, {"day": "30"}])
def test_a_key_that_was_used_for_something_else_changes_nothing(
    fox: Fox, client: Client, change: dict[str, str]
) -> None:
    fox.post("create-sub-account", **CREATION)
    fox.create("sub-account-2", 1, "key-0000009")
    fox.post("allocate-flow-sub-account", **ALLOCATION)
    before = left(client)
    assert fox.refused("POST", "allocate-flow-sub-account", **ALLOCATION | change) == 60400
    assert left(client) == before


def test_a_retry_that_draws_another_password_is_answered_with_the_one_that_is_kept(fox: Fox, client: Client) -> None:
    """As a public client of resellers does: it draws a password for each attempt."""
    first = fox.post("create-sub-account", **CREATION)
    retry = CREATION | {"password": "another-drawn"}
    assert fox.post("create-sub-account", **retry) == first
    assert (left(client), left_of(client)) == (99 * 1024, 1024)
    fox.post("update-pass", account="sub-account-1", password="battery-stapl")
    assert fox.post("create-sub-account", **retry)["password"] == "battery-stapl"


def test_a_retry_tells_no_password_to_who_may_not_read_passwords(fox: Fox, client: Client) -> None:
    fox.post("create-sub-account", **CREATION)
    rights = {"scope": "custom", "rights": ["users:write", "allocations:write"]}
    made = client.post("/v1/accounts/reseller01/credentials", json=rights).json()
    writer = Fox(client, made["id"], made["token"])
    assert writer.post("create-sub-account", **CREATION)["password"] == "correct-horse"  # it said so itself
    assert writer.post("create-sub-account", **CREATION | {"password": "another-drawn"})["password"] == ""


def test_a_retry_tells_nobodys_password_but_a_sub_accounts(fox: Fox, client: Client) -> None:
    fox.post("create-sub-account", **CREATION)
    client.delete(USER)
    other = {"name": "sub-account-1", "password": "of somebody else"}
    assert client.post("/v1/accounts/reseller01/users", json=other).status_code == 201
    assert fox.post("create-sub-account", **CREATION)["password"] == ""


def test_a_creation_of_an_earlier_version_is_known_by_its_key(fox: Fox, client: Client, app_ledger: Ledger) -> None:
    """0.2.0 kept a digest that has the password in it."""
    from sqlalchemy import update

    from flowtally.ledger.idempotency import request_digest
    from flowtally.ledger.vault import Vault

    fox.post("create-sub-account", **CREATION)
    vault: Vault = client.app.state.services.vault
    then = request_digest("POST", "ipfoxy", b'["create","sub-account-1","correct-horse",1024,0]')
    with app_ledger.begin() as tx:
        tx.execute(update(used_keys).values(digest=vault.blind(then)))
    assert fox.post("create-sub-account", **CREATION) == {"account": "sub-account-1", "password": "correct-horse"}
    assert fox.refused("POST", "create-sub-account", **CREATION | {"flow": "1"}) == 60400
    assert left(client) == 99 * 1024


@pytest.mark.parametrize("change", [{"account": "sub-account-2"}, {"flow": "1"}, {"day": "30"}])
def test_a_key_of_a_creation_is_of_that_creation(fox: Fox, client: Client, change: dict[str, str]) -> None:
    fox.post("create-sub-account", **CREATION)
    assert fox.refused("POST", "create-sub-account", **CREATION | change) == 60400
    assert client.get("/v1/accounts/reseller01/users/sub-account-2").status_code == 404


def test_a_key_is_unique_over_all_operations_of_its_account(fox: Fox, rival: Fox, client: Client) -> None:
    fox.post("create-sub-account", **CREATION)
    taken = ALLOCATION | {"idempotency_key": CREATION["idempotency_key"]}
    assert fox.refused("POST", "allocate-flow-sub-account", **taken) == 60400
    rival.post("create-sub-account", **CREATION | {"account": "rivals-account"})
    assert left(client) == left(client, "reseller02") == 99 * 1024


def test_what_the_balance_does_not_cover_makes_nothing_and_uses_no_key(fox: Fox, client: Client) -> None:
    greedy = CREATION | {"flow": str(100 * 1024 + 1)}
    assert fox.refused("POST", "create-sub-account", **greedy) == 60300
    assert client.get(USER).status_code == 404
    fox.post("create-sub-account", **CREATION)
    assert fox.refused("POST", "allocate-flow-sub-account", **ALLOCATION | {"flow": str(99 * 1024 + 1)}) == 60300
    fox.post("allocate-flow-sub-account", **ALLOCATION | {"flow": str(99 * 1024)})
    assert left(client) == 0


def test_a_name_is_borne_once_in_its_account_and_is_not_that_of_the_main_account(
    fox: Fox, rival: Fox, client: Client
) -> None:
    fox.post("create-sub-account", **CREATION)
    again = CREATION | {"idempotency_key": "key-0000009"}
    assert fox.refused("POST", "create-sub-account", **again) == 60400
    assert rival.post("create-sub-account", **again)["account"] == "sub-account-1"  # theirs, and nobody is told
    assert fox.refused("POST", "create-sub-account", **again | {"account": "reseller01"}) == 60400
    other = again | {"account": "reseller01", "idempotency_key": "key-0000010"}
    assert rival.post("create-sub-account", **other)["account"] == "reseller01"


@pytest.mark.parametrize("size", [0, 34 * MB])
def test_a_name_of_traffic_becomes_a_sub_account_that_begins_empty(
    fox: Fox, client: Client, clock: Clock, size: int
) -> None:
    """A login that was refused, or a connection that outlived a deletion: what it used stays the main account's."""
    send(client, "1", "2026-03-15T11:00:00Z", "reseller01", user="sub-account-1", bytes_down=size)
    before = left(client)
    assert fox.post("create-sub-account", **CREATION)["account"] == "sub-account-1"
    assert (left(client), left_of(client)) == (before - 1024, 1024)
    flow = fox.get("get-sub-account-flow", account="sub-account-1")
    assert (flow["surplus_flow"], flow["use_flow"]) == ("1048576", "0")
    send(client, "2", "2026-03-15T12:30:00Z", "reseller01", user="sub-account-1", bytes_down=MB)
    clock.at += 3_600_000
    assert (left(client), left_of(client)) == (before - 1024, 1023)


def test_of_a_user_named_as_the_main_account_and_the_account_the_user_is_meant(fox: Fox, client: Client) -> None:
    client.post("/v1/accounts/reseller01/users", json={"name": "reseller01", "funded": True})
    assert fox.get("get-sub-account-flow", account="reseller01")["surplus_flow"] == "0"
    assert fox.get("residential-data")["remain_mb"] == str(100 * 1024)


def test_a_new_password_is_shown_in_the_list_and_kept_encrypted(fox: Fox, client: Client, app_ledger: Ledger) -> None:
    fox.post("create-sub-account", **CREATION)
    assert fox.post("update-pass", account="sub-account-1", password="battery-stapl") == {}
    assert fox.get("get-sub-account-list", account="sub-account-1")["list"][0]["password"] == "battery-stapl"
    with app_ledger.read() as tx:
        sealed = managed.sealed_password(tx, client.get(USER).json()["id"])
    assert sealed is not None
    assert "battery" not in sealed


def test_what_is_kept_of_a_creation_does_not_let_its_password_be_guessed(fox: Fox, app_ledger: Ledger) -> None:
    from sqlalchemy import select

    from flowtally.ledger.idempotency import request_digest

    fox.post("create-sub-account", **CREATION)
    with app_ledger.read() as tx:
        digest = tx.execute(select(used_keys.c.digest)).scalar_one()
    told = (b'["create","sub-account-1","correct-horse",1024,0]', b'["create","sub-account-1",1024,0]')
    assert len(digest) == 64
    assert digest not in [request_digest("POST", "ipfoxy", one) for one in told]


def test_a_whitelist_is_replaced_whole_and_cleared_by_an_empty_list(fox: Fox, client: Client) -> None:
    fox.post("create-sub-account", **CREATION)

    def listed() -> Any:
        return fox.get("get-sub-account-list", account="sub-account-1")["list"][0]["ip_whitelist"]

    assert fox.post("update-ip-whitelist", account="sub-account-1", ip="203.0.113.7, 203.0.113.8") == {}
    assert listed() == "203.0.113.7,203.0.113.8"
    native = client.get(f"{USER}/whitelist").json()["items"]
    assert {(one["pool"], one["address"]) for one in native} == {
        (pool, address) for pool in ("traffic", "mobile") for address in ("203.0.113.7", "203.0.113.8")
    }
    fox.post("update-ip-whitelist", account="sub-account-1", ip="203.0.113.8,2001:DB8::1")
    assert listed() == "203.0.113.8,2001:db8::1"
    assert fox.refused("POST", "update-ip-whitelist", account="sub-account-1", ip="203.0.113.9,nowhere") == 60400
    assert listed() == "203.0.113.8,2001:db8::1"
    assert fox.post("update-ip-whitelist", account="sub-account-1", ip="") == {}
    assert listed() == ""


def test_sub_accounts_have_no_limit_of_their_own(fox: Fox, client: Client, app_ledger: Ledger) -> None:
    with app_ledger.begin() as tx:
        for number in range(100):
            managed.create_user(tx, "reseller01", f"sub-acc-{number:03d}", now=1, funded=True)
    fox.post("create-sub-account", **CREATION)
    assert fox.get("get-sub-account-list")["total"] == "102"


def test_more_sub_accounts_or_addresses_than_may_be_are_refused_and_change_nothing(
    make_client: Callable[..., Client],
) -> None:
    client = make_client(max_users=1, max_whitelist_ips=2)
    fox = make_reseller(client, "reseller01")
    fox.post("create-sub-account", **CREATION)
    more = CREATION | {"account": "sub-account-2", "idempotency_key": "key-0000009"}
    assert fox.refused("POST", "create-sub-account", **more) == 60400
    ips = {"account": "sub-account-1", "ip": "203.0.113.1,203.0.113.2,203.0.113.3"}
    assert fox.refused("POST", "update-ip-whitelist", **ips) == 60400
    assert client.get(f"{USER}/whitelist").json()["items"] == []
    assert left(client) == 99 * 1024


def test_nothing_is_seen_or_changed_of_another_resellers(fox: Fox, rival: Fox, client: Client) -> None:
    fox.post("create-sub-account", **CREATION)
    ranged = {"start_time": "1773000000", "end_time": "1773500000", "unit": "1"}
    reads = [("get-account-use-flow-list", ranged), ("get-sub-account-flow", {}), ("residential-data", {})]
    reads += [("residential-data-history", {"start_timestamp": "1773000000", "end_timestamp": "1773500000"})]
    for other in ("sub-account-1", "reseller01", "usr_" + "0" * 32, client.get(USER).json()["id"]):
        for name, given in reads:
            assert rival.refused("GET", name, account=other, **given) == 60400
        for name, form in (
            ("allocate-flow-sub-account", ALLOCATION),
            ("update-pass", CREATION),
            ("update-ip-whitelist", {"ip": ""}),
        ):
            assert rival.refused("POST", name, **form | {"account": other}) == 60400
    assert [row["account"] for row in rival.get("get-sub-account-list")["list"]] == ["reseller02"]
    assert rival.get("get-sub-account-list", account="sub-account-1") == {"list": [], "total": "0"}
    assert (left(client, "reseller02"), left_of(client)) == (100 * 1024, 1024)


def test_only_a_sub_account_gets_traffic_a_password_or_a_whitelist(fox: Fox, client: Client) -> None:
    client.post("/v1/accounts/reseller01/users", json={"name": "not-funded"})
    for name in ("not-funded", "reseller01", "nobody"):
        assert fox.refused("POST", "allocate-flow-sub-account", **ALLOCATION | {"account": name}) == 60400
        assert fox.refused("POST", "update-pass", account=name, password="battery-stapl") == 60400
        assert fox.refused("POST", "update-ip-whitelist", account=name, ip="") == 60400
