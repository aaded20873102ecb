"""Usage over HTTP: parameters, media types. What a statement says is tested in test_statement.py."""

from __future__ import annotations

import pytest
from tests.conftest import Client, send

RANGE = {"from": "2026-03-10", "to": "2026-03-12"}
PATH = "/v1/accounts/acme/usage"


def test_the_answer_has_rows_and_their_total(client: Client, acme: str) -> None:
    answer = client.get(PATH, params=RANGE).json()
    assert list(answer) == ["account", "from", "to", "timezone", "bucket", "rows", "total", "as_of"]
    assert [row["bytes"] for row in answer["rows"]] == [1000, 8]
    assert answer["total"] == {"bytes_up": 101, "bytes_down": 907, "bytes": 1008, "requests": 3}


@pytest.mark.parametrize("by", ["by=user,product", "by=user&by=product", "by=user%2Cproduct"])
def test_dimensions_are_separated_or_repeated(client: Client, acme: str, by: str) -> None:
    rows = client.get(f"{PATH}?from=2026-03-10&to=2026-03-11&fill=none&{by}").json()["rows"]
    assert [(row["user"], row["product"]) for row in rows] == [("alice", "residential")]


def test_filters_repeat(client: Client, acme: str) -> None:
    assert client.get(PATH, params={**RANGE, "user": ["alice", "bob"]}).json()["total"]["bytes"] == 1003
    assert client.get(PATH, params={**RANGE, "user": ""}).json()["total"]["bytes"] == 5
    assert client.get(PATH, params={**RANGE, "product": ["mobile"]}).json()["total"]["bytes"] == 3
    assert client.get(PATH, params={**RANGE, "series": "metered"}).json()["total"]["bytes"] == 1008
    assert client.get(PATH, params={**RANGE, "series": "thordata"}).json()["code"] == "not_found"


def test_an_offset_may_be_written_with_a_plus_that_is_encoded(client: Client, acme: str) -> None:
    answer = client.get(
        PATH, params={"from": "2026-03-10T00:00:00+01:00", "to": "2026-03-11T00:00:00+01:00", "tz": "UTC"}
    )
    assert (answer.json()["from"], answer.json()["total"]["bytes"]) == ("2026-03-09T23:00:00Z", 1000)


@pytest.mark.parametrize(
    ("accept", "form", "kind"),
    [
        ("*/*", None, "application/json"),
        ("application/json, text/csv", None, "application/json"),
        ("text/csv", None, "text/csv; charset=utf-8"),
        ("text/csv, */*;q=0.9", None, "text/csv; charset=utf-8"),
        ("text/csv;q=0.9, */*", None, "application/json"),
        ("text/csv, */*", None, "text/csv; charset=utf-8"),
        ("text/*", None, "text/csv; charset=utf-8"),
        ("text/html, application/xhtml+xml, */*;q=0.8", None, "application/json"),
        ("application/vnd.apache.arrow.stream", None, "application/vnd.apache.arrow.stream"),
        ("application/json;q=0.5, application/vnd.apache.arrow.stream", None, "application/vnd.apache.arrow.stream"),
        ("nonsense", None, "application/json"),
        ("", None, "application/json"),
        ("text/html", "csv", "text/csv; charset=utf-8"),
        ("text/html", "arrow", "application/vnd.apache.arrow.stream"),
        ("text/csv", "json", "application/json"),
        ("*/*", "csv", "text/csv; charset=utf-8"),
    ],
)
def test_csv_by_header_or_parameter(client: Client, acme: str, accept: str, form: str | None, kind: str) -> None:
    params = RANGE | ({"format": form} if form else {})
    assert client.get(PATH, params=params, headers={"Accept": accept}).headers["content-type"] == kind


def test_csv_has_the_rows(client: Client, acme: str) -> None:
    text = client.get(PATH, params={**RANGE, "format": "csv", "by": "user", "user": "alice", "fill": "none"}).text
    header, row, end = text.split("\r\n")
    assert header == "start,end,user,user_id,bytes_up,bytes_down,bytes,requests,cut"
    assert row.startswith("2026-03-10T00:00:00+01:00,2026-03-11T00:00:00+01:00,alice,usr_")
    assert row.endswith(",100,900,1000,1,")
    assert end == ""


@pytest.mark.parametrize("path", ["/v1/accounts/acme/usage", "/v1/usage"])
def test_usage_of_nobody_is_404_and_of_a_user_of_traffic_is_found(client: Client, acme: str, path: str) -> None:
    send(client, "seen", "2026-03-10T12:00:00Z", user="seen")
    assert client.get(path, params={"user": "seen"}).status_code == 200
    answer = client.get(path, params={"user": ["seen", "sene"]})
    assert (answer.status_code, answer.json()["code"], answer.json()["user"]) == (404, "unknown_user", "sene")
    assert client.get(path, params={"user": ""}).status_code == 200
