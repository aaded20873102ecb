"""Every vendor's shadow against our own dialect of it: what is asked, when, and what of it is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import Client, send
from tests.providers.stub import Stub, ok, silent
from tests.vendors.asked_app import AskApp
from tests.vendors.asking import PLACES, issue
from tests.vendors.tongues import TONGUES, every_dialect

from flowtally.providers.puller import VendorAnswer
from flowtally.vendors import PULLERS, SHADOWS, VENDORS
from flowtally.vendors.base import Dialect, Route

SECRETS = {
    "thordata": lambda one: {"token": one.token, "key": one.key},
    "bytesflows": lambda one: {"token": one.token},
    "ipfoxy": lambda one: {"api_id": one.id, "api_token": one.token},
    "whitepages": lambda one: {"key": one.token},
}
# Where the vendor itself wants them: query and headers.
WANTED: dict[str, Any] = {
    "thordata": lambda one: ({"token": one.token, "key": one.key}, {}),
    **{vendor: PLACES[vendor] for vendor in ("bytesflows", "ipfoxy", "whitepages")},
}
DAYS = {"start_time": -6, "start_timestamp": -6, "end_time": 0, "end_timestamp": 0}  # from now, in Unix seconds
BASES = {"thordata": "/api", "ipfoxy": "/ip/open-api"}
# What is another account's by its own name or date, though all that was used is the same.
LEFT_OUT = (
    "cdk",  # codes of vouchers, which are money
    "/locations/",  # what is offered here is the operator's own
    "get-region-list",
    *("area-list", "order-price", "order-info", "open-api/proxy-list"),  # of the operator's own stock and prices
    "-monitor",
)
OF_ITS_OWN = {"/ip/open-api/get-sub-account-list", "/api/proxy/proxy-list"}
USERS = ("user123", "ABCDEFHGJ2000")


class Line:
    """The application as the vendor, behind a shadow's connection. `heard`: paths, queries, headers."""

    def __init__(self, ask: AskApp) -> None:
        self._ask = ask
        self.heard: list[tuple[str, dict[str, str], dict[str, str]]] = []

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *raised: object) -> None:
        """Nothing is held."""

    def asked(self, work: Callable[[Any], Any]) -> Any:
        return work(self._note)

    def scrub(self, text: str) -> str:
        return text

    def _note(self, method: str, path: str, **given: Any) -> VendorAnswer:
        self.heard.append((path, dict(given["query"]), dict(given["headers"])))
        return self._ask(method, path, **given)


class World:
    """`who` is a customer of ours; the vendor is this application too, where the account `theirs` has the same."""

    def __init__(self, client: Client, dialect: Dialect, monkeypatch: pytest.MonkeyPatch) -> None:
        self.client, self.dialect = client, dialect
        for account in ("acme", "theirs"):
            client.post("/v1/accounts", json={"id": account, "carry_from": "2025-01-01T00:00:00Z"})
            fill(client, account)
        self.services = client.app.state.services
        self.who, self.vendor = issue(client, "acme", "manage"), issue(client, "theirs", "manage")
        self.line = Line(AskApp(client, base=BASES.get(dialect.name, "")))
        monkeypatch.setattr(self.services.providers, "_connect", lambda *given: self.line)
        asked = {"name": "real", "vendor": dialect.name, "secrets": SECRETS[dialect.name](self.vendor)}
        assert client.post("/v1/accounts/acme/providers", json=asked).status_code == 201

    def question(self, route: Route) -> dict[str, str]:
        """The example, of days that are not too long ago."""
        now_s = self.services.clock() // 1000
        days = {name: str(now_s + DAYS[name] * 86_400) for name in route.takes_example if name in DAYS}
        return {**route.takes_example, **days}

    def ask(self, route: Route) -> Any:
        return self.who.ask(self.client, self.dialect, route, **self.question(route))

    def set(self, **body: Any) -> None:
        path = f"/v1/accounts/acme/shadow/{self.dialect.name}"
        assert self.client.put(path, json={"enabled": True, "provider": "real", **body}).status_code == 200

    def counts(self) -> dict[str, int]:
        found = self.services.shadowing.measures()
        return {name: int(count) for name, count in found.items() if count and name != "on"}

    def turns(self) -> None:
        while self.services.shadowing.turn():
            pass
        self.services.shadowing.keep()

    def differences(self) -> list[Any]:
        return list(self.client.get("/v1/accounts/acme/shadow/differences").json()["items"])

    def shadowed(self) -> list[Route]:
        return [one for one in self.dialect.routes if one.path in SHADOWS[self.dialect.name].routes]


def fill(client: Client, account: str) -> None:
    asked = {"amount": 2**40, "starts_at": "2025-01-01T00:00:00Z", "reference": "A-1"}
    assert client.post(f"/v1/accounts/{account}/grants", json=asked).status_code == 201
    lease(client, account)
    for number, user in enumerate(USERS):
        asked = {"name": user, "funded": number == 1, "product": "residential", "password": f"password{number}"}
        assert client.post(f"/v1/accounts/{account}/users", json=asked).status_code == 201
        for day in ("2025-01-02", "2025-07-01", "2026-03-11"):
            for product in ("residential", "api"):
                use(client, f"{number}{product}{day}", account, user, product, day)


def lease(client: Client, account: str) -> None:
    """The address that examples ask for; each has it at a port of its own."""
    item = {"kind": "isp", "address": "1.1.1.1", "port": 6000 + len(account)}
    which = client.post("/v1/stock", json=item).json()["id"]
    asked = {"stock": which, "ends_at": "2027-01-31T12:34:56Z"}
    assert client.post(f"/v1/accounts/{account}/leases/give", json=asked).status_code == 201


def use(client: Client, key: str, account: str, user: str, product: str, day: str) -> None:
    send(
        client, f"{account}{key}", f"{day}T00:30:00Z", account, user=user, product=product, bytes_down=2**30, requests=3
    )


@pytest.fixture
def make_world(client: Client, monkeypatch: pytest.MonkeyPatch) -> Callable[[Dialect], World]:
    return lambda dialect: World(client, dialect, monkeypatch)


# -- What is declared -------------------------------------------------------------------------------------------------


def test_each_vendor_that_is_asked_has_a_shadow() -> None:
    assert SHADOWS.keys() == PULLERS.keys() == {one.name for one in VENDORS}


@every_dialect
def test_only_calls_that_read_are_ever_asked_of_the_vendor(dialect: Dialect) -> None:
    declared = SHADOWS[dialect.name]
    reads = {one.path for one in dialect.routes if one.method == "GET" and not one.writes and one.manner is None}
    assert declared.vendor == dialect.name
    assert declared.routes.keys() <= reads - {one.path for one in dialect.routes if one.writes}
    assert not [path for path in declared.routes if "cdk" in path], "codes of vouchers are money"
    assert {path for path in reads if not any(one in path for one in LEFT_OUT)} == declared.routes.keys()
    base = BASES.get(dialect.name, "")
    assert {base + theirs.rstrip("/") for theirs in declared.routes.values()} == set(declared.routes)
    assert PULLERS[dialect.name].base_url.endswith(base)


@every_dialect
def test_all_secrets_are_of_those_that_the_puller_asks_for(dialect: Dialect) -> None:
    declared, puller = SHADOWS[dialect.name], PULLERS[dialect.name]
    secrets = {one.name: f"<{one.name}>" for one in puller.secrets}
    for path in declared.routes.values():
        shown = declared.show(path, secrets)
        said = [value for _, value in shown.query] + list(shown.headers.values())
        assert said
        assert all(any(one in value for one in secrets.values()) for value in said)


@every_dialect
@pytest.mark.parametrize("body", ["[]", "null", "5", '"x"', "{}", '{"code": "x"}', '{"code": null}', "<html>", ""])
def test_whatever_is_answered_is_an_answer_or_a_refusal_of_a_known_kind(dialect: Dialect, body: str) -> None:
    for status in (200, 201, 400, 401, 403, 404, 418):
        found = SHADOWS[dialect.name].refusal(VendorAnswer(status, {}, body.encode()))
        assert (found is None) == (status not in {401, 403}), (status, body)


REFUSALS = [
    ("thordata", 200, '{"code": 10047, "msg": "Token error"}', "Denied"),
    ("thordata", 200, '{"code": 10011, "msg": "later"}', "Limited"),
    ("thordata", 200, '{"code": 500, "msg": "x"}', "Failed"),
    ("thordata", 200, '{"code": 10020, "msg": "no user"}', None),
    ("ipfoxy", 200, '{"code": 60401, "msg": "x"}', "Denied"),
    ("ipfoxy", 200, '{"code": 50000, "msg": "x"}', "Limited"),
    ("ipfoxy", 200, '{"code": 60500, "msg": "x"}', "Failed"),
    ("ipfoxy", 200, '{"code": 60400, "msg": "x"}', None),
    ("bytesflows", 200, '{"code": 401}', "Denied"),
    ("bytesflows", 429, "{}", "Limited"),
    ("bytesflows", 200, '{"code": 429}', "Limited"),
    ("bytesflows", 200, '{"code": 503}', "Failed"),
    ("bytesflows", 200, '{"code": 400}', None),
    ("whitepages", 403, '{"message": "Limit Exceeded"}', "Limited"),
    ("whitepages", 429, '{"message": "Too Many Requests"}', "Limited"),
    ("whitepages", 403, '{"message": "Forbidden"}', "Denied"),
    ("whitepages", 400, '{"error": {"code": 400, "message": "x"}}', None),
]


@pytest.mark.parametrize(("vendor", "status", "body", "kind"), REFUSALS)
def test_a_refusal_is_of_its_kind_and_what_is_declined_for_the_question_is_an_answer(
    vendor: str, status: int, body: str, kind: str | None
) -> None:
    found = SHADOWS[vendor].refusal(VendorAnswer(status, {}, body.encode()))
    assert (None if found is None else type(found).__name__) == kind


# -- What is asked, and when ------------------------------------------------------------------------------------------


@every_dialect
def test_off_until_it_is_turned_on_and_off_again_after(make_world: Callable[..., World], dialect: Dialect) -> None:
    world = make_world(dialect)
    for route in dialect.routes:
        world.who.ask(world.client, dialect, route)
    assert world.counts() == {}
    world.set()
    world.who.ask(world.client, dialect, world.shadowed()[0])
    assert world.counts() == {"waiting": 1}
    world.set(enabled=False)
    world.who.ask(world.client, dialect, world.shadowed()[0])
    world.turns()
    assert (world.counts(), world.line.heard) == ({"dropped": 1}, [])


@every_dialect
def test_each_read_is_answered_first_and_then_asked_with_the_same_question(
    make_world: Callable[..., World], dialect: Dialect
) -> None:
    world = make_world(dialect)
    world.set()
    for route in world.shadowed():
        world.line.heard.clear()
        answer = world.ask(route)
        assert TONGUES[dialect.name].succeeded(answer.status_code, answer.json()), answer.text
        assert world.line.heard == [], "nobody was asked when the answer came"
        world.turns()
        [(path, query, headers)] = world.line.heard
        assert BASES.get(dialect.name, "") + path.rstrip("/") == route.path
        in_query, in_headers = WANTED[dialect.name](world.vendor)
        assert query == {**in_query, **world.question(route)}
        assert headers == in_headers
        shown = json.dumps([query, headers])
        assert not [one for one in (world.who.id, world.who.token, world.who.key) if one in shown]
    counts = world.counts()
    assert counts.get("failed", 0) == counts.get("dropped", 0) == 0
    differing = {one["route"].removeprefix("GET ") for one in world.differences()}
    assert differing == OF_ITS_OWN.intersection(one.path for one in world.shadowed())
    assert counts.get("agreed", 0) == len(world.shadowed()) - len(differing)


@pytest.mark.parametrize("path", ["whitelisted-ips/ip-list", "proxy-users/user-list"])
def test_what_a_client_of_theirs_is_answered_otherwise_is_compared_as_their_documents_have_it(
    make_world: Callable[..., World], path: str
) -> None:
    [dialect] = [one for one in VENDORS if one.name == "thordata"]
    world = make_world(dialect)
    world.set()
    _, headers = PLACES["thordata"](world.who)
    agent = {"User-Agent": "thordata-python-sdk/1.8.4 python/3.11.7 (Linux/6.1; x86_64; requests)"}
    told, usual = (world.client.get(f"/api/{path}", headers=headers | more).json() for more in (agent, {}))
    assert told != usual
    world.turns()
    assert (world.counts(), world.differences()) == ({"agreed": 2}, [])


@every_dialect
def test_what_else_the_caller_sends_goes_no_further(make_world: Callable[..., World], dialect: Dialect) -> None:
    world = make_world(dialect)
    world.set()
    route = world.shadowed()[0]
    query, headers = PLACES[dialect.name](world.who)
    more = {"debug": "1", "api_key": world.who.token, "password": "pw", **route.takes_example}
    told = world.client.get(
        route.path,
        params={**query, **more},
        headers={**headers, "X-Mine": "m", "Cookie": "session=s", "User-Agent": "u"},
    )
    assert told.status_code == 200, told.text
    world.turns()
    [(_, asked, shown)] = world.line.heard
    in_query, in_headers = WANTED[dialect.name](world.vendor)
    assert (asked, shown) == ({**in_query, **route.takes_example}, in_headers)


@every_dialect
def test_no_write_no_refusal_and_nobody_unknown_is_ever_asked(
    make_world: Callable[..., World], dialect: Dialect
) -> None:
    world = make_world(dialect)
    world.set()
    for route in dialect.routes:
        if route.path not in SHADOWS[dialect.name].routes:
            world.who.ask(world.client, dialect, route)
        else:
            world.who.with_token("nobody-knows-this").ask(world.client, dialect, route)
            issue(world.client, "acme", "ingest").ask(world.client, dialect, route)
            issue(world.client, "theirs", "manage").ask(world.client, dialect, route)
            query, headers = PLACES[dialect.name](world.who)
            world.client.post(route.path, params=query, headers=headers)
            given = {**query, **dict.fromkeys(route.takes_example, "\x00")}
            if route.takes_example:
                world.client.get(route.path, params=given, headers=headers)
    assert (world.counts(), world.line.heard) == ({}, [])


@every_dialect
def test_what_the_vendor_measured_more_is_told_by_how_much(make_world: Callable[..., World], dialect: Dialect) -> None:
    world = make_world(dialect)
    use(
        world.client,
        "more",
        "theirs",
        "user123",
        "api" if dialect.name == "whitepages" else "residential",
        "2026-03-11",
    )
    world.set()
    for route in world.shadowed():
        world.ask(route)
    world.turns()
    found = [field for one in world.differences() for field in one["fields"] if field["by"] is not None]
    expected = {"thordata": "1048576", "bytesflows": "1073741824", "ipfoxy": "-1024", "whitepages": "3"}[dialect.name]
    assert expected in {one["by"] for one in found}, world.differences()


@pytest.mark.parametrize("vendor", ["thordata", "ipfoxy"])
def test_passwords_that_answers_show_are_not_kept(make_world: Callable[..., World], vendor: str) -> None:
    [dialect] = [one for one in VENDORS if one.name == vendor]
    world = make_world(dialect)
    world.client.post(
        "/v1/accounts/theirs/users", json={"name": "extra123", "password": "password9", "funded": vendor == "ipfoxy"}
    )
    world.set()
    for route in world.shadowed():
        if "list" in route.path:
            world.ask(route)
    world.turns()
    kept = json.dumps(world.differences())
    assert "extra123" in kept
    assert "[secret]" in kept
    assert not [word for word in ("password0", "password1", "password9") if word in kept]


@every_dialect
def test_a_fault_of_a_shadow_changes_no_answer(
    make_world: Callable[..., World],
    dialect: Dialect,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def burst(*given: object) -> bool:
        raise KeyError("a secret detail")

    world = make_world(dialect)
    world.set()
    route = world.shadowed()[0]
    before = world.ask(route)
    monkeypatch.setattr(type(world.services.shadowing), "wants", burst)
    after = world.ask(route)
    assert (after.status_code, after.text) == (before.status_code, before.text)
    told = "".join(capsys.readouterr())
    assert "shadow_not_offered" in told
    assert "a secret detail" not in told


# -- Beside a vendor that does not answer -----------------------------------------------------------------------------


def test_an_answer_waits_for_no_vendor(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    [dialect] = [one for one in VENDORS if one.name == "whitepages"]
    world = World(client, dialect, monkeypatch)
    monkeypatch.undo()
    shadowing = world.services.shadowing
    with Stub(silent()) as stub:
        address = {"address": stub.url}
        assert client.patch("/v1/accounts/acme/providers/real", json=address).status_code == 200
        world.set()
        before = world.who.ask(client, dialect, world.shadowed()[0])
        shadowing.begin()
        assert stub.asked.wait(20)
        answers = [world.who.ask(client, dialect, world.shadowed()[0]) for _ in range(5)]
        assert len(stub.heard) == 1, "all were answered while the vendor was still asked for the first"
        assert {one.text for one in answers} == {before.text}
        assert world.counts() == {"waiting": 5}
        shadowing.close()
    assert world.vendor.token not in json.dumps(world.differences())


def test_a_vendor_at_another_address_is_asked_over_http_and_what_it_says_is_kept(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    [dialect] = [one for one in VENDORS if one.name == "whitepages"]
    world = World(client, dialect, monkeypatch)
    monkeypatch.undo()
    route = world.shadowed()[0]
    ours = world.who.ask(client, dialect, route).json()
    theirs = {**ours, "wp_trace_id": "t-1", "total_requests_in_timeperiod": "99"}
    with Stub(ok(json.dumps(theirs))) as stub:
        client.patch("/v1/accounts/acme/providers/real", json={"address": stub.url})
        world.set()
        world.who.ask(client, dialect, route)
        world.turns()
        [heard] = stub.heard
    assert heard.headers["x-api-key"] == world.vendor.token
    [one] = world.differences()
    assert [field["place"] for field in one["fields"]] == ["total_requests_in_timeperiod"]
    assert world.client.get("/v1/accounts/acme/shadow/whitepages").json()["routes"][0]["differed"] == 1
