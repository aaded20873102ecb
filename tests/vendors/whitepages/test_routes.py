"""Asking flowtally as Whitepages' clients ask Whitepages."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.conftest import Client, Clock, send
from tests.vendors.asking import issue

from flowtally.vendors.whitepages.settings import Settings

PATH = "/v1/account/usage/"
TRACE = re.compile(r"[0-9a-f]{32}")


@pytest.fixture
def key(client: Client, acme: str) -> dict[str, str]:
    return {"X-Api-Key": issue(client, "acme", "account").token}


def ask(client: Client, key: dict[str, str], start: str | None, end: str | None, path: str = PATH) -> Any:
    given = {name: value for name, value in (("start_date", start), ("end_date", end)) if value is not None}
    return client.get(path, params=given, headers=key)


def use(client: Client, id: str, time: str, requests: int, product: str = "api") -> None:
    send(client, id, time, product=product, requests=requests)


def test_requests_are_told_by_utc_day_from_the_first_one_used(client: Client, key: dict[str, str]) -> None:
    use(client, "a", "2026-03-11T23:59:59.999Z", 3)
    use(client, "b", "2026-03-12T00:00:00Z", 4)
    use(client, "c", "2026-03-12T01:00:00Z", 1000, "residential")  # bytes of another pool: no requests of the API
    for path in (PATH, PATH[:-1]):
        assert ask(client, key, "2026-03-01", "2026-03-31", path).json() == {
            "time_range": {"start_date": "2026-03-01", "end_date": "2026-03-31"},
            "usage_data": [
                {"date": "2026-03-11", "request_count": 3},
                {"date": "2026-03-12", "request_count": 4},
                {"date": "2026-03-13", "request_count": 0},
                {"date": "2026-03-14", "request_count": 0},
                {"date": "2026-03-15", "request_count": 0},
            ],
            "total_requests_in_timeperiod": 7,
        }


def test_one_day_is_asked_for_by_naming_it_twice(client: Client, key: dict[str, str]) -> None:
    use(client, "a", "2026-03-11T12:00:00Z", 3)
    assert ask(client, key, "2026-03-11", "2026-03-11").json()["usage_data"] == [
        {"date": "2026-03-11", "request_count": 3}
    ]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-01", "2026-03-02"),
        ("1960-01-01", "1960-02-01"),
        ("2030-01-01", "2030-01-02"),
        ("0001-01-01", "0001-01-01"),
        ("9999-12-01", "9999-12-31"),
    ],
)
def test_a_span_without_requests_has_no_rows(client: Client, key: dict[str, str], start: str, end: str) -> None:
    answer = ask(client, key, start, end).json()
    assert (answer["usage_data"], answer["total_requests_in_timeperiod"]) == ([], 0)


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        (None, "2026-03-01", "start_date"),
        ("2026-03-01", None, "end_date"),
        ("", "2026-03-01", "start_date"),
        ("yesterday", "2026-03-01", "start_date"),
        ("2026-03-01", "2026-3-2", "end_date"),
        ("2026-03-02", "2026-03-01", "end_date"),
        ("2026-01-01", "2026-04-02", "end_date"),
    ],
)
def test_a_parameter_that_is_wrong_is_named_in_the_services_form(
    client: Client, key: dict[str, str], start: str | None, end: str | None, field: str
) -> None:
    answer = ask(client, key, start, end)
    body = answer.json()
    assert answer.status_code == body["error"]["code"] == 400
    assert body["error"]["message"] == "Bad Request"
    assert body["error"]["meta"] is None
    assert f"Validation failed for field 'query -> {field}'." in body["error"]["long_message"]
    assert TRACE.fullmatch(body["wp_trace_id"])


def test_ninety_days_of_difference_are_answered(client: Client, key: dict[str, str]) -> None:
    assert ask(client, key, "2026-01-01", "2026-04-01").status_code == 200


@pytest.mark.parametrize("headers", [{}, {"X-Api-Key": ""}, {"X-Api-Key": "nobody"}, {"x-api-key": "ü".encode()}])
def test_a_bad_key_is_forbidden_before_anything_else_is_looked_at(client: Client, acme: str, headers: Any) -> None:
    del client.headers["authorization"]
    answer = client.get(PATH, headers=headers)
    assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})


def test_too_many_requests_say_when_to_come_back(make_client: Callable[..., Client], clock: Clock) -> None:
    client = make_client(vendors={"whitepages": Settings(requests_per_minute=2)})
    client.post("/v1/accounts", json={"id": "acme"})
    key = {"X-Api-Key": issue(client, "acme", "account").token}
    days = ("2026-03-01", "2026-03-02")
    assert [ask(client, key, *days).status_code for _ in range(3)] == [200, 200, 429]
    refused = ask(client, key, "", "")
    assert (refused.json(), refused.headers["retry-after"]) == ({"message": "Too Many Requests"}, "60")
    clock.at += 60_000
    assert ask(client, key, *days).status_code == 200


def test_a_quota_that_is_used_up_is_a_limit_exceeded(make_client: Callable[..., Client]) -> None:
    client = make_client(vendors={"whitepages": Settings(enforce_quota=True)})
    client.post("/v1/accounts", json={"id": "acme", "carry_from": "2026-03-01T00:00:00Z"})
    key = {"X-Api-Key": issue(client, "acme", "account").token}
    refused = ask(client, key, "", "")
    assert (refused.status_code, refused.json()) == (429, {"message": "Limit Exceeded"})
    client.post("/v1/accounts/acme/grants", json={"amount": 5, "pool": "api", "starts_at": "2026-03-01T00:00:00Z"})
    use(client, "a", "2026-03-11T12:00:00Z", 4)
    assert ask(client, key, "2026-03-11", "2026-03-11").status_code == 200
    use(client, "b", "2026-03-11T12:00:00Z", 1)
    assert ask(client, key, "2026-03-11", "2026-03-11").json() == {"message": "Limit Exceeded"}


def test_calls_are_metered_after_the_answer_where_that_is_set(
    make_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(vendors={"whitepages": Settings(meter_calls=True)})
    client.post("/v1/accounts", json={"id": "acme"})
    key = {"X-Api-Key": issue(client, "acme", "account").token}
    ask(client, key, "2026-03-15", "2026-03-15")
    ask(client, key, "wrong", "2026-03-15")
    deadline = time.monotonic() + 10
    while (
        not (found := ask(client, key, "2026-03-15", "2026-03-15").json())["usage_data"] and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    assert found["usage_data"][0]["request_count"] >= 2  # the refused one too, and this one not yet
    assert (
        client.get("/v1/accounts/acme/usage?from=2026-03-15&bucket=day&by=source").json()["rows"][0]["source"]
        == "flowtally:whitepages"
    )


def test_a_call_that_cannot_be_metered_is_answered_all_the_same(make_client: Callable[..., Client]) -> None:
    client = make_client(vendors={"whitepages": Settings(meter_calls=True)})
    client.post("/v1/accounts", json={"id": "acme"})
    key = {"X-Api-Key": issue(client, "acme", "account").token}
    services = client.app.state.services

    class Full:
        async def record(self, *args: object, **kwargs: object) -> None:
            raise RuntimeError("no room")

    client.app.state.services = msgspec.structs.replace(services, ingest=Full())
    assert ask(client, key, "2026-03-15", "2026-03-15").status_code == 200
    client.app.state.services = services


def test_another_accounts_requests_are_not_told(client: Client, acme: str) -> None:
    client.post("/v1/accounts", json={"id": "other"})
    use(client, "a", "2026-03-11T12:00:00Z", 3)
    theirs = {"X-Api-Key": issue(client, "other", "account").token}
    assert ask(client, theirs, "2026-03-11", "2026-03-11").json()["usage_data"] == []


def test_the_key_is_looked_at_before_what_cannot_be_read(client: Client, key: dict[str, str]) -> None:
    del client.headers["authorization"]
    for headers, status in (({}, 403), ({"X-Api-Key": "nobody"}, 403), (key, 400)):
        assert client.get(f"{PATH}?start_date=%00", headers=headers).status_code == status


def test_a_body_that_is_given_up_ends_the_connection(client: Client, key: dict[str, str]) -> None:
    answer = client.request("GET", PATH, headers=key, content=b"x" * 100_000)
    assert answer.headers["connection"] == "close"


def test_another_method_is_refused_in_the_vendors_words(client: Client, key: dict[str, str]) -> None:
    answer = client.delete(PATH, headers=key)
    assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


def test_a_head_is_the_answer_without_its_body(client: Client, key: dict[str, str]) -> None:
    days = {"start_date": "2026-03-01", "end_date": "2026-03-02"}
    head, whole = client.head(PATH, params=days, headers=key), client.get(PATH, params=days, headers=key)
    assert (head.status_code, head.content) == (whole.status_code, b"") == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]
    assert client.head(PATH).status_code == 403
