"""Compacting beside whatever else goes on, over the whole server: no figure moves, nothing is refused for ever."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.applications import served
from tests.care.test_retention import DAY, MINUTE, Town
from tests.conftest import NOW, figures
from tests.engine import chdb_directory, database_url  # noqa: F401
from tests.ingest.conftest import Services, make_services  # noqa: F401

from flowtally.config import load_config
from flowtally.core.edges import format_instant, parse_instant
from flowtally.ledger.people import credentials
from flowtally.usage import compaction
from flowtally.usage.open import open_usage

ACCOUNT = "/v1/accounts/city"
MARCH = {"from": "2026-03-01", "to": "2026-04-01", "bucket": "month"}


@pytest.fixture
def town(make_services: Callable[..., Services], database_url: str) -> Iterator[Town]:  # noqa: F811
    """Events may be dated a year ahead here."""
    store = open_usage(database_url)
    services = make_services(store)
    with services.ledger.begin() as tx:
        token = credentials.issue(tx, "admin", None, "town", NOW)[1]
    config = load_config({}, data=str(services.data), usage_url="memory://", min_free_bytes=0, retain_rows_days=62)
    ingest = services.open(max_future_s=365 * 86_400)
    with served(config, clock=services.clock, usage=store, ledger=services.ledger, ingest=ingest) as client:
        town = Town(services, client, token)
        town.ask("POST", "/v1/accounts", {"id": "city", "carry_from": "2026-01-01T00:00:00Z"}, status=201)
        yield town
    store.close()


def live_on(town: Town) -> None:
    """Until March is due: four months, and an event of the new one."""
    town.clock.at += 120 * DAY
    town.use(town.clock.at, bytes_down=7)


def void(id: str, event: str) -> dict[str, Any]:
    return {"id": id, "corrects": {"source": "gw", "id": event}, "void": True}


def findings(town: Town) -> Any:
    town.ask("POST", "/v1/verify", status=202)
    while (told := town.ask("GET", "/v1/verify"))["state"] == "running":
        time.sleep(0.02)
    assert told["state"] == "done", told
    return told["findings"]


def failing(*_: Any) -> None:
    raise RuntimeError("Timeout exceeded while waiting for merges")


def compacting_after(town: Town, verb: Callable[..., Any]) -> Callable[..., Any]:
    """The verb, and right after it the old month is compacted."""

    def found(*args: Any, **more: Any) -> Any:
        answer = verb(*args, **more)
        town.compact()
        return answer

    return found


def test_an_event_that_is_compacted_while_its_second_void_waits_is_not_voided_twice(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = town.use(NOW - 10 * MINUTE, bytes_down=50)
    assert town.ask("POST", "/v1/corrections", [void("c1", event)])["stored"] == 1
    live_on(town)
    facts = town.services.door._committer.facts
    monkeypatch.setattr(facts, "find", compacting_after(town, facts.find))
    [told] = town.ask("POST", "/v1/corrections", [void("c2", event)])["receipts"]
    assert (told["status"], told["code"]) == ("refused", "rolled_up")
    used = town.ask("GET", f"{ACCOUNT}/usage", status=200, **MARCH)["total"]
    assert (used["bytes_down"], used["requests"]) == (0, 0)
    assert findings(town) == []


def test_an_event_that_is_compacted_while_it_is_asked_for_is_not_shown_without_its_corrections(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = town.use(NOW - 10 * MINUTE, bytes_down=50)
    town.ask("POST", "/v1/corrections", [void("c1", event)])
    live_on(town)
    store = town.services.store.inner
    monkeypatch.setattr(store, "find", compacting_after(town, store.find))
    assert town.ask("GET", "/v1/events", status=410, source="gw", id=event)["code"] == "rolled_up"


def test_late_use_stays_known_as_before_and_after_a_closing_of_a_later_period(town: Town) -> None:
    town.use(parse_instant("2026-02-10T10:01:00Z"))
    town.ask("POST", f"{ACCOUNT}/periods", {"from": "2026-01-01", "to": "2026-02-01"}, status=201)
    town.clock.at += DAY
    town.use(parse_instant("2026-02-10T10:01:30Z"))
    # It starts after all that is compacted is dated.
    town.ask("POST", f"{ACCOUNT}/periods", {"from": "2026-03-01", "to": "2026-03-03"}, status=201)
    town.use(parse_instant("2026-02-10T10:02:00Z"))
    live_on(town)
    before = figures(town.ask("GET", f"{ACCOUNT}/periods/open", status=200))
    assert town.compact()["months"]
    assert figures(town.ask("GET", f"{ACCOUNT}/periods/open", status=200)) == before
    town.ask("POST", f"{ACCOUNT}/periods", {"from": "2026-06-01", "to": "2026-07-01"}, status=201)
    assert findings(town) == []


def test_what_is_dated_in_the_future_is_compacted_when_it_is_past(town: Town) -> None:
    given = town.give(500)
    later = (NOW + 120 * DAY) // 900_000 * 900_000
    for minute in (1, 12):
        town.use(later + minute * MINUTE)
    town.clock.at = later - MINUTE
    town.use(town.clock.at)
    assert town.compact()["months"] == []
    town.clock.at = later + 5 * MINUTE + 3  # between the two
    town.ask("POST", f"{ACCOUNT}/grants/{given['id']}/void", status=200)
    town.clock.at = later + 13 * MINUTE
    before = figures(town.ask("GET", f"{ACCOUNT}/balance", status=200, at=format_instant(town.clock.at)))
    assert [one["month"] for one in town.compact()["months"]] == ["2026-03"]
    assert figures(town.ask("GET", f"{ACCOUNT}/balance", status=200, at=format_instant(town.clock.at))) == before
    assert findings(town) == []


def test_the_id_of_a_numbered_event_may_be_gone_with_its_row_and_its_number_is_not(town: Town) -> None:
    event = {"source": "num", "account": "city", "user": "ann", "product": "residential", "bytes_down": 5}
    event |= {"time": format_instant(NOW - MINUTE)}
    events = [event | {"id": "a", "sequence": "1"}, event | {"id": "b", "sequence": "2"}]
    assert town.ask("POST", "/v1/events", events)["stored"] == 2
    live_on(town)
    assert town.ask("GET", "/v1/events", status=200, source="num", id="a")["sequence"] == 1
    town.ask("GET", "/v1/events", status=404, source="num", id="c")
    town.compact()
    told = town.ask("GET", "/v1/events", status=410, source="num", id="a")
    assert told["code"] == "rolled_up"
    assert "Ask by the event's number" in told["detail"]
    assert town.ask("GET", "/v1/events", status=410, source="num", id="1")["code"] == "rolled_up"
    town.ask("GET", "/v1/events", status=404, source="num", id="3")


def test_an_explained_balance_gives_what_is_compacted_no_id(town: Town) -> None:
    for minute in (1, 2):
        town.use(NOW - minute * MINUTE)
    live_on(town)
    town.compact()
    spans = town.ask("GET", f"{ACCOUNT}/explain", status=200)["pools"]["traffic"]["spans"]
    rows = [row for span in spans for row in span["largest"]]
    assert {(row["source"], row["id"]) for row in rows if "rolled up" in row["reason"]} == {("", "")}
    assert {(row["source"], row["id"]) for row in rows if not row["reason"]} <= {("gw", "e3")}


def test_verify_names_an_account_whose_balance_is_refused_and_goes_on(town: Town) -> None:
    given = town.give(500, starts_at=format_instant(NOW - 3 * DAY))
    town.ask("POST", "/v1/accounts", {"id": "village"}, status=201)
    for minute in (10, 8):
        town.use(NOW - minute * MINUTE)
    live_on(town)
    town.compact()
    assert findings(town) == []
    assert town.services.ledger.file is not None
    with sqlite3.connect(town.services.ledger.file) as db:  # a hand that minds no rules
        db.execute("UPDATE grants SET starts_at = ? WHERE id = ?", (NOW - 9 * MINUTE, given["id"]))
    [found] = findings(town)
    assert (found["code"], found["where"]) == ("balance", "account 'city'")
    assert "RowsCompacted" in found["detail"]


def test_a_month_whose_replacing_fails_is_as_it_was_and_promises_go_on(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minute in (10, 8):
        town.use(NOW - minute * MINUTE)
    live_on(town)
    with monkeypatch.context() as patched:
        patched.setattr(compaction, "_replace", failing)
        with pytest.raises(AssertionError, match="failed"):
            town.compact()
    town.ask("GET", "/v1/changes", status=200, since="0")
    town.give(5, starts_at=format_instant(NOW - 9 * MINUTE))  # between the two
    before = figures(town.ask("GET", f"{ACCOUNT}/balance", status=200))
    assert [one["month"] for one in town.compact()["months"]] == ["2026-03"]
    assert figures(town.ask("GET", f"{ACCOUNT}/balance", status=200)) == before
    assert findings(town) == []


def test_a_month_that_was_replaced_before_the_error_is_guarded_and_finished_by_the_next_run(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minute in (10, 8):
        town.use(NOW - minute * MINUTE)
    live_on(town)
    before = figures(town.ask("GET", f"{ACCOUNT}/balance", status=200))
    replace = compaction._replace
    with monkeypatch.context() as patched:
        patched.setattr(compaction, "_replace", lambda *asked: failing(replace(*asked)))
        with pytest.raises(AssertionError, match="failed"):
            town.compact()
    odd = {"amount": 5, "starts_at": format_instant(NOW - 9 * MINUTE)}
    town.ask("POST", f"{ACCOUNT}/grants", odd, status=410)
    assert town.compact()["months"] == []
    engine = town.services.store.inner.engine  # type: ignore[attr-defined]
    assert engine.rows("SHOW TABLES LIKE 'usage_fold%'") == []
    assert figures(town.ask("GET", f"{ACCOUNT}/balance", status=200)) == before
    assert findings(town) == []
