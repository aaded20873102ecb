"""Who may ask what: every operation, by every scope and by single rights; and nobody gives more than they have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
from tests.conftest import Client, send, token_of

import flowtally.api.application  # noqa: F401  (declares the operations)
from flowtally.config import Config
from flowtally.core.rights import INSTALLATION, PRESETS, SENDING, Right
from flowtally.protocol import CredentialRequest
from flowtally.vendors import VENDORS
from flowtally.web.operation import OPERATIONS, Operation

# i: ingest, a: account, m: manage, A: admin. Changing a line changes what keys that are in use may do.
WHO_MAY = """
GET /                                                                    ....
GET /docs                                                                ....
GET /healthz                                                             ....
GET /metrics                                                             ....
GET /readyz                                                              ....
GET /schema/openapi.json                                                 ....
GET /v1/accounts                                                         ...A
POST /v1/accounts                                                        ...A
GET /v1/accounts/{account}                                               .amA
PATCH /v1/accounts/{account}                                             ...A
GET /v1/accounts/{account}/audit                                         ..mA
GET /v1/accounts/{account}/balance                                       .amA
GET /v1/accounts/{account}/check-ins                                     .amA
POST /v1/accounts/{account}/check-ins                                    ..mA
GET /v1/accounts/{account}/credentials                                   ...A
POST /v1/accounts/{account}/credentials                                  ...A
PATCH /v1/accounts/{account}/credentials/{credential}                    ...A
POST /v1/accounts/{account}/credentials/{credential}/revoke              ...A
POST /v1/accounts/{account}/credentials/{credential}/rotate              ...A
GET /v1/accounts/{account}/endpoints                                     .amA
GET /v1/accounts/{account}/erase                                         ...A
POST /v1/accounts/{account}/erase                                        ...A
GET /v1/accounts/{account}/explain                                       .amA
GET /v1/accounts/{account}/export                                        .amA
GET /v1/accounts/{account}/grants                                        .amA
POST /v1/accounts/{account}/grants                                       ...A
GET /v1/accounts/{account}/grants/{grant}                                .amA
POST /v1/accounts/{account}/grants/{grant}/void                          ...A
GET /v1/accounts/{account}/lease-orders/{order}                          .amA
GET /v1/accounts/{account}/leases                                        .amA
POST /v1/accounts/{account}/leases                                       ..mA
POST /v1/accounts/{account}/leases/give                                  ...A
GET /v1/accounts/{account}/leases/{lease}                                .amA
PATCH /v1/accounts/{account}/leases/{lease}                              ..mA
GET /v1/accounts/{account}/leases/{lease}/actions                        .amA
POST /v1/accounts/{account}/leases/{lease}/actions                       ..mA
GET /v1/accounts/{account}/leases/{lease}/actions/{action}               .amA
GET /v1/accounts/{account}/leases/{lease}/password                       ..mA
POST /v1/accounts/{account}/leases/{lease}/release                       ..mA
POST /v1/accounts/{account}/leases/{lease}/renew                         ..mA
GET /v1/accounts/{account}/leases/{lease}/samples                        .amA
GET /v1/accounts/{account}/leases/{lease}/terms                          .amA
POST /v1/accounts/{account}/leases/{lease}/upgrade                       ..mA
GET /v1/accounts/{account}/leases/{lease}/users                          .amA
DELETE /v1/accounts/{account}/leases/{lease}/users/{user}                ..mA
PUT /v1/accounts/{account}/leases/{lease}/users/{user}                   ..mA
GET /v1/accounts/{account}/periods                                       .amA
POST /v1/accounts/{account}/periods                                      ...A
GET /v1/accounts/{account}/periods/open                                  .amA
GET /v1/accounts/{account}/periods/{period}                              .amA
GET /v1/accounts/{account}/providers                                     .amA
POST /v1/accounts/{account}/providers                                    ..mA
DELETE /v1/accounts/{account}/providers/{provider}                       ..mA
GET /v1/accounts/{account}/providers/{provider}                          .amA
PATCH /v1/accounts/{account}/providers/{provider}                        ..mA
GET /v1/accounts/{account}/providers/{provider}/balance                  .amA
POST /v1/accounts/{account}/providers/{provider}/check                   ..mA
GET /v1/accounts/{account}/providers/{provider}/grants                   .amA
POST /v1/accounts/{account}/providers/{provider}/pull                    ..mA
GET /v1/accounts/{account}/providers/{provider}/pulls                    .amA
GET /v1/accounts/{account}/providers/{provider}/reconciliations          .amA
POST /v1/accounts/{account}/providers/{provider}/reconciliations         ..mA
GET /v1/accounts/{account}/providers/{provider}/reconciliations/{reconciliation} .amA
GET /v1/accounts/{account}/providers/{provider}/rules                    .amA
PUT /v1/accounts/{account}/providers/{provider}/rules                    ..mA
GET /v1/accounts/{account}/providers/{provider}/stretches                .amA
GET /v1/accounts/{account}/providers/{provider}/sub-users                .amA
GET /v1/accounts/{account}/purchases                                     .amA
POST /v1/accounts/{account}/purchases                                    ..mA
GET /v1/accounts/{account}/purchases/{purchase}                          .amA
GET /v1/accounts/{account}/reconciliation                                .amA
POST /v1/accounts/{account}/redemptions                                  ..mA
GET /v1/accounts/{account}/shadow/differences                            .amA
GET /v1/accounts/{account}/shadow/{dialect}                              .amA
PUT /v1/accounts/{account}/shadow/{dialect}                              ..mA
GET /v1/accounts/{account}/usage                                         .amA
GET /v1/accounts/{account}/users                                         .amA
POST /v1/accounts/{account}/users                                        ..mA
DELETE /v1/accounts/{account}/users/{user}                               ..mA
GET /v1/accounts/{account}/users/{user}                                  .amA
PATCH /v1/accounts/{account}/users/{user}                                ..mA
GET /v1/accounts/{account}/users/{user}/allocations                      .amA
POST /v1/accounts/{account}/users/{user}/allocations                     ..mA
POST /v1/accounts/{account}/users/{user}/allocations/{allocation}/return ..mA
GET /v1/accounts/{account}/users/{user}/balance                          .amA
GET /v1/accounts/{account}/users/{user}/erase                            ...A
POST /v1/accounts/{account}/users/{user}/erase                           ...A
GET /v1/accounts/{account}/users/{user}/explain                          .amA
GET /v1/accounts/{account}/users/{user}/names                            .amA
GET /v1/accounts/{account}/users/{user}/password                         ..mA
GET /v1/accounts/{account}/users/{user}/usage                            .amA
GET /v1/accounts/{account}/users/{user}/whitelist                        .amA
PUT /v1/accounts/{account}/users/{user}/whitelist/{pool}                 ..mA
DELETE /v1/accounts/{account}/users/{user}/whitelist/{pool}/{address}    ..mA
PUT /v1/accounts/{account}/users/{user}/whitelist/{pool}/{address}       ..mA
GET /v1/accounts/{account}/vouchers                                      ..mA
POST /v1/accounts/{account}/vouchers                                     ..mA
GET /v1/accounts/{account}/vouchers/{voucher}                            ..mA
POST /v1/accounts/{account}/vouchers/{voucher}/revoke                    ..mA
GET /v1/accounts/{account}/wallet                                        .amA
POST /v1/accounts/{account}/wallet/adjustments                           ...A
POST /v1/accounts/{account}/wallet/deposits                              ...A
GET /v1/accounts/{account}/wallet/entries                                .amA
GET /v1/accounts/{account}/webhooks                                      ..mA
POST /v1/accounts/{account}/webhooks                                     ..mA
DELETE /v1/accounts/{account}/webhooks/{webhook}                         ..mA
GET /v1/accounts/{account}/webhooks/{webhook}                            ..mA
PATCH /v1/accounts/{account}/webhooks/{webhook}                          ..mA
GET /v1/accounts/{account}/webhooks/{webhook}/deliveries                 ..mA
POST /v1/accounts/{account}/webhooks/{webhook}/replay                    ..mA
POST /v1/accounts/{account}/webhooks/{webhook}/rotate                    ..mA
POST /v1/accounts/{account}/webhooks/{webhook}/test                      ..mA
GET /v1/accounts/{account}/whitelist                                     .amA
PUT /v1/accounts/{account}/whitelist/{pool}                              ..mA
DELETE /v1/accounts/{account}/whitelist/{pool}/{address}                 ..mA
PUT /v1/accounts/{account}/whitelist/{pool}/{address}                    ..mA
GET /v1/actions                                                          ...A
POST /v1/actions/{action}/answer                                         ...A
POST /v1/actions/{action}/take                                           ...A
GET /v1/audit                                                            ...A
GET /v1/backups                                                          ...A
POST /v1/backups                                                         ...A
GET /v1/changes                                                          .amA
POST /v1/corrections                                                     ...A
GET /v1/counters                                                         i..A
GET /v1/credential                                                       iamA
GET /v1/credentials                                                      ...A
POST /v1/credentials                                                     ...A
POST /v1/credentials/confirm                                             ...A
GET /v1/credentials/{credential}                                         ...A
PATCH /v1/credentials/{credential}                                       ...A
POST /v1/credentials/{credential}/revoke                                 ...A
POST /v1/credentials/{credential}/rotate                                 ...A
GET /v1/doctor                                                           ...A
GET /v1/events                                                           iamA
POST /v1/events                                                          i..A
GET /v1/events/accounts                                                  i..A
GET /v1/gateways                                                         ...A
POST /v1/gateways                                                        ...A
DELETE /v1/gateways/{gateway}                                            ...A
GET /v1/gateways/{gateway}                                               ...A
GET /v1/held                                                             iamA
POST /v1/held/drop                                                       ...A
POST /v1/held/retry                                                      ...A
GET /v1/places                                                           .amA
DELETE /v1/places/{product}                                              ...A
GET /v1/places/{product}                                                 .amA
PUT /v1/places/{product}                                                 ...A
GET /v1/lease-plans                                                      ..mA
POST /v1/lease-plans                                                     ...A
GET /v1/lease-plans/{plan}                                               ..mA
POST /v1/lease-plans/{plan}/retire                                       ...A
GET /v1/plans                                                            ..mA
POST /v1/plans                                                           ...A
GET /v1/plans/{plan}                                                     ..mA
POST /v1/plans/{plan}/retire                                             ...A
GET /v1/pools                                                            .amA
PUT /v1/pools/{pool}                                                     ...A
GET /v1/products                                                         .amA
PUT /v1/products/{product}                                               ...A
GET /v1/providers                                                        ...A
GET /v1/providers/{provider}                                             .amA
POST /v1/radius/accounting                                               i..A
POST /v1/readings                                                        i..A
GET /v1/retention                                                        ...A
POST /v1/retention                                                       ...A
GET /v1/samples                                                          ...A
POST /v1/samples                                                         ...A
GET /v1/senders                                                          ...A
GET /v1/senders/{sender}                                                 ...A
PATCH /v1/senders/{sender}                                               ...A
GET /v1/sources                                                          i..A
POST /v1/sources/hand-over                                               ...A
POST /v1/sources/overlaps                                                i..A
GET /v1/stock                                                            ...A
POST /v1/stock                                                           ...A
POST /v1/stock/import                                                    ...A
GET /v1/stock/{stock}                                                    ...A
PATCH /v1/stock/{stock}                                                  ...A
GET /v1/stock/{stock}/leases                                             ...A
POST /v1/stock/{stock}/retire                                            ...A
GET /v1/usage                                                            ...A
GET /v1/vendors                                                          .amA
GET /v1/verify                                                           ...A
POST /v1/verify                                                          ...A
GET /v1/webhooks                                                         ...A
POST /v1/webhooks                                                        ...A
DELETE /v1/webhooks/{webhook}                                            ...A
GET /v1/webhooks/{webhook}                                               ...A
PATCH /v1/webhooks/{webhook}                                             ...A
GET /v1/webhooks/{webhook}/deliveries                                    ...A
POST /v1/webhooks/{webhook}/replay                                       ...A
POST /v1/webhooks/{webhook}/rotate                                       ...A
POST /v1/webhooks/{webhook}/test                                         ...A
"""
LETTERS = {"i": "ingest", "a": "account", "m": "manage", "A": "admin"}
GUARDED = [op for op in OPERATIONS if op.right is not None]


def named(op: Operation) -> str:
    return f"{op.method} {op.path}"


def test_the_table_has_every_operation_and_every_scope_as_it_is() -> None:
    told = {" ".join(line.split()[:2]): line.split()[2] for line in WHO_MAY.strip().splitlines()}
    assert told == {
        named(op): "".join(letter if scope in op.scopes else "." for letter, scope in LETTERS.items())
        if op.may
        else "...."
        for op in OPERATIONS
    }


def test_every_right_is_needed_for_something() -> None:
    needed = {op.right for op in OPERATIONS} | {route.may for dialect in VENDORS for route in dialect.routes}
    assert needed - {None} == set(get_args(Right)) - {"metrics:read"}


def test_what_is_of_the_installation_is_asked_at_no_account() -> None:
    for op in GUARDED:
        assert op.right is not None
        assert (op.right in INSTALLATION) <= ("{account}" not in op.path), op.path
        assert not (op.of_all and op.narrows)


def test_every_scope_may_what_the_table_says(client: Client, acme: str) -> None:
    mine = {"ingest": token_of(client, "/v1/credentials", scope="ingest"), "admin": dict(client.headers)}
    mine |= {one: token_of(client, "/v1/accounts/acme/credentials", scope=one) for one in ("account", "manage")}
    for op in OPERATIONS:
        for scope, headers in mine.items():
            if op.may:
                shown = {"Authorization": headers.get("Authorization") or headers["authorization"]}
                assert (ask(client, op, shown) != 403) == (scope in op.scopes), (named(op), scope)


# -- One right at a time ----------------------------------------------------------------------------------------------


def ask(client: Client, op: Operation, headers: dict[str, str]) -> int:
    path = op.path.replace("{account}", "acme").replace("{user}", "alice")
    for name in ("credential", "sender", "grant", "period", "plan", "pool", "product", "purchase", "voucher"):
        path = path.replace(f"{{{name}}}", "none")
    path = path.replace("{allocation}", "none").replace("{address}", "192.0.2.1")
    body: dict[str, Any] | None = {} if op.body is not None else None
    if op.body is CredentialRequest:  # one that may no more than who asks
        body = {"scope": "custom", "rights": ["credentials:write"]}
    return client.request(op.method, path, json=body, headers=headers).status_code


def custom(client: Client, rights: Any, account: str | None = None) -> dict[str, str]:
    path = "/v1/credentials" if account is None else f"/v1/accounts/{account}/credentials"
    made = client.post(path, json={"scope": "custom", "rights": sorted(rights)})
    assert made.status_code == 201, made.text
    return {"Authorization": f"Bearer {made.json()['token']}"}


def opens(op: Operation) -> frozenset[Any]:
    """Each of these rights opens it."""
    return frozenset({op.right, "events:write"} if op.or_sent else {op.right})


def test_its_right_alone_opens_an_operation_and_all_others_do_not(client: Client, acme: str) -> None:
    """The others are shown together: whoever has more rights may do no less."""
    alone = {right: custom(client, [right]) for right in get_args(Right)}
    others = {rights: custom(client, alone.keys() - rights) for rights in map(opens, GUARDED)}
    for op in GUARDED:
        for right in opens(op):
            assert ask(client, op, alone[right]) != 403, (named(op), right)
        assert ask(client, op, others[opens(op)]) == 403, named(op)


def test_of_an_account_it_opens_that_account_alone(client: Client, acme: str) -> None:
    client.post("/v1/accounts", json={"id": "other"})
    for right in sorted(set(get_args(Right)) - INSTALLATION):
        own, foreign = custom(client, [right], "acme"), custom(client, [right], "other")
        for op in (one for one in GUARDED if one.right == right):
            if op.of_all:
                assert ask(client, op, own) == 403, named(op)
            elif "{account}" in op.path:
                assert ask(client, op, own) != 403, named(op)
                assert ask(client, op, foreign) == 404, named(op)


@pytest.mark.parametrize("right", sorted(INSTALLATION))
def test_no_credential_of_an_account_has_a_right_of_the_installation(client: Client, acme: str, right: Right) -> None:
    for scope in ("account", "custom", "manage", "ingest"):
        made = client.post("/v1/accounts/acme/credentials", json={"scope": scope, "rights": [right]})
        assert (made.status_code, made.json()["field"]) == (422, "rights"), scope


@pytest.mark.parametrize(
    "asked", [{"scope": "custom"}, {"scope": "custom", "rights": []}, {"scope": "ingest", "rights": ["all"]}]
)
def test_what_names_no_right_is_refused(client: Client, asked: dict[str, Any]) -> None:
    assert client.post("/v1/credentials", json=asked).status_code == 422


def test_an_answer_has_the_scope_and_all_rights(client: Client, acme: str) -> None:
    made = client.post("/v1/accounts/acme/credentials", json={"scope": "account", "rights": ["users:write"]}).json()
    assert (made["scope"], made["rights"]) == ("account", sorted(PRESETS["account"] | {"users:write"}))
    rotated = client.post(f"/v1/credentials/{made['id']}/rotate", json={}).json()
    assert (rotated["scope"], rotated["rights"]) == (made["scope"], made["rights"])
    assert (
        client.post("/v1/credentials", json={"scope": "custom", "rights": ["metrics:read"]})
        .json()["token"]
        .startswith("ft_cus_")
    )


@pytest.mark.parametrize("right", sorted(SENDING))
def test_who_may_send_has_a_sender_of_its_own(client: Client, right: Right) -> None:
    made = client.post("/v1/credentials", json={"scope": "custom", "rights": [right]}).json()
    assert made["sender"].startswith("snd_")
    other = client.post("/v1/credentials", json={"scope": "custom", "rights": ["usage:read"]}).json()
    assert "sender" not in other


# -- What each is for -------------------------------------------------------------------------------------------------


def test_a_prometheus_reads_metrics_and_nothing_else(make_client: Callable[..., Client]) -> None:
    client = make_client(metrics="admin")
    prometheus, dashboard = custom(client, ["metrics:read"]), custom(client, ["usage:read"])
    assert client.get("/metrics", headers=prometheus).status_code == 200
    assert client.get("/metrics", headers=dashboard).status_code == 403
    assert client.get("/v1/usage", headers=prometheus).status_code == 403


def test_a_dashboard_reads_any_account_and_changes_none(client: Client, acme: str) -> None:
    dashboard = custom(client, ["usage:read", "balance:read", "accounts:read"])
    for path in ("/v1/accounts", "/v1/usage", "/v1/accounts/acme/usage", "/v1/accounts/acme/balance"):
        assert client.get(path, headers=dashboard).status_code == 200, path
    assert client.patch("/v1/accounts/acme", json={"name": "x"}, headers=dashboard).status_code == 403


def test_the_dialects_ask_for_the_same_rights(client: Client, acme: str) -> None:
    balance, nothing = custom(client, ["balance:read"], "acme"), custom(client, ["grants:write"], "acme")
    whole = custom(client, ["balance:read"])
    asked = [client.get("/api/v1/dashboard/asset", headers=one).status_code for one in (balance, nothing, whole)]
    assert asked == [200, 401, 401]
    assert client.get("/api/v1/user/traffic/records", headers=balance).status_code != 200


# -- Nobody gives more ------------------------------------------------------------------------------------------------


def test_nobody_makes_an_administrator_of_a_custom_key(client: Client) -> None:
    everything = custom(client, get_args(Right))
    assert client.post("/v1/credentials", json={"scope": "admin"}, headers=everything).status_code == 403
    assert client.post("/v1/credentials", json={"scope": "ingest"}, headers=everything).status_code == 201
    admin = client.get("/v1/credential").json()["id"]
    for path, asked in (("revoke", None), ("rotate", {"overlap_s": 60})):
        assert client.post(f"/v1/credentials/{admin}/{path}", json=asked, headers=everything).status_code in (403, 409)
    assert client.patch(f"/v1/credentials/{admin}", json={"name": "mine"}, headers=everything).status_code == 403
    assert client.get("/v1/credential").status_code == 200


def test_a_support_desk_gives_keys_of_its_account_that_may_no_more_than_it(client: Client, acme: str) -> None:
    client.post("/v1/accounts", json={"id": "other"})
    desk = custom(client, ["credentials:write", "credentials:read", "usage:read"], "acme")
    path = "/v1/accounts/acme/credentials"
    for wanted, status in (
        ({"scope": "custom", "rights": ["usage:read"]}, 201),
        ({"scope": "custom", "rights": ["usage:read", "balance:read"]}, 403),
        ({"scope": "account"}, 403),
        ({"scope": "ingest"}, 403),
    ):
        assert client.post(path, json=wanted, headers=desk).status_code == status, wanted
    wanted = {"scope": "custom", "rights": ["usage:read"]}
    assert client.post("/v1/accounts/other/credentials", json=wanted, headers=desk).status_code == 404
    assert client.post("/v1/credentials", json=wanted, headers=desk).status_code == 403
    stronger = client.post(path, json={"scope": "manage"}).json()["id"]
    for what, asked in (("rotate", {"overlap_s": 60}), ("revoke", None)):
        assert client.post(f"{path}/{stronger}/{what}", json=asked, headers=desk).status_code == 403
    assert client.patch(f"{path}/{stronger}", json={"addresses": []}, headers=desk).status_code == 403


def test_a_sender_is_not_taken_over_by_issuing_or_rotating(client: Client) -> None:
    gateway = client.post("/v1/credentials", json={"scope": "ingest"}).json()
    thief = custom(client, ["credentials:write", "events:write"])
    asked = {"scope": "ingest", "sender": gateway["sender"]}
    assert client.post("/v1/credentials", json=asked, headers=thief).status_code == 403
    assert client.post(f"/v1/credentials/{gateway['id']}/rotate", json={}, headers=thief).status_code == 403
    trusted = custom(client, ["credentials:write", "events:write", "readings:write", "sources:write"])
    assert client.post("/v1/credentials", json=asked, headers=trusted).status_code == 201


def test_metrics_by_a_setting_needs_its_right(make_client: Callable[..., Client], config: Config, acme: str) -> None:
    client = make_client(metrics="admin")
    assert client.get("/metrics").status_code == 200
    mine = token_of(client, "/v1/accounts/acme/credentials", scope="manage")
    assert client.get("/metrics", headers=mine).status_code == 403


def test_an_ingest_key_corrects_nothing_unless_it_is_given_that_right(client: Client, acme: str) -> None:
    void = [{"id": "c1", "source": "own", "corrects": {"source": "own", "id": "1"}, "void": True}]
    for more, status in (([], 403), (["corrections:write"], 200)):
        made = client.post("/v1/credentials", json={"scope": "ingest", "rights": more}).json()
        mine = {"Authorization": f"Bearer {made['token']}"}
        assert client.post("/v1/corrections", json=void, headers=mine).status_code == status
    send(client, "9", "2026-03-10T12:00:00Z")
