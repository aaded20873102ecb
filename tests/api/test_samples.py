"""Samples of servers' gauges over HTTP: sent once, read by periods, kept apart from usage."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import Client, Clock, token_of

from flowtally.core.samples import MAX_SAMPLES

SERVER = "stk_1"


def sample(time: str, value: float, name: str = "cpu", server: str = SERVER) -> dict[str, Any]:
    return {"server": server, "name": name, "time": time, "value": value}


def send(client: Client, *samples: dict[str, Any], **counts: int) -> list[dict[str, Any]]:
    """The receipts; `counts` are those that are not 0."""
    answer = client.post("/v1/samples", json=list(samples))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    receipts: list[dict[str, Any]] = told.pop("receipts")
    assert told == dict.fromkeys(("stored", "duplicate", "conflict", "refused"), 0) | counts
    return receipts


def points(client: Client, **query: Any) -> dict[str, list[tuple[str, float, int]]]:
    answer = client.get("/v1/samples", params={"server": SERVER, **query})
    assert answer.status_code == 200, answer.text
    return {
        one["name"]: [(point["start"], point["value"], point["samples"]) for point in one["points"]]
        for one in answer.json()["series"]
    }


def test_samples_are_sent_once_and_read_by_periods(client: Client) -> None:
    given = [sample(f"2026-03-15T11:5{minute}:00Z", minute) for minute in range(10)]
    assert send(client, *given, stored=10) == []
    assert send(client, *given, duplicate=10) == []
    five = [("2026-03-15T11:50:00Z", 2.0, 5), ("2026-03-15T11:55:00Z", 7.0, 5)]
    assert points(client) == {"cpu": five}
    assert points(client, aggregation="sum", period_s=3600) == {"cpu": [("2026-03-15T11:00:00Z", 45.0, 10)]}
    assert points(client, aggregation="max", period_s=86_400) == {"cpu": [("2026-03-15T00:00:00Z", 9.0, 10)]}


def test_another_value_is_a_conflict_and_the_first_stays(client: Client) -> None:
    send(client, sample("2026-03-15T11:50:00Z", 1.5), stored=1)
    [receipt] = send(client, sample("2026-03-15T11:50:00Z", 1.25), conflict=1)
    assert (receipt["index"], receipt["code"], receipt["before"]) == (0, "another_value", 1.5)
    assert points(client, period_s=60) == {"cpu": [("2026-03-15T11:50:00Z", 1.5, 1)]}


def test_one_that_is_wrong_is_refused_alone(client: Client) -> None:
    given = [
        sample("2026-03-15T11:50:00Z", 1),
        sample("2026-03-15T11:50:00Z", 1, name="CPU"),
        sample("yesterday", 1),
        sample("2026-03-15T12:06:00Z", 1),
        sample("2020-03-15T12:06:00Z", 1),
        sample("1969-03-15T12:06:00Z", 1),
        sample("2026-03-15T11:51:00Z", 1) | {"unit": "%"},
        sample("2026-03-15T11:51:00Z", 1) | {"value": "1"},
    ]
    receipts = send(client, *given, stored=1, refused=7)
    assert [(one["index"], one["code"]) for one in receipts] == [
        (1, "invalid_sample"),
        (2, "bad_time"),
        (3, "time_in_future"),
        (4, "too_old"),
        (5, "bad_time"),
        (6, "invalid_sample"),
        (7, "invalid_sample"),
    ]
    assert all(one["status"] == "refused" and one["detail"] for one in receipts)


def test_a_member_that_is_there_twice_makes_no_sample(client: Client) -> None:
    body = json.dumps(sample("2026-03-15T11:50:00Z", 1))[:-1] + ', "value": 2}'
    told = client.post("/v1/samples", content=body, headers={"Content-Type": "application/json"}).json()
    assert (told["refused"], told["receipts"][0]["code"]) == (1, "invalid_sample")


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
def test_a_body_may_be_lines_and_compressed(client: Client, kind: str) -> None:
    lines = "\n".join(json.dumps(sample(f"2026-03-15T11:0{minute}:00Z", 1)) for minute in range(3)).encode()
    headers = {"Content-Type": kind, "Content-Encoding": "gzip"}
    told = client.post("/v1/samples", content=gzip.compress(lines), headers=headers).json()
    assert told["stored"] == 3


def test_a_request_has_so_many_samples(client: Client) -> None:
    lines = json.dumps(sample("2026-03-15T11:00:00Z", 1)) + "\n"
    headers = {"Content-Type": "application/x-ndjson"}
    answer = client.post("/v1/samples", content=lines * (MAX_SAMPLES + 1), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert client.post("/v1/samples", content=lines * MAX_SAMPLES, headers=headers).json()["duplicate"] == 9_999


def test_what_is_no_json_stores_nothing(client: Client) -> None:
    line = json.dumps(sample("2026-03-15T11:00:00Z", 1))
    answer = client.post("/v1/samples", content=f"{line}\n{line[:-1]}\n", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")
    assert points(client) == {}


def test_the_range_is_that_which_was_asked_for(client: Client) -> None:
    send(client, *(sample(f"2026-03-15T11:5{minute}:00Z", minute) for minute in range(10)), stored=10)
    asked: dict[str, Any] = {"from": "2026-03-15T11:51:00Z", "to": "2026-03-15T11:53:00Z", "period_s": 60}
    assert points(client, **asked) == {"cpu": [("2026-03-15T11:51:00Z", 1.0, 1), ("2026-03-15T11:52:00Z", 2.0, 1)]}
    answer = client.get("/v1/samples", params={"server": SERVER} | asked).json()
    assert (answer["from"], answer["to"]) == (asked["from"], asked["to"])


def test_only_the_gauges_that_are_asked_for_are_told(client: Client) -> None:
    send(client, *(sample("2026-03-15T11:50:00Z", 1, name) for name in ("cpu", "memory", "load")), stored=3)
    assert set(points(client)) == {"cpu", "load", "memory"}
    assert set(points(client, name=["cpu", "memory"])) == {"cpu", "memory"}
    assert points(client, name="disk") == {"disk": []}
    assert points(client, server="stk_2") == {}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"from": "2026-03-15T12:00:00Z", "to": "2026-03-15T12:00:00Z"}, "not after"),
        ({"from": "2025-03-15T12:00:00Z", "period_s": "60"}, "at most 11000"),
        ({"to": "1970-01-01T00:00:00Z", "from": "1970-01-01T00:00:00Z"}, "not after"),
    ],
)
def test_a_range_that_is_too_long_or_empty_is_refused(client: Client, query: dict[str, str], said: str) -> None:
    answer = client.get("/v1/samples", params={"server": SERVER} | query)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_range")
    assert said in answer.json()["detail"]


@pytest.mark.parametrize("query", [{"period_s": "61"}, {"aggregation": "median"}, {"server": ""} | {"from": "x"}])
def test_what_cannot_be_asked_is_named(client: Client, query: dict[str, str]) -> None:
    assert client.get("/v1/samples", params={"server": SERVER} | query).status_code == 400


def test_samples_are_kept_as_long_as_the_setting_says(make_client: Callable[..., Client], clock: Clock) -> None:
    client = make_client(keep_samples_days=1)
    send(client, sample("2026-03-14T00:00:00Z", 1), sample("2026-03-13T23:59:59Z", 1), stored=1, refused=1)
    clock.at += 86_400_000
    send(client, sample("2026-03-16T11:59:00Z", 1), stored=1)
    assert points(client, **{"from": "2026-03-14T00:00:00Z"}) == {"cpu": [("2026-03-16T11:55:00Z", 1.0, 1)]}


def test_samples_count_for_no_usage_and_are_no_promise(client: Client, acme: str) -> None:
    before = client.get("/v1/accounts/acme/balance").json()
    send(client, sample("2026-03-15T11:50:00Z", 1), stored=1)
    assert client.get("/v1/accounts/acme/balance").json() == before


def test_a_customer_reads_no_samples_of_the_installation(client: Client, acme: str) -> None:
    its = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    assert client.get("/v1/samples", params={"server": SERVER}, headers=its).status_code == 403
    assert client.post("/v1/samples", json=[], headers=its).status_code == 403


def test_a_credential_of_its_own_sends_samples_and_nothing_else(client: Client) -> None:
    its = token_of(client, "/v1/credentials", scope="custom", rights=["samples:write"])
    assert client.post("/v1/samples", json=[sample("2026-03-15T11:50:00Z", 1)], headers=its).json()["stored"] == 1
    assert client.get("/v1/samples", params={"server": SERVER}, headers=its).status_code == 403
    assert client.get("/v1/accounts", headers=its).status_code == 403
