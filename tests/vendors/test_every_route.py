"""Laws over every route of every dialect: faults inside, other accounts' things, secrets, switches."""

from __future__ import annotations

import functools
import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import structlog
from tests.conftest import Client, Clock, ask_as_sent, open_acme, send
from tests.filling import Filled
from tests.soak import few
from tests.vendors.asking import PLACES, Shown, issue
from tests.vendors.tongues import MOST_CHARS, ROUTES, TONGUES, assert_refused, every_dialect, texts_in

import flowtally.api.application  # noqa: F401  (declares the operations)
from flowtally.api.reference import codes
from flowtally.config import Config
from flowtally.core.edges import format_instant
from flowtally.core.errors import BadRequest, FlowtallyError, Unavailable
from flowtally.core.texts import is_text
from flowtally.ledger import database
from flowtally.ledger.database import Ledger
from flowtally.vendors import VENDORS, serving
from flowtally.vendors.base import Dialect, Route
from flowtally.web.inputs import convert_values
from flowtally.web.logs import set_up_logs
from flowtally.web.operation import OPERATIONS

NATIVE_READS = [
    op.path
    for op in OPERATIONS
    if op.method == "GET" and op.path.count("{") == 1 and "{account}" in op.path
    # A file; what is 404 of an account that was not erased; and what cannot be asked without a provider.
    if not op.path.endswith(("/export", "/erase", "/reconciliation"))
]
TRACE = ("Traceback", "Error(", "KeyError", 'File "', "sqlite", "a secret detail", ".py")


def test_every_dialect_has_a_tongue_and_every_route_its_own_path() -> None:
    assert set(TONGUES) >= {dialect.name for dialect in VENDORS}
    assert len({(route.method, route.path) for _, route in ROUTES}) == len(ROUTES)


# -- A fault inside ---------------------------------------------------------------------------------------------------


def assert_plain_refusal(dialect: Dialect, answer: Any) -> None:
    assert_refused(dialect, answer)
    assert not [word for word in TRACE if word in answer.text], answer.text


@every_dialect
def test_a_usage_store_that_fails_breaks_no_envelope_and_shows_no_trace(
    shared: Filled, dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = issue(shared.client, "acme", "manage")
    monkeypatch.setattr(shared.usage, "rows", [{"wrong": "a secret detail"}])
    for route in dialect.routes:
        answer = who.ask(shared.client, dialect, route)
        if not TONGUES[dialect.name].succeeded(answer.status_code, answer.json()):  # one that asks for usage
            assert_plain_refusal(dialect, answer)


@every_dialect
@pytest.mark.parametrize("fault", [Unavailable("the ledger is locked"), RuntimeError("a secret detail")], ids=repr)
def test_a_ledger_that_fails_breaks_no_envelope_and_shows_no_trace(
    shared: Filled, dialect: Dialect, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = issue(shared.client, "acme", "manage")

    @contextmanager
    def broken(self: Ledger) -> Iterator[Any]:
        raise fault
        yield

    for verb in ("begin", "read"):
        monkeypatch.setattr(Ledger, verb, broken)
    for route in dialect.routes:
        assert_plain_refusal(dialect, who.ask(shared.client, dialect, route))


@pytest.fixture
def impatient_ledger(monkeypatch: pytest.MonkeyPatch, new_ledger: Path, tmp_path: Path) -> Iterator[Ledger]:
    """Its connections wait for a lock for an instant only."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 1)
    path = tmp_path / "locked.db"
    path.write_bytes(new_ledger.read_bytes())
    opened = Ledger.open(f"sqlite:///{path}")
    yield opened
    opened.close()


class TestLocked:
    """Somebody else holds the lock of the ledger's file."""

    @pytest.fixture
    def app_ledger(self, impatient_ledger: Ledger) -> Ledger:
        return impatient_ledger

    @pytest.fixture
    def acme(self, client: Client) -> str:
        return open_acme(client)

    def test_while_the_ledger_is_locked_reads_succeed_and_writes_are_refused_in_their_envelopes(
        self, client: Client, acme: str, app_ledger: Ledger
    ) -> None:
        who = issue(client, acme, "manage")
        assert app_ledger.file is not None
        with sqlite3.connect(app_ledger.file, isolation_level=None) as locker:
            locker.execute("BEGIN IMMEDIATE")
            for dialect, route in ROUTES:
                answer = who.ask(client, dialect, route)
                if route.writes:
                    assert_plain_refusal(dialect, answer)
                else:
                    assert "locked" not in answer.text
            locker.execute("ROLLBACK")


@every_dialect
def test_where_no_place_is_left_every_route_says_so_in_its_envelope(
    shared: Filled, dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    who, slots = issue(shared.client, "acme", "manage"), shared.client.app.state.services.request_slots
    monkeypatch.setattr(slots, "taken", slots.limit)
    for route in dialect.routes:
        assert_plain_refusal(dialect, who.ask(shared.client, dialect, route))


# -- What is said -----------------------------------------------------------------------------------------------------


@every_dialect
@pytest.mark.parametrize("extra", [{}, {"parameter": "page", "value": "s3cret"}], ids=["", "parameter"])
def test_what_is_said_of_any_error_is_short_and_nothing_of_ours(dialect: Dialect, extra: dict[str, str]) -> None:
    """Our sentences name our routes and settings, and repeat what was sent."""
    for _, kind in codes.tree():
        error = kind.__new__(kind)
        FlowtallyError.__init__(error, "FLOWTALLY_X = 's3cret': see /v1/accounts. " * 10, **extra)
        vars(error).setdefault("retry_after_s", 1)
        told = msgspec.json.decode(dialect.fail(error).content)
        texts = list(texts_in(told))
        assert max(map(len, texts)) <= MOST_CHARS, told
        assert not [text for text in texts if "FLOWTALLY" in text or "/v1/" in text or "s3cret" in text], told


@every_dialect
def test_a_wrong_value_is_not_repeated(shared: Filled, dialect: Dialect) -> None:
    client, who = shared.client, issue(shared.client, "acme", "manage")
    for route in dialect.routes:
        for name in route.takes_example:
            answer = who.ask(client, dialect, route, **{name: "s3cret"})
            if not TONGUES[dialect.name].succeeded(answer.status_code, answer.json()):
                assert_plain_refusal(dialect, answer)
                assert "s3cret" not in answer.text


# -- What is not sent -------------------------------------------------------------------------------------------------


@every_dialect
def test_an_empty_optional_parameter_is_one_that_is_not_sent(
    shared: Filled, dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every route, in the query, in a form and in a JSON object: what its work would be given is the same."""
    client, who, heard = shared.client, issue(shared.client, "acme", "manage"), heard_by(monkeypatch)
    query, headers = PLACES[dialect.name](who)
    for route in dialect.routes:
        optional = [one.encode_name for one in msgspec.structs.fields(route.takes) if not one.required]
        for name in optional:
            given = {key: value for key, value in route.takes_example.items() if key != name}
            places: list[dict[str, Any]] = [{"params": query | given}, {"params": query | given | {name: ""}}]
            if route.method != "GET":
                bodies = [given, given | {name: ""}]
                places += [{"params": query, where: body} for where in ("data", "json") for body in bodies]
                places.append({"params": query | {name: ""}, "data": given})
            for place in places:
                assert_refused(dialect, client.request(route.method, route.path, headers=headers, **place))
            assert len(heard) == len(places)
            assert heard == heard[:1] * len(places), (route.path, name)
            heard.clear()


def heard_by(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the works of routes would be given, or why they would not: instead of being called."""
    heard: list[Any] = []

    def hear(values: Any, into: Any) -> Any:
        try:
            heard.append(convert_values(values, into))
        except BadRequest as error:
            heard.append(error.detail)
        raise Unavailable("heard")

    monkeypatch.setattr(serving, "convert_values", hear)
    return heard


# -- Who may know what ------------------------------------------------------------------------------------------------


def bare(answer: Any) -> tuple[int, Any]:
    """An answer without what is new in each."""
    body = answer.json()
    return answer.status_code, {name: value for name, value in body.items() if name != "wp_trace_id"}


@every_dialect
def test_nobody_a_wrong_token_and_an_admin_are_refused_alike_by_every_route(
    shared: Filled, dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = shared.client
    monkeypatch.delitem(client.headers, "authorization")
    nobody, admin = Shown("crd_nobody", "nobody" * 5, "nobody" * 5), issue(client, None, "admin")
    for route in dialect.routes:
        asked = [
            client.request(route.method, route.path),
            *(who.ask(client, dialect, route) for who in (nobody, admin)),
        ]
        assert len({assert_refused(dialect, answer) for answer in asked}) == 1


@every_dialect
def test_a_secret_given_twice_is_refused_by_every_route_unless_it_is_the_same(shared: Filled, dialect: Dialect) -> None:
    client, who = shared.client, issue(shared.client, "acme", "manage")
    headers = list(PLACES[dialect.name](who)[1].items())
    for route in dialect.routes:
        wrong = assert_refused(dialect, who.with_token("nobody" * 5).ask(client, dialect, route))
        asked = functools.partial(ask_as_sent, client, route.method, route.path)
        assert bare(asked(headers=headers * 2)) == bare(asked(headers=headers))
        for name, value in headers:
            for sent in ([*headers, (name, value + "x")], [(name, value + "x"), *headers]):
                assert assert_refused(dialect, asked(headers=sent)) == (10014 if name == "key" else wrong)


@every_dialect
def test_a_good_token_beside_what_cannot_be_read_is_no_wrong_token(shared: Filled, dialect: Dialect) -> None:
    client, who = shared.client, issue(shared.client, "acme", "manage")
    wrong = assert_refused(dialect, who.with_token("nobody" * 5).ask(client, dialect, dialect.routes[0]))
    query, headers = PLACES[dialect.name](who)
    for route, unread in product(dialect.routes, ("%ff", "%00")):
        asked = httpx.URL(route.path, params=query).copy_add_param("page", "1")
        answer = client.request(route.method, f"{asked}&username={unread}", headers=headers)
        assert assert_refused(dialect, answer) != wrong, answer.text


@every_dialect
def test_a_token_that_was_revoked_is_refused_by_every_route(shared: Filled, dialect: Dialect) -> None:
    client, who = shared.client, issue(shared.client, "acme", "manage")
    for route in dialect.routes:
        who.ask(client, dialect, route)  # it is remembered now
    assert client.post(f"/v1/credentials/{who.id}/revoke").status_code == 200
    for route in dialect.routes:
        assert_refused(dialect, who.ask(client, dialect, route))


@every_dialect
def test_a_token_is_refused_by_every_route_from_its_end_on(
    client: Client, acme: str, clock: Clock, dialect: Dialect
) -> None:
    who = issue(client, acme, "manage")
    for route in dialect.routes:
        who.ask(client, dialect, route)  # it is remembered now
    ends = {"expires_at": format_instant(clock.at + 1)}
    assert client.patch(f"/v1/credentials/{who.id}", json=ends).status_code == 200
    clock.at += 1
    for route in dialect.routes:
        assert_refused(dialect, who.ask(client, dialect, route))


@every_dialect
def test_a_token_is_refused_by_every_route_from_where_it_may_not_come(shared: Filled, dialect: Dialect) -> None:
    client, who = shared.client, issue(shared.client, "acme", "manage")
    assert client.patch(f"/v1/credentials/{who.id}", json={"addresses": ["192.0.2.1"]}).status_code == 200
    for route in dialect.routes:
        answer = who.ask(client, dialect, route)
        assert_refused(dialect, answer)
        assert "192.0.2.1" not in answer.text


@every_dialect
def test_a_token_needs_the_right_of_each_route_and_no_other(client: Client, acme: str, dialect: Dialect) -> None:
    client.post(f"/v1/accounts/{acme}/users", json={"name": "user123", "password": "Password12"})
    for right in {route.may for route in dialect.routes}:
        made = client.post(f"/v1/accounts/{acme}/credentials", json={"scope": "custom", "rights": [right]}).json()
        who = Shown(made["id"], made["token"], made["key"])
        for route in dialect.routes:
            if route.may != right:
                assert_refused(dialect, who.ask(client, dialect, route))


@every_dialect
def test_a_token_that_only_reads_changes_nothing(shared: Filled, dialect: Dialect) -> None:
    client, acme, who = shared.client, "acme", issue(shared.client, "acme", "account")
    before = everything_of(client, acme)
    for route in dialect.routes:
        if route.writes:
            assert_refused(dialect, who.ask(client, dialect, route))
    assert everything_of(client, acme) == before


@every_dialect
def test_what_another_account_writes_changes_nothing_here(client: Client, acme: str, dialect: Dialect) -> None:
    client.post("/v1/accounts", json={"id": "other"})
    client.post("/v1/accounts/other/grants", json={"amount": 2**50})
    for name in {name for route in dialect.routes for name in names_in(route)}:
        client.post(f"/v1/accounts/{acme}/users", json={"name": name, "funded": True, "password": "Password12"})
    before, other = everything_of(client, acme), issue(client, "other", "manage")
    for route in dialect.routes:
        other.ask(client, dialect, route)
    assert everything_of(client, acme) == before


@every_dialect
def test_no_parameter_brings_in_a_text_that_may_not_be_kept(client: Client, acme: str, dialect: Dialect) -> None:
    """Refused in the vendor's own envelope, or not looked at and nowhere kept."""
    client.post(f"/v1/accounts/{acme}/users", json={"name": "user123", "password": "Password12"})
    who = issue(client, acme, "manage")
    for route in dialect.routes:
        for name in msgspec.structs.fields(route.takes):
            for text in few(
                ("abcdef\x1b[2J", "\x00abcdefghij", "abcdefghij\x9b", "\u202eabcdefghij", "abcdef\u2028ghij"), 2
            ):
                answer = who.ask(client, dialect, route, **{name.encode_name: text})
                if not TONGUES[dialect.name].succeeded(answer.status_code, answer.json()):
                    assert_plain_refusal(dialect, answer)
    assert not [text for text in texts_in(everything_of(client, acme)) if not is_text(text)]


def everything_of(client: Client, account: str) -> list[Any]:
    """All that the native API tells of the account, but for its files, when keys were used, and of which moment each
    answer is."""
    told = [client.get(path.replace("{account}", account)) for path in NATIVE_READS]
    assert {answer.status_code for answer in told} == {200}
    bodies = [answer.json() for answer in told]
    for used in (one for body in bodies for one in body.get("items", []) if "last_used_at" in one):
        del used["last_used_at"]
    return [{name: value for name, value in one.items() if name != "as_of"} for one in bodies]


@every_dialect
def test_what_another_account_has_changes_no_answer(client: Client, dialect: Dialect) -> None:
    for account in ("other", "acme"):
        client.post("/v1/accounts", json={"id": account, "carry_from": "2025-01-01T00:00:00Z"})
    who, reads = issue(client, "other", "account"), [route for route in dialect.routes if not route.writes]
    before = [bare(who.ask(client, dialect, route)) for route in reads]
    fill(client, "acme", ["alice", *{name for route in dialect.routes for name in names_in(route)}])
    assert [bare(who.ask(client, dialect, route)) for route in reads] == before


def fill(client: Client, account: str, names: list[str]) -> None:
    """Users, grants, and use at times that examples ask for."""
    client.post(f"/v1/accounts/{account}/grants", json={"amount": 2**40, "starts_at": "2025-01-01T00:00:00Z"})
    for number, user in enumerate(["", *names]):
        client.post(f"/v1/accounts/{account}/users", json={"name": user, "funded": number % 2 == 0}) if user else None
        for day in ("2025-01-02", "2025-07-01", "2026-03-11"):
            for what in ("residential", "mobile", "api"):
                key = f"{number}{what}{day}"
                send(client, key, f"{day}T00:30:00Z", account, user=user, product=what, bytes_down=2**30)


def names_in(route: Route) -> list[str]:
    """Users the example speaks of: another account may have one of the same name."""
    return [value for name, value in route.takes_example.items() if name in ("account", "username") and value]


# -- Secrets ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def real_logs(config: Config, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> Iterator[Any]:
    """Log lines as the server shapes them, tracebacks included; loggers that are kept would outlive the test."""
    with monkeypatch.context() as patch:
        shape: dict[str, Any] = {}
        patch.setattr(structlog, "configure", shape.update)
        patch.setattr(logging, "basicConfig", lambda **_: None)
        set_up_logs(config)
    before = structlog.get_config()
    shape |= {"logger_factory": before["logger_factory"], "cache_logger_on_first_use": False}
    structlog.configure(**shape)
    yield capfd
    structlog.configure(**before)


@every_dialect
@pytest.mark.parametrize("broken", [False, True], ids=["well", "broken inside"])
def test_no_secret_reaches_a_log_or_an_error(
    shared: Filled, dialect: Dialect, broken: bool, real_logs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = issue(shared.client, "acme", "manage")
    wrong = Shown(who.id, "wrong-secret-0123456789", "wrong-secret-0123456789")
    if broken:
        monkeypatch.setattr(shared.usage, "rows", [{"wrong": True}])
    for route, one in product(dialect.routes, (who, wrong)):
        for more in ({}, {"token": one.token, "key": one.key}):  # in their place, and where some clients put them
            answer = one.ask(shared.client, dialect, route, **more)
            assert one.token not in answer.text
            assert one.key not in answer.text
    logged = "".join(real_logs.readouterr())
    assert not [route.path for route in dialect.routes if route.path not in logged]
    assert not [secret for one in (who, wrong) for secret in (one.token, one.key) if secret in logged]


# -- Switches ---------------------------------------------------------------------------------------------------------


@every_dialect
def test_a_dialect_that_is_switched_off_is_unknown_and_leaves_the_document(
    client: Client, make_client: Callable[..., Client], dialect: Dialect
) -> None:
    """Its paths are answered as any that nobody serves, also those that lie below another vendor's."""
    off = make_client(vendors={dialect.name: dialect.settings(enabled=False)})
    for route in dialect.routes:
        answer = off.request(route.method, route.path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert answer.headers["content-type"] == "application/problem+json"
    whole, without = (one.get("/schema/openapi.json").json() for one in (client, off))
    gone = set(whole["paths"]) - set(without["paths"])
    assert gone == {route.path for route in dialect.routes}
    assert dialect.title in {tag["name"] for tag in whole["tags"]}
    assert dialect.title not in {tag["name"] for tag in without["tags"]}
    for part in ("schemas", "securitySchemes"):
        left = set(without["components"][part])
        assert left < set(whole["components"][part])
        assert not [name for name in left if name.lower().startswith(dialect.name)]


def test_all_dialects_switched_off_leave_the_native_document_alone(make_client: Callable[..., Client]) -> None:
    off = make_client(vendors={dialect.name: dialect.settings(enabled=False) for dialect in VENDORS})
    document = off.get("/schema/openapi.json").json()
    assert all(
        path.startswith("/v1/") or path.count("/") == 1 or path.startswith("/schema") for path in document["paths"]
    )
    assert set(document["components"]["securitySchemes"]) == {"bearer"}
