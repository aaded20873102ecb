"""Texts that commit 9c7d560 kept and today's doors refuse can still be asked for, corrected, renamed and taken away."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.fixtures import ADMIN, TEXTS
from tests.fixtures.texts import IDS, LOG, NAMED, NUMBERED, POOL, PRODUCT, USER
from tests.live import live_server

MONTH = {"from": "2026-03-01", "to": "2026-04-01", "bucket": "total"}
EVE = f"/v1/accounts/acme/users/{quote(USER)}"
ALL_BYTES = sum(one["bytes_up"] for one in NAMED) + NUMBERED["bytes_up"]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    root = tmp_path_factory.mktemp("texts")
    with tarfile.open(TEXTS) as archive:
        archive.extractall(root, filter="data")
    settings = {"FLOWTALLY_ADMIN_TOKEN": ADMIN}
    with (
        live_server(root / "data", settings) as live,
        httpx.Client(base_url=live.url, headers={"Authorization": f"Bearer {ADMIN}"}, timeout=60) as client,
    ):
        yield client


def usage(old: httpx.Client, **asked: str) -> Any:
    return old.get("/v1/accounts/acme/usage", params={**MONTH, **asked})


def test_events_and_sources_are_looked_up(old: httpx.Client) -> None:
    for one in NAMED:
        found = old.get("/v1/events", params={"source": "gw", "id": one["id"]}).json()
        assert (found["id"], found["user"], found["labels"]) == (one["id"], USER, one["labels"])
    for id in ("1", NUMBERED["id"]):
        assert old.get("/v1/events", params={"source": LOG, "id": id}).json()["bytes_up"] == 5
    assert old.get("/v1/sources", params={"source": LOG}).json()["position"] == NUMBERED["position"]


def test_use_is_grouped_and_filtered(old: httpx.Client) -> None:
    for number, one in enumerate(NAMED):
        name = f"label:\x1b\\,{number}"
        sizes = {row[f"label:\x1b,{number}"]: row["bytes"] for row in usage(old, by=name).json()["rows"]}
        assert sizes["v\x00\x9b"] == one["bytes_up"]
        head, *_ = csv.reader(io.StringIO(usage(old, by=name, format="csv").text, newline=""))
        assert f"label:\x1b,{number}" in head
        schema = pa.ipc.open_stream(usage(old, by=name, format="arrow").content).schema
        assert f"label:\x1b,{number}" in schema.names
    assert usage(old, user=USER, product=PRODUCT).json()["total"]["bytes"] == ALL_BYTES - NUMBERED["bytes_up"]
    by_source = {row["source"]: row["bytes"] for row in usage(old, by="source").json()["rows"]}
    assert by_source[LOG] == NUMBERED["bytes_up"]


def test_they_are_exported_explained_and_verified(old: httpx.Client) -> None:
    rows = pq.read_table(io.BytesIO(old.get("/v1/accounts/acme/export?format=parquet").content)).to_pylist()
    assert {row["id"] for row in rows} == {*IDS, NUMBERED["id"]}
    lines = list(csv.reader(io.StringIO(old.get("/v1/accounts/acme/export?format=csv").text, newline="")))
    assert {line[lines[0].index("user")] for line in lines[1:]} == {USER, ""}
    for path in ("/v1/accounts/acme/explain", "/v1/accounts/acme/balance", "/v1/changes", EVE, f"{EVE}/balance"):
        assert old.get(path).status_code == 200, path
    checked = old.post("/v1/verify").json()
    while checked["state"] == "running":
        checked = old.get("/v1/verify").json()
    assert (checked["state"], checked["found"]) == ("done", 0)


def test_sent_again_they_are_what_they_were_and_new_ones_are_refused(old: httpx.Client) -> None:
    again = old.post("/v1/events", json=NAMED).json()
    assert again["duplicate"] == len(NAMED)
    assert old.post("/v1/events", json=[NAMED[0] | {"bytes_up": 1}]).json()["conflict"] == 1
    new = old.post("/v1/events", json=[NAMED[0] | {"id": "new"}, NAMED[0] | {"id": "\x1bnew"}]).json()
    assert [one["code"] for one in new["receipts"]] == ["invalid_event"] * 2
    assert old.post("/v1/events", json=[NUMBERED]).status_code == 422


def test_what_a_change_leaves_as_it_is_is_not_looked_at_again(old: httpx.Client) -> None:
    assert old.put(f"/v1/pools/{quote(POOL)}", json={"charge": "bytes"}).status_code == 200
    assert old.put(f"/v1/products/{quote(PRODUCT)}", json={"pool": POOL}).status_code == 200
    assert old.post("/v1/accounts/acme/grants", json={"amount": 5, "pool": POOL}).status_code == 201
    assert old.patch("/v1/accounts/acme", json={"timezone": "Europe/Berlin"}).json()["name"] == "\u202dAcme"
    assert old.patch(EVE, json={"status": "disabled"}).json()["name"] == USER
    assert old.patch("/v1/accounts/acme", json={"name": "\u202dNew"}).status_code == 422
    assert old.patch(EVE, json={"name": "\u202enew"}).status_code == 422


def test_they_are_voided_renamed_and_erased(old: httpx.Client) -> None:
    named = [{"id": f"fix-{n}", "corrects": {"source": "gw", "id": id}, "void": True} for n, id in enumerate(IDS)]
    numbered = {"id": "fix-log", "corrects": {"source": LOG, "id": "1"}, "void": True}
    assert old.post("/v1/corrections", json=[*named, numbered]).json()["stored"] == len(named) + 1
    assert usage(old).json()["total"]["bytes"] == 0
    assert old.patch(EVE, json={"name": "eve"}).json()["name"] == "eve"
    assert old.post("/v1/accounts/acme/users/eve/erase").is_success
    assert old.get(EVE).status_code == 404
