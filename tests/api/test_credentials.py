"""Credentials over HTTP: shown once, scoped, and dead from the moment they are revoked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update
from tests.conftest import NOW, Client, Clock, token_of

from flowtally.core.edges import format_instant
from flowtally.core.errors import Unavailable
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import credentials
from flowtally.ledger.tables import credentials as credentials_table
from flowtally.ledger.trail import Actor
from flowtally.web import services
from flowtally.web.forwarded import caller_of


def test_secrets_are_answered_once(client: Client, acme: str) -> None:
    made = client.post("/v1/accounts/acme/credentials", json={"scope": "account", "name": "reports"})
    assert made.status_code == 201
    issued = made.json()
    shown = {name: value for name, value in issued.items() if name not in ("token", "key")}
    assert client.get(f"/v1/credentials/{issued['id']}").json() == shown
    assert client.get("/v1/accounts/acme/credentials").json()["items"] == [shown]
    assert shown in client.get("/v1/credentials").json()["items"]
    assert issued["token"] not in client.get("/v1/credentials").text


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/accounts/acme/credentials", {"scope": "admin"}, 422),
        ("/v1/accounts/acme/credentials", {"scope": "ingest"}, 201),
        ("/v1/accounts/nobody/credentials", {"scope": "account"}, 404),
        ("/v1/credentials", {"scope": "account"}, 422),
        ("/v1/credentials", {"scope": "admin"}, 201),
        ("/v1/credentials", {"scope": "root"}, 422),
    ],
)
def test_scope_and_account_go_together(client: Client, acme: str, path: str, body: dict[str, str], status: int) -> None:
    assert client.post(path, json=body).status_code == status


@pytest.mark.parametrize("under", ["/v1/credentials", "/v1/accounts/acme/credentials"])
def test_a_revoked_token_is_refused_at_once_however_lately_it_was_used(client: Client, acme: str, under: str) -> None:
    issued = client.post("/v1/accounts/acme/credentials", json={"scope": "account"}).json()
    mine = {"Authorization": f"Bearer {issued['token']}"}
    assert client.get("/v1/accounts/acme", headers=mine).status_code == 200
    revoked = client.post(f"{under}/{issued['id']}/revoke")
    assert revoked.json()["revoked_at"] == "2026-03-15T12:00:00Z"
    assert client.get("/v1/accounts/acme", headers=mine).status_code == 401
    assert client.post(f"{under}/{issued['id']}/revoke").json() == revoked.json()


def test_a_credential_is_revoked_only_under_its_own_account(client: Client, acme: str) -> None:
    client.post("/v1/accounts", json={"id": "other"})
    issued = client.post("/v1/accounts/acme/credentials", json={"scope": "account"}).json()
    assert client.post(f"/v1/accounts/other/credentials/{issued['id']}/revoke").status_code == 404


def test_a_token_is_remembered_for_a_while_only(client: Client, acme: str, clock: Clock) -> None:
    doorkeeper = client.app.state.services.doorkeeper
    mine = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    assert doorkeeper.remembered(mine["Authorization"]) is None
    client.get("/v1/accounts/acme", headers=mine)
    assert doorkeeper.remembered(mine["Authorization"]) is not None
    clock.at += 10_000
    assert doorkeeper.remembered(mine["Authorization"]) is None


def test_an_answer_under_way_during_a_revoke_is_not_remembered(client: Client, acme: str) -> None:
    doorkeeper = client.app.state.services.doorkeeper
    header = token_of(client, "/v1/credentials", scope="ingest")["Authorization"]
    slow = doorkeeper._ledger
    doorkeeper._ledger = type("Slow", (), {"read": lambda self: (doorkeeper.forget(), slow.read())[1]})()
    doorkeeper.look_up(header)
    assert doorkeeper.remembered(header) is None


def test_a_credential_that_manages_changes_its_users_and_nothing_that_is_the_sellers(client: Client, acme: str) -> None:
    mine = token_of(client, "/v1/accounts/acme/credentials", scope="manage")
    assert client.post("/v1/accounts/acme/users", json={"name": "ann"}, headers=mine).status_code == 201
    assert client.patch("/v1/accounts/acme/users/ann", json={"name": "eve"}, headers=mine).status_code == 200
    assert client.get("/v1/accounts/acme/balance", headers=mine).status_code == 200
    for path, body in (
        ("/v1/accounts/acme/grants", {"amount": 1}),
        ("/v1/accounts/acme/credentials", {"scope": "manage"}),
        ("/v1/accounts/acme/users/eve/erase", None),
    ):
        assert client.post(path, json=body, headers=mine).status_code == 403


# -- An end -----------------------------------------------------------------------------------------------------------


def issued(client: Client, path: str = "/v1/accounts/acme/credentials", **wanted: Any) -> tuple[str, dict[str, str]]:
    made = client.post(path, json=wanted)
    assert made.status_code == 201, made.text
    return made.json()["id"], {"Authorization": f"Bearer {made.json()['token']}"}


def test_a_credential_is_refused_from_its_end_on_remembered_or_not(client: Client, acme: str, clock: Clock) -> None:
    id, mine = issued(client, expires_at=format_instant(clock.at + 5_000))
    assert client.get("/v1/accounts/acme", headers=mine).status_code == 200
    clock.at += 4_999
    assert client.app.state.services.doorkeeper.remembered(mine["Authorization"]) is not None
    assert client.get("/v1/accounts/acme", headers=mine).status_code == 200
    clock.at += 1
    for _ in range(2):
        answer = client.get("/v1/accounts/acme", headers=mine)
        assert (answer.status_code, answer.json()["code"]) == (401, "credential_expired")
        assert id in answer.json()["detail"]
    assert client.get("/api/v1/dashboard/asset", headers=mine).status_code == 401


@pytest.mark.parametrize("ends", [NOW, NOW - 1])
def test_a_credential_cannot_have_ended_before_it_begins(client: Client, acme: str, ends: int) -> None:
    asked = {"expires_at": format_instant(ends)}
    assert client.post("/v1/accounts/acme/credentials", json=asked).json()["field"] == "expires_at"


def test_an_end_may_come_earlier_at_once_and_never_later(client: Client, acme: str, clock: Clock) -> None:
    id, mine = issued(client, expires_at=format_instant(clock.at + 50_000))
    assert client.get("/v1/accounts/acme", headers=mine).status_code == 200
    for path in (f"/v1/credentials/{id}", f"/v1/accounts/acme/credentials/{id}"):
        later = client.patch(path, json={"expires_at": format_instant(clock.at + 50_001)})
        assert (later.status_code, later.json()["field"]) == (422, "expires_at")
    earlier = client.patch(f"/v1/credentials/{id}", json={"expires_at": format_instant(clock.at + 1), "name": "n"})
    assert (earlier.status_code, earlier.json()["name"]) == (200, "n")
    clock.at += 1
    assert client.get("/v1/accounts/acme", headers=mine).json()["code"] == "credential_expired"


def test_the_last_admin_without_an_end_is_not_lost(client: Client, clock: Clock) -> None:
    own = client.get("/v1/credential").json()["id"]
    issued(client, "/v1/credentials", scope="admin", expires_at=format_instant(clock.at + 60_000))
    for path, asked in (("revoke", None), ("rotate", {"expires_at": format_instant(clock.at + 60_000)})):
        assert client.post(f"/v1/credentials/{own}/{path}", json=asked).json()["code"] == "last_admin"
    assert client.patch(f"/v1/credentials/{own}", json={"expires_at": "2999-01-01T00:00:00Z"}).status_code == 409
    assert client.get("/v1/credential").json()["expires_at"] is None


# -- Rotation ---------------------------------------------------------------------------------------------------------


def test_a_gateway_rotates_itself_and_goes_on_with_its_sources(client: Client, acme: str, clock: Clock) -> None:
    id, mine = issued(client, "/v1/credentials", scope="ingest", name="gw")
    own = client.get("/v1/credential", headers=mine).json()
    made = client.post(f"/v1/credentials/{id}/rotate", json={"overlap_s": 60}, headers=mine)
    new = made.json()
    assert (made.status_code, new["replaces"]) == (201, id)
    same = ("scope", "account", "name", "sender", "addresses", "expires_at")
    assert {name: new[name] for name in same} == {name: own[name] for name in same}
    theirs = {"Authorization": f"Bearer {new['token']}"}
    for one in (mine, theirs):
        assert client.get("/v1/credential", headers=one).status_code == 200
    clock.at += 60_000
    assert client.get("/v1/credential", headers=mine).json()["code"] == "credential_expired"
    assert client.get("/v1/credential", headers=theirs).status_code == 200


def test_nobody_rotates_another_without_the_right(client: Client, acme: str) -> None:
    other, _ = issued(client)
    for scope, path in (("ingest", "/v1/credentials"), ("manage", "/v1/accounts/acme/credentials")):
        _, mine = issued(client, path, scope=scope)
        for under in ("/v1/credentials", "/v1/accounts/acme/credentials"):
            assert client.post(f"{under}/{other}/rotate", json={}, headers=mine).status_code == 403
            assert client.post(f"{under}/crd_none/rotate", json={}, headers=mine).status_code == 403


def test_a_rotation_asked_for_twice_with_one_key_is_one(client: Client, acme: str) -> None:
    id, _ = issued(client)
    path, key = f"/v1/accounts/acme/credentials/{id}/rotate", {"Idempotency-Key": "r1"}
    first, again = (client.post(path, json={}, headers=key) for _ in range(2))
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == {name: value for name, value in first.json().items() if name not in ("token", "key")}


def test_after_a_lost_answer_one_rotates_again_until_the_new_one_is_used(client: Client, acme: str) -> None:
    id, mine = issued(client)
    path = f"/v1/accounts/acme/credentials/{id}/rotate"
    lost, found = (client.post(path, json={}, headers=mine).json() for _ in range(2))
    for made, status in ((lost, 401), (found, 200)):
        assert (
            client.get("/v1/accounts/acme", headers={"Authorization": f"Bearer {made['token']}"}).status_code == status
        )
    refused = client.post(path, json={}, headers=mine).json()
    assert (refused["code"], refused["replaced_by"]) == ("already_rotated", found["id"])


def test_a_rotation_with_no_overlap_ends_the_old_one_at_once(client: Client, acme: str) -> None:
    id, mine = issued(client)
    assert client.get("/v1/accounts/acme", headers=mine).status_code == 200
    made = client.post(f"/v1/credentials/{id}/rotate", json={"overlap_s": 0}, headers=mine).json()
    assert client.get("/v1/accounts/acme", headers=mine).status_code == 401
    assert client.get("/v1/accounts/acme", headers={"Authorization": f"Bearer {made['token']}"}).status_code == 200


def test_what_rotates_itself_lives_no_longer_for_it(client: Client, acme: str, clock: Clock) -> None:
    ends, later = (format_instant(clock.at + ms) for ms in (60_000, 60_001))
    id, mine = issued(client, expires_at=ends)
    path = f"/v1/credentials/{id}/rotate"
    assert client.post(path, json={"expires_at": later}, headers=mine).status_code == 422
    assert client.post(path, json={}, headers=mine).json()["expires_at"] == ends
    assert client.post(path, json={"expires_at": later}).json()["expires_at"] == later


# -- Last use ---------------------------------------------------------------------------------------------------------


def test_the_minute_of_the_last_use_is_told_at_once_and_kept(
    make_client: Callable[..., Client], client: Client, acme: str, clock: Clock
) -> None:
    id, mine = issued(client)
    assert last_use(client, id) is None
    clock.at += 119_999
    client.get("/v1/accounts/acme", headers=mine)
    assert last_use(client, id) == "2026-03-15T12:01:00Z"
    client.app.state.services.doorkeeper.uses.write()
    assert last_use(make_client(), id) == "2026-03-15T12:01:00Z"


def last_use(client: Client, id: str) -> str | None:
    told: str | None = client.get(f"/v1/credentials/{id}").json()["last_used_at"]
    return told


def test_uses_are_written_in_one_transaction_and_none_where_there_were_none(client: Client, acme: str) -> None:
    open_services = client.app.state.services
    keys = [issued(client)[1] for _ in range(3)]
    open_services.doorkeeper.uses.write()
    before = open_services.ledger.promises()
    open_services.doorkeeper.uses.write()
    assert open_services.ledger.promises() == before
    for one in keys * 3:
        client.get("/v1/accounts/acme", headers=one)
    open_services.doorkeeper.uses.write()
    assert open_services.ledger.promises() == before + 1
    assert all(one["last_used_at"] for one in client.get("/v1/accounts/acme/credentials").json()["items"])


def test_what_is_refused_is_no_use(client: Client, acme: str, clock: Clock) -> None:
    id, mine = issued(client, addresses=["192.0.2.1"])
    over, theirs = issued(client, expires_at=format_instant(clock.at + 1))
    clock.at += 1
    for one in (mine, theirs):
        assert client.get("/v1/accounts/acme", headers=one).status_code in (401, 403)
    assert [client.get(f"/v1/credentials/{one}").json()["last_used_at"] for one in (id, over)] == [None, None]


class Away:
    """A ledger that does not answer."""

    def begin(self, actor: Actor) -> None:
        raise Unavailable("it is away")


def test_uses_that_cannot_be_written_are_kept_for_the_next_time(client: Client, acme: str) -> None:
    id, mine = issued(client)
    client.get("/v1/accounts/acme", headers=mine)
    uses = client.app.state.services.doorkeeper.uses
    there, uses._ledger = uses._ledger, Away()
    uses._try()
    uses._ledger = there
    uses._try()
    with there.read() as tx:
        assert credentials.read_credential(tx, id).last_used_at == NOW


# -- Addresses --------------------------------------------------------------------------------------------------------


@pytest.fixture
def proxied(make_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch) -> Client:
    """Behind a proxy of ours at 203.0.113.9, which tells the caller's address: the test client itself has none."""
    monkeypatch.setattr(services, "caller_of", lambda _, *rest: caller_of("203.0.113.9", *rest))
    return make_client(trusted_proxies="203.0.113.0/24")


def come_from(client: Client, address: str, headers: dict[str, str]) -> int:
    return client.get("/v1/credential", headers=headers | {"X-Forwarded-For": address}).status_code


@pytest.mark.parametrize(
    ("addresses", "may", "may_not"),
    [
        (["192.0.2.1"], ["192.0.2.1", "::ffff:192.0.2.1"], ["192.0.2.2", "::1", "2001:db8::192.0.2.1"]),
        (["::ffff:192.0.2.0/120"], ["192.0.2.255"], ["192.0.3.0"]),
        (["10.0.0.0/8", "2001:db8::/32"], ["10.255.0.1", "2001:db8:ffff::1"], ["11.0.0.0", "2001:db9::"]),
        ([], ["192.0.2.1", "::1"], []),
    ],
)
def test_a_credential_comes_from_where_it_may(
    proxied: Client, acme: str, addresses: list[str], may: list[str], may_not: list[str]
) -> None:
    _, mine = issued(proxied, addresses=addresses)
    assert [come_from(proxied, one, mine) for one in [*may, *may_not]] == [200] * len(may) + [403] * len(may_not)


def test_the_refusal_names_the_address_and_not_where_it_may_come_from(proxied: Client, acme: str) -> None:
    _, mine = issued(proxied, addresses=["198.51.100.7"])
    headers = mine | {"X-Forwarded-For": "192.0.2.2"}
    told = proxied.get("/v1/accounts/acme", headers=headers)
    assert (told.json()["code"], told.json()["address"]) == ("address_not_allowed", "192.0.2.2")
    assert "198.51.100.7" not in told.text
    assert proxied.get("/api/v1/dashboard/asset", headers=headers).status_code in (401, 403)


def test_where_it_may_come_from_can_change_and_nobody_locks_himself_out(proxied: Client, acme: str) -> None:
    id, mine = issued(proxied, addresses=["198.51.100.7"])
    assert come_from(proxied, "192.0.2.2", mine) == 403
    assert proxied.patch(f"/v1/credentials/{id}", json={"addresses": []}).json()["addresses"] == []
    assert come_from(proxied, "192.0.2.2", mine) == 200
    own = proxied.get("/v1/credential").json()["id"]
    for addresses, status in ((["198.51.100.7"], 422), (["203.0.113.0/24"], 200)):
        assert proxied.patch(f"/v1/credentials/{own}", json={"addresses": addresses}).status_code == status
    wider = proxied.post("/v1/accounts/acme/credentials", json={"addresses": []})
    assert wider.status_code == 403, "bound to addresses, it gives none that may come from anywhere"
    assert proxied.post("/v1/accounts/acme/credentials", json={"addresses": ["203.0.113.7"]}).status_code == 201


@pytest.mark.parametrize("address", ["", "acme", "10.0.0.1/8", "10.0.0.0/255.0.0.0", "fe80::1%eth0", "10.0.0.0/8 ::1"])
def test_an_address_is_an_address(client: Client, acme: str, address: str) -> None:
    assert client.post("/v1/accounts/acme/credentials", json={"addresses": [address]}).status_code == 422


def test_addresses_are_bounded(client: Client, acme: str) -> None:
    many = [f"10.0.0.{number}" for number in range(65)]
    assert client.post("/v1/accounts/acme/credentials", json={"addresses": many}).json()["field"] == "addresses"


# -- Whole tokens -----------------------------------------------------------------------------------------------------


def test_a_mistyped_token_is_told_apart_without_a_look_into_the_ledger(client: Client, acme: str) -> None:
    _, mine = issued(client)
    token = mine["Authorization"]
    swapped = token[:-1] + ("A" if token[-1] != "A" else "B")
    doorkeeper = client.app.state.services.doorkeeper
    doorkeeper._ledger = None  # whoever asked it would fail
    for text in (swapped, token[:-3], token + "x"):
        answer = client.get("/v1/accounts/acme", headers={"Authorization": text})
        assert (answer.status_code, answer.json()["code"]) == (401, "token_not_whole")
        assert text[7:] not in answer.text


@pytest.mark.parametrize("kind", ["earlier", "chosen"])
def test_tokens_of_before_and_chosen_ones_work_whatever_they_look_like(
    client: Client, make_client: Callable[..., Client], app_ledger: Ledger, kind: str
) -> None:
    token = "ft_adm_" + "-aZ_" * 10 + "abc" if kind == "earlier" else "ft_adm_a-token-of-my-own"
    with app_ledger.begin() as tx:
        if kind == "chosen":
            credentials.import_token(tx, token, name="FLOWTALLY_ADMIN_TOKEN", now=NOW)
        else:
            id = credentials.issue(tx, "admin", None, "", NOW)[0].id
            hashed = hashlib.sha256(token.encode()).hexdigest()
            tx.execute(update(credentials_table).where(credentials_table.c.id == id).values(token_hash=hashed))
    assert make_client().get("/v1/credential", headers={"Authorization": f"Bearer {token}"}).status_code == 200
