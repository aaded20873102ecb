"""Places over HTTP: a file replaces them as a whole or changes nothing, and they are listed in pages."""

from __future__ import annotations

import gzip
from typing import Any, Final

import pytest
from tests.conftest import Client, token_of

ISP: Final = "/v1/places/isp"
CSV: Final = "country,state,city\nUS,alabama,Alabaster\nUS,AL,Auburn\nDE,berlin,Berlin\n"


def put(client: Client, body: str | bytes, kind: str = "text/csv", **headers: str) -> Any:
    return client.put(ISP, content=body, headers={"Content-Type": kind, **headers})


def codes(client: Client, **query: Any) -> list[str]:
    return [one["code"] for one in client.get(ISP, params=query).json()["items"]]


def test_a_file_replaces_what_was_and_is_listed(client: Client) -> None:
    made = put(client, CSV)
    counts = {"countries": 2, "states": 2, "cities": 3, "asns": 0}
    assert made.json() == {"product": "isp", **counts, "replaced_at": "2026-03-15T12:00:00Z"}
    assert client.get("/v1/places").json() == {"items": [made.json()], "next": None}
    assert codes(client) == ["DE", "US"]
    assert codes(client, kind="city", country="us", state="alabama") == ["alabaster", "auburn"]
    [berlin] = client.get(ISP, params={"kind": "city", "country": "DE"}).json()["items"]
    assert berlin == {"kind": "city", "country": "DE", "state": "berlin", "code": "berlin", "name": "Berlin"}
    assert put(client, '[{"country":"FR","asn":"AS3215","asn_name":"Orange"}]', "application/json").is_success
    assert (codes(client), codes(client, kind="city"), codes(client, kind="asn")) == (["FR"], [], ["AS3215"])


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/json; charset=utf-8", ""])
def test_an_object_a_line_is_a_file_too(client: Client, kind: str) -> None:
    assert put(client, '{"country":"FR"}\n{"country":"DE"}', kind).json()["countries"] == 2


def test_a_file_may_be_compressed(client: Client) -> None:
    assert put(client, gzip.compress(CSV.encode()), **{"Content-Encoding": "gzip"}).json()["cities"] == 3
    broken = put(client, b"no gzip", **{"Content-Encoding": "gzip"})
    assert (broken.status_code, broken.json()["code"]) == (400, "malformed_body")


def test_a_file_with_a_line_that_is_wrong_changes_nothing_and_names_it(client: Client) -> None:
    before = put(client, CSV).json()
    refused = put(client, CSV + "USA,,\nFR,nowhere,\n")
    assert (refused.status_code, refused.json()["code"], refused.json()["wrong"]) == (422, "unprocessable", 2)
    assert [(one["line"], one["field"]) for one in refused.json()["faults"]] == [(5, "country"), (6, "state")]
    assert client.get("/v1/places").json()["items"] == [before]
    assert len(codes(client, kind="city")) == 3


def test_what_is_no_file_of_places_is_refused(client: Client) -> None:
    assert put(client, CSV, "text/html").status_code == 415
    assert put(client, "").status_code == 422
    assert client.put("/v1/places/a%2Fb", content=CSV, headers={"Content-Type": "text/csv"}).status_code in (404, 422)
    assert client.get("/v1/places").json()["items"] == []


def test_what_was_removed_is_not_there(client: Client) -> None:
    made = put(client, CSV).json()
    assert client.delete(ISP).json() == made
    for answer in (client.get(ISP), client.delete(ISP)):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_state_needs_its_country(client: Client) -> None:
    put(client, CSV)
    answer = client.get(ISP, params={"kind": "city", "state": "alabama"})
    assert (answer.status_code, answer.json()["parameter"]) == (400, "state")


def test_replacing_and_removing_places_is_recorded(client: Client) -> None:
    put(client, CSV)
    client.delete(ISP)
    done = client.get("/v1/audit", params={"subject": "isp"}).json()["items"]
    assert [(one["action"], one["door"]) for one in done] == [
        ("places.replace", "PUT /v1/places/{product}"), ("places.remove", "DELETE /v1/places/{product}"),
    ]  # fmt: skip


def test_a_credential_of_an_account_reads_places_and_replaces_none(client: Client, acme: str) -> None:
    put(client, CSV)
    for scope in ("account", "manage"):
        headers = token_of(client, "/v1/accounts/acme/credentials", scope=scope)
        assert client.get(ISP, headers=headers).is_success
        assert put(client, CSV, **headers).status_code == 403
        assert client.delete(ISP, headers=headers).status_code == 403
    headers = token_of(client, "/v1/accounts/acme/credentials", scope="ingest")
    assert client.get(ISP, headers=headers).status_code == 403
