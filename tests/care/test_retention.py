"""Months of life over the whole server, compacted: what was promised is said as before, to the letter, and what cannot
be said any more is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from tests.applications import served
from tests.care.conftest import refusing_flushes
from tests.conftest import NOW
from tests.engine import chdb_directory, database_url  # noqa: F401
from tests.ingest.conftest import Services, make_services  # noqa: F401

from flowtally.answers.moment import Moment
from flowtally.config import load_config
from flowtally.core.edges import format_instant
from flowtally.ledger.installation import read_installation
from flowtally.ledger.people import credentials
from flowtally.usage.open import open_usage

DAY: Final = 86_400_000
MINUTE: Final = 60_000
BERLIN: Final = "Europe/Berlin"


class Town:
    """An application over one installation, whose clock is moved by hand."""

    def __init__(self, services: Services, client: Any, token: str) -> None:
        self.services, self.clock = services, services.clock
        self._client, self._headers = client, {"Authorization": f"Bearer {token}"}
        self._made = 0

    def ask(self, method: str, path: str, body: Any = None, *, status: int | None = None, **query: Any) -> Any:
        answer = self._client.request(method, path, json=body, params=query or None, headers=self._headers)
        assert status in (None, answer.status_code), f"{path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.text.startswith(("{", "[")) else answer.text

    def use(self, at: int, **more: Any) -> str:
        """An event, and its id."""
        self._made += 1
        event: dict[str, Any] = {
            "source": "gw",
            "id": f"e{self._made}",
            "account": "city",
            "user": "ann",
            "product": "residential",
        }
        event |= {"time": format_instant(at), "bytes_down": self._made, "requests": 1} | more
        assert self.ask("POST", "/v1/events", [event])["stored"] == 1
        return str(event["id"])

    def give(self, amount: int, **more: Any) -> Any:
        return self.ask("POST", "/v1/accounts/city/grants", {"amount": amount, **more}, status=201)

    def compact(self) -> Any:
        told = self.ask("POST", "/v1/retention", {}, status=202)
        until = time.monotonic() + 60
        while told["state"] == "running" and time.monotonic() < until:
            time.sleep(0.02)
            told = self.ask("GET", "/v1/retention")
        assert told["state"] == "done", told
        return told


@pytest.fixture
def town(make_services: Callable[..., Services], database_url: str) -> Iterator[Town]:  # noqa: F811
    store = open_usage(database_url)
    services = make_services(store)
    with services.ledger.begin() as tx:
        token = credentials.issue(tx, "admin", None, "town", NOW)[1]
    config = load_config(
        {}, data=str(services.data), usage_url="memory://", min_free_bytes=0, retain_rows_days=62
    )  # the stores are handed in
    with served(config, clock=services.clock, usage=store, ledger=services.ledger, ingest=services.open()) as client:
        yield Town(services, client, token)
    store.close()


@pytest.fixture
def lived(town: Town) -> Town:
    """Grants, voids, allocations and closed periods at odd instants, use just before and after each, corrections, late
    use of a closed period; then four months and one more event."""
    start = NOW - 3 * DAY
    settings = {"id": "city", "timezone": BERLIN, "carry_from": format_instant(start + 7)}
    town.ask("POST", "/v1/accounts", settings, status=201)
    fay = {"name": "fay", "funded": True}
    town.ask("POST", "/v1/accounts/city/users", fay, status=201)
    edges = [start + 7]
    for step in range(6):
        town.clock.at += 61_007
        edges.append(town.clock.at)
        given = town.give(200, expires_at=format_instant(town.clock.at + 3 * MINUTE + 11))
        edges.append(town.clock.at + 3 * MINUTE + 11)
        town.clock.at += 5_003
        ends = town.clock.at + 2 * MINUTE + 13
        passed_on = {"amount": 20, "expires_at": format_instant(ends)} if step % 2 else {"amount": 20}
        town.ask("POST", "/v1/accounts/city/users/fay/allocations", passed_on, status=201)
        edges += [town.clock.at, ends]
        if step == 2:
            town.ask("POST", f"/v1/accounts/city/grants/{given['id']}/void", status=200)
    for edge in edges:
        for at in (edge - 2, edge - 1, edge, edge + 1):
            if at <= town.clock.at:
                town.use(at, labels={"country": "de"})
                town.use(at, user="fay", product="mobile")
                town.use(at, user="fay")
    voided = town.use(start + DAY, bytes_down=50)
    town.ask("POST", "/v1/corrections", [{"id": "c1", "corrects": {"source": "gw", "id": voided}, "void": True}])
    odd = [format_instant(start + 5), format_instant(edges[3] + 1)]
    town.ask("POST", "/v1/accounts/city/periods", {"from": odd[0], "to": odd[1]}, status=201)
    for at in (start + DAY, edges[2]):
        town.use(at, bytes_down=1000)  # late, for a period that is closed
        town.use(at, bytes_down=100)
    town.clock.at += 120 * DAY
    town.use(town.clock.at)
    return town


def test_a_month_is_not_compacted_while_the_journal_has_a_record_of_it(town: Town) -> None:
    town.ask("POST", "/v1/accounts", {"id": "city"}, status=201)
    town.use(town.clock.at)
    town.clock.at += 120 * DAY
    town.use(town.clock.at)
    store = town.services.ingest.flusher._usage  # type: ignore[union-attr]
    with refusing_flushes(store):  # type: ignore[arg-type]
        assert town.compact()["months"] == []
        dry = town.ask("POST", "/v1/retention", {"dry_run": True}, status=202)
        assert dry["months"] == [] or dry["state"] == "running"
    assert [one["month"] for one in town.compact()["months"]] == ["2026-03"]


def everything(town: Town) -> dict[str, Any]:
    """All that is promised to stay."""
    account = "/v1/accounts/city"
    months = {"from": "2026-03-01", "to": "2026-08-01"}
    periods = town.ask("GET", f"{account}/periods")["items"]
    asked: list[tuple[str, dict[str, Any]]] = [
        (f"{account}/balance", {}),
        (f"{account}/balance", {"at": "2026-03-20T00:00:00Z"}),
        (f"{account}/explain", {"top": 0}),
        (f"{account}/users/fay/balance", {}),
        (f"{account}/users/fay/usage", {**months, "bucket": "day"}),
        *(
            (f"{account}/usage", {**months, "bucket": bucket, "by": "user,product"})
            for bucket in ("15m", "day", "month")
        ),
        (f"{account}/usage", {**months, "tz": "Asia/Kathmandu", "bucket": "day"}),
        ("/v1/usage", {**months, "by": "account"}),
        (f"{account}/periods/open", {}),
        *((f"{account}/periods/{one['id']}", {}) for one in periods),
        ("/v1/sources", {"source": "gw"}),
    ]
    found = {f"{path} {query}": town.ask("GET", path, status=200, **query) for path, query in asked}
    return {
        question: {name: value for name, value in answer.items() if name != "as_of"}
        for question, answer in found.items()
    }


def test_everything_that_was_promised_is_said_as_before(lived: Town) -> None:
    before = everything(lived)
    physical = "SELECT count() FROM usage_events WHERE account = 'city'"
    engine = lived.services.store.inner.engine  # type: ignore[attr-defined]
    rows = engine.rows(physical)[0][0]
    told = lived.compact()
    assert [one["month"] for one in told["months"]] == ["2026-03"]
    assert engine.rows(physical)[0][0] < rows
    after = everything(lived)
    for question in before:
        assert after[question] == before[question], question
    assert lived.compact()["months"] == []


def test_what_needs_single_old_events_is_refused_and_says_since_when_they_are_kept(lived: Town) -> None:
    with lived.services.ledger.read() as tx:
        then = Moment(2, NOW, promise=0, generation=read_installation(tx).generation).token
    lived.compact()
    account, range_ = "/v1/accounts/city", {"from": "2026-03-01", "to": "2026-04-01"}
    for path, query in (
        (f"{account}/usage", {**range_, "by": "status"}),
        (f"{account}/usage", {**range_, "by": "label:country"}),
        (f"{account}/usage", {**range_, "as_of": then}),
        (f"{account}/usage", {**range_, "to": format_instant(NOW - 3 * DAY + 6)}),  # between two uses of fay's
        ("/v1/changes", {"since": "0"}),
    ):
        told = lived.ask("GET", path, status=410, **query)
        assert (told["code"], told["kept_since"]) == ("rolled_up", "2026-04-01T00:00:00Z")
    edge = format_instant(NOW + 61_000)  # the second with which a grant began: kept apart
    lived.ask("GET", f"{account}/usage", status=200, **{**range_, "to": edge})
    recent = {"from": "2026-07-01", "to": "2026-08-01", "by": "status"}
    assert lived.ask("GET", f"{account}/usage", status=200, **recent)["total"]["requests"] == 1


def test_a_promise_that_would_need_them_is_refused_where_one_at_a_quarter_hour_is_not(town: Town) -> None:
    town.ask("POST", "/v1/accounts", {"id": "city", "carry_from": "2026-01-01T00:00:00Z"}, status=201)
    town.use(NOW - 10 * MINUTE)
    town.use(NOW - 8 * MINUTE)
    town.clock.at += 120 * DAY
    town.use(town.clock.at)
    town.compact()
    before = town.ask("GET", "/v1/accounts/city/balance", status=200)
    odd = {"amount": 5, "starts_at": format_instant(NOW - 9 * MINUTE)}
    told = town.ask("POST", "/v1/accounts/city/grants", odd, status=410)
    assert (told["before"], told["after"]) == ("2026-03-15T11:45:00Z", "2026-03-15T12:00:00Z")
    assert town.ask("GET", "/v1/accounts/city/balance", status=200) == before
    town.give(5, starts_at=told["before"])
    left = town.ask("GET", "/v1/accounts/city/balance", status=200)["pools"]["traffic"]
    assert (left["granted"], left["spent"]) == (5, 3)


def test_nothing_is_old_enough_and_a_dry_run_does_nothing(lived: Town) -> None:
    told = lived.ask("POST", "/v1/retention", {"dry_run": True}, status=202)
    while told["state"] == "running":
        told = lived.ask("GET", "/v1/retention")
    assert (told["dry_run"], told["rows_kept_since"]) == (True, None)
    assert [(one["month"], one["bytes_after"]) for one in told["months"]] == [("2026-03", None)]


def test_nothing_is_old_enough_in_may(lived: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """March ended 44 days ago. What was dated since is of another clock than the one that is asked."""
    care = lived._client.app.state.services.care
    monkeypatch.setattr(care, "_clock", lambda: lived.clock.at - 60 * DAY)
    assert lived.compact()["months"] == []


def test_the_export_says_what_its_rows_stand_for(lived: Town) -> None:
    def lines() -> list[dict[str, str]]:
        import csv
        import io

        text = lived.ask("GET", "/v1/accounts/city/export", format="csv", status=200)
        return list(csv.DictReader(io.StringIO(text)))

    before = lines()
    lived.compact()
    after = lines()
    assert len(after) < len(before)
    for column in ("bytes_down", "requests", "entries"):
        assert sum(int(one[column]) for one in after) == sum(int(one[column]) for one in before)
    old = [one for one in after if one["until"]]
    assert all(one["id"] == one["source"] == "" and one["time"] < one["until"] for one in old)
    assert all(one["reason"].endswith("rolled up") for one in old)
    assert len(after) - len(old) == 1


def test_retries_of_what_was_compacted_are_duplicates_and_other_content_is_a_conflict(lived: Town) -> None:
    lived.compact()
    event = {"source": "gw", "id": "e1", "account": "city", "user": "ann", "product": "residential", "requests": 1}
    event |= {"time": "2026-03-01T00:00:00Z", "bytes_down": 1}
    assert lived.ask("POST", "/v1/events", [event])["duplicate"] == 1
    assert lived.ask("POST", "/v1/events", [event | {"bytes_down": 2}])["conflict"] == 1
    again = {"id": "c1", "corrects": {"source": "gw", "id": "e1"}, "void": True}
    assert lived.ask("POST", "/v1/corrections", [again])["receipts"][0]["status"] == "conflict"
    told = lived.ask("POST", "/v1/corrections", [again | {"id": "c2"}])["receipts"][0]
    assert (told["status"], told["code"]) == ("refused", "rolled_up")
    assert lived.ask("GET", "/v1/events", source="gw", id="e1", status=410)["code"] == "rolled_up"
    free = {"id": "free", "account": "city", "user": "ann", "product": "residential", "bytes_down": -1}
    free |= {"time": "2026-03-01T00:00:00Z", "reason": "goodwill"}
    assert lived.ask("POST", "/v1/corrections", [free])["stored"] == 1
    assert lived.ask("POST", "/v1/verify", status=202)["state"] == "running"
    while (told := lived.ask("GET", "/v1/verify"))["state"] == "running":
        time.sleep(0.02)
    assert (told["state"], told["found"]) == ("done", 0), told["findings"]
