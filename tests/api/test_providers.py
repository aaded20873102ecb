"""Providers over HTTP: secrets go in and never come out, and what is not known is said so."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from tests.conftest import Client, Clock, token_of
from tests.logged import Logged
from tests.providers.scripted import Vendor, connect

from flowtally.api.providers import EXAMPLE
from flowtally.core.reported import (
    BalanceSaid,
    BalancesSaid,
    FigureSaid,
    GrantSaid,
    GrantsSaid,
    SubUserSaid,
    SubUsersSaid,
    UseSaid,
    span_key,
)
from flowtally.core.times import DAY_MS
from flowtally.ledger.providers import connected
from flowtally.providers.connecting import ServerStops
from flowtally.providers.puller import ChangedShape, Denied, Failed, Limited, Sight, ToPull
from flowtally.vendors import PULLERS
from flowtally.web.operation import OPERATIONS

MINE = "/v1/accounts/acme/providers"
SECRET = "s3cret-of-the-vendor"
WAYS = ("", "/balance", "/grants", "/sub-users", "/pulls", "/stretches", "/rules")  # to read one
ADD: dict[str, Any] = {"name": "thor", "vendor": "scripted", "secrets": {"token": SECRET}}


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def client(client: Client, acme: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Of a server that knows one vendor more, whose words are in the test."""
    providers = client.app.state.services.providers
    monkeypatch.setattr(providers, "pullers", {"scripted": vendor.puller})
    monkeypatch.setattr(providers, "_connect", connect)
    return client


def pull(client: Client) -> None:
    while client.app.state.services.providers.pull_due():
        pass


def day(clock: Clock, number: int, amounts: dict[str, int]) -> UseSaid:
    """A day counted from today, in UTC."""
    start = clock.at // DAY_MS * DAY_MS + number * DAY_MS
    figures = tuple(
        FigureSaid(span_key("day", start, "residential", name), start, name, "residential", amount)
        for name, amount in amounts.items()
    )
    return UseSaid("bytes", "day", "UTC", start, start + DAY_MS, 1024, figures)


def test_one_is_added_read_listed_changed_and_removed(client: Client, clock: Clock) -> None:
    made = client.post(MINE, json=ADD | {"since": "2026-01-01", "settings": {"grain": "hour"}})
    assert made.status_code == 201, made.text
    assert made.json() == {
        "name": "thor",
        "account": "acme",
        "vendor": "scripted",
        "settings": {"grain": "hour", "zone": "UTC"},
        "secrets": ["token"],
        "since": "2026-01-01T00:00:00Z",
        "told_until": None,
        "told_from": None,
        "state": "new",
        "state_since": "2026-03-15T12:00:00Z",
        "detail": "",
        "failures": 0,
        "every_s": 1800,
        "paused": False,
        "address": None,
        "created_at": "2026-03-15T12:00:00Z",
        "tried_at": None,
        "pulled_at": None,
        "next_at": "2026-03-15T12:00:00Z",
        "removed_at": None,
    }
    assert client.get(f"{MINE}/thor").json() == made.json()
    assert client.get("/v1/providers/thor").json() == made.json()
    assert client.get(MINE).json() == client.get("/v1/providers").json() == {"items": [made.json()], "next": None}
    clock.at += 60_000
    changed = client.patch(f"{MINE}/thor", json={"paused": True, "every_s": 600, "settings": {"grain": "hour"}}).json()
    assert (changed["paused"], changed["every_s"], changed["settings"]) == (
        True,
        600,
        {"grain": "hour", "zone": "UTC"},
    )
    assert changed["next_at"] is None
    gone = client.delete(f"{MINE}/thor").json()
    assert (gone["state"], gone["secrets"], gone["removed_at"]) == ("removed", [], "2026-03-15T12:01:00Z")
    assert client.delete(f"{MINE}/thor").json() == gone
    assert client.get(MINE).json()["items"] == []
    assert client.get(MINE, params={"removed": "true"}).json()["items"] == [gone]
    assert client.post(MINE, json=ADD).json()["code"] == "conflict"


def test_a_secret_is_in_no_answer_no_error_no_log_and_on_no_record(
    client: Client, vendor: Vendor, logged: Logged, capsys: pytest.CaptureFixture[str]
) -> None:
    logged.set_level(logging.DEBUG, "")
    vendor.script = [[ZeroDivisionError(SECRET)]]
    told = [client.post(MINE, json=ADD, headers={"Idempotency-Key": "k"}).text for _ in range(2)]
    pull(client)
    told += [client.get(path).text for path in (MINE, f"{MINE}/thor", f"{MINE}/thor/pulls", "/v1/audit")]
    told.append(client.post(MINE, json=ADD | {"name": "odin", "vendor": "nobody"}).text)
    told.append(client.post(MINE, json=ADD | {"name": "odin", "secrets": {"tokn": SECRET}}).text)
    told.append(client.patch(f"{MINE}/thor", json={"secrets": {"token": f"{SECRET}\n"}}).text)
    for one in [*told, logged.text, *capsys.readouterr()]:
        assert SECRET not in one


def test_the_same_request_again_is_one_provider_and_another_secret_under_its_key_is_refused(client: Client) -> None:
    first = client.post(MINE, json=ADD, headers={"Idempotency-Key": "k"})
    assert client.post(MINE, json=ADD, headers={"Idempotency-Key": "k"}).json() == first.json()
    other = client.post(MINE, json=ADD | {"secrets": {"token": "another"}}, headers={"Idempotency-Key": "k"})
    assert other.json()["code"] == "idempotency_mismatch"


@pytest.mark.parametrize(
    ("change", "field", "detail"),
    [
        ({"vendor": "nobody"}, "vendor", "vendor 'nobody': one of scripted"),
        ({"name": "Thor"}, "name", "small letters"),
        ({"secrets": {}}, "secrets.token", "secret token is missing: the token"),
        ({"secrets": {"token": "x" * 5000}}, "secrets.token", "5000 characters"),
        ({"settings": {"grain": "week"}}, "settings.grain", "one of day, hour"),
        ({"since": "2027-01-01"}, "since", "still to come"),
        ({"since": "yesterday"}, "since", "since"),
        ({"every_s": 1}, "every_s", "every_s is 1"),
        ({"address": "https://me:pw@x"}, "address", "without a user"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_added(
    client: Client, change: dict[str, Any], field: str, detail: str
) -> None:
    answer = client.post(MINE, json=ADD | change)
    assert (answer.status_code, answer.json()["code"]) == (422, "unprocessable"), answer.text
    assert detail in answer.json()["detail"]
    assert answer.json()["field"] == field
    assert client.get(MINE).json()["items"] == []


def test_what_would_count_the_same_use_twice_cannot_be_changed(client: Client) -> None:
    client.post(MINE, json=ADD)
    other = client.patch(f"{MINE}/thor", json={"settings": {"grain": "hour"}})
    assert (other.status_code, other.json()["field"]) == (422, "settings.grain")
    assert "add another provider with 'hour'" in other.json()["detail"]
    changed = client.patch(f"{MINE}/thor", json={"settings": {"zone": "Asia/Shanghai"}}).json()
    assert changed["settings"] == {"grain": "day", "zone": "Asia/Shanghai"}


def test_by_default_usage_is_wanted_from_ninety_days_ago(client: Client) -> None:
    assert client.post(MINE, json=ADD).json()["since"] == "2025-12-15T00:00:00Z"


def test_where_it_is_asked_is_the_operators_to_say(client: Client) -> None:
    manager = token_of(client, "/v1/accounts/acme/credentials", scope="manage")
    inside = {"address": "http://169.254.169.254/latest"}
    assert client.post(MINE, json=ADD | inside, headers=manager).status_code == 403
    assert client.post(MINE, json=ADD, headers=manager).status_code == 201
    assert client.patch(f"{MINE}/thor", json=inside, headers=manager).status_code == 403
    assert client.patch(f"{MINE}/thor", json={"address": None}, headers=manager).status_code == 403
    assert client.patch(f"{MINE}/thor", json=inside).json()["address"] == inside["address"]
    assert client.patch(f"{MINE}/thor", json={"address": None}).json()["address"] is None


def test_another_account_sees_nothing_of_it(client: Client) -> None:
    client.post("/v1/accounts", json={"id": "globex"})
    client.post(MINE, json=ADD)
    other = token_of(client, "/v1/accounts/globex/credentials", scope="manage")
    for method, path in [
        ("GET", f"{MINE}/thor"),
        ("GET", "/v1/providers/thor"),
        ("GET", "/v1/accounts/globex/providers/thor"),
        ("DELETE", "/v1/accounts/globex/providers/thor"),
        ("POST", "/v1/accounts/globex/providers/thor/pull"),
        ("POST", "/v1/accounts/globex/providers/thor/check"),
    ]:
        assert client.request(method, path, headers=other).status_code == 404, path
    assert client.get("/v1/providers", headers=other).status_code == 403


def test_another_account_sees_nothing_of_what_it_says(client: Client, vendor: Vendor, clock: Clock) -> None:
    """By its own account or by the other's, by whatever way figures are read."""
    client.post("/v1/accounts", json={"id": "globex"})
    vendor.script = [[SubUsersSaid((SubUserSaid("bob", True),)), day(clock, -1, {"bob": 700})]]
    client.post(MINE, json=ADD)
    pull(client)
    other = token_of(client, "/v1/accounts/globex/credentials", scope="manage")
    series = "series=thor&from=2026-03-01&to=2026-03-16"
    for mine, others in [
        ("/v1/accounts/acme", "/v1/accounts/globex"),
        ("/v1/accounts/acme/usage?" + series, "/v1/accounts/globex/usage?" + series),
        ("/v1/accounts/acme/reconciliation?provider=thor", "/v1/accounts/globex/reconciliation?provider=thor"),
        *((f"{MINE}/thor{way}", f"/v1/accounts/globex/providers/thor{way}") for way in WAYS),
    ]:
        assert client.get(mine).status_code == 200, mine
        hidden = client.get(mine, headers=other)
        assert hidden.status_code in {403, 404}, mine
        assert "bob" not in hidden.text
        own = client.get(others, headers=other)
        if others != "/v1/accounts/globex":
            assert (own.status_code, own.json()["code"]) == (404, "not_found"), others
    for path in (f"/v1/usage?{series}", "/v1/providers"):
        assert client.get(path).status_code == 200, path
        assert client.get(path, headers=other).status_code == 403, path
    by_series = client.get("/v1/accounts/globex/usage?by=series&fill=none", headers=other)
    assert "thor" not in by_series.text
    assert "bob" in client.get("/v1/accounts/acme/export?series=thor").text
    assert "bob" not in client.get("/v1/accounts/acme/export?series=thor", headers=other).text
    assert "bob" not in client.get("/v1/accounts/globex/export?series=thor", headers=other).text


def test_what_it_says_is_shown_and_its_use_is_a_series_of_its_own(client: Client, vendor: Vendor, clock: Clock) -> None:
    before = client.get("/v1/accounts/acme/usage").json()["total"]
    vendor.script = [
        [
            BalancesSaid((BalanceSaid("traffic", "bytes", 7000), BalanceSaid("wallet", "money", 8, currency="USD"))),
            GrantsSaid((GrantSaid("7", "A-1", "order", "bytes", 900, 30, 1, 2, "active", "then", "later"),)),
            SubUsersSaid((SubUserSaid("bob", True, 5, 3),)),
            *(day(clock, number, {"bob": 700, "": 300}) for number in range(-3, 0)),
        ]
    ]
    client.post(MINE, json=ADD | {"since": "2026-03-12"})
    pull(client)
    found = client.get(f"{MINE}/thor").json()
    assert (found["state"], found["told_until"]) == ("ok", "2026-03-15T00:00:00Z")
    said = client.get("/v1/accounts/acme/usage", params={"series": "thor", "from": "2026-03-12", "tz": "UTC"}).json()
    assert said["total"]["bytes"] == 3000
    assert client.get("/v1/accounts/acme/usage").json()["total"] == before
    balance = client.get(f"{MINE}/thor/balance").json()
    assert [(one["label"], one["left"]) for one in balance["balances"]] == [("traffic", 7000), ("wallet", 8)]
    assert balance["run_out"] == {
        "at": "2026-03-22T12:00:00Z", "per_day": 1000, "days": 3, "reason": "", "balance": "traffic", "expires": False,
    }  # fmt: skip
    [grant] = client.get(f"{MINE}/thor/grants").json()["items"]
    assert (grant["id"], grant["left"], grant["raw_created"]) == ("7", 870, "then")
    [user] = client.get(f"{MINE}/thor/sub-users").json()["items"]
    assert (user["name"], user["limit"], user["used"]) == ("bob", 5, 3)
    [pulled] = client.get(f"{MINE}/thor/pulls").json()["items"]
    assert (pulled["outcome"], pulled["figures"], pulled["changed"]) == ("ok", 6, 0)
    told = client.get(f"{MINE}/thor/stretches").json()["stretches"]
    assert [(one["starts_at"], one["ends_at"], one["grain"], one["step"]) for one in told] == [
        ("2026-03-12T00:00:00Z", "2026-03-15T00:00:00Z", "day", 1024)
    ]


def test_what_is_told_is_told_though_the_vendor_does_not_answer_so_far_back(
    client: Client, vendor: Vendor, clock: Clock
) -> None:
    vendor.script = [[day(clock, number, {"bob": 700}) for number in (-9, -3, -2, -1)]]
    client.post(MINE, json=ADD | {"since": "2025-01-01"})
    pull(client)
    found = client.get(f"{MINE}/thor").json()
    assert (found["since"], found["told_from"], found["told_until"]) == (
        "2025-01-01T00:00:00Z", "2026-03-12T00:00:00Z", "2026-03-15T00:00:00Z",
    )  # fmt: skip


def test_when_it_runs_out_is_not_guessed(client: Client, vendor: Vendor, clock: Clock) -> None:
    def reason() -> str:
        return str(client.get(f"{MINE}/thor/balance").json()["run_out"]["reason"])

    client.post(MINE, json=ADD)
    assert reason() == "the vendor has told no whole day of the last seven"
    vendor.script = [[day(clock, -1, {"": 0})], [BalancesSaid((BalanceSaid("traffic", "bytes", 500),))]]
    pull(client)
    assert reason() == "the vendor does not tell what is left"
    client.post(f"{MINE}/thor/pull")
    pull(client)
    assert reason() == "nothing was used in these days"


def test_one_that_is_paused_is_asked_when_somebody_wants_it(client: Client, vendor: Vendor, clock: Clock) -> None:
    client.post(MINE, json=ADD)
    assert client.patch(f"{MINE}/thor", json={"paused": True}).json()["next_at"] is None
    pull(client)
    assert vendor.asked == []
    assert client.post(f"{MINE}/thor/pull").json()["next_at"] == "2026-03-15T12:00:00Z"
    pull(client)
    assert (len(vendor.asked), client.get(f"{MINE}/thor").json()["next_at"]) == (1, None)


def test_asked_now_is_asked_before_its_turn(client: Client, vendor: Vendor, clock: Clock) -> None:
    client.post(MINE, json=ADD)
    pull(client)
    clock.at += 1000
    asked = client.post(f"{MINE}/thor/pull")
    assert (asked.status_code, asked.json()["next_at"]) == (202, "2026-03-15T12:00:01Z")
    pull(client)
    assert len(vendor.asked) == 2
    client.delete(f"{MINE}/thor")
    assert client.post(f"{MINE}/thor/pull").json()["code"] == "conflict"


@pytest.mark.parametrize(
    ("sight", "outcome", "detail"),
    [
        (Sight(("balance",), ("mobile",)), "ok", ""),
        (Denied("10047 Token error"), "denied", "10047 Token error"),
        (Failed("no answer"), "late", "no answer"),
        (Limited("HTTP 429"), "late", "HTTP 429"),
        (ChangedShape("data is null", "{}"), "changed_shape", "data is null; it said: {}"),
    ],
)
def test_a_check_says_what_its_secrets_can_see(
    client: Client, vendor: Vendor, sight: Sight | Exception, outcome: str, detail: str
) -> None:
    client.post(MINE, json=ADD)
    vendor.sight = sight
    answer = client.post(f"{MINE}/thor/check")
    works = {"works": ["balance"], "cannot": ["mobile"]} if outcome == "ok" else {"works": [], "cannot": []}
    assert answer.json() == {"provider": "thor", "outcome": outcome, "detail": detail} | works
    assert client.get(f"{MINE}/thor").json()["state"] == "new"


def test_a_vendor_that_is_slow_holds_one_check_of_its_account_and_no_thread_of_others(
    client: Client, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post(MINE, json=ADD)
    begun, ended = threading.Event(), threading.Event()

    def check(ask: Any, to_pull: ToPull) -> Sight:
        begun.set()
        assert ended.wait(60)
        return Sight(("all",))

    puller = msgspec.structs.replace(vendor.puller, check=check)
    monkeypatch.setattr(client.app.state.services.providers, "pullers", {"scripted": puller})
    with ThreadPoolExecutor(1) as aside:
        slow = aside.submit(client.post, f"{MINE}/thor/check")
        assert begun.wait(60)
        refused = client.post(f"{MINE}/thor/check")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_at_once"), refused.text
        assert refused.headers["retry-after"] == "10"
        assert client.get(f"{MINE}/thor").status_code == 200
        ended.set()
        assert slow.result(60).json()["outcome"] == "ok"
    assert client.post(f"{MINE}/thor/check").json()["outcome"] == "ok"


def test_a_check_ends_with_the_server(client: Client, vendor: Vendor) -> None:
    client.post(MINE, json=ADD)
    vendor.sight = ServerStops()
    stopped = client.post(f"{MINE}/thor/check")
    assert (stopped.status_code, stopped.json()["code"]) == (503, "unavailable")


def test_the_vendors_are_listed_with_what_each_must_be_told(client: Client) -> None:
    assert client.get("/v1/vendors").json() == [
        {
            "vendor": "scripted",
            "title": "Scripted",
            "address": "https://vendor.example/api",
            "secrets": [
                {"name": "token", "meaning": "the token", "default": None, "choices": []},
                {"name": "key", "meaning": "the key", "default": "", "choices": []},
            ],
            "settings": [
                {"name": "grain", "meaning": "how finely", "default": "day", "choices": ["day", "hour"]},
                {"name": "zone", "meaning": "its calendar", "default": "UTC", "choices": []},
            ],
            "every_s": 1800,
            "keeps_days": 90,
        }
    ]


def test_the_examples_of_the_documents_are_what_a_vendor_wants_to_know() -> None:
    thordata = PULLERS["thordata"]
    secrets, settings = ({one.name: one for one in way} for way in (thordata.secrets, thordata.settings))
    assert EXAMPLE.settings.keys() <= settings.keys()
    assert set(EXAMPLE.secrets) <= secrets.keys()
    declared = {one.work.__name__: one for one in OPERATIONS}
    [vendor] = declared["list_vendors"].example
    assert (vendor.address, vendor.every_s, vendor.keeps_days) == (
        thordata.base_url, thordata.every_s, thordata.keeps_days,
    )  # fmt: skip
    assert {one.name for one in vendor.secrets} <= secrets.keys()
    for one in vendor.settings:
        known = settings[one.name]
        assert (one.default, tuple(one.choices)) == (known.default, known.choices)
    asked = declared["add_provider"].body_example
    assert asked["secrets"].keys() <= secrets.keys()


def test_figures_for_monitoring_name_every_state(client: Client) -> None:
    client.post(MINE, json=ADD)
    text = client.get("/metrics").text
    assert 'flowtally_providers{state="new"} 1' in text
    assert 'flowtally_provider_pulls_total{outcome="ok"} 0' in text
    assert "flowtally_providers_up 1" in text


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", MINE, ADD | {"name": "odin"}),
        ("PATCH", f"{MINE}/thor", {"every_s": 60}),
        ("POST", f"{MINE}/thor/pull", None),
    ],
)
def test_whoever_asks_vendors_hears_of_it_once_it_is_committed(
    client: Client, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: Any
) -> None:
    """Who looks before that finds nobody to ask, and looks again in half a minute."""
    client.post(MINE, json=ADD)
    services, heard = client.app.state.services, []

    def nudge() -> None:
        with services.ledger.read() as tx:
            heard.append([(one.name, one.every_s) for one in connected.due_providers(tx, 10**15, 9)])

    monkeypatch.setattr(services.providers, "nudge", nudge)
    assert client.request(method, path, json=body).is_success
    [seen] = heard
    with services.ledger.read() as tx:
        assert seen == [(one.name, one.every_s) for one in connected.due_providers(tx, 10**15, 9)]
